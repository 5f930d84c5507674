/* SPDX-License-Identifier: MIT */
/* test_sync_latch.c - the promises of weft/sync.h about the latch. */
#include "test_sync.h"

static weft_latch latch;

static int wait_for_latch(struct call *call)
{
    return weft_latch_wait(call->object);
}

#define WAIT_FOR_LATCH ((struct call){.make = wait_for_latch, .object = &latch})

Test(sync_latch, of_zero_is_open)
{
    weft_latch_init(&latch, 0);
    cr_assert_eq(weft_latch_wait(&latch), 0);
}

Test(sync_latch, all_waiting_go_at_zero_and_later_ones_do_not_wait, .timeout = 60)
{
    struct call waiters[4] = {WAIT_FOR_LATCH, WAIT_FOR_LATCH, WAIT_FOR_LATCH, WAIT_FOR_LATCH};
    weft_latch_init(&latch, 2);
    start_in_order(waiters, 4);
    weft_latch_count_down(&latch);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_not(returned(&waiters[i]));
    weft_latch_count_down(&latch);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(result_of(&waiters[i]), 0);
    cr_assert_eq(weft_latch_wait(&latch), 0);
}

Test(sync_latch, count_down_below_zero_stops_the_program, .signal = SIGABRT)
{
    weft_latch_init(&latch, 1);
    weft_latch_count_down(&latch);
    weft_latch_count_down(&latch);
}

Test(sync_latch, the_largest_count_works)
{
    weft_latch_init(&latch, UINT32_MAX);
    weft_latch_count_down(&latch);
    cr_assert_neq(latch.state, 0);
}

Test(sync_latch, a_wait_can_be_ended_from_outside, .timeout = 60)
{
    struct call ended = WAIT_FOR_LATCH, other = WAIT_FOR_LATCH;
    weft_latch_init(&latch, 1);
    start_and_see_waiting(&ended, true);
    start_and_see_waiting(&other, false);
    end_from_outside(&ended);
    cr_assert_eq(result_of(&ended), -ECANCELED);
    cr_assert_not(returned(&other));
    weft_latch_count_down(&latch);
    cr_assert_eq(result_of(&other), 0);
}

Test(sync_latch, weft_stop_ends_the_wait, .timeout = 60)
{
    struct call waiter = WAIT_FOR_LATCH;
    weft_latch_init(&latch, 1);
    start_and_see_waiting(&waiter, false);
    cr_assert_eq(weft_stop(), 0);
    cr_assert_eq(result_of(&waiter), -ECANCELED);
}
