/* SPDX-License-Identifier: MIT */
/* test_sync_sem.c - the promises of weft/sync.h about the semaphore. */
#include "test_sync.h"

static weft_sem sem;

static int acquire(struct call *call)
{
    return weft_sem_acquire(call->object, call->n);
}

#define ACQUIRE(permits) ((struct call){.make = acquire, .object = &sem, .n = (permits)})

Test(sync_sem, permits_are_taken_and_given_back)
{
    weft_sem_init(&sem, 5);
    cr_assert_eq(weft_sem_acquire(&sem, 2), 0);
    cr_assert_eq(weft_sem_try_acquire(&sem, 4), -EAGAIN);
    cr_assert_eq(weft_sem_try_acquire(&sem, 3), 0);
    cr_assert_eq(weft_sem_try_acquire(&sem, 1), -EAGAIN);
    weft_sem_release(&sem, 5);
    cr_assert_eq(weft_sem_try_acquire(&sem, 5), 0);
}

Test(sync_sem, release_may_add_new_permits)
{
    weft_sem_init(&sem, 0);
    weft_sem_release(&sem, 3);
    cr_assert_eq(weft_sem_try_acquire(&sem, 3), 0);
}

Test(sync_sem, zero_permits_are_always_there)
{
    weft_sem_init(&sem, 0);
    cr_assert_eq(weft_sem_acquire(&sem, 0), 0);
    cr_assert_eq(weft_sem_try_acquire(&sem, 0), 0);
    weft_sem_release(&sem, 0);
    cr_assert_eq(weft_sem_try_acquire(&sem, 1), -EAGAIN);
}

Test(sync_sem, the_largest_number_of_permits_works)
{
    weft_sem_init(&sem, INT64_MAX);
    cr_assert_eq(weft_sem_try_acquire(&sem, INT64_MAX), 0);
    cr_assert_eq(weft_sem_try_acquire(&sem, 1), -EAGAIN);
    weft_sem_release(&sem, INT64_MAX);
    cr_assert_eq(weft_sem_try_acquire(&sem, INT64_MAX), 0);
}

Test(sync_sem, init_with_a_negative_number_stops_the_program, .signal = SIGABRT)
{
    weft_sem_init(&sem, -1);
}

Test(sync_sem, acquire_of_a_negative_number_stops_the_program, .signal = SIGABRT)
{
    weft_sem_init(&sem, 1);
    weft_sem_acquire(&sem, -1);
}

Test(sync_sem, try_acquire_of_a_negative_number_stops_the_program, .signal = SIGABRT)
{
    weft_sem_init(&sem, 1);
    weft_sem_try_acquire(&sem, -1);
}

Test(sync_sem, release_of_a_negative_number_stops_the_program, .signal = SIGABRT)
{
    weft_sem_init(&sem, 1);
    weft_sem_release(&sem, -1);
}

Test(sync_sem, release_beyond_the_largest_number_stops_the_program, .signal = SIGABRT)
{
    weft_sem_init(&sem, INT64_MAX);
    weft_sem_release(&sem, 1);
}

Test(sync_sem, a_request_waits_until_all_its_permits_are_there, .timeout = 60)
{
    struct call request = ACQUIRE(3);
    weft_sem_init(&sem, 1);
    start_and_see_waiting(&request, false);
    weft_sem_release(&sem, 1);
    cr_assert_not(returned(&request));
    weft_sem_release(&sem, 1);
    cr_assert_eq(result_of(&request), 0);
    cr_assert_eq(weft_sem_try_acquire(&sem, 1), -EAGAIN);
}

Test(sync_sem, requests_are_served_in_order, .timeout = 60)
{
    struct call requests[6];
    weft_sem_init(&sem, 0);
    for (unsigned i = 0; i < 6; i++)
        requests[i] = ACQUIRE(1);
    start_in_order(requests, 6);
    for (unsigned i = 0; i < 6; i++) {
        weft_sem_release(&sem, 1);
        cr_assert_eq(result_of(&requests[i]), 0);
        for (unsigned j = i + 1; j < 6; j++)
            cr_assert_not(returned(&requests[j]));
    }
}

