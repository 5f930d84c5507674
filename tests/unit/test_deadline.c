/* SPDX-License-Identifier: MIT */
/* test_deadline.c - weft_deadline, weft_shield and weft_cancelled as weft/scope.h promises them. */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <weft/weft.h>

#include "../support/child.h"
#include "../support/everywhere.h"
#include "../support/expect.h"

#define start_child(...) require(weft_scope_go(__VA_ARGS__) == 0)
#define in_routine(...) weft_await(weft_async(__VA_ARGS__))

enum { UNTOUCHED = 4711, LATE_SECONDS = PATIENCE_SECONDS };

static atomic_uint ended;
static atomic_bool reached;

/* The wait that was to end at `end` did, and not an hour later. */
static void require_ended_at(int64_t end)
{
    int64_t now = clock_ns();
    require(now >= end);
    require(now < end + LATE_SECONDS * WEFT_SEC);
}

/* ---- how long ---- */

static void never_early(void)
{
    static const int64_t durations[] = {1, 1000, 50 * WEFT_US, WEFT_MS, 3 * WEFT_MS, 20 * WEFT_MS, 410 * WEFT_MS};
    for (unsigned i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        int64_t began = clock_ns();
        weft_deadline(durations[i])
            require(weft_sleep(WEFT_HOUR) == -ETIMEDOUT);
        require_ended_at(began + durations[i]);
    }
}

Test(deadline, is_never_early_and_not_much_late, .timeout = 60)
{
    everywhere(never_early);
}

/* The wait begins at any time after the block. */
static void never_early_after_work(void)
{
    for (int64_t work_us = 1; work_us < 20000; work_us *= 3)
        for (int64_t d = 10 * WEFT_US; d < 30 * WEFT_MS; d *= 7) {
            int64_t began = clock_ns();
            weft_deadline(d) {
                while (clock_ns() < began + work_us * 1000)
                    ;
                require(weft_sleep(WEFT_HOUR) == -ETIMEDOUT);
                require(weft_cancelled());
                require(weft_chan_recv((weft_chan(int))NULL, NULL) == -ETIMEDOUT);
            }
            require_ended_at(began + d);
        }
}

Test(deadline, is_never_early_when_the_first_wait_comes_late, .timeout = 60)
{
    everywhere(never_early_after_work);
}

static void *shared_result(void *unused)
{
    return unused;
}

static void start_from_nothing(void)
{
    int64_t began = clock_ns();
    weft_deadline(5 * WEFT_MS)
        require(weft_chan_recv((weft_chan(int))NULL, NULL) == -ETIMEDOUT);
    require_ended_at(began + 5 * WEFT_MS);
    (void)shared_result(NULL);
}

/* The runtime need not run for a plain thread to wait. */
Test(deadline, works_on_a_plain_thread_before_anything_was_started, .timeout = 60)
{
    start_from_nothing();
}

Test(deadline, works_on_a_plain_thread_after_weft_stop, .timeout = 60)
{
    in_routine(never_early);
    cr_assert_eq(weft_stop(), 0);
    start_from_nothing();
}

static atomic_int outcomes[3];

/* Three waits of different kinds, each in a deadline that is to outlive the runtime. */
static void *wait_over_a_stop(void *arg)
{
    int which = *(int *)arg;
    weft_chan(int) c = weft_chan_make(int, 0);
    weft_sem sem;
    weft_sem_init(&sem, 0);
    int64_t end = clock_ns() + 200 * WEFT_MS;
    int result = 1;
    atomic_fetch_add(&ended, 1);
    weft_deadline(200 * WEFT_MS)
        result = which == 0 ? weft_chan_recv(c, NULL) : which == 1 ? weft_sem_acquire(&sem, 1) : weft_sleep(WEFT_HOUR);
    require_ended_at(end);
    atomic_store(&outcomes[which], result);
    return NULL;
}

Test(deadline, of_plain_threads_passes_though_the_runtime_was_stopped_meanwhile, .timeout = 60)
{
    pthread_t threads[3];
    int numbers[3] = {0, 1, 2};
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, wait_over_a_stop, &numbers[i]), 0);
    eventually(atomic_load(&ended) == 3);
    pause_thread_ms(20); /* most of the time they wait by now; if not, they find no runtime */
    cr_assert_eq(weft_stop(), 0);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
        cr_assert_eq(atomic_load(&outcomes[i]), -ETIMEDOUT, "%d", i);
    }
}

