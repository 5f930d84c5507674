/* SPDX-License-Identifier: MIT */
/* test_scope_block.c - the block of a weft_scope is a statement of C, whose every way out waits for the children. */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <weft/weft.h>

#include "../support/everywhere.h"
#include "../support/scopes.h"
#include "../support/start.h"

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
