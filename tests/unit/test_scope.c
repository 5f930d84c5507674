/* SPDX-License-Identifier: MIT */
/* test_scope.c - weft_scope and weft_scope_go as weft/scope.h promises them. Deadlines and shields are test_deadline.c,
 * the waits that a cancellation ends test_cancel.c. */
#include <criterion/criterion.h>

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <weft/weft.h>

#include "../support/child.h"
#include "../support/everywhere.h"
#include "../support/expect.h"
#include "scope/scope.h"

#define start(...) require(weft_go(__VA_ARGS__) == 0)
#define start_child(...) require(weft_scope_go(__VA_ARGS__) == 0)
#define in_routine(...) weft_await(weft_async(__VA_ARGS__))

enum { UNTOUCHED = 4711 };

static atomic_uint ended;
static atomic_bool released, reached;

static void count_end(void)
{
    atomic_fetch_add(&ended, 1);
}

/* Ends late, and counts itself just before. */
static int end_late(int value)
{
    for (int i = 0; i < 50; i++)
        weft_yield();
    weft_shield
        require(weft_sleep(200 * WEFT_US) == 0);
    count_end();
    return value;
}

static int end_when_cancelled(void)
{
    int result = weft_sleep(WEFT_HOUR);
    require(result == -ECANCELED);
    count_end();
    return 0;
}

static int fail_with(int error)
{
    return error;
}

static int panic_with(const char *message)
{
    weft_yield();
    weft_panic("%s", message);
    return 0;
}

/* ---- leaving ---- */

static void leave_at_the_end(void)
{
    unsigned before = atomic_load(&ended);
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        for (int i = 0; i < 4; i++)
            start_child(s, end_late, 0);
    }
    require(atomic_load(&ended) == before + 4);
    require(err == 0);
}

Test(scope, the_end_waits_for_every_child, .timeout = 60)
{
    everywhere(leave_at_the_end);
}

static void leave_by_break(void)
{
    unsigned before = atomic_load(&ended), turns = 0;
    int err = UNTOUCHED;
    for (int i = 0; i < 2; i++) {
        weft_scope(s, &err) {
            start_child(s, end_late, 0);
            if (i == 0)
                break;
            continue;
        }
        turns++; /* break and continue leave the block, not this loop */
        require(err == 0);
        require(atomic_load(&ended) == before + turns);
    }
    require(turns == 2);
}

Test(scope, break_and_continue_leave_the_block_and_wait, .timeout = 60)
{
    everywhere(leave_by_break);
}

static int return_from(int *err)
{
    weft_scope(s, err) {
        start_child(s, end_late, 0);
        return 5;
    }
    return 6;
}

static void leave_by_return(void)
{
    unsigned before = atomic_load(&ended);
    int err = UNTOUCHED;
    require(return_from(&err) == 5);
    require(atomic_load(&ended) == before + 1);
    require(err == 0);
}

Test(scope, return_waits, .timeout = 60)
{
    everywhere(leave_by_return);
}

static void leave_by_goto(void)
{
    unsigned before = atomic_load(&ended);
    int outer = UNTOUCHED, inner = UNTOUCHED;
    weft_scope(s, &outer) {
        start_child(s, end_late, 0);
        weft_deadline(WEFT_HOUR)
            weft_shield
                weft_scope(t, &inner) {
                    start_child(t, end_late, 0);
                    start_child(s, end_late, 0);
                    goto out;
                }
        require(false);
    }
    require(false);
out:
    require(atomic_load(&ended) == before + 3);
    require(outer == 0 && inner == 0);
    require(weft_sleep(WEFT_US) == 0);
}

Test(scope, goto_leaves_all_blocks_and_waits, .timeout = 60)
{
    everywhere(leave_by_goto);
}

static void panic_inside(int *err)
{
    weft_scope(s, err) {
        start_child(s, end_when_cancelled);
        start_child(s, end_late, 0);
        weft_panic("in the block");
    }
}

static void leave_by_panic(void)
{
    unsigned before = atomic_load(&ended);
    int err = UNTOUCHED;
    require(weft_try(panic_inside, &err) == WEFT_EPANIC);
    require(strcmp(weft_try_message(), "in the block") == 0);
    require(atomic_load(&ended) == before + 2);
    require(err == UNTOUCHED);
    require(weft_sleep(WEFT_US) == 0);
}

Test(scope, a_panic_cancels_and_waits_and_leaves_err_alone, .timeout = 60)
{
    everywhere(leave_by_panic);
}

static void exit_inside(void)
{
    weft_scope(s) {
        weft_scope(t) {
            start_child(s, end_when_cancelled);
            start_child(t, end_when_cancelled);
            weft_exit();
        }
    }
}