Test(deadline, passes_in_a_block_in_which_the_runtime_was_stopped, .timeout = 60)
{
    int64_t begin = clock_ns();
    weft_deadline(50 * WEFT_MS) {
        cr_assert_eq(weft_stop(), 0);
        cr_assert_eq(weft_sleep(WEFT_HOUR), -ETIMEDOUT);
        cr_assert_eq(weft_chan_recv(weft_chan_make(int, 0), NULL), -ETIMEDOUT);
    }
    cr_assert_geq(clock_ns(), begin + 50 * WEFT_MS);
}

static void already_passed(void)
{
    static const int64_t durations[] = {0, -1, -WEFT_HOUR, INT64_MIN, INT64_MIN + 1};
    weft_chan(int) c = weft_chan_make(int, 0);
    for (unsigned i = 0; i < sizeof(durations) / sizeof(durations[0]); i++)
        weft_deadline(durations[i]) {
            require(weft_cancelled());
            require(weft_sleep(WEFT_HOUR) == -ETIMEDOUT);
            require(weft_cancelled());
            require(weft_chan_recv(c, NULL) == -ETIMEDOUT);
            require(weft_select(weft_on_recv(c, NULL)) == -ETIMEDOUT);
            require(weft_sleep(0) == 0);
        }
    require(weft_sleep(WEFT_US) == 0);
}

Test(deadline, of_nothing_or_less_has_passed, .timeout = 60)
{
    everywhere(already_passed);
}

static void huge(void)
{
    static const int64_t durations[] = {INT64_MAX, INT64_MAX - 1, INT64_MAX / 2, 1000 * 365 * 24 * (WEFT_HOUR / 1000),
                                        24 * WEFT_HOUR};
    for (unsigned i = 0; i < sizeof(durations) / sizeof(durations[0]); i++)
        weft_deadline(durations[i]) {
            require(!weft_cancelled());
            require(weft_sleep(100 * WEFT_US) == 0);
            require(!weft_cancelled());
            weft_scope(s) {
                weft_cancel(s);
                require(weft_sleep(WEFT_HOUR) == -ECANCELED);
            }
        }
}

Test(deadline, may_be_as_long_as_the_type_allows, .timeout = 60)
{
    everywhere(huge);
}

/* ---- nested ---- */

static void earliest_wins(void)
{
    int64_t began = clock_ns();
    weft_deadline(5 * WEFT_MS) {
        weft_deadline(WEFT_HOUR)
            require(weft_sleep(WEFT_HOUR) == -ETIMEDOUT);
        require_ended_at(began + 5 * WEFT_MS);
        require(weft_sleep(WEFT_HOUR) == -ETIMEDOUT);
    }
    began = clock_ns();
    weft_deadline(WEFT_HOUR) {
        weft_deadline(5 * WEFT_MS)
            require(weft_sleep(WEFT_HOUR) == -ETIMEDOUT);
        require_ended_at(began + 5 * WEFT_MS);
        require(weft_sleep(WEFT_US) == 0);
        require(!weft_cancelled());
    }
    require(weft_sleep(WEFT_US) == 0);
}

Test(deadline, of_nested_ones_the_earliest_counts, .timeout = 60)
{
    everywhere(earliest_wins);
}

/* Both are to be armed by one wait, the inner one having passed. */
static void passed_inside_of_one_unarmed(void)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    for (int i = 0; i < 6; i++) {
        int64_t began = clock_ns();
        weft_deadline(WEFT_HOUR) {
            weft_deadline(i % 2 == 0 ? 0 : 10000) {
                if (i % 2 == 1)
                    while (clock_ns() < began + 20 * WEFT_MS)
                        ;
                if (i < 2)
                    require(weft_sleep(WEFT_HOUR) == -ETIMEDOUT);
                else if (i < 4)
                    require(weft_chan_recv(c, NULL) == -ETIMEDOUT);
                else
                    require(weft_select(weft_on_recv(c, NULL), weft_after(WEFT_HOUR)) == -ETIMEDOUT);
            }
            require(weft_sleep(WEFT_US) == 0);
        }
    }
}

