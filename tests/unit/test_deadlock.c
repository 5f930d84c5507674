/* SPDX-License-Identifier: MIT */
/* test_deadlock.c - a program in which nothing can happen any more is reported; one in which something can is not. */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <weft/weft.h>

#include "../support/child.h"
#include "../support/expect.h"

#define start(...) require(weft_go(__VA_ARGS__) == 0)
#define start_with(...) require(weft_go_with(__VA_ARGS__) == 0)

enum { SOON_SECONDS = 5, ATTEMPTS = 5 };

static weft_chan(int) chan;
static atomic_int answer;
static atomic_uint ended;

static void make_chan(void)
{
    chan = weft_chan_make(int, 0);
}

static void receive(void)
{
    int v = 0;
    if (weft_chan_recv(chan, &v) == 0)
        atomic_store(&answer, v);
    atomic_fetch_add(&ended, 1);
}

static void send(int v)
{
    require(weft_chan_send(chan, v) == 0);
}

/* ---- reported ---- */

/* Each time, and soon at least once: a busy machine may need longer. */
static struct ending see_reported(void (*program)(void))
{
    struct ending e;
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        e = run_in_child(program, PATIENCE_SECONDS);
        cr_assert_eq(e.exit_status, 2, "exit status %d, signal %d: %s", e.exit_status, e.signal, e.text);
        cr_assert(says(&e, "deadlock"), "%s", e.text);
        if (e.took_ns < SOON_SECONDS * INT64_C(1000000000))
            return e;
    }
    cr_assert_fail("each took longer than %d s", SOON_SECONDS);
    return e;
}

static void assert_reported(void (*program)(void))
{
    see_reported(program);
}

static void lock_for_ever(weft_mutex *m)
{
    weft_mutex_lock(m);
}

static void wait_in_many_ways(void)
{
    static weft_mutex mutex;
    static weft_waitgroup group;
    make_chan();
    weft_mutex_lock(&mutex);
    weft_waitgroup_add(&group, 1);
    start_with(weft_attr(.name = "receiver"), receive);
    start_with(weft_attr(.name = "locker"), lock_for_ever, &mutex);
    start_with(weft_attr(.name = "pinned", .pin = true), receive);
    printf("printed before the deadlock\n");
    weft_waitgroup_wait(&group);
}

Test(deadlock, the_report_names_each_routine_its_wait_and_where_it_was_started, .timeout = 60)
{
    struct ending e = see_reported(wait_in_many_ways);
    cr_assert(says(&e, "\"receiver\": receives from a channel"), "%s", e.text);
    cr_assert(says(&e, "\"locker\": locks a mutex"), "%s", e.text);
    cr_assert(says(&e, "\"pinned\": receives from a channel"), "%s", e.text);
    cr_assert(says(&e, "(main): waits for a wait group"), "%s", e.text);
    cr_assert(says(&e, "test_deadlock.c:"), "%s", e.text);
    cr_assert(says(&e, "(lock_for_ever)"), "%s", e.text);
    cr_assert(says(&e, "printed before the deadlock"), "%s", e.text);
}

static void wait_in_main_alone(void)
{
    make_chan();
    weft_chan_recv(chan, NULL);
}

Test(deadlock, of_main_alone_is_reported, .timeout = 60)
{
    assert_reported(wait_in_main_alone);
}

/* Long after the routines, when everything has gone to sleep. */
static void wait_in_main_late(void)
{
    make_chan();
    start(receive);
    pause_thread_ms(700);
    weft_chan_recv(chan, NULL);
}

Test(deadlock, that_begins_when_main_waits_last_is_reported, .timeout = 60)
{
    assert_reported(wait_in_main_late);
}

static void *use_weft_and_leave(void *arg)
{
    weft_yield();
    pause_thread_ms(700);
    return arg;
}

/* The last that could have woken somebody is gone. */
static void outlive_a_thread(void)
{
    pthread_t thread;
    make_chan();
    require(pthread_create(&thread, NULL, use_weft_and_leave, NULL) == 0);
    start(receive);
    weft_chan_recv(chan, NULL);
}

Test(deadlock, that_begins_when_a_plain_thread_ends_is_reported, .timeout = 60)
{
    assert_reported(outlive_a_thread);
}

