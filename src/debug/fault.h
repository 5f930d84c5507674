/* SPDX-License-Identifier: MIT */
/* fault.h - tells the room `stack` who was running when a fault came. */
#ifndef WEFT_DEBUG_FAULT_H
#define WEFT_DEBUG_FAULT_H

#include "stack/overflow.h"

extern const struct wf_overflow_hooks wf_fault_hooks;

#endif
