/* SPDX-License-Identifier: MIT */
/* test_tracker.c - trackers as weft/tracker.h promises them. */
#include "test_sync.h"

#include <weft/weft.h>

#include "../support/child.h"

static atomic_bool released;
static atomic_int n_ended;

static int wait_for_tracker(struct call *call)
{
    return weft_tracker_wait(call->object);
}

static long until_released(int n, double x)
{
    while (!atomic_load(&released))
        weft_sleep(100 * WEFT_US);
    atomic_fetch_add(&n_ended, 1);
    return n + (long)x;
}

Test(tracker, a_zero_one_is_open_and_empty, .timeout = 60)
{
    weft_tracker t = {0};
    cr_assert_eq(weft_tracker_count(&t), 0);
    cr_assert_eq(weft_tracker_enter(&t), 0);
    cr_assert_eq(weft_tracker_enter(&t), 0);
    cr_assert_eq(weft_tracker_count(&t), 2);
    weft_tracker_leave(&t);
    weft_tracker_leave(&t);
    cr_assert_eq(weft_tracker_count(&t), 0);
}

Test(tracker, a_closed_and_empty_one_is_not_waited_for, .timeout = 60)
{
    weft_tracker t = {0};
    weft_tracker_close(&t);
    weft_tracker_close(&t);
    cr_assert_eq(weft_tracker_wait(&t), 0);
    cr_assert_eq(weft_tracker_wait(&t), 0);
}

Test(tracker, nobody_enters_a_closed_one, .timeout = 60)
{
    weft_tracker t = {0};
    cr_assert_eq(weft_tracker_enter(&t), 0);
    weft_tracker_close(&t);
    cr_assert_eq(weft_tracker_enter(&t), -EPIPE);
    cr_assert_eq(weft_tracker_count(&t), 1);
    weft_tracker_leave(&t);
    cr_assert_eq(weft_tracker_enter(&t), -EPIPE);
    cr_assert_eq(weft_tracker_wait(&t), 0);
}

Test(tracker, waits_for_the_last_that_leaves, .timeout = 60)
{
    weft_tracker t = {0};
    struct call calls[4];
    for (int i = 0; i < 4; i++)
        calls[i] = (struct call){.make = wait_for_tracker, .object = &t};
    cr_assert_eq(weft_tracker_enter(&t), 0);
    cr_assert_eq(weft_tracker_enter(&t), 0);
    start_in_order(calls, 2);
    weft_tracker_close(&t);
    start_and_see_waiting(&calls[2], false);
    start_and_see_waiting(&calls[3], true);
    weft_tracker_leave(&t);
    for (int i = 0; i < 4; i++)
        cr_assert(waits(&calls[i]));
    weft_tracker_leave(&t);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(result_of(&calls[i]), 0);
}

Test(tracker, an_empty_one_is_waited_for_until_it_is_closed, .timeout = 60)
{
    weft_tracker t = {0};
    struct call call = {.make = wait_for_tracker, .object = &t};
    start_and_see_waiting(&call, false);
    cr_assert_eq(weft_tracker_enter(&t), 0);
    weft_tracker_leave(&t);
    cr_assert(waits(&call));
    weft_tracker_close(&t);
    cr_assert_eq(result_of(&call), 0);
}

Test(tracker, a_wait_can_be_ended_from_outside, .timeout = 60)
{
    weft_tracker t = {0};
    struct call calls[3];
    for (int i = 0; i < 3; i++)
        calls[i] = (struct call){.make = wait_for_tracker, .object = &t};
    start_in_order(calls, 3);
    end_from_outside(&calls[1]);
    cr_assert_eq(result_of(&calls[1]), -ECANCELED);
    end_from_outside(&calls[0]);
    end_from_outside(&calls[2]);
    cr_assert_eq(t.state, 0);
    cr_assert_null(t.waiters);
    weft_tracker_close(&t);
    cr_assert_eq(weft_tracker_wait(&t), 0);
}

static void leave_empty(void)
{
    weft_tracker t = {0};
    weft_tracker_leave(&t);
}

Test(tracker, leaving_an_empty_one_panics, .timeout = 60)
{
    cr_assert_eq(weft_try(leave_empty), WEFT_EPANIC);
    cr_assert(strstr(weft_try_message(), "weft_tracker_leave") != NULL);
}

/* ---- weft_tracker_go ---- */

Test(tracker, counts_the_routines_it_starts, .timeout = 60)
{
    weft_tracker t = {0};
    for (int i = 0; i < 100; i++)
        cr_assert_eq(weft_tracker_go(&t, until_released, i, 0.5), 0);
    cr_assert_eq(weft_tracker_count(&t), 100);
    weft_tracker_close(&t);
    cr_assert_eq(weft_tracker_go(&t, until_released, 1, 2), -EPIPE);
    atomic_store(&released, true);
    cr_assert_eq(weft_tracker_wait(&t), 0);
    cr_assert_eq(atomic_load(&n_ended), 100);
    cr_assert_eq(weft_tracker_count(&t), 0);
}

