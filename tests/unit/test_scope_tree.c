/* SPDX-License-Identifier: MIT */
/* test_scope_tree.c - trees of scopes with children of every kind, however deep, however many. */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <weft/weft.h>

#include "../support/everywhere.h"
#include "../support/scopes.h"

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