static void *exit_inside_in_thread(void *unused)
{
    exit_inside();
    return unused;
}

Test(scope, weft_exit_cancels_and_waits, .timeout = 60)
{
    in_routine(exit_inside);
    cr_assert_eq(atomic_load(&ended), 2);
}

Test(scope, weft_exit_of_a_plain_thread_cancels_and_waits, .timeout = 60)
{
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, exit_inside_in_thread, NULL), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(atomic_load(&ended), 2);
}

static int exit_as_child(void)
{
    count_end();
    weft_exit();
    return 7;
}

Test(scope, a_child_that_ends_itself_is_no_error, .timeout = 60)
{
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        start_child(s, exit_as_child);
        start_child(s, end_late, 0);
    }
    cr_assert_eq(err, 0);
    cr_assert_eq(atomic_load(&ended), 2);
}

static void exit_in_nested_scope_of_child(void)
{
    exit_inside();
}

Test(scope, a_child_that_ends_itself_inside_blocks_ends_them, .timeout = 60)
{
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        start_child(s, exit_in_nested_scope_of_child);
    }
    cr_assert_eq(err, 0);
    cr_assert_eq(atomic_load(&ended), 2);
}

static void any_statement(void)
{
    int err = UNTOUCHED, n = 0;
    weft_scope(s)
        ;
    weft_scope(s, &err)
        start_child(s, end_late, 0);
    if (n == 0)
        weft_scope(s, &err) weft_cancel(s);
    else
        require(false);
    require(err == -ECANCELED);
    if (n != 0)
        weft_deadline(0) require(false);
    else
        n++;
    if (n != 0)
        weft_shield n++;
    else
        require(false);
    require(n == 2);
    do
        weft_deadline(WEFT_HOUR) n++;
    while (n < 5);
    weft_deadline(WEFT_SEC) weft_shield weft_scope(s, &err) while (n > 0)
        n--;
    switch (n)
    case 0:
        weft_scope(s, &err) start_child(s, count_end);
    require(err == 0);
}

Test(scope, each_block_takes_any_statement, .timeout = 60)
{
    everywhere(any_statement);
}

static unsigned evaluated;
static int *evaluate(int *err)
{
    evaluated++;
    return err;
}
static weft_duration evaluate_duration(void)
{
    evaluated++;
    return WEFT_HOUR;
}
static weft_scope_ref evaluate_ref(weft_scope_ref s)
{
    evaluated++;
    return s;
}

Test(scope, arguments_are_evaluated_once, .timeout = 60)
{
    int err = UNTOUCHED;
    weft_scope(s, evaluate(&err)) weft_deadline(evaluate_duration()) start_child(evaluate_ref(s), fail_with, (int)(evaluated += 10) - 13);
    cr_assert_eq(evaluated, 13);
    cr_assert_eq(err, 0);
}

/* ---- errors ---- */

static int fail_after(int error, atomic_uint *turn, unsigned mine)
{
    weft_shield {
        while (atomic_load(turn) != mine)
            weft_yield();
        atomic_fetch_add(turn, 1);
    }
    return error;
}

static void first_error_wins(void)
{
    atomic_uint turn = 0;
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        start_child(s, fail_after, 0, &turn, 0);
        start_child(s, fail_with, -5);
        while (!weft_cancelled())
            weft_yield();
        start_child(s, fail_after, 5, &turn, 1);
        weft_cancel(s);
    }
    require(err == -5);
}

Test(scope, the_first_error_by_time_is_the_scopes, .timeout = 60)
{
    for (int i = 0; i < 200; i++)
        everywhere(first_error_wins);
}

static void an_error_cancels(int error)
{
    unsigned before = atomic_load(&ended);
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        for (int i = 0; i < 8; i++)
            start_child(s, end_when_cancelled);
        start_child(s, fail_with, error);
        require(weft_sleep(WEFT_HOUR) == -ECANCELED);
        require(weft_cancelled());
    }
    require(err == error);
    require(atomic_load(&ended) == before + 8);
    require(!weft_cancelled());
}

static void errors_cancel(void)
{
    an_error_cancels(1);
    an_error_cancels(-ENOENT);
    an_error_cancels(INT32_MIN);
}

Test(scope, an_error_cancels_the_owner_and_the_other_children, .timeout = 60)
{
    everywhere(errors_cancel);
}

static unsigned fail_unsigned(void)
{
    return 5;
}
static long fail_long(void)
{
    return -1;
}
static void *fail_pointer(void)
{
    return &ended;
}
static double fail_double(void)
{
    return 1.5;
}
static long double fail_long_double(void)
{
    return 1.5L;
}
static bool fail_bool(void)
{
    return true;
}

