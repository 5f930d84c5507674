/* SPDX-License-Identifier: MIT */
/* test_leaks_coming.c - weft_leaks: who waits for what will come by itself (a time, a routine that lives) is no leak. */
#define _GNU_SOURCE
#include "../support/leaks.h"

TestSuite(leaks, .timeout = 60);

static void select_with_limit(void)
{
    weft_select(weft_on_recv(weft_chan_make(int, 0), NULL), weft_after(WEFT_HOUR));
}
Test(leaks, none_with_a_time_limit_of_a_select)
{
    start_many(select_with_limit, WF_WAIT_SELECT);
    none_leaks();
}

static void receive_with_deadline(void)
{
    weft_deadline (WEFT_HOUR)
        receive_for_ever();
}
Test(leaks, none_with_a_deadline)
{
    start_many(receive_with_deadline, WF_WAIT_CHAN_RECV);
    none_leaks();
}

static void child_under_a_deadline(void)
{
    weft_deadline (WEFT_HOUR)
        weft_scope (s)
            weft_scope_go(s, receive_for_ever);
}
Test(leaks, none_of_a_child_with_a_deadline_around_its_scope)
{
    start_many(child_under_a_deadline, WF_WAIT_CHAN_RECV);
    none_leaks();
}

static void sleep_long(void)
{
    weft_sleep(WEFT_HOUR);
}
static void child_with_a_sibling(void)
{
    weft_scope (s) {
        weft_scope_go(s, receive_for_ever);
        weft_scope_go(s, sleep_long);
    }
}
Test(leaks, none_of_a_child_whose_sibling_lives)
{
    start_many(child_with_a_sibling, WF_WAIT_CHAN_RECV);
    eventually(n_parked(WF_WAIT_SCOPE) == MANY);
    none_leaks();
}

static void wait_with_limit(void)
{
    weft_timeout(weft_async(receive_and_return), WEFT_HOUR);
}
Test(leaks, none_that_a_time_limit_of_a_future_will_cancel)
{
    for (int i = 0; i < MANY; i++)
        require(weft_go(wait_with_limit) == 0);
    eventually(n_parked(WF_WAIT_GROUP) == MANY && n_parked(WF_WAIT_CHAN_RECV) == MANY);
    none_leaks();
}

static int sleep_and_return(void)
{
    weft_sleep(WEFT_HOUR);
    return 0;
}
static void await_a_sleeper(void)
{
    weft_await(weft_async(sleep_and_return));
}
Test(leaks, none_that_awaits_a_routine_that_lives)
{
    start_many(await_a_sleeper, WF_WAIT_FUTURE);
    none_leaks();
}

static int await_and_return(void)
{
    return weft_await(weft_async(sleep_and_return));
}
static void await_a_chain(void)
{
    weft_await(weft_async(await_and_return));
}
Test(leaks, none_that_awaits_one_that_awaits_a_routine_that_lives)
{
    for (unsigned i = 0; i < MANY; i++)
        require(weft_go(await_a_chain) == 0);
    eventually(n_parked(WF_WAIT_FUTURE) == 2 * MANY && n_parked(WF_WAIT_SLEEP) == MANY);
    none_leaks();
}

static void sleep_then_leave(weft_waitgroup *group)
{
    weft_sleep(WEFT_HOUR);
    weft_waitgroup_done(group);
}
static void wait_on_the_own_stack(void)
{
    weft_waitgroup group = {0};
    weft_waitgroup_add(&group, 1);
    weft_go(sleep_then_leave, &group);
    weft_waitgroup_wait(&group);
}
Test(leaks, none_that_waits_for_a_group_on_its_stack_which_others_know)
{
    start_many(wait_on_the_own_stack, WF_WAIT_WAITGROUP);
    none_leaks();
}

static void tracked_sleep(weft_duration d)
{
    weft_sleep(d);
}
static void wait_for_a_live_tracker(void)
{
    struct shared *s = new_shared();
    weft_tracker_go(&s->tracker, tracked_sleep, WEFT_HOUR);
    weft_tracker_close(&s->tracker);
    weft_tracker_wait(&s->tracker);
}
Test(leaks, none_that_waits_for_a_tracker_of_a_routine_that_lives)
{
    start_many(wait_for_a_live_tracker, WF_WAIT_TRACKER);
    none_leaks();
}

static void wait_for_a_tick(void)
{
    weft_chan(weft_time) c = weft_after_chan(WEFT_HOUR);
    weft_chan_recv(c, NULL);
}
Test(leaks, none_that_waits_for_an_after_channel)
{
    start_many(wait_for_a_tick, WF_WAIT_CHAN_RECV);
    none_leaks();
}

static void send_late(void *c)
{
    weft_chan_send((weft_chan(int))c, 1);
}
static void wait_for_a_timer(void)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    weft_timer_start(WEFT_HOUR, send_late, (void *)(uintptr_t)c);
    weft_chan_recv(c, NULL);
}
Test(leaks, none_that_a_timer_will_wake)
{
    start_many(wait_for_a_timer, WF_WAIT_CHAN_RECV);
    none_leaks();
}

static void wait_for_the_end(void)
{
    weft_future(int) f = weft_async(sleep_and_return);
    weft_select(weft_on_done(f));
}
Test(leaks, none_that_selects_on_the_end_of_a_routine_that_lives)
{
    start_many(wait_for_the_end, WF_WAIT_SELECT);
    none_leaks();
}