Test(deadline, one_that_has_passed_inside_of_another_that_nobody_waited_in, .timeout = 60)
{
    everywhere(passed_inside_of_one_unarmed);
}

static void thousand_deep(int depth)
{
    if (depth == 0)
        require(weft_sleep(WEFT_HOUR) == -ETIMEDOUT);
    else
        weft_deadline(depth == 500 ? 5 * WEFT_MS : WEFT_HOUR)
            thousand_deep(depth - 1);
    if (depth >= 500)
        require(!weft_cancelled());
    else
        require(weft_cancelled());
}

static void thousand_in_scope(void)
{
    weft_scope(s)
        require(weft_scope_go_with(s, weft_attr(.stack_size = 4 << 20), thousand_deep, 1000) == 0);
}

Test(deadline, a_thousand_deep, .timeout = 60)
{
    thousand_deep(1000);
    thousand_in_scope();
}

/* ---- children ---- */

static int sleep_until(int expected)
{
    require(weft_sleep(WEFT_HOUR) == expected);
    require(weft_cancelled());
    atomic_fetch_add(&ended, 1);
    return 0;
}

static int with_own_children(int depth)
{
    weft_scope(s) {
        if (depth > 0)
            start_child(s, with_own_children, depth - 1);
        start_child(s, sleep_until, -ETIMEDOUT);
        sleep_until(-ETIMEDOUT);
    }
    return 0;
}

static void inherited(void)
{
    unsigned before = atomic_load(&ended);
    int64_t began = clock_ns();
    int err = UNTOUCHED;
    weft_deadline(5 * WEFT_MS) {
        weft_scope(s, &err) {
            for (int i = 0; i < 10; i++)
                start_child(s, sleep_until, -ETIMEDOUT);
            start_child(s, with_own_children, 5);
        }
        require(err == 0);
    }
    require_ended_at(began + 5 * WEFT_MS);
    require(atomic_load(&ended) == before + 22);
}

Test(deadline, children_and_theirs_inherit_it, .timeout = 60)
{
    for (int i = 0; i < 10; i++)
        everywhere(inherited);
}

static int sleep_in_own_deadline(int64_t d, int expected)
{
    int result = 0;
    weft_deadline(d)
        result = weft_sleep(WEFT_HOUR);
    require(result == -ETIMEDOUT);
    require(weft_sleep(WEFT_MS) == expected);
    return 0;
}

static void childs_own(void)
{
    weft_deadline(30 * WEFT_MS)
        weft_scope(s)
            start_child(s, sleep_in_own_deadline, WEFT_HOUR, -ETIMEDOUT);
    weft_deadline(WEFT_HOUR)
        weft_scope(s)
            start_child(s, sleep_in_own_deadline, 3 * WEFT_MS, 0);
}

Test(deadline, of_a_childs_and_its_parents_the_earliest_counts, .timeout = 60)
{
    everywhere(childs_own);
}

/* It began before the scope, or in it: children do not see what their parent enters later. */
static int sleep_a_while(void)
{
    return weft_sleep(20 * WEFT_MS);
}

static void not_inherited(void)
{
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        weft_deadline(WEFT_MS) {
            start_child(s, sleep_a_while);
            require(weft_sleep(WEFT_HOUR) == -ETIMEDOUT);
        }
    }
    require(err == 0);
}

Test(deadline, inside_of_the_scope_is_not_the_childrens, .timeout = 60)
{
    everywhere(not_inherited);
}

static void error_of_a_scope(void)
{
    int err = UNTOUCHED;
    weft_deadline(WEFT_MS) {
        weft_scope(s, &err)
            require(weft_sleep(WEFT_HOUR) == -ETIMEDOUT);
        require(err == 0);
        err = UNTOUCHED;
        weft_scope(s, &err)
            start_child(s, sleep_a_while);
        require(err == -ETIMEDOUT); /* of the child */
    }
}

Test(deadline, is_no_error_of_a_scope_but_of_a_child_that_says_so, .timeout = 60)
{
    everywhere(error_of_a_scope);
}