Test(scope, values_of_other_types_are_no_errors, .timeout = 60)
{
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        start_child(s, fail_unsigned);
        start_child(s, fail_long);
        start_child(s, fail_pointer);
        start_child(s, fail_double);
        start_child(s, fail_long_double);
        start_child(s, fail_bool);
        start_child(s, count_end);
    }
    cr_assert_eq(err, 0);
    cr_assert_eq(atomic_load(&ended), 1);
}

Test(scope, errors_are_dropped_without_err, .timeout = 60)
{
    weft_scope(s) {
        start_child(s, fail_with, 3);
        start_child(s, end_when_cancelled);
    }
    cr_assert_eq(atomic_load(&ended), 1);
}

Test(scope, an_error_of_an_inner_scope_is_not_the_outer_ones, .timeout = 60)
{
    int outer = UNTOUCHED, inner = UNTOUCHED;
    weft_scope(s, &outer) {
        weft_scope(t, &inner)
            start_child(t, fail_with, 3);
        cr_assert_eq(inner, 3);
        cr_assert_eq(weft_sleep(WEFT_US), 0);
        start_child(s, end_late, 0);
    }
    cr_assert_eq(outer, 0);
    cr_assert_eq(atomic_load(&ended), 1);
}

/* ---- panics of children ---- */

static void child_panics_with_err(void)
{
    unsigned before = atomic_load(&ended);
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        start_child(s, end_when_cancelled);
        start_child(s, panic_with, "of the child");
        require(weft_sleep(WEFT_HOUR) == -ECANCELED);
    }
    require(err == WEFT_EPANIC);
    require(strcmp(weft_try_message(), "of the child") == 0);
    require(atomic_load(&ended) == before + 1);
}

Test(scope, a_childs_panic_is_an_error, .timeout = 60)
{
    everywhere(child_panics_with_err);
}

static void child_panics_without_err(void)
{
    weft_scope(s) {
        start_child(s, end_when_cancelled);
        start_child(s, panic_with, "raised again");
    }
    atomic_store(&reached, true);
}

static void child_panics_nested(void)
{
    weft_scope(s) {
        start_child(s, end_when_cancelled);
        weft_shield
            weft_deadline(WEFT_HOUR)
                child_panics_without_err();
    }
    atomic_store(&reached, true);
}

static void raised_again(void)
{
    unsigned before = atomic_load(&ended);
    require(weft_try(child_panics_without_err) == WEFT_EPANIC);
    require(strcmp(weft_try_message(), "raised again") == 0);
    require(atomic_load(&ended) == before + 1);
    require(weft_try(child_panics_nested) == WEFT_EPANIC);
    require(strcmp(weft_try_message(), "raised again") == 0);
    require(atomic_load(&ended) == before + 3);
    require(!atomic_load(&reached));
    require(weft_sleep(WEFT_US) == 0);
}

Test(scope, a_childs_panic_is_raised_again_without_err, .timeout = 60)
{
    everywhere(raised_again);
}

static void return_over_a_panic(void)
{
    weft_scope(s) {
        start_child(s, panic_with, "after return");
        return;
    }
}

static void break_over_a_panic(void)
{
    weft_scope(s) {
        start_child(s, panic_with, "after break");
        break;
    }
}

Test(scope, a_childs_panic_is_raised_again_after_break, .timeout = 60)
{
    cr_assert_eq(weft_try(break_over_a_panic), WEFT_EPANIC);
    cr_assert_str_eq(weft_try_message(), "after break");
}

static void raise_at_return(void)
{
    cr_assert_eq(weft_try(return_over_a_panic), WEFT_EPANIC);
    cr_assert_str_eq(weft_try_message(), "after return");
}

Test(scope, a_childs_panic_is_raised_again_after_return, .timeout = 60)
{
    raise_at_return();
}

static void go_down_and_panic(int depth)
{
    weft_scope(s) {
        if (depth == 0)
            weft_panic("from the bottom");
        start_child(s, go_down_and_panic, depth - 1);
    }
}

Test(scope, a_panic_climbs_through_scopes_of_routines, .timeout = 60)
{
    int err = UNTOUCHED;
    weft_scope(s, &err)
        start_child(s, go_down_and_panic, 30);
    cr_assert_eq(err, WEFT_EPANIC);
    cr_assert_str_eq(weft_try_message(), "from the bottom");
}

static int pass_a_panic_on(void)
{
    return weft_try(panic_with, "caught");
}

static void child_returns_epanic(void)
{
    weft_scope(s)
        start_child(s, pass_a_panic_on);
}