static void check_arguments(int a, double b, const char *c, int d, int e, int f, int g, int h)
{
    require(a == 1 && b == 2.5 && strcmp(c, "three") == 0 && d == 4 && e == 5 && f == 6 && g == 7 && h == 8);
    atomic_fetch_add(&n_ended, 1);
}

Test(tracker, arguments_are_passed_and_evaluated_once_also_when_it_is_closed, .timeout = 60)
{
    weft_tracker t = {0};
    int calls = 0;
    cr_assert_eq(weft_tracker_go(&t, check_arguments, ++calls, 2.5, "three", 4, 5, 6, 7, 8), 0);
    weft_tracker_close(&t);
    cr_assert_eq(weft_tracker_wait(&t), 0);
    cr_assert_eq(weft_tracker_go(&t, check_arguments, ++calls, 2.5, "three", 4, 5, 6, 7, 8), -EPIPE);
    cr_assert_eq(calls, 2);
    cr_assert_eq(atomic_load(&n_ended), 1);
}

static void leave_by_exit(void)
{
    weft_yield();
    weft_exit();
}

static long double give_x87(void)
{
    return 1.5L;
}

static void catch_a_panic(void)
{
    require(weft_try(leave_empty) == WEFT_EPANIC);
}

Test(tracker, every_way_out_of_a_routine_leaves_it, .timeout = 60)
{
    weft_tracker t = {0};
    for (int i = 0; i < 50; i++) {
        cr_assert_eq(weft_tracker_go(&t, leave_by_exit), 0);
        cr_assert_eq(weft_tracker_go(&t, give_x87), 0);
        cr_assert_eq(weft_tracker_go(&t, catch_a_panic), 0);
    }
    weft_tracker_close(&t);
    cr_assert_eq(weft_tracker_wait(&t), 0);
}

static void panic_at_once(const char *what)
{
    weft_panic("%s", what);
}

static void panic_in_tracked(void)
{
    static weft_tracker t;
    weft_tracker_go(&t, panic_at_once, "in a tracked one");
    weft_tracker_close(&t);
    weft_tracker_wait(&t);
    pause_thread_for_ever();
}

Test(tracker, a_panic_in_a_tracked_routine_stops_the_process, .timeout = 60)
{
    struct ending e = run_in_child(panic_in_tracked, 20);
    cr_assert_eq(e.signal, SIGABRT);
    cr_assert(says(&e, "in a tracked one"), "%s", e.text);
    cr_assert(says(&e, "panic_at_once"), "%s", e.text);
}

static void spawn_tree(weft_tracker *t, int depth)
{
    atomic_fetch_add(&n_ended, 1);
    for (int i = 0; depth > 0 && i < 3; i++)
        require(weft_tracker_go(t, spawn_tree, t, depth - 1) == 0);
}

Test(tracker, routines_that_start_others_are_all_waited_for, .timeout = 60)
{
    weft_tracker t = {0};
    cr_assert_eq(weft_tracker_go(&t, spawn_tree, &t, 7), 0);
    EVENTUALLY(weft_tracker_count(&t) == 0); /* each is counted before its parent has left */
    weft_tracker_close(&t);
    cr_assert_eq(weft_tracker_wait(&t), 0);
    cr_assert_eq(atomic_load(&n_ended), 3280);
}

/* Freed as soon as the wait has returned, again and again, by a thread, while the last is still leaving. */
static void use_and_free(int rounds)
{
    for (int i = 0; i < rounds; i++) {
        weft_tracker *t = calloc(1, sizeof(*t));
        require(t != NULL);
        for (int k = 0; k < i % 4; k++)
            require(weft_tracker_go(t, give_x87) == 0);
        weft_tracker_close(t);
        require(weft_tracker_wait(t) == 0);
        memset(t, 0xff, sizeof(*t));
        free(t);
    }
}

Test(tracker, may_be_freed_when_it_has_been_waited_for, .timeout = 60)
{
    weft_future(void) f = weft_async(use_and_free, 3000);
    use_and_free(3000);
    weft_await(f);
}

static void enter_until_closed(weft_tracker *t)
{
    while (weft_tracker_enter(t) == 0) {
        atomic_fetch_add(&n_ended, 1);
        weft_yield();
        atomic_fetch_sub(&n_ended, 1);
        weft_tracker_leave(t);
    }
}

static void enter_in_crowd(void *t)
{
    enter_until_closed(t);
}

static void close_and_wait(weft_tracker *t)
{
    require(weft_sleep(5 * WEFT_MS) == 0);
    weft_tracker_close(t);
    require(weft_tracker_wait(t) == 0);
    require(atomic_load(&n_ended) == 0);
}

Test(tracker, nobody_is_in_it_once_the_wait_has_returned, .timeout = 60)
{
    for (int i = 0; i < 20; i++) {
        weft_tracker t = {0};
        weft_future(void) f = weft_async(close_and_wait, &t);
        run_crowd(4, 2, enter_in_crowd, &t);
        weft_await(f);
    }
}
