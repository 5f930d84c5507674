/* SPDX-License-Identifier: MIT */
/* weft/weft.h - everything. */
#ifndef WEFT_WEFT_H
#define WEFT_WEFT_H

#include <weft/chan.h>
#include <weft/coro.h>
#include <weft/debug.h>
#include <weft/future.h>
#include <weft/gc.h>
#include <weft/panic.h>
#include <weft/routine.h>
#include <weft/runtime.h>
#include <weft/scope.h>
#include <weft/select.h>
#include <weft/sync.h>
#include <weft/time.h>
#include <weft/tracker.h>

#endif