/* A value is no panic, whatever it is. */
Test(scope, the_number_of_a_panic_as_a_childs_error_is_not_raised, .timeout = 60)
{
    int err = UNTOUCHED;
    weft_scope(s, &err)
        start_child(s, pass_a_panic_on);
    cr_assert_eq(err, WEFT_EPANIC);
    cr_assert_eq(weft_try(child_returns_epanic), 0);
}

static void panic_in_many(void)
{
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        for (int i = 0; i < 100; i++)
            start_child(s, panic_with, i % 2 == 0 ? "even" : "odd");
    }
    require(err == WEFT_EPANIC);
    require(strcmp(weft_try_message(), "even") == 0 || strcmp(weft_try_message(), "odd") == 0);
}

Test(scope, many_panics_are_one, .timeout = 60)
{
    for (int i = 0; i < 20; i++)
        everywhere(panic_in_many);
}

/* A cleanup that runs while a panic passes uses scopes like any code. */
static void use_a_scope(int *unused)
{
    int err = UNTOUCHED;
    (void)unused;
    weft_scope(s, &err) {
        start_child(s, end_late, 0);
    }
    require(err == 0);
    weft_scope(s, &err) {
        start_child(s, fail_with, 9);
    }
    require(err == 9);
}

static void panic_over_a_cleanup(void)
{
    __attribute__((cleanup(use_a_scope))) int guard = 0;
    (void)guard;
    weft_scope(s) {
        start_child(s, end_when_cancelled);
        weft_panic("over a cleanup");
    }
}

Test(scope, a_cleanup_uses_scopes_while_a_panic_passes, .timeout = 60)
{
    cr_assert_eq(weft_try(panic_over_a_cleanup), WEFT_EPANIC);
    cr_assert_eq(atomic_load(&ended), 2);
    cr_assert_eq(weft_try_await(weft_async(panic_over_a_cleanup), NULL), WEFT_EPANIC);
    cr_assert_eq(atomic_load(&ended), 4);
}

static void panic_unseen(void)
{
    weft_scope(s)
        start_child(s, panic_with, "raised in main");
}

Test(scope, a_childs_panic_that_nobody_catches_stops_the_process, .timeout = 60)
{
    struct ending e = run_in_child(panic_unseen, 20);
    cr_assert_eq(e.signal, SIGABRT);
    cr_assert(says(&e, "raised in main"), "%s", e.text);
}

/* ---- cancelling ---- */

static void cancel_without_children(void)
{
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        require(!weft_cancelled());
        require(weft_sleep(WEFT_US) == 0);
        weft_cancel(s);
        require(weft_cancelled());
        require(weft_sleep(WEFT_HOUR) == -ECANCELED);
        weft_cancel(s);
        weft_scope(t, &err) {
            require(weft_cancelled());
            require(weft_sleep(WEFT_HOUR) == -ECANCELED);
        }
        require(err == -ECANCELED);
        err = 0;
    }
    require(err == -ECANCELED);
    require(!weft_cancelled());
}

Test(scope, a_cancelled_scope_says_so, .timeout = 60)
{
    everywhere(cancel_without_children);
}

static int end_fast_with_wait(void)
{
    return weft_sleep(10 * WEFT_MS) == -ECANCELED ? 0 : 1;
}

Test(scope, a_child_started_in_a_cancelled_scope_is_cancelled, .timeout = 60)
{
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        weft_cancel(s);
        for (int i = 0; i < 100; i++)
            start_child(s, end_fast_with_wait);
    }
    cr_assert_eq(err, -ECANCELED);
}

static void cancel_it(weft_scope_ref s)
{
    weft_cancel(s);
}

static void *cancel_in_thread(void *s)
{
    weft_cancel((weft_scope_ref)s);
    return NULL;
}

static void cancel_later(void *s)
{
    weft_cancel((weft_scope_ref)s);
}

static void cancel_from_a_routine(void)
{
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        start(cancel_it, s);
        require(weft_sleep(WEFT_HOUR) == -ECANCELED);
    }
    require(err == -ECANCELED);
}

static void cancel_from_a_child(void)
{
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        start_child(s, cancel_it, s);
        start_child(s, end_when_cancelled);
    }
    require(err == -ECANCELED);
}

static void cancel_from_a_grandchild(void)
{
    int err = UNTOUCHED, inner = UNTOUCHED;
    weft_scope(s, &err) {
        weft_scope(t, &inner) {
            start_child(t, cancel_it, s);
            start_child(t, end_when_cancelled);
        }
        require(inner == -ECANCELED);
    }
    require(err == -ECANCELED);
}

static void cancel_from_a_thread(void)
{
    pthread_t thread;
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        require(pthread_create(&thread, NULL, cancel_in_thread, s) == 0);
        require(weft_sleep(WEFT_HOUR) == -ECANCELED);
    }
    require(err == -ECANCELED);
    require(pthread_join(thread, NULL) == 0);
}

