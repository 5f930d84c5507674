/* SPDX-License-Identifier: MIT */
/* test_sync_once.c - the promises of weft/sync.h about once. */
#include "test_sync.h"

static weft_once once;
static atomic_int runs;
static atomic_bool may_return;

static void count_run(void *arg)
{
    (void)arg;
    atomic_fetch_add(&runs, 1);
}

static void count_run_slowly(void *arg)
{
    while (!atomic_load(&may_return))
        weft_yield();
    count_run(arg);
}

static int do_slowly(struct call *call)
{
    weft_once_do(call->object, count_run_slowly, NULL);
    return atomic_load(&runs);
}

Test(sync_once, runs_the_function_the_first_time_only)
{
    weft_once_do(&once, count_run, NULL);
    weft_once_do(&once, count_run, NULL);
    cr_assert_eq(atomic_load(&runs), 1);
}

static void set(void *arg)
{
    *(int *)arg = 42;
}

Test(sync_once, passes_the_argument)
{
    int value = 0;
    weft_once_do(&once, set, &value);
    cr_assert_eq(value, 42);
}

Test(sync_once, the_others_wait_until_the_first_has_returned, .timeout = 60)
{
    struct call first = {.make = do_slowly, .object = &once}, others[4];
    start_in_routine(&first);
    EVENTUALLY(once.state != 0);
    for (unsigned i = 0; i < 4; i++)
        others[i] = (struct call){.make = do_slowly, .object = &once};
    start_in_order(others, 4);
    atomic_store(&may_return, true);
    cr_assert_eq(result_of(&first), 1);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(result_of(&others[i]), 1);
}

static void fail(void *arg)
{
    count_run(arg);
    weft_panic("the first time fails");
}

static void do_and_fail(void)
{
    weft_once_do(&once, fail, NULL);
}

Test(sync_once, a_panic_passes_on_and_counts_as_done)
{
    cr_assert_eq(weft_try(do_and_fail), WEFT_EPANIC);
    cr_assert_str_eq(weft_try_message(), "the first time fails");
    weft_once_do(&once, fail, NULL);
    cr_assert_eq(atomic_load(&runs), 1);
}

static void leave(void *arg)
{
    count_run_slowly(arg);
    weft_exit();
}

static void do_and_leave(void)
{
    weft_once_do(&once, leave, NULL);
}

Test(sync_once, counts_as_done_when_the_function_ends_its_routine, .timeout = 60)
{
    struct call other = {.make = do_slowly, .object = &once};
    weft_go(do_and_leave);
    EVENTUALLY(once.state != 0);
    start_and_see_waiting(&other, false);
    atomic_store(&may_return, true);
    cr_assert_eq(result_of(&other), 1);
}

static void do_many(void *arg)
{
    weft_once *onces = arg;
    for (unsigned i = 0; i < 500; i++)
        weft_once_do(&onces[i], count_run, NULL);
}

Test(sync_once, many_at_once_run_it_once, .timeout = 60)
{
    static weft_once onces[500];
    run_crowd(6, 3, do_many, onces);
    cr_assert_eq(atomic_load(&runs), 500);
}
