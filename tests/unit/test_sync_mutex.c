/* SPDX-License-Identifier: MIT */
/* test_sync_mutex.c - the promises of weft/sync.h about the mutex. */
#include "test_sync.h"

static weft_mutex mutex;

static int lock(struct call *call)
{
    weft_mutex_lock(call->object);
    return 0;
}

static int unlock(struct call *call)
{
    weft_mutex_unlock(call->object);
    return 0;
}

Test(sync_mutex, fits_into_sixteen_bytes)
{
    cr_assert_leq(sizeof(weft_mutex), 16);
}

Test(sync_mutex, is_ready_for_use_when_zero)
{
    weft_mutex m = {0};
    weft_mutex_lock(&m);
    weft_mutex_unlock(&m);
    weft_mutex_lock(&m);
    weft_mutex_unlock(&m);
}

Test(sync_mutex, try_lock_takes_a_free_one_and_gives_eagain_for_a_held_one)
{
    errno = 77;
    cr_assert_eq(weft_mutex_try_lock(&mutex), 0);
    cr_assert_eq(weft_mutex_try_lock(&mutex), -EAGAIN);
    weft_mutex_unlock(&mutex);
    cr_assert_eq(weft_mutex_try_lock(&mutex), 0);
    cr_assert_eq(errno, 77, "errno is left alone");
}

Test(sync_mutex, unlock_of_an_unlocked_one_stops_the_program, .signal = SIGABRT)
{
    weft_mutex_unlock(&mutex);
}

static void unlock_mutex(void)
{
    weft_mutex_unlock(&mutex);
}

Test(sync_mutex, misuse_is_a_panic_that_names_the_call)
{
    cr_assert_eq(weft_try(unlock_mutex), WEFT_EPANIC);
    cr_assert_not_null(strstr(weft_try_message(), "weft_mutex_unlock"), "%s", weft_try_message());
    weft_mutex_lock(&mutex);
}

Test(sync_mutex, a_routine_waits_until_the_holder_unlocks, .timeout = 60)
{
    struct call waiter = {.make = lock, .object = &mutex};
    weft_mutex_lock(&mutex);
    start_and_see_waiting(&waiter, false);
    weft_mutex_unlock(&mutex);
    cr_assert_eq(result_of(&waiter), 0);
    cr_assert_eq(weft_mutex_try_lock(&mutex), -EAGAIN);
}

Test(sync_mutex, a_thread_waits_until_a_routine_unlocks, .timeout = 60)
{
    struct call waiter = {.make = lock, .object = &mutex}, holder = {.make = lock, .object = &mutex},
                leaver = {.make = unlock, .object = &mutex};
    start_in_routine(&holder);
    cr_assert_eq(result_of(&holder), 0);
    start_and_see_waiting(&waiter, true);
    start_in_routine(&leaver); /* another routine than the one that locked */
    cr_assert_eq(result_of(&waiter), 0);
}

Test(sync_mutex, all_waiting_are_served_one_after_the_other, .timeout = 60)
{
    struct call waiters[6];
    weft_mutex_lock(&mutex);
    for (unsigned i = 0; i < 6; i++)
        waiters[i] = (struct call){.make = lock, .object = &mutex};
    start_in_order(waiters, 6);
    for (unsigned i = 0; i < 6; i++) {
        weft_mutex_unlock(&mutex);
        cr_assert_eq(result_of(&waiters[i]), 0, "served in the order in which they came");
        for (unsigned j = i + 1; j < 6; j++)
            cr_assert_not(returned(&waiters[j]));
    }
    weft_mutex_unlock(&mutex);
    cr_assert_eq(mutex.state, 0);
}

enum { TURNS = 20000, ROUTINES = 6, THREADS = 3 };
static uint64_t counter; /* protected by `mutex` */

static void count_under_lock(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < TURNS; i++) {
        weft_mutex_lock(&mutex);
        counter++;
        weft_mutex_unlock(&mutex);
    }
}

Test(sync_mutex, one_at_a_time_is_inside_routines_and_threads_together, .timeout = 60)
{
    run_crowd(ROUTINES, THREADS, count_under_lock, NULL);
    cr_assert_eq(counter, (uint64_t)TURNS * (ROUTINES + THREADS));
    cr_assert_eq(mutex.state, 0);
}

static void count_and_yield_under_lock(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < TURNS / 100; i++) {
        weft_mutex_lock(&mutex);
        uint64_t before = counter;
        weft_yield();
        counter = before + 1;
        weft_mutex_unlock(&mutex);
    }
}

Test(sync_mutex, a_holder_may_be_switched_away, .timeout = 60)
{
    run_crowd(ROUTINES, THREADS, count_and_yield_under_lock, NULL);
    cr_assert_eq(counter, (uint64_t)TURNS / 100 * (ROUTINES + THREADS));
}

static atomic_bool enough;

static void lock_all_the_time(void *arg)
{
    (void)arg;
    while (!atomic_load(&enough)) {
        weft_mutex_lock(&mutex);
        counter++;
        weft_mutex_unlock(&mutex);
    }
}

static int lock_ten_times(struct call *call)
{
    for (unsigned i = 0; i < 10; i++) {
        weft_mutex_lock(call->object);
        weft_mutex_unlock(call->object);
    }
    atomic_store(&enough, true);
    return 0;
}

static void hog_against(bool hogs_in_threads, bool waiter_in_thread)
{
    struct call waiter = {.make = lock_ten_times, .object = &mutex};
    weft_mutex_lock(&mutex);
    start_and_see_waiting(&waiter, waiter_in_thread);
    weft_mutex_unlock(&mutex);
    run_crowd(hogs_in_threads ? 0 : 3, hogs_in_threads ? 3 : 0, lock_all_the_time, NULL);
    cr_assert_eq(result_of(&waiter), 0);
}

Test(sync_mutex, a_routine_is_not_starved_by_routines_that_lock_again_at_once, .timeout = 60)
{
    hog_against(false, false);
}

Test(sync_mutex, a_thread_is_not_starved_by_routines_that_lock_again_at_once, .timeout = 60)
{
    hog_against(false, true);
}

Test(sync_mutex, a_routine_is_not_starved_by_threads_that_lock_again_at_once, .timeout = 60)
{
    hog_against(true, false);
}

Test(sync_mutex, waiting_for_it_is_not_ended_by_weft_stop, .timeout = 60)
{
    struct call waiter = {.make = lock, .object = &mutex};
    weft_mutex_lock(&mutex);
    start_and_see_waiting(&waiter, false);
    struct wf_thread *thread = wf_enter();
    cr_assert_not(wf_wait_abort(thread, atomic_load(&waiter.routine), -ECANCELED));
    wf_leave(thread);
    weft_mutex_unlock(&mutex);
    cr_assert_eq(result_of(&waiter), 0);
}