static void cancel_from_a_timer(void)
{
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        require(weft_timer_start(100 * WEFT_US, cancel_later, s) != NULL);
        require(weft_sleep(WEFT_HOUR) == -ECANCELED);
    }
    require(err == -ECANCELED);
}

static void cancel_from_elsewhere(void)
{
    cancel_from_a_routine();
    cancel_from_a_child();
    cancel_from_a_grandchild();
    cancel_from_a_thread();
    cancel_from_a_timer();
}

Test(scope, it_is_cancelled_from_anywhere, .timeout = 60)
{
    for (int i = 0; i < 20; i++)
        everywhere(cancel_from_elsewhere);
}

static void cancel_inner_only(void)
{
    unsigned before = atomic_load(&ended);
    int outer = UNTOUCHED, inner = UNTOUCHED;
    weft_scope(s, &outer) {
        start_child(s, end_late, 0);
        weft_scope(t, &inner) {
            start_child(t, end_when_cancelled);
            weft_cancel(t);
        }
        require(inner == -ECANCELED);
        require(!weft_cancelled());
        require(weft_sleep(WEFT_US) == 0);
    }
    require(outer == 0);
    require(atomic_load(&ended) == before + 2);
}

Test(scope, cancelling_an_inner_scope_leaves_the_outer_one, .timeout = 60)
{
    everywhere(cancel_inner_only);
}

static void wait_and_count(int64_t d)
{
    require(weft_sleep(d) == 0);
    count_end();
}

Test(scope, weft_go_starts_outside_any_scope, .timeout = 60)
{
    weft_future(void) f = NULL;
    weft_deadline(0) {
        weft_scope(s) {
            weft_cancel(s);
            f = weft_async(wait_and_count, WEFT_MS);
            start(wait_and_count, WEFT_MS);
            cr_assert_neq(weft_timer_start(0, (void (*)(void *))count_end, NULL), NULL);
        }
    }
    weft_await(f);
    eventually(atomic_load(&ended) == 3);
}

/* ---- trees ---- */

static void descend(int depth)
{
    weft_scope(s) {
        if (depth > 1)
            start_child(s, descend, depth - 1);
        else
            require(weft_sleep(WEFT_HOUR) == -ECANCELED);
    }
    count_end();
}

Test(scope, a_thousand_deep_in_routines, .timeout = 60)
{
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        start_child(s, descend, 1000);
        pause_thread_ms(20);
        weft_cancel(s);
    }
    cr_assert_eq(err, -ECANCELED);
    cr_assert_eq(atomic_load(&ended), 1000);
}

static int descend_here(int depth, int *deepest)
{
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        if (depth > 1)
            descend_here(depth - 1, deepest);
        else
            *deepest = weft_sleep(WEFT_HOUR);
    }
    require(err == -ECANCELED);
    return err;
}

static int cancel_far_out(weft_scope_ref s, int ms)
{
    weft_shield
        require(weft_sleep(ms * WEFT_MS) == 0);
    weft_cancel(s);
    return 0;
}

static void nest_in_one(void)
{
    int err = UNTOUCHED, deepest = 0;
    weft_scope(s, &err) {
        start_child(s, cancel_far_out, s, 5);
        descend_here(1000, &deepest);
    }
    require(err == -ECANCELED);
    require(deepest == -ECANCELED);
}

static void nest_in_one_routine(void)
{
    weft_scope(s)
        require(weft_scope_go_with(s, weft_attr(.stack_size = 4 << 20), nest_in_one) == 0);
}

Test(scope, a_thousand_deep_in_one_routine, .timeout = 60)
{
    nest_in_one();
    nest_in_one_routine();
}

static void many_children(void)
{
    unsigned before = atomic_load(&ended);
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        for (int i = 0; i < 10000; i++)
            start_child(s, end_when_cancelled);
        weft_yield();
        weft_cancel(s);
    }
    require(err == -ECANCELED);
    require(atomic_load(&ended) == before + 10000);
    weft_scope(s, &err) {
        for (int i = 0; i < 10000; i++)
            start_child(s, count_end);
    }
    require(err == 0);
    require(atomic_load(&ended) == before + 20000);
}

Test(scope, ten_thousand_children, .timeout = 60)
{
    everywhere(many_children);
}

/* Children that start children of their own scope. */
static int multiply(weft_scope_ref s, int depth)
{
    for (int i = 0; i < 2 && depth > 0; i++)
        start_child(s, multiply, s, depth - 1);
    weft_yield();
    count_end();
    return 0;
}

