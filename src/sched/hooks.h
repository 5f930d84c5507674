/* SPDX-License-Identifier: MIT */
/* hooks.h - what the scheduler asks of higher rooms; rt/init.c fills it once, before any routine exists. */
#ifndef WEFT_SCHED_HOOKS_H
#define WEFT_SCHED_HOOKS_H

#include "arch/context.h"
#include "sched/routine.h"

enum { WF_TRACE_MOST = 64 };

struct wf_hooks {
    /* Starts the runtime if it does not run. 0 or a negative errno. Called outside the runtime. */
    int (*ensure_started)(void);
    /* What can be done without starting it: the environment is read, threads can be stopped. */
    void (*ensure_prepared)(void);
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
    /* The same of a scope's child; does not yield. */
    void (*child_end)(struct wf_thread *thread, struct wf_routine *self, const struct wf_result *result);
    /* Makes a routine that is about to start the child of a scope. 0, or a negative errno and nothing is done. Inside the
     * runtime; must be the last step that can fail. */
    int (*child_start)(struct wf_thread *thread, struct wf_routine *child, void *scope_ref, bool returns_error);
    /* A child of a scope could not be started. */
    void (*child_refused)(struct wf_thread *thread, const void *scope_ref, int error);
    /* Why the blocks that the routine is in end its wait: 0 or a negative errno. Arms their timers. Inside the runtime. */
    int (*frames_check)(struct wf_thread *thread, struct wf_routine *self);
    /* The earliest time at which one of these blocks, whose timers are armed, will end a wait; INT64_MAX: none will. */
    int64_t (*frames_deadline)(struct wf_routine *self);
    /* That time has come, before the timer has said so. */
    void (*frames_pass)(struct wf_routine *self);
    /* The calling frames, from the one that `caller` is a return address in: addresses within the calls, at most `most`.
     * Returns how many. Outside the runtime. */
    size_t (*trace_take)(uintptr_t *ret_trace, size_t most, const void *caller);
    /* A line on stderr for each, WF_TRACE_MOST at most. Outside the runtime. */
    void (*trace_print)(const uintptr_t *trace, size_t n);
    /* While the world is stopped: names what the rooms above the collector hold for the user. */
    void (*each_root)(void (*fn)(void *arg, const void *low, const void *high), void *arg);
    /* The same for the local values of one routine or plain thread. */
    void (*each_local)(const struct wf_routine *r, void (*fn)(void *arg, const void *low, const void *high), void *arg);
    /* The same for the stacks that a routine in a coroutine has left to get there; its own ends at `high`. */
    void (*each_outer_stack)(const struct wf_routine *r, const void *high,
                             void (*fn)(void *arg, const void *low, const void *high), void *arg);
    /* The lowest address of the stack of a coroutine. Async-signal-safe. */
    const char *(*coro_stack_low)(const struct weft_coro *c);
    /* A plain thread ends, or a worker is to be forgotten: its share of the collected heap. Inside the runtime. */
    void (*cache_retire)(void *cache);
    /* WF_ATTN_STRESS is set, and the scheduler loop is between two routines. Inside the runtime, and must stay so. */
    void (*after_switch)(struct wf_thread *thread);
    /* Nothing can wake any of the waiting routines and threads any more. Called by the pilot, outside the runtime. */
    void (*all_waiting)(void);
    /* Once a round of the pilot, outside the runtime. */
    void (*pilot_round)(int64_t now_ns);
    /* The same, inside the runtime and under the lock that keeps it from being stopped: may start routines. `idle`: no worker
     * has anything to do. */
    void (*pilot_round_inside)(struct wf_thread *pilot, int64_t now_ns, bool idle);
    /* Something is to be done in such a round before long: the pilot is not to sleep deep. Who makes it so calls
     * wf_pilot_wake() afterwards. */
    bool (*background_wanted)(void);
};
extern struct wf_hooks wf_hooks;

#endif
