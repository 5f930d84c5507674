/* SPDX-License-Identifier: MIT */
/* start.h - routines started by a test, where a failure to start one ends the process. */
#ifndef WEFT_SUPPORT_START_H
#define WEFT_SUPPORT_START_H

#include <weft/weft.h>

#include "expect.h"

#define start(...) require(weft_go(__VA_ARGS__) == 0)
#define in_routine(...) weft_await(weft_async(__VA_ARGS__))

#endif