Test(scope, children_start_siblings, .timeout = 60)
{
    int err = UNTOUCHED;
    weft_scope(s, &err)
        start_child(s, multiply, s, 11);
    cr_assert_eq(err, 0);
    cr_assert_eq(atomic_load(&ended), (1 << 12) - 1);
}

/* While children come and go a cancellation visits them all. */
static int breed(weft_scope_ref s)
{
    while (!weft_cancelled()) {
        start_child(s, end_when_cancelled);
        weft_yield();
    }
    require(weft_sleep(WEFT_HOUR) == -ECANCELED);
    return 0;
}

static void cancel_while_breeding(void)
{
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        for (int i = 0; i < 3; i++)
            start_child(s, breed, s);
        weft_sleep(WEFT_MS);
        weft_cancel(s);
    }
    require(err == -ECANCELED);
}

Test(scope, children_started_while_it_is_cancelled_are_cancelled, .timeout = 60)
{
    for (int i = 0; i < 30; i++)
        everywhere(cancel_while_breeding);
}

static void with_attributes(char *name, int i)
{
    require(strcmp(name, "x") == 0 && i == 3);
    count_end();
}

Test(scope, children_have_attributes, .timeout = 60)
{
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        cr_assert_eq(weft_scope_go_with(s, weft_attr(.name = "x", .stack_size = 1 << 20), with_attributes, "x", 3), 0);
        cr_assert_eq(weft_scope_go_with(s, weft_attr(.priority = 1), with_attributes, "x", 3), 0);
        cr_assert_eq(weft_scope_go_with(s, weft_attr(.priority = -1), with_attributes, "x", 3), 0);
        cr_assert_eq(weft_scope_go_with(s, weft_attr(.pin = true), with_attributes, "x", 3), 0);
        cr_assert_eq(weft_scope_go_with(s, NULL, with_attributes, "x", 3), 0);
    }
    cr_assert_eq(err, 0);
    cr_assert_eq(atomic_load(&ended), 5);
}

static int cancelled_with_attributes(void)
{
    require(weft_sleep(WEFT_HOUR) == -ECANCELED);
    count_end();
    return 0;
}

Test(scope, pinned_and_prioritised_children_are_cancelled, .timeout = 60)
{
    weft_scope(s) {
        cr_assert_eq(weft_scope_go_with(s, weft_attr(.pin = true), cancelled_with_attributes), 0);
        cr_assert_eq(weft_scope_go_with(s, weft_attr(.priority = 1), cancelled_with_attributes), 0);
        cr_assert_eq(weft_scope_go_with(s, weft_attr(.priority = -1), cancelled_with_attributes), 0);
        pause_thread_ms(5);
        weft_cancel(s);
    }
    cr_assert_eq(atomic_load(&ended), 3);
}

/* Nothing is started, the scope has the error, and the others are cancelled. */
Test(scope, a_child_that_cannot_be_started_is_an_error, .timeout = 60)
{
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        start_child(s, end_when_cancelled);
        int error = weft_scope_go_with(s, weft_attr(.stack_size = SIZE_MAX / 4), end_late, 0);
        cr_assert_lt(error, 0);
        cr_assert_eq(weft_sleep(WEFT_HOUR), -ECANCELED);
    }
    cr_assert_lt(err, 0);
    cr_assert_neq(err, -ECANCELED);
    cr_assert_eq(atomic_load(&ended), 1);
}

/* ---- names ---- */

static weft_scope_ref ended_scope(void)
{
    weft_scope_ref ref = NULL;
    weft_scope(s)
        ref = s;
    return ref;
}

static int use_late(weft_scope_ref ref)
{
    return weft_scope_go(ref, end_late, 0);
}

static void use_late_everywhere(void)
{
    weft_scope_ref old = ended_scope();
    int err = UNTOUCHED;
    weft_cancel(old);
    weft_scope(s, &err) {
        require(s != old);
        weft_cancel(old);
        require(!weft_cancelled());
        start_child(s, cancel_it, old);
        require(weft_timer_start(0, cancel_later, old) != NULL);
        require(weft_sleep(WEFT_MS) == 0);
        require(weft_try(use_late, old) == WEFT_EPANIC);
        require(!weft_cancelled());
    }
    require(err == 0);
    weft_cancel(NULL);
}

Test(scope, a_name_used_late_is_harmless, .timeout = 60)
{
    everywhere(use_late_everywhere);
    cr_assert_eq(atomic_load(&ended), 0);
}

static void start_in_no_scope(void)
{
    weft_scope_go(NULL, count_end);
}

Test(scope, starting_a_child_of_no_scope_panics, .timeout = 60)
{
    cr_assert_eq(weft_try(start_in_no_scope), WEFT_EPANIC);
    cr_assert_eq(weft_try_await(weft_async(start_in_no_scope), NULL), WEFT_EPANIC);
    cr_assert_eq(atomic_load(&ended), 0);
}