static void innermost_says_why(void)
{
    weft_deadline(0)
        weft_scope(s) {
            weft_cancel(s);
            require(weft_sleep(WEFT_HOUR) == -ECANCELED);
        }
    weft_scope(s) {
        weft_cancel(s);
        weft_deadline(0)
            require(weft_sleep(WEFT_HOUR) == -ETIMEDOUT);
        require(weft_sleep(WEFT_HOUR) == -ECANCELED);
    }
}

Test(deadline, the_innermost_block_says_with_which_error, .timeout = 60)
{
    everywhere(innermost_says_why);
}

/* ---- what it does not end ---- */

static void at_once(void)
{
    weft_chan(int) full = weft_chan_make(int, 1), c = weft_chan_make(int, 1), u = weft_chan_make(int, WEFT_UNBOUNDED);
    weft_chan(int) closed = weft_chan_make(int, 0);
    weft_sem sem;
    weft_latch latch;
    weft_barrier barrier;
    weft_waitgroup group = {0};
    weft_mutex mutex = {0};
    weft_rwmutex rwmutex = {0};
    int v = 0;
    weft_sem_init(&sem, 3);
    weft_latch_init(&latch, 0);
    weft_barrier_init(&barrier, 1);
    weft_chan_close(closed);
    require(weft_chan_send(full, 1) == 0);
    require(weft_sem_acquire(&sem, 1) == 0);
    require(weft_chan_send(c, 2) == 0 && weft_chan_recv(c, &v) == 0 && v == 2);
    require(weft_chan_send(u, 3) == 0 && weft_chan_recv(u, &v) == 0 && v == 3);
    require(weft_chan_recv(full, &v) == 0 && v == 1);
    require(weft_chan_recv(closed, &v) == -EPIPE && weft_chan_send(closed, 1) == -EPIPE);
    require(weft_select(weft_on_send(c, 4), weft_on_recv(u, &v)) == 0);
    require(weft_select(weft_on_recv(u, &v), weft_after(0)) == 1);
    require(weft_select(weft_on_recv(u, &v), weft_otherwise) == 1);
    require(weft_chan_recv(c, &v) == 0 && v == 4);
    require(weft_sem_acquire(&sem, 2) == 0);
    require(weft_latch_wait(&latch) == 0);
    require(weft_barrier_wait(&barrier) == 0);
    require(weft_waitgroup_wait(&group) == 0);
    require(weft_sleep(0) == 0 && weft_sleep(-1) == 0);
    weft_mutex_lock(&mutex);
    weft_mutex_unlock(&mutex);
    weft_rwmutex_lock(&rwmutex);
    weft_rwmutex_unlock(&rwmutex);
    weft_rwmutex_rlock(&rwmutex);
    weft_rwmutex_runlock(&rwmutex);
    weft_yield();
    require(weft_chan_recv(c, &v) != 0);
}

static void at_once_when_over(void)
{
    weft_deadline(0)
        at_once();
    weft_scope(s) {
        weft_cancel(s);
        at_once();
        weft_deadline(0)
            at_once();
    }
}

Test(deadline, what_can_be_done_at_once_is_done, .timeout = 60)
{
    everywhere(at_once_when_over);
}

static int seven(void)
{
    return 7;
}

static void settled_future(void)
{
    int v = 0;
    weft_future(int) f = weft_async(seven);
    require(weft_await(f) == 7);
    weft_deadline(0)
        require(weft_try_await(f, &v) == 0 && v == 7 && weft_await(f) == 7);
    weft_scope(s) {
        weft_cancel(s);
        require(weft_try_await(f, &v) == 0 && weft_await(f) == 7);
    }
}

Test(deadline, a_settled_future_is_awaited_at_once, .timeout = 60)
{
    everywhere(settled_future);
}

static struct {
    weft_mutex mutex;
    weft_rwmutex rwmutex;
    weft_once once;
} locks;

static void hold_once(void *ms)
{
    if (ms != NULL)
        weft_sleep(*(int *)ms * WEFT_MS);
}

static void hold_all(weft_chan(int) held)
{
    static int ms = 10;
    weft_mutex_lock(&locks.mutex);
    weft_rwmutex_lock(&locks.rwmutex);
    require(weft_chan_send(held, 1) == 0);
    weft_once_do(&locks.once, hold_once, &ms);
    weft_rwmutex_unlock(&locks.rwmutex);
    weft_sleep(5 * WEFT_MS);
    weft_mutex_unlock(&locks.mutex);
}