static void *leave(void *arg)
{
    pause_thread_ms(300);
    return arg;
}

static void outlive_a_stranger(void)
{
    pthread_t thread;
    make_chan();
    require(pthread_create(&thread, NULL, leave, NULL) == 0);
    start(receive);
    weft_chan_recv(chan, NULL);
}

Test(deadlock, that_begins_when_a_thread_without_weft_ends_is_reported, .timeout = 60)
{
    assert_reported(outlive_a_stranger);
}

static weft_future(int) each_other[2];

static int await_other(int i)
{
    while (each_other[!i] == NULL)
        weft_yield();
    return weft_await(each_other[!i]);
}

static void await_each_other(void)
{
    each_other[0] = weft_async(await_other, 0);
    each_other[1] = weft_async(await_other, 1);
    weft_await(each_other[0]);
}

Test(deadlock, of_routines_that_await_each_other_is_reported, .timeout = 60)
{
    assert_reported(await_each_other);
}

static void send_by_timer(void *arg)
{
    (void)arg;
    send(3);
}

static void wait_after_everything_else(void)
{
    make_chan();
    require(weft_sleep(50 * WEFT_MS) == 0);
    weft_timer *t = weft_timer_start(WEFT_HOUR, send_by_timer, NULL);
    weft_chan(weft_time) ticks = weft_ticker_make(WEFT_HOUR);
    start(receive);
    pause_thread_ms(300);
    require(weft_timer_stop(t) == 1);
    weft_ticker_stop(ticks);
    weft_chan_recv(chan, NULL);
}

Test(deadlock, after_all_timers_were_stopped_is_reported, .timeout = 60)
{
    assert_reported(wait_after_everything_else);
}

/* ---- not reported ---- */

static void wait_for_nobody(void)
{
    weft_chan_recv((weft_chan(int))NULL, NULL);
}

/* The program takes a while longer than the report does, then ends by itself. */
static void assert_not_reported(void (*program)(void))
{
    struct ending e = run_in_child(program, 30);
    cr_assert_eq(e.exit_status, 0, "exit status %d, signal %d: %s", e.exit_status, e.signal, e.text);
    cr_assert_not(says(&e, "deadlock"), "%s", e.text);
}

enum { LONG_MS = 1500 };

static void sleep_then_send(void)
{
    require(weft_sleep(LONG_MS * WEFT_MS) == 0);
    send(3);
}

static void wait_for_a_sleeper(void)
{
    make_chan();
    start(sleep_then_send);
    receive();
}

Test(deadlock, a_routine_that_sleeps_is_none, .timeout = 60)
{
    assert_not_reported(wait_for_a_sleeper);
}

static void wait_for_a_timer(void)
{
    make_chan();
    require(weft_timer_start(LONG_MS * WEFT_MS, send_by_timer, NULL) != NULL);
    receive();
}

Test(deadlock, a_timer_that_is_pending_is_none, .timeout = 60)
{
    assert_not_reported(wait_for_a_timer);
}

static void wait_with_a_limit(void)
{
    make_chan();
    require(weft_select(weft_on_recv(chan, NULL), weft_after(LONG_MS * WEFT_MS)) == 1);
}

Test(deadlock, a_select_with_a_time_limit_is_none, .timeout = 60)
{
    assert_not_reported(wait_with_a_limit);
}

static void stay_outside(void)
{
    make_chan();
    start(receive);
    pause_thread_ms(LONG_MS);
    send(3);
    eventually(atomic_load(&answer) == 3);
}

Test(deadlock, main_outside_of_weft_is_none, .timeout = 60)
{
    assert_not_reported(stay_outside);
}

static void *send_late(void *arg)
{
    pause_thread_ms(LONG_MS);
    send(3);
    return arg;
}

static void wait_for_a_stranger(void)
{
    pthread_t thread;
    make_chan();
    require(pthread_create(&thread, NULL, send_late, NULL) == 0);
    start(wait_for_nobody);
    receive();
    pthread_join(thread, NULL);
    _exit(0); /* the routine waits on */
}

