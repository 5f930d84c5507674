/* SPDX-License-Identifier: MIT */
/* test_sync.h - what the tests of weft/sync.h share: waiting calls made by others, watched and ended from outside.
 *
 * The test itself runs in the main thread; only there may it assert. What routines and threads find is kept in
 * atomics.
 */
#ifndef WEFT_TESTS_TEST_SYNC_H
#define WEFT_TESTS_TEST_SYNC_H

#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include <weft/panic.h>
#include <weft/routine.h>
#include <weft/runtime.h>
#include <weft/sync.h>

#include "base/membarrier.h"
#include "sched/park.h"
#include "../support/expect.h"
#include "time/clock.h"

enum { NOT_RETURNED = 12345 };

/* Waits, without a primitive of the library, until `condition` holds; a failure of the test after a while. */
#define EVENTUALLY(condition) \
    do { \
        int64_t give_up_ns = wf_now_ns() + PATIENCE_SECONDS * INT64_C(1000000000); \
        while (!(condition)) { \
            cr_assert(wf_now_ns() < give_up_ns, "never came true: %s", #condition); \
            nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL); \
        } \
    } while (0)

/* One call made by a routine or a thread. */
struct call {
    int (*make)(struct call *call);
    void *object;
    int64_t n;
    _Atomic(struct wf_routine *) routine; /* who makes it */
    atomic_int result;
};

static inline void make_call(struct call *call)
{
    struct wf_thread *thread = wf_enter();
    struct wf_routine *self = thread->current;
    wf_leave(thread);
    atomic_store(&call->routine, self);
    int result = call->make(call);
    atomic_store(&call->result, result);
}

static inline void *make_call_in_thread(void *call)
{
    make_call(call);
    return NULL;
}

static inline void prepare_call(struct call *call)
{
    atomic_store(&call->routine, NULL);
    atomic_store(&call->result, NOT_RETURNED);
}

static inline void start_in_routine(struct call *call)
{
    prepare_call(call);
    int error = weft_go(make_call, call);
    cr_assert_eq(error, 0);
}

static inline void start_in_thread(struct call *call)
{
    pthread_t thread;
    prepare_call(call);
    cr_assert_eq(pthread_create(&thread, NULL, make_call_in_thread, call), 0);
    cr_assert_eq(pthread_detach(thread), 0);
}

static inline bool returned(struct call *call)
{
    return atomic_load(&call->result) != NOT_RETURNED;
}

static inline bool waits(struct call *call)
{
    struct wf_routine *r = atomic_load(&call->routine);
    return r != NULL && wf_load_acquire(&r->waits_on) != 0;
}

static inline void start_and_see_waiting(struct call *call, bool in_thread)
{
    if (in_thread)
        start_in_thread(call);
    else
        start_in_routine(call);
    EVENTUALLY(waits(call));
    cr_assert_not(returned(call));
}

static inline int result_of(struct call *call)
{
    EVENTUALLY(returned(call));
    return atomic_load(&call->result);
}

/* Ends the wait of `call` as a cancellation does. */
static inline void end_from_outside(struct call *call)
{
    struct wf_routine *r = atomic_load(&call->routine);
    wf_store_relaxed(&r->pending, -ECANCELED);
    wf_heavy_fence();
    struct wf_thread *thread = wf_enter();
    bool ended = wf_wait_abort(thread, r, -ECANCELED);
    wf_leave(thread);
    cr_assert(ended);
    EVENTUALLY(returned(call));
}

/* The same call made n times, in turn by a routine and by a thread, each seen waiting before the next. */
static inline void start_in_order(struct call *calls, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        start_and_see_waiting(&calls[i], i % 2 != 0);
}

/* fn(arg) in `routines` routines and `threads` threads; returns when all have returned. */
struct crowd {
    void (*fn)(void *arg);
    void *arg;
    atomic_uint running;
};

static inline void run_one_of(struct crowd *crowd)
{
    crowd->fn(crowd->arg);
    atomic_fetch_sub(&crowd->running, 1);
}

static inline void *run_one_of_in_thread(void *crowd)
{
    run_one_of(crowd);
    return NULL;
}

static inline void run_crowd(unsigned routines, unsigned threads, void (*fn)(void *arg), void *arg)
{
    struct crowd crowd = {.fn = fn, .arg = arg};
    pthread_t thread;
    atomic_store(&crowd.running, routines + threads);
    for (unsigned i = 0; i < routines; i++) {
        int error = weft_go(run_one_of, &crowd);
        cr_assert_eq(error, 0);
    }
    for (unsigned i = 0; i < threads; i++) {
        cr_assert_eq(pthread_create(&thread, NULL, run_one_of_in_thread, &crowd), 0);
        cr_assert_eq(pthread_detach(thread), 0);
    }
    EVENTUALLY(atomic_load(&crowd.running) == 0);
}

#endif
