/* SPDX-License-Identifier: MIT */
/* coros.h - what the tests of coroutines are made of: small coroutines, and bodies that run in main as well as in routines. */
#ifndef WEFT_TESTS_COROS_H
#define WEFT_TESTS_COROS_H

#include <criterion/criterion.h>

#include <weft/weft.h>

#include "expect.h"
#include "start.h"

/* Every behaviour is looked at in main and in routines; with several workers where routines move. */
#define TestBoth(name, body) \
    Test(coro, name##_in_main, .timeout = 60) \
    { \
        cr_assert_eq(body(), 1); \
    } \
    Test(coro, name##_in_a_routine, .timeout = 60) \
    { \
        cr_assert_eq(in_routine(body), 1); \
    }

static inline void *word(uintptr_t value)
{
    return (void *)value;
}

/* Gives back the sum of all that it was given. */
static inline void echo(void *arg)
{
    uintptr_t sum = (uintptr_t)arg;
    for (int i = 0; i < 5; i++)
        sum += (uintptr_t)weft_coro_suspend(word(sum));
}

static inline void suspend_once(void *arg)
{
    weft_coro_suspend(arg);
}

static inline int resume_it(weft_coro *c)
{
    return weft_coro_resume(c, NULL, NULL);
}

#endif
