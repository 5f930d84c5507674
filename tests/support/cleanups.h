/* SPDX-License-Identifier: MIT */
/* cleanups.h - frames that tell when they are left. */
#ifndef WEFT_TESTS_CLEANUPS_H
#define WEFT_TESTS_CLEANUPS_H

#include <stdatomic.h>

static atomic_uint cleanups; /* variables with __attribute__((cleanup(count_cleanup))) that went out of scope */

static inline void count_cleanup(unsigned *unused)
{
    (void)unused;
    atomic_fetch_add(&cleanups, 1);
}

#endif