/* They wait for as long as it takes. */
static void lock_all(void)
{
    weft_chan(int) held = weft_chan_make(int, 0);
    locks.once = (weft_once){0};
    weft_future(void) f = weft_async(hold_all, held);
    require(weft_chan_recv(held, NULL) == 0);
    weft_deadline(WEFT_MS)
        weft_scope(s) {
            weft_cancel(s);
            weft_rwmutex_rlock(&locks.rwmutex);
            weft_rwmutex_runlock(&locks.rwmutex);
            weft_mutex_lock(&locks.mutex);
            weft_mutex_unlock(&locks.mutex);
            weft_once_do(&locks.once, hold_once, NULL);
        }
    weft_await(f);
}

Test(deadline, locks_and_onces_are_no_cancellation_points, .timeout = 60)
{
    everywhere(lock_all);
}

/* ---- computing ---- */

static void compute(void)
{
    weft_chan(int) c = weft_chan_make(int, 1);
    int64_t began = clock_ns(), began_cpu = thread_cpu_ns(), seen = 0;
    weft_deadline(5 * WEFT_MS) {
        while (!weft_cancelled())
            require(thread_cpu_ns() < began_cpu + 2 * WEFT_SEC);
        seen = clock_ns();
        require(weft_chan_send(c, 1) == 0);
        require(weft_chan_recv(c, NULL) == 0);
        require(weft_chan_recv(c, NULL) == -ETIMEDOUT);
        require(weft_cancelled());
    }
    require(seen >= began + 5 * WEFT_MS);
    require(!weft_cancelled());
    began = clock_ns();
    weft_deadline(5 * WEFT_MS) {
        weft_sleep(WEFT_US); /* arms it */
        began_cpu = thread_cpu_ns();
        while (!weft_cancelled())
            require(thread_cpu_ns() < began_cpu + 2 * WEFT_SEC);
        require(clock_ns() >= began + 5 * WEFT_MS);
        require(weft_sleep(WEFT_HOUR) == -ETIMEDOUT);
    }
    weft_deadline(5 * WEFT_MS) {
        burn_ms(40);
        require(weft_sleep(WEFT_HOUR) == -ETIMEDOUT);
        require(weft_cancelled()); /* the call has said so */
    }
}

Test(deadline, is_seen_by_a_routine_that_computes, .timeout = 60)
{
    everywhere(compute);
}

static int compute_in_child(void)
{
    while (!weft_cancelled())
        ;
    return weft_sleep(WEFT_HOUR) == -ETIMEDOUT ? 0 : 1;
}

static void children_compute(void)
{
    int err = UNTOUCHED;
    weft_deadline(5 * WEFT_MS)
        weft_scope(s, &err)
            for (int i = 0; i < 5; i++)
                start_child(s, compute_in_child);
    require(err == 0);
}

Test(deadline, is_seen_by_children_that_compute, .timeout = 60)
{
    everywhere(children_compute);
}

static void cancelled_states(void)
{
    require(!weft_cancelled());
    weft_scope(s) {
        require(!weft_cancelled());
        weft_deadline(WEFT_HOUR) {
            require(!weft_cancelled());
            weft_cancel(s);
            require(weft_cancelled());
            weft_shield {
                require(!weft_cancelled());
                weft_deadline(0) {
                    require(weft_cancelled());
                    weft_shield
                        require(!weft_cancelled());
                    require(weft_cancelled());
                }
                weft_scope(t) {
                    require(!weft_cancelled());
                    weft_cancel(t);
                    require(weft_cancelled());
                }
                require(!weft_cancelled());
            }
            require(weft_cancelled());
        }
        require(weft_cancelled());
    }
    require(!weft_cancelled());
}

static void *cancelled_first(void *unused)
{
    require(!weft_cancelled());
    return unused;
}

Test(deadline, weft_cancelled_tells_what_a_wait_would_give, .timeout = 60)
{
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, cancelled_first, NULL), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    everywhere(cancelled_states);
}

static void spin_until_cancelled(void)
{
    atomic_store(&reached, true);
    while (!weft_cancelled())
        weft_yield();
    atomic_fetch_add(&ended, 1);
}

