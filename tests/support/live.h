/* SPDX-License-Identifier: MIT */
/* live.h - asserts that every watched object (watch.h) outlives collections. */
#ifndef WEFT_TESTS_LIVE_H
#define WEFT_TESTS_LIVE_H

#include <criterion/criterion.h>

#include "watch.h"

static inline void all_live(const char *where)
{
    for (int i = 0; i < 3; i++) {
        unsigned alive = alive_after_gc();
        cr_assert_eq(alive, watched.n, "%s: %u of %u are alive", where, alive, watched.n);
    }
}

#endif
