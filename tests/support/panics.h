/* SPDX-License-Identifier: MIT */
/* panics.h - panics through frames that tell when they are left. */
#ifndef WEFT_SUPPORT_PANICS_H
#define WEFT_SUPPORT_PANICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <weft/weft.h>

#define FAR_STACK weft_attr(.stack_size = 1 << 20, .pin = true, .name = "far") /* a stack of its own */

static atomic_uint cleanups; /* frames cleaned up by count_cleanup */

static inline void count_cleanup(unsigned *unused)
{
    (void)unused;
    atomic_fetch_add(&cleanups, 1);
}

/* Panics at depth 0, with something to clean up in each frame. */
static inline unsigned descend(unsigned depth, const char *message)
{
    __attribute__((cleanup(count_cleanup))) unsigned guard = 1;
    if (depth == 0) {
        if (message != NULL)
            weft_panic("%s", message);
        return 1;
    }
    return descend(depth - 1, message) + guard;
}

/* What happened, in order. */
static char story[64];

static inline void tell(const char *what)
{
    strncat(story, what, sizeof(story) - strlen(story) - 1);
}

static inline bool told(const char *expected)
{
    bool same = strcmp(story, expected) == 0;
    if (!same)
        fprintf(stderr, "told \"%s\", not \"%s\"\n", story, expected);
    story[0] = '\0';
    return same;
}

/* What is told is "321". */
static inline void panic_among_defers(const char *message)
{
    weft_defer(tell, "1");
    {
        weft_defer(tell, "2");
        weft_defer(tell, "3");
        descend(1, message);
        tell("not here");
    }
    tell("nor here");
}

static inline void fail_with(const char *message)
{
    tell("f");
    weft_panic("%s", message);
}

/* What is told is "3f2f1", the panic at the end the third one. */
static inline void fail_in_defers(void)
{
    weft_defer(tell, "1");
    weft_defer(fail_with, "third");
    weft_defer(tell, "2");
    weft_defer(fail_with, "second");
    weft_defer(tell, "3");
    weft_panic("first");
}

#endif