Test(deadline, weft_cancelled_tells_of_weft_stop, .timeout = 60)
{
    cr_assert_eq(weft_go(spin_until_cancelled), 0);
    eventually(atomic_load(&reached));
    cr_assert_eq(weft_stop(), 0);
    cr_assert_eq(atomic_load(&ended), 1);
}

/* ---- leaving while it fires ---- */

static void leave_at_that_moment(unsigned rounds)
{
    weft_chan(int) c = weft_chan_make(int, 1);
    unsigned n_timed_out = 0;
    for (unsigned i = 0; i < rounds; i++) {
        int result = 0, v = 0;
        weft_deadline(WEFT_US * (i % 60)) {
            result = weft_sleep(WEFT_US * (i % 50));
            if (i % 3 == 0)
                weft_chan_send(c, 1);
            if (i % 5 == 0)
                weft_scope(s)
                    start_child(s, seven);
        }
        n_timed_out += result == -ETIMEDOUT;
        require(result == 0 || result == -ETIMEDOUT);
        require(!weft_cancelled());
        require(weft_chan_try_recv(c, &v) == (i % 3 == 0 ? 0 : -EAGAIN));
        memset(&v, 0x5a, sizeof(v)); /* the stack is used for other things */
    }
    require(n_timed_out > 0);
    atomic_fetch_add(&ended, 1);
}

static void leave_1000(void)
{
    leave_at_that_moment(1000);
}

Test(deadline, left_at_the_moment_it_fires, .timeout = 60)
{
    for (int i = 0; i < 8; i++)
        cr_assert_eq(weft_go(leave_at_that_moment, 3000), 0);
    everywhere(leave_1000);
    eventually(atomic_load(&ended) == 11);
}

/* What follows at the same place of the stack is not hit by a deadline that was left. */
static __attribute__((noinline)) void arm_and_leave(int64_t d)
{
    weft_deadline(d)
        require(weft_sleep(1) != -ECANCELED);
}

static __attribute__((noinline)) void wait_for_long(void)
{
    weft_deadline(WEFT_HOUR)
        require(weft_sleep(100 * WEFT_US) == 0);
}

static void arm_many(unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        arm_and_leave(WEFT_US * (i % 200));
        wait_for_long();
    }
    atomic_fetch_add(&ended, 1);
}

Test(deadline, one_that_was_left_hits_nobody, .timeout = 60)
{
    for (int i = 0; i < 20; i++)
        cr_assert_eq(weft_go(arm_many, 500), 0);
    arm_many(200);
    eventually(atomic_load(&ended) == 21);
}

static void panic_inside(bool armed)
{
    weft_deadline(WEFT_MS)
        weft_shield
            weft_deadline(20 * WEFT_US) {
                if (armed)
                    require(weft_sleep(1) != -ECANCELED);
                weft_panic("inside");
            }
}

static void panic_through(void)
{
    for (unsigned i = 0; i < 200; i++) {
        require(weft_try(panic_inside, i % 2 == 0) == WEFT_EPANIC);
        require(weft_sleep(10 * WEFT_US) == 0);
        require(!weft_cancelled());
    }
}

Test(deadline, a_panic_leaves_deadlines_and_shields, .timeout = 60)
{
    everywhere(panic_through);
}

/* ---- shields ---- */

static void shielded(void)
{
    int err = UNTOUCHED;
    weft_deadline(WEFT_MS)
        weft_scope(s, &err) {
            weft_cancel(s);
            weft_shield {
                require(weft_sleep(3 * WEFT_MS) == 0);
                weft_shield
                    require(weft_sleep(WEFT_US) == 0);
                require(weft_sleep(WEFT_US) == 0);
            }
            require(weft_sleep(WEFT_HOUR) == -ECANCELED); /* at once */
        }
    require(err == -ECANCELED);
    weft_deadline(WEFT_MS) {
        weft_shield
            require(weft_sleep(3 * WEFT_MS) == 0);
        require(weft_sleep(WEFT_HOUR) == -ETIMEDOUT);
    }
}

Test(deadline, a_shield_keeps_off_what_is_around_it, .timeout = 60)
{
    everywhere(shielded);
}

