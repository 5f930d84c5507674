/* SPDX-License-Identifier: MIT */
/* coro.h - what a coroutine is: a record at the top of its own stack.
 *
 * | state     | sp            | finished | owner                                                       |
 * | created   | wf_coro_entry | false    | whoever holds the handle                                    |
 * | suspended | its context   | false    | whoever holds the handle                                    |
 * | running   | NULL          | false    | the routine or thread that resumed it: on its `coro` chain  |
 * | finished  | NULL          | true     | whoever holds the handle                                    |
 * | free      | NULL          | true     | a worker's cache; fn is NULL                                |
 *
 * While it runs, `resumer` and `resumer_sp` lead back, and the routine's chain of weft_try records is its own: the
 * resumer's is kept in try_top. So no record of one stack is ever compared with frames of another.
 */
#ifndef WEFT_CORO_CORO_H
#define WEFT_CORO_CORO_H

#include <weft/coro.h>

#include "sched/routine.h"
#include "sched/try.h"

struct WF_ALIGNED_LINE weft_coro {
    void *sp;                     /* see above */
    void *resumer_sp;             /* running: context of the resume */
    void **out;                   /* running: where the resume wants the value; may be NULL */
    struct weft_coro *resumer;    /* running: the coroutine that the resume was called in; NULL: none */
    struct wf_try *try_top;       /* running: the resumer's innermost weft_try; suspended: its own */
    void (*fn)(void);             /* NULL: free */
    void *arg;                    /* fn's, unless they are `captured` */
    struct wf_captured *captured; /* a generator's: all its arguments, lower on the stack; NULL: none */

    struct wf_coro_end end; /* to suspend, what it has entered must be left to end.blocks */
    uint32_t n_words;       /* of `captured`: how many are on the stack */
    bool started;    /* has frames, unless finished */
    bool finished;
    bool destroying; /* weft_coro_destroy waits for its end */
    uint32_t slot;   /* of its stack, unless own_stack */
    void *own_stack; /* a mapping of stack_size bytes; NULL: of the default class */
    size_t stack_size;
    struct weft_coro *next; /* free: the worker's list */
    struct wf_link all;     /* coros.lock: every one that has a stack */
#if WF_ASAN || WF_TSAN
    void (*call)(void);      /* see switch.h */
    void *fibre;             /* TSan: its own */
    void *resumer_fibre;     /* TSan */
    const void *resumer_low; /* ASan: bounds of the stack that it was resumed from */
    size_t resumer_size;
#endif
};
#if !WF_ASAN && !WF_TSAN
_Static_assert(sizeof(struct weft_coro) <= 192, "three lines a coroutine");
#endif

/* hooks.each_outer_stack, and the stacks of all that are suspended; while the world stands still. */
void wf_coro_each_outer_stack(const struct wf_routine *r, const void *high,
                              void (*fn)(void *arg, const void *low, const void *high), void *arg);
void wf_coro_each_stack(void (*fn)(void *arg, const void *low, const void *high), void *arg);

/* The runtime stops, and the stacks of the default class go: those that workers keep for the next are forgotten. */
void wf_coros_clear(void);

/* Lowest usable address of its stack. */
const char *wf_coro_stack_low(const struct weft_coro *c);

#endif