enum { REUSES = 1000000, OLD_NAMES = 64 };

/* Cells are taken again and again; an old name, also one kept for long, never hits. */
static void reuse(void)
{
    weft_scope_ref old[OLD_NAMES] = {NULL}, first = ended_scope();
    for (unsigned i = 0; i < REUSES; i++) {
        int err = UNTOUCHED;
        weft_scope(s, &err) {
            weft_cancel(old[i % OLD_NAMES]);
            weft_cancel(old[(i - 1) % OLD_NAMES]);
            weft_cancel(first);
            old[i % OLD_NAMES] = s;
        }
        require(err == 0);
    }
}

Test(scope, old_names_never_hit_another_scope, .timeout = 60)
{
    reuse();
    in_routine(reuse);
}

/* Others cancel by names that may be of a scope in progress, just ended, or long gone. */
static _Atomic(weft_scope_ref) shared_name;

static void cancel_shared(void)
{
    weft_scope_ref s;
    while (!atomic_load(&released)) {
        if ((s = atomic_load(&shared_name)) != NULL)
            weft_cancel(s);
        weft_yield();
    }
    count_end();
}

static void enter_and_leave(unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        int err = UNTOUCHED;
        weft_scope(s, &err) {
            atomic_store(&shared_name, s);
            if (i % 16 == 0)
                start_child(s, fail_with, 0);
        }
        require(err == 0 || err == -ECANCELED);
        weft_scope(s, &err)
            ;
        require(err == 0); /* nobody knows it */
    }
}

static void *cancel_shared_in_thread(void *unused)
{
    cancel_shared();
    return unused;
}

static int sleep_undisturbed(void)
{
    require(weft_sleep(5 * WEFT_US) == 0);
    return 0;
}

/* The inner scope is being visited when it is left; its cell is the next one's, which is shielded. */
static void leave_while_visited(unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        weft_scope(s) {
            weft_scope(t) {
                atomic_store(&shared_name, s);
                for (unsigned k = 0; k < i % 3; k++)
                    start_child(t, fail_with, 0);
                for (unsigned k = 0; k < i % 50; k++)
                    __builtin_ia32_pause();
            }
            weft_shield {
                weft_scope(t)
                    for (int k = 0; k < 3; k++)
                        start_child(t, sleep_undisturbed);
                require(weft_sleep(WEFT_US) == 0);
            }
        }
        require(weft_sleep(WEFT_US) == 0);
    }
}

Test(scope, cancellations_that_come_too_late_hit_nobody, .timeout = 60)
{
    pthread_t thread;
    start(cancel_shared);
    start(cancel_shared);
    cr_assert_eq(pthread_create(&thread, NULL, cancel_shared_in_thread, NULL), 0);
    unsigned rounds = WF_PERTURB ? 500 : 4000; /* where all are held up, all take long */
    in_routine(enter_and_leave, rounds);
    enter_and_leave(rounds / 8);
    in_routine(leave_while_visited, rounds);
    leave_while_visited(rounds / 8);
    atomic_store(&released, true);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    eventually(atomic_load(&ended) == 3);
}

/* The cell's generations are nearly used up: it is not used again, and old names do not become right. */
static void wear_out(void)
{
    enum { LAST = (1 << 23) - 1 };
    weft_scope_ref early = NULL, name[3] = {NULL};
    struct wf_scope *cell[3] = {NULL};
    for (int i = 0; i < 3; i++) {
        int err = UNTOUCHED;
        weft_scope(s, &err) {
            cell[i] = wf_container_of(wf_thread_self()->current->frame, struct wf_scope, frame);
            if (i == 0) {
                early = s;
                cell[0]->generation = LAST - 2; /* its name is not asked for any more */
            }
            name[i] = s;
            for (int k = 0; k < i; k++)
                weft_cancel(name[k]);
            weft_cancel(i > 0 ? early : NULL);
            require(!weft_cancelled());
        }
        require(err == 0);
    }
    require(cell[1] == cell[0]);                   /* generation LAST - 1 */
    require(cell[1]->generation == LAST);
    require(cell[2] != cell[0]);                   /* never again */
    for (int i = 0; i < 1000; i++)
        weft_scope(s)
            require((void *)wf_container_of(wf_thread_self()->current->frame, struct wf_scope, frame) != (void *)cell[0]);
}

static void set_generation(void)
{
    wear_out();
}

Test(scope, a_cell_whose_generations_are_used_up_is_not_used_again, .timeout = 60)
{
    set_generation();
    in_routine(set_generation);
}