static void inside_of_shields(void)
{
    int err = UNTOUCHED;
    weft_scope(s) {
        weft_cancel(s);
        weft_shield {
            weft_deadline(WEFT_MS)
                require(weft_sleep(WEFT_HOUR) == -ETIMEDOUT);
            weft_scope(t, &err) {
                start_child(t, sleep_a_while);
                require(weft_sleep(WEFT_US) == 0);
            }
            require(err == 0);
            weft_scope(t, &err) {
                start_child(t, sleep_until, -ECANCELED);
                weft_cancel(t);
                require(weft_sleep(WEFT_HOUR) == -ECANCELED);
                weft_shield
                    require(weft_sleep(WEFT_US) == 0);
                require(weft_sleep(WEFT_HOUR) == -ECANCELED);
            }
            require(err == -ECANCELED);
            require(weft_sleep(WEFT_US) == 0);
        }
        require(weft_sleep(WEFT_HOUR) == -ECANCELED);
    }
}

Test(deadline, blocks_inside_of_a_shield_count, .timeout = 60)
{
    everywhere(inside_of_shields);
}

/* A cancellation that comes while the shield is being entered or left. */
static int shield_again_and_again(atomic_int *n)
{
    for (;;) {
        weft_shield {
            require(weft_sleep(WEFT_US) == 0);
            weft_yield();
            weft_shield
                require(weft_sleep(WEFT_US) == 0);
            require(weft_sleep(WEFT_US) == 0);
        }
        atomic_fetch_add(n, 1);
        int result = weft_sleep(WEFT_US);
        if (result == -ECANCELED)
            return 0;
        require(result == 0);
    }
}

static int cancel_at(weft_scope_ref s, int64_t delay)
{
    weft_shield
        require(weft_sleep(delay) == 0);
    weft_cancel(s);
    return 0;
}

static void shield_race(void)
{
    for (int i = 0; i < 100; i++) {
        atomic_int n = 0;
        int err = UNTOUCHED;
        weft_scope(s, &err) {
            for (int k = 0; k < 4; k++)
                start_child(s, shield_again_and_again, &n);
            start_child(s, cancel_at, s, (100 + i * 7 % 300) * WEFT_US);
            shield_again_and_again(&n);
        }
        require(err == -ECANCELED);
    }
}

Test(deadline, a_shield_holds_however_the_cancellation_comes, .timeout = 60)
{
    everywhere(shield_race);
}

static void return_from_shield(void)
{
    weft_shield {
        require(weft_sleep(WEFT_US) == 0);
        return;
    }
}

static void leave_shields(void)
{
    weft_scope(s) {
        weft_cancel(s);
        return_from_shield();
        require(weft_sleep(WEFT_HOUR) == -ECANCELED);
        for (int i = 0; i < 3; i++) {
            weft_shield {
                if (i == 0)
                    break;
                if (i == 1)
                    continue;
                goto out;
            }
            require(weft_cancelled());
        }
        require(false);
    out:
        require(weft_sleep(WEFT_HOUR) == -ECANCELED);
    }
}

Test(deadline, a_shield_is_left_in_any_way, .timeout = 60)
{
    everywhere(leave_shields);
}

/* ---- the end of the runtime ---- */

Test(deadline, that_was_armed_is_left_after_the_runtime, .timeout = 60)
{
    in_routine(seven);
    weft_deadline(20 * WEFT_SEC) {
        cr_assert_eq(weft_sleep(WEFT_US), 0);
        cr_assert_eq(weft_stop(), 0);
    }
    weft_deadline(20 * WEFT_SEC) {
        cr_assert_eq(weft_sleep(WEFT_US), 0);
        cr_assert_eq(weft_stop(), 0);
        in_routine(seven);
        cr_assert_eq(weft_sleep(WEFT_US), 0);
    }
    weft_deadline(20 * WEFT_SEC) {
        cr_assert_eq(weft_stop(), 0);
        cr_assert_eq(weft_sleep(WEFT_US), 0); /* armed while nothing runs */
        in_routine(seven);
    }
    weft_deadline(0) {
        cr_assert_eq(weft_stop(), 0);
        cr_assert_eq(weft_sleep(WEFT_SEC), -ETIMEDOUT);
    }
    in_routine(seven);
    in_routine(never_early);
}
