/* SPDX-License-Identifier: MIT */
/* test_sync_barrier.c - the promises of weft/sync.h about the barrier. */
#include "test_sync.h"

static weft_barrier barrier;

static int meet(struct call *call)
{
    return weft_barrier_wait(call->object);
}

#define MEET ((struct call){.make = meet, .object = &barrier})

Test(sync_barrier, of_one_never_waits)
{
    weft_barrier_init(&barrier, 1);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(weft_barrier_wait(&barrier), 0);
}

Test(sync_barrier, of_none_stops_the_program, .signal = SIGABRT)
{
    weft_barrier_init(&barrier, 0);
}

Test(sync_barrier, all_go_when_the_last_comes_and_the_next_round_begins, .timeout = 60)
{
    weft_barrier_init(&barrier, 4);
    for (unsigned round = 0; round < 3; round++) {
        struct call others[3] = {MEET, MEET, MEET};
        start_in_order(others, 3);
        cr_assert_eq(weft_barrier_wait(&barrier), 0);
        for (unsigned i = 0; i < 3; i++)
            cr_assert_eq(result_of(&others[i]), 0);
    }
}

Test(sync_barrier, one_whose_wait_is_ended_from_outside_leaves_the_round, .timeout = 60)
{
    struct call first = MEET, second = MEET, third = MEET;
    weft_barrier_init(&barrier, 3);
    start_and_see_waiting(&first, false);
    start_and_see_waiting(&second, true);
    end_from_outside(&first);
    cr_assert_eq(result_of(&first), -ECANCELED);
    start_and_see_waiting(&third, false);
    cr_assert_not(returned(&second), "two of three are there");
    cr_assert_eq(weft_barrier_wait(&barrier), 0);
    cr_assert_eq(result_of(&second), 0);
    cr_assert_eq(result_of(&third), 0);
}

Test(sync_barrier, weft_stop_ends_the_wait, .timeout = 60)
{
    struct call waiter = MEET;
    weft_barrier_init(&barrier, 2);
    start_and_see_waiting(&waiter, false);
    cr_assert_eq(weft_stop(), 0);
    cr_assert_eq(result_of(&waiter), -ECANCELED);
}

enum { PARTICIPANTS = 9, ROUNDS = 300 };
static unsigned row[2][PARTICIPANTS]; /* each writes its own place, all read between two meetings */
static atomic_uint next_index;
static atomic_bool broken;

static void fill_and_compare(void *arg)
{
    unsigned index = atomic_fetch_add(&next_index, 1);
    (void)arg;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        row[round % 2][index] = round;
        weft_barrier_wait(&barrier);
        for (unsigned i = 0; i < PARTICIPANTS; i++) {
            if (row[round % 2][i] != round)
                atomic_store(&broken, true);
        }
    }
}

Test(sync_barrier, what_was_written_before_the_meeting_is_seen_by_all_after_it, .timeout = 60)
{
    weft_barrier_init(&barrier, PARTICIPANTS);
    run_crowd(PARTICIPANTS - 3, 3, fill_and_compare, NULL);
    cr_assert_not(atomic_load(&broken));
}