Test(deadlock, a_thread_that_has_not_used_weft_yet_is_none, .timeout = 60)
{
    assert_not_reported(wait_for_a_stranger);
}

static void sleep_in_libc_then_send(void)
{
    pause_thread_ms(LONG_MS);
    send(3);
}

static void wait_for_a_blocked_thread(void)
{
    make_chan();
    start(sleep_in_libc_then_send);
    receive();
}

Test(deadlock, a_routine_in_a_blocking_call_is_none, .timeout = 60)
{
    assert_not_reported(wait_for_a_blocked_thread);
}

static void compute_then_send(void)
{
    burn_ms(LONG_MS);
    send(3);
}

static void wait_for_one_that_computes(void)
{
    make_chan();
    start(compute_then_send);
    start(wait_for_nobody);
    receive();
    _exit(0);
}

Test(deadlock, a_routine_that_computes_is_none, .timeout = 60)
{
    assert_not_reported(wait_for_one_that_computes);
}

static void rest(void)
{
    make_chan();
    start(receive);
    pause_thread_ms(LONG_MS);
    require(weft_stop() == 0);
    pause_thread_ms(LONG_MS / 2);
}

Test(deadlock, stopping_is_none, .timeout = 60)
{
    assert_not_reported(rest);
}

/* ---- WEFT_DEBUG=deadlock=... ---- */

static void wait_with_reports_off(void)
{
    setenv("WEFT_DEBUG", "deadlock=off", 1);
    make_chan();
    start(receive);
    alarm(2);
    weft_chan_recv(chan, NULL);
}

Test(deadlock, off_goes_on_waiting, .timeout = 60)
{
    struct ending e = run_in_child(wait_with_reports_off, 20);
    cr_assert_eq(e.signal, SIGALRM, "exit status %d, signal %d: %s", e.exit_status, e.signal, e.text);
    cr_assert_str_empty(e.text);
}

static weft_cond cond;
static weft_mutex mutex;
static weft_waitgroup group;
static weft_sem sem;
static weft_barrier barrier;
static weft_latch latch;

static int wait_recv(void)
{
    return weft_chan_recv(chan, NULL);
}
static int wait_nil(void)
{
    return weft_chan_send((weft_chan(int))NULL, 1);
}
static int wait_select(void)
{
    return weft_select(weft_on_recv(chan, NULL), weft_on_recv((weft_chan(int))NULL, NULL));
}
static int wait_cond(void)
{
    weft_mutex_lock(&mutex);
    int error = weft_cond_wait(&cond, &mutex);
    weft_mutex_unlock(&mutex);
    return error;
}
static int wait_group(void)
{
    return weft_waitgroup_wait(&group);
}
static int wait_sem(void)
{
    return weft_sem_acquire(&sem, 3);
}
static int wait_barrier(void)
{
    return weft_barrier_wait(&barrier);
}
static int wait_latch(void)
{
    return weft_latch_wait(&latch);
}

static void see_deadlock(int (*wait)(void))
{
    require(wait() == -EDEADLK);
    require(weft_sleep(WEFT_MS) == 0); /* and life goes on */
    atomic_fetch_add(&ended, 1);
}

static void wait_with_errors(void)
{
    int (*const waits[])(void) = {wait_recv,  wait_nil, wait_select,  wait_cond,
                                  wait_group, wait_sem, wait_barrier, wait_latch};
    setenv("WEFT_DEBUG", "deadlock=error", 1);
    make_chan();
    weft_waitgroup_add(&group, 1);
    weft_sem_init(&sem, 2);
    weft_barrier_init(&barrier, 100);
    weft_latch_init(&latch, 1);
    for (unsigned round = 1; round <= 2; round++) {
        for (unsigned i = 0; i < 8; i++)
            start(see_deadlock, waits[i]);
        see_deadlock(wait_recv);
        eventually(atomic_load(&ended) == 9 * round);
    }
}

Test(deadlock, error_ends_every_wait_and_life_goes_on, .timeout = 60)
{
    struct ending e = run_in_child(wait_with_errors, 30);
    cr_assert_eq(e.exit_status, 0, "exit status %d, signal %d: %s", e.exit_status, e.signal, e.text);
    cr_assert_str_empty(e.text);
}