/* ---- memory ---- */

static size_t heap_in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void scope_with_three(void)
{
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        start_child(s, fail_with, 0);
        weft_deadline(WEFT_SEC)
            start_child(s, count_end);
        weft_shield
            start_child(s, fail_with, 0);
    }
    require(err == 0);
}

static void count_heap(void)
{
    for (int i = 0; i < 1000; i++)
        scope_with_three();
    size_t before = heap_in_use();
    for (int i = 0; i < 10000; i++)
        scope_with_three();
    require(heap_in_use() < before + 65536); /* 7 bytes a scope; a thread more may come meanwhile */
}

Test(scope, nothing_is_allocated_for_a_scope_of_a_few_children, .timeout = 60)
{
    if (WF_ASAN)
        cr_skip_test("the sanitizer has a heap of its own");
    in_routine(count_heap);
    count_heap();
}

static void panic_again_and_again(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        int err = UNTOUCHED;
        weft_scope(s, &err) {
            for (int k = 0; k < 3; k++)
                start_child(s, panic_with, "again");
        }
        require(err == WEFT_EPANIC);
        require(weft_try(child_panics_without_err) == WEFT_EPANIC);
        require(weft_try(panic_inside, &err) == WEFT_EPANIC);
    }
}

static void panics_give_all_back(void)
{
    panic_again_and_again(20);
    size_t before = heap_in_use();
    panic_again_and_again(300);
    size_t after = heap_in_use();
    require(after < before + 20000);
}

Test(scope, panics_leave_no_memory_behind, .timeout = 60)
{
    if (WF_ASAN)
        cr_skip_test("the sanitizer has a heap of its own");
    panics_give_all_back();
    in_routine(panics_give_all_back);
}

/* ---- errno ---- */

static int set_errno(int value)
{
    errno = value;
    weft_yield();
    return errno == value ? 0 : 1;
}

static void keep_errno(void)
{
    int err = UNTOUCHED;
    errno = 77;
    weft_scope(s, &err) {
        for (int i = 0; i < 10; i++)
            start_child(s, set_errno, i);
        start_child(s, panic_with, "x");
        weft_deadline(0)
            weft_sleep(WEFT_SEC);
        weft_cancel(s);
    }
    require(errno == 77);
    require(err == WEFT_EPANIC || err == -ECANCELED);
}

Test(scope, errno_is_left_alone, .timeout = 60)
{
    everywhere(keep_errno);
}

/* ---- the end of the runtime ---- */

static int wait_stubbornly(void)
{
    int result = 0;
    weft_shield
        result = weft_sleep(WEFT_HOUR); /* not kept by a shield from weft_stop */
    require(result == -ECANCELED);
    count_end();
    return 0;
}

static void be_stopped(void)
{
    int err = UNTOUCHED;
    weft_deadline(WEFT_HOUR) {
        weft_scope(s, &err) {
            start_child(s, wait_stubbornly);
            start_child(s, end_when_cancelled);
            weft_scope(t)
                start_child(t, end_when_cancelled);
        }
    }
    atomic_store(&reached, true);
}

Test(scope, weft_stop_ends_scopes_in_progress, .timeout = 60)
{
    start(be_stopped);
    pause_thread_ms(20);
    cr_assert_eq(weft_stop(), 0);
    cr_assert_eq(atomic_load(&ended), 3);
    cr_assert(atomic_load(&reached));
    leave_at_the_end(); /* and starts anew */
}

static void *stop_in_thread(void *unused)
{
    require(weft_stop() == 0);
    return unused;
}

Test(scope, a_scope_of_a_plain_thread_outlives_the_runtime, .timeout = 60)
{
    pthread_t thread;
    int err = UNTOUCHED;
    weft_scope_ref old = ended_scope();
    weft_scope(s, &err) {
        start_child(s, end_when_cancelled);
        pause_thread_ms(5);
        cr_assert_eq(pthread_create(&thread, NULL, stop_in_thread, NULL), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
        cr_assert_eq(atomic_load(&ended), 1);
        weft_cancel(old);
        cr_assert_not(weft_cancelled());
        start_child(s, end_late, 0); /* starts it anew */
    }
    cr_assert_eq(err, 0);
    cr_assert_eq(atomic_load(&ended), 2);
}

Test(scope, old_names_are_harmless_after_the_runtime, .timeout = 60)
{
    weft_scope_ref names[100];
    for (int i = 0; i < 100; i++)
        names[i] = in_routine(ended_scope);
    for (int k = 0; k < 3; k++) {
        cr_assert_eq(weft_stop(), 0);
        for (int i = 0; i < 100; i++)
            weft_cancel(names[i]);
        everywhere(leave_at_the_end);
    }
}