Test(sync_sem, one_release_serves_as_many_as_it_reaches, .timeout = 60)
{
    struct call small = ACQUIRE(1), medium = ACQUIRE(2), large = ACQUIRE(4);
    weft_sem_init(&sem, 0);
    start_and_see_waiting(&small, false);
    start_and_see_waiting(&medium, true);
    start_and_see_waiting(&large, false);
    weft_sem_release(&sem, 5);
    cr_assert_eq(result_of(&small), 0);
    cr_assert_eq(result_of(&medium), 0);
    cr_assert_not(returned(&large));
    weft_sem_release(&sem, 2);
    cr_assert_eq(result_of(&large), 0);
}

Test(sync_sem, a_small_request_does_not_overtake_a_large_one, .timeout = 60)
{
    struct call large = ACQUIRE(4), small = ACQUIRE(1);
    weft_sem_init(&sem, 3);
    start_and_see_waiting(&large, false);
    cr_assert_eq(weft_sem_try_acquire(&sem, 1), -EAGAIN);
    start_and_see_waiting(&small, true);
    weft_sem_release(&sem, 1);
    cr_assert_eq(result_of(&large), 0);
    cr_assert_not(returned(&small));
    weft_sem_release(&sem, 1);
    cr_assert_eq(result_of(&small), 0);
}

static atomic_bool enough;

static void take_one_all_the_time(void *arg)
{
    (void)arg;
    while (!atomic_load(&enough)) {
        weft_sem_acquire(&sem, 1);
        weft_yield();
        weft_sem_release(&sem, 1);
    }
}

static int take_all_ten_times(struct call *call)
{
    for (unsigned i = 0; i < 10; i++) {
        weft_sem_acquire(call->object, 4);
        weft_sem_release(call->object, 4);
    }
    atomic_store(&enough, true);
    return 0;
}

Test(sync_sem, small_requests_do_not_starve_a_large_one, .timeout = 60)
{
    struct call large = {.make = take_all_ten_times, .object = &sem};
    weft_sem_init(&sem, 3);
    start_and_see_waiting(&large, false);
    weft_sem_release(&sem, 1);
    run_crowd(6, 3, take_one_all_the_time, NULL);
    cr_assert_eq(result_of(&large), 0);
}

Test(sync_sem, a_wait_ended_from_outside_takes_nothing_and_lets_the_next_go, .timeout = 60)
{
    struct call large = ACQUIRE(10), first = ACQUIRE(1), second = ACQUIRE(1), third = ACQUIRE(1);
    weft_sem_init(&sem, 2);
    start_and_see_waiting(&large, false);
    start_and_see_waiting(&first, false);
    start_and_see_waiting(&second, true);
    start_and_see_waiting(&third, false);
    end_from_outside(&large);
    cr_assert_eq(result_of(&large), -ECANCELED);
    cr_assert_eq(result_of(&first), 0);
    cr_assert_eq(result_of(&second), 0);
    cr_assert_not(returned(&third));
    weft_sem_release(&sem, 1);
    cr_assert_eq(result_of(&third), 0);
    weft_sem_release(&sem, 3);
    cr_assert_eq(weft_sem_try_acquire(&sem, 3), 0);
    cr_assert_eq(weft_sem_try_acquire(&sem, 1), -EAGAIN);
}

Test(sync_sem, the_only_waiter_may_be_ended_from_outside, .timeout = 60)
{
    struct call request = ACQUIRE(2);
    weft_sem_init(&sem, 1);
    start_and_see_waiting(&request, true);
    end_from_outside(&request);
    cr_assert_eq(result_of(&request), -ECANCELED);
    cr_assert_eq(weft_sem_try_acquire(&sem, 1), 0);
}

Test(sync_sem, weft_stop_ends_the_wait, .timeout = 60)
{
    struct call request = ACQUIRE(2);
    weft_sem_init(&sem, 1);
    start_and_see_waiting(&request, false);
    cr_assert_eq(weft_stop(), 0);
    cr_assert_eq(result_of(&request), -ECANCELED);
    cr_assert_eq(weft_sem_try_acquire(&sem, 1), 0);
}
