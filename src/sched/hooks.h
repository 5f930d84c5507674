/* SPDX-License-Identifier: MIT */
/* hooks.h - what the scheduler asks of higher rooms; rt/init.c fills it once, before any routine exists. */
#ifndef WEFT_SCHED_HOOKS_H
#define WEFT_SCHED_HOOKS_H

#include "arch/context.h"
#include "sched/routine.h"

struct wf_hooks {
    /* Starts the runtime if it does not run. 0 or a negative errno. Called outside the runtime. */
    int (*ensure_started)(void);
    /* A future for a routine that is about to start; NULL when out of memory. Inside the runtime. `tracker` is what the
     * start was told: to be left when the routine ends, and then nobody looks at the future; NULL for weft_async. */
    struct wf_future *(*future_create)(struct wf_worker *worker, struct wf_routine *routine, void *tracker);
    void (*future_discard)(struct wf_worker *worker, struct wf_future *future);
    /* The calling routine or thread has routine-local values and is about to end. Outside the runtime: runs user code. */
    void (*end_locals)(void);
    /* The calling routine's function has returned `result` (NULL: it ended by weft_exit). Inside the runtime. May yield:
     * returns the thread that the routine is on afterwards. */
    struct wf_thread *(*future_settle)(struct wf_thread *thread, struct wf_future *future,
                                       const struct wf_result *result);
    /* Nothing can wake any of the waiting routines and threads any more. Called by the pilot, outside the runtime. */
    void (*all_waiting)(void);
    /* Once a round of the pilot. */
    void (*pilot_round)(int64_t now_ns);
};
extern struct wf_hooks wf_hooks;

#endif
