/* SPDX-License-Identifier: MIT */
/* scopes.h - scopes whose end is known beforehand, of children that are counted as they end. */
#ifndef WEFT_SUPPORT_SCOPES_H
#define WEFT_SUPPORT_SCOPES_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <weft/weft.h>

#include "expect.h"

#define start_child(...) require(weft_scope_go(__VA_ARGS__) == 0)

enum { UNTOUCHED = 4711 }; /* what a scope's err holds before it has one */

static atomic_uint ended;   /* children that have counted themselves */
static atomic_bool reached; /* the place that a test watches */

static inline void count_end(void)
{
    atomic_fetch_add(&ended, 1);
}

/* Ends late, and counts itself just before. */
static inline int end_late(int value)
{
    for (int i = 0; i < 50; i++)
        weft_yield();
    weft_shield
        require(weft_sleep(200 * WEFT_US) == 0);
    count_end();
    return value;
}

static inline int end_when_cancelled(void)
{
    int result = weft_sleep(WEFT_HOUR);
    require(result == -ECANCELED);
    count_end();
    return 0;
}

static inline int fail_with(int error)
{
    return error;
}

static inline int panic_with(const char *message)
{
    weft_yield();
    weft_panic("%s", message);
    return 0;
}

/* ---- whole scopes ---- */

static inline void leave_at_the_end(void)
{
    unsigned before = atomic_load(&ended);
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        for (int i = 0; i < 4; i++)
            start_child(s, end_late, 0);
    }
    require(atomic_load(&ended) == before + 4);
    require(err == 0);
}

static inline void panic_inside(int *err)
{
    weft_scope(s, err) {
        start_child(s, end_when_cancelled);
        start_child(s, end_late, 0);
        weft_panic("in the block");
    }
}

static inline void child_panics_without_err(void)
{
    weft_scope(s) {
        start_child(s, end_when_cancelled);
        start_child(s, panic_with, "raised again");
    }
    atomic_store(&reached, true);
}

/* ---- names ---- */

static inline weft_scope_ref ended_scope(void)
{
    weft_scope_ref ref = NULL;
    weft_scope(s)
        ref = s;
    return ref;
}

static inline void cancel_it(weft_scope_ref s)
{
    weft_cancel(s);
}

/* For timers. */
static inline void cancel_later(void *s)
{
    weft_cancel((weft_scope_ref)s);
}

#endif
