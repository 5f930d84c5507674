/* SPDX-License-Identifier: MIT */
/* futex.h - sleep on and wake a 32-bit word of this process. */
#ifndef WEFT_BASE_FUTEX_H
#define WEFT_BASE_FUTEX_H

#include <stdint.h>

#define WF_FUTEX_FOREVER INT64_MAX

/* Sleeps while *word == expected, until woken or CLOCK_MONOTONIC reaches deadline_ns (WF_FUTEX_FOREVER: no limit).
 * Returns 0 (woken, value differed, or interrupted: look again) or -ETIMEDOUT. Leaves errno alone. */
int wf_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns);

/* Wakes at most `count` sleepers and returns how many there were. Leaves errno alone. */
int wf_futex_wake(_Atomic uint32_t *word, int count);

#endif
