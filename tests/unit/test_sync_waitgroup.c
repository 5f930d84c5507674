/* SPDX-License-Identifier: MIT */
/* test_sync_waitgroup.c - the promises of weft/sync.h about the wait group. */
#include "test_sync.h"

static weft_waitgroup group;

static int wait_for_group(struct call *call)
{
    return weft_waitgroup_wait(call->object);
}

#define WAIT_FOR_GROUP ((struct call){.make = wait_for_group, .object = &group})

Test(sync_waitgroup, wait_for_zero_returns_at_once)
{
    cr_assert_eq(weft_waitgroup_wait(&group), 0);
}

Test(sync_waitgroup, all_waiting_go_when_the_counter_becomes_zero, .timeout = 60)
{
    struct call waiters[4];
    for (unsigned i = 0; i < 4; i++)
        waiters[i] = WAIT_FOR_GROUP;
    weft_waitgroup_add(&group, 3);
    start_in_order(waiters, 4);
    weft_waitgroup_done(&group);
    weft_waitgroup_add(&group, 1);
    weft_waitgroup_add(&group, -2);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_not(returned(&waiters[i]));
    weft_waitgroup_done(&group);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(result_of(&waiters[i]), 0);
}

Test(sync_waitgroup, can_be_used_again, .timeout = 60)
{
    for (unsigned round = 0; round < 3; round++) {
        struct call waiter = WAIT_FOR_GROUP;
        weft_waitgroup_add(&group, 1);
        start_and_see_waiting(&waiter, round == 1);
        weft_waitgroup_done(&group);
        cr_assert_eq(result_of(&waiter), 0);
    }
}

Test(sync_waitgroup, done_on_zero_stops_the_program, .signal = SIGABRT)
{
    weft_waitgroup_done(&group);
}

static void add_minus_three(void)
{
    weft_waitgroup_add(&group, -3);
}

Test(sync_waitgroup, a_negative_counter_is_a_panic_and_changes_nothing)
{
    weft_waitgroup_add(&group, 2);
    cr_assert_eq(weft_try(add_minus_three), WEFT_EPANIC);
    cr_assert_not_null(strstr(weft_try_message(), "weft_waitgroup_add"), "%s", weft_try_message());
    weft_waitgroup_add(&group, -2);
    cr_assert_eq(weft_waitgroup_wait(&group), 0);
}

Test(sync_waitgroup, a_wait_can_be_ended_from_outside_and_made_again, .timeout = 60)
{
    struct call ended = WAIT_FOR_GROUP, other = WAIT_FOR_GROUP, again = WAIT_FOR_GROUP;
    weft_waitgroup_add(&group, 1);
    start_and_see_waiting(&ended, false);
    end_from_outside(&ended);
    cr_assert_eq(result_of(&ended), -ECANCELED);
    start_and_see_waiting(&other, true);
    start_and_see_waiting(&again, false);
    end_from_outside(&other);
    weft_waitgroup_done(&group);
    cr_assert_eq(result_of(&again), 0);
}

Test(sync_waitgroup, weft_stop_ends_the_wait, .timeout = 60)
{
    struct call waiter = WAIT_FOR_GROUP;
    weft_waitgroup_add(&group, 1);
    start_and_see_waiting(&waiter, false);
    cr_assert_eq(weft_stop(), 0);
    cr_assert_eq(result_of(&waiter), -ECANCELED);
}

enum { N = 1000 };
static uint64_t squares[N]; /* written by one routine each, read after the wait */

static void square(weft_waitgroup *w, unsigned i)
{
    squares[i] = (uint64_t)i * i;
    weft_waitgroup_done(w);
}

Test(sync_waitgroup, what_was_written_before_done_is_seen_after_wait, .timeout = 60)
{
    for (unsigned round = 0; round < 20; round++) {
        weft_waitgroup local = {0};
        weft_waitgroup_add(&local, N);
        for (unsigned i = 0; i < N; i++) {
            int error = weft_go(square, &local, i);
            cr_assert_eq(error, 0);
        }
        cr_assert_eq(weft_waitgroup_wait(&local), 0);
        for (unsigned i = 0; i < N; i++) {
            cr_assert_eq(squares[i], (uint64_t)i * i);
            squares[i] = 0;
        }
    }
}
