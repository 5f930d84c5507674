/* SPDX-License-Identifier: MIT */
/* test_sync_cond.c - the promises of weft/sync.h about the cond. */
#include "test_sync.h"

static weft_mutex mutex;
static weft_cond cond;

/* Returns with the mutex unlocked again; -1 if it was not held after the wait. */
static int wait_once(struct call *call)
{
    weft_mutex_lock(&mutex);
    int result = weft_cond_wait(call->object, &mutex);
    if (weft_mutex_try_lock(&mutex) != -EAGAIN)
        result = -1;
    weft_mutex_unlock(&mutex);
    return result;
}

#define WAIT_ONCE ((struct call){.make = wait_once, .object = &cond})

/* The mutex is free once the waiter is queued. */
static void take_and_give_mutex(void)
{
    weft_mutex_lock(&mutex);
    weft_mutex_unlock(&mutex);
}

Test(sync_cond, signal_and_broadcast_without_a_waiter_have_no_effect, .timeout = 60)
{
    struct call waiter = WAIT_ONCE;
    weft_cond_signal(&cond);
    weft_cond_broadcast(&cond);
    start_and_see_waiting(&waiter, false);
    weft_cond_signal(&cond);
    cr_assert_eq(result_of(&waiter), 0);
}

Test(sync_cond, wait_unlocks_the_mutex_and_holds_it_again_on_return, .timeout = 60)
{
    struct call waiter = WAIT_ONCE;
    start_and_see_waiting(&waiter, false);
    weft_mutex_lock(&mutex);
    weft_cond_signal(&cond);
    cr_assert_not(returned(&waiter), "the mutex is held here");
    weft_mutex_unlock(&mutex);
    cr_assert_eq(result_of(&waiter), 0);
}

Test(sync_cond, a_thread_waits_as_a_routine_does, .timeout = 60)
{
    struct call waiter = WAIT_ONCE;
    start_and_see_waiting(&waiter, true);
    take_and_give_mutex();
    weft_cond_signal(&cond);
    cr_assert_eq(result_of(&waiter), 0);
}

Test(sync_cond, signals_go_to_those_who_came_first, .timeout = 60)
{
    struct call waiters[8];
    for (unsigned i = 0; i < 8; i++)
        waiters[i] = WAIT_ONCE;
    start_in_order(waiters, 8);
    for (unsigned i = 0; i < 8; i++) {
        weft_cond_signal(&cond);
        cr_assert_eq(result_of(&waiters[i]), 0);
        for (unsigned j = i + 1; j < 8; j++)
            cr_assert_not(returned(&waiters[j]));
    }
}

Test(sync_cond, broadcast_lets_all_go_that_wait_now, .timeout = 60)
{
    enum { N = 200 };
    static struct call waiters[N];
    for (unsigned i = 0; i < N; i++)
        waiters[i] = WAIT_ONCE;
    start_in_order(waiters, N);
    weft_cond_broadcast(&cond);
    for (unsigned i = 0; i < N; i++)
        cr_assert_eq(result_of(&waiters[i]), 0);
    struct call late = WAIT_ONCE;
    start_and_see_waiting(&late, false);
    weft_cond_signal(&cond);
    cr_assert_eq(result_of(&late), 0);
}

Test(sync_cond, a_wait_ended_from_outside_gives_the_error_and_holds_the_mutex, .timeout = 60)
{
    struct call routine = WAIT_ONCE, thread = WAIT_ONCE;
    start_and_see_waiting(&routine, false);
    start_and_see_waiting(&thread, true);
    end_from_outside(&routine);
    end_from_outside(&thread);
    cr_assert_eq(result_of(&routine), -ECANCELED);
    cr_assert_eq(result_of(&thread), -ECANCELED);
    cr_assert_eq(mutex.state, 0);
}

Test(sync_cond, a_wait_ended_from_outside_uses_up_no_signal, .timeout = 60)
{
    struct call first = WAIT_ONCE, second = WAIT_ONCE, third = WAIT_ONCE;
    start_and_see_waiting(&first, false);
    start_and_see_waiting(&second, false);
    start_and_see_waiting(&third, false);
    end_from_outside(&second);
    end_from_outside(&first);
    weft_cond_signal(&cond);
    cr_assert_eq(result_of(&third), 0);
}

Test(sync_cond, wait_without_the_mutex_stops_the_program, .signal = SIGABRT)
{
    weft_cond_wait(&cond, &mutex);
}

Test(sync_cond, weft_stop_ends_the_wait, .timeout = 60)
{
    struct call waiter = WAIT_ONCE;
    start_and_see_waiting(&waiter, false);
    cr_assert_eq(weft_stop(), 0);
    cr_assert_eq(result_of(&waiter), -ECANCELED);
}

/* A one-place mailbox between routines and threads. */
enum { LETTERS = 4000 };
static weft_cond emptied, filled;
static bool full;
static atomic_uint sent, received;

static void exchange(void *arg)
{
    bool sends = atomic_fetch_add((atomic_uint *)arg, 1) % 2 == 0;
    for (unsigned i = 0; i < LETTERS; i++) {
        weft_mutex_lock(&mutex);
        while (full == sends)
            weft_cond_wait(sends ? &emptied : &filled, &mutex);
        full = sends;
        atomic_fetch_add(sends ? &sent : &received, 1);
        weft_cond_signal(sends ? &filled : &emptied);
        weft_mutex_unlock(&mutex);
    }
}

Test(sync_cond, no_signal_is_lost_between_routines_and_threads, .timeout = 60)
{
    static atomic_uint next;
    run_crowd(4, 2, exchange, &next);
    cr_assert_eq(atomic_load(&sent), 3 * LETTERS);
    cr_assert_eq(atomic_load(&received), 3 * LETTERS);
}
