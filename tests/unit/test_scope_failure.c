/* SPDX-License-Identifier: MIT */
/* test_scope_failure.c - a child that fails, by its value or a panic, cancels its scope, which then has the failure. */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <weft/weft.h>

#include "../support/child.h"
#include "../support/everywhere.h"
#include "../support/scopes.h"

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
