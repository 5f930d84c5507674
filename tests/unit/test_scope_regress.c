/* SPDX-License-Identifier: MIT */
/* test_scope_regress.c - scopes and deadlines: what once went wrong. */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <weft/weft.h>

#include "../support/child.h"
#include "../support/expect.h"

/* ---- deadlines around sleeps ---- */

static int sleep_in_a_passed_deadline(void)
{
    int error = 0;
    weft_deadline(1000 * WEFT_MS) weft_deadline(0) error = weft_sleep(500 * WEFT_MS);
    return error;
}

/* The outer deadline was armed under the lock that arming takes. */
Test(scope_regress, a_passed_deadline_inside_another_ends_a_sleep, .timeout = 60)
{
    cr_assert_eq(weft_await(weft_async(sleep_in_a_passed_deadline)), -ETIMEDOUT);
}

static int sleep_until_about_the_deadline(int n)
{
    for (int i = 0; i < n; i++)
        weft_deadline(200 * WEFT_US)
        {
            int error = weft_sleep(1000); /* arms it */
            require(error == 0 || error == -ETIMEDOUT);
            error = weft_sleep(195 * WEFT_US + i % 40 * 500);
            require(error == 0 || error == -ETIMEDOUT);
        }
    return 0;
}

/* Ending a sleep waited for its expiry, which came later in the same batch of timers, by the same thread. */
Test(scope_regress, a_deadline_and_a_sleep_expire_together, .timeout = 60)
{
    int err = -1;
    weft_scope(s, &err)
    {
        for (int i = 0; i < 4; i++)
            weft_scope_go(s, sleep_until_about_the_deadline, 300);
    }
    cr_assert_eq(err, 0);
}

/* ---- deadlines of plain threads ---- */

static int nothing(void)
{
    return 0;
}

/* Its timer was given to a worker that did not exist any more. */
Test(scope_regress, a_plain_threads_deadline_counts_after_the_runtime_was_stopped, .timeout = 60)
{
    cr_assert_eq(weft_await(weft_async(nothing)), 0);
    cr_assert_eq(weft_stop(), 0);
    int64_t begin = clock_ns();
    int error = 0;
    weft_deadline(10 * WEFT_MS) error = weft_sleep(30000 * WEFT_MS);
    cr_assert_eq(error, -ETIMEDOUT);
    cr_assert_lt(clock_ns() - begin, 20000 * WEFT_MS);
}

/* ---- ends ---- */

static int sleep_long(void)
{
    return weft_sleep(30000 * WEFT_MS);
}

static void *exit_in_a_scope(void *arg)
{
    weft_scope(s)
    {
        require(weft_scope_go(s, sleep_long) == 0);
        weft_exit();
    }
    return arg;
}

/* It waited for the children without cancelling them. */
Test(scope_regress, weft_exit_on_a_plain_thread_cancels_the_scope, .timeout = 60)
{
    pthread_t thread;
    int64_t begin = clock_ns();
    require(pthread_create(&thread, NULL, exit_in_a_scope, NULL) == 0);
    pthread_join(thread, NULL);
    cr_assert_lt(clock_ns() - begin, 20000 * WEFT_MS);
}

/* What a block is in code compiled without -fexceptions: no cleanup leaves it when a panic passes. */
static __attribute__((noinline)) int panic_in_blocks_without_cleanups(void)
{
    struct weft__scope_block scope;
    struct weft__deadline deadline;
    struct weft__shield shield;
    weft__scope_enter(&scope, NULL);
    require(weft_scope_go(scope.ref, sleep_long) == 0);
    weft__deadline_enter(&deadline, 2 * WEFT_MS);
    int error = weft_sleep(1000); /* arms it */
    require(error == 0 || error == -ETIMEDOUT);
    weft__shield_enter(&shield);
    weft_panic("in code without cleanups");
}

static void overwrite_the_stack_and_sleep(int *guarded)
{
    volatile unsigned char where_they_were[4096];
    for (size_t i = 0; i < sizeof(where_they_were); i++)
        where_they_were[i] = 0x5a;
    require(weft_sleep(5 * WEFT_MS) == 0 && *guarded == 1);
}

static int panic_through_both(void)
{
    int guarded __attribute__((unused, cleanup(overwrite_the_stack_and_sleep))) = 1;
    int err = -1;
    weft_scope(s, &err) return panic_in_blocks_without_cleanups();
    return err;
}

static int try_both(void)
{
    for (int i = 0; i < 20; i++)
        require(weft_try(panic_through_both) == WEFT_EPANIC);
    return weft_sleep(5 * WEFT_MS);
}

/* Its blocks stayed in the routine's chain, and their timers in the wheel, while other cleanups used the stack. */
Test(scope_regress, cleanups_run_after_a_panic_has_left_code_without_them, .timeout = 60)
{
    cr_assert_eq(weft_await(weft_async(try_both)), 0);
}

/* ---- races ---- */

static _Atomic(weft_scope_ref) present;
static atomic_bool done;

static void *cancel_all_the_time(void *arg)
{
    while (!atomic_load(&done))
        weft_cancel(atomic_load(&present));
    return arg;
}

/* Up to so many times: where the canceller has to share a CPU with the routine each takes a few turns of the scheduler. */
static int await_nothing(int n)
{
    weft_future(int) nothing_ever = NULL;
    int64_t end_ns = clock_ns() + 3 * WEFT_SEC;
    for (int i = 0; i < n && clock_ns() < end_ns; i++) {
        int error = 0, value;
        weft_scope(s)
        {
            atomic_store(&present, s);
            error = weft_try_await(nothing_ever, &value);
        }
        require(error == -ECANCELED);
    }
    return 0;
}

/* A wait that was refused was ended once more by the canceller, and its routine ran twice. */
Test(scope_regress, a_wait_for_no_future_is_ended_once, .timeout = 60)
{
    pthread_t thread;
    require(pthread_create(&thread, NULL, cancel_all_the_time, NULL) == 0);
    cr_assert_eq(weft_await(weft_async(await_nothing, 2000)), 0);
    atomic_store(&done, true);
    pthread_join(thread, NULL);
}

/* ---- misuse ---- */

static void go_into_no_scope(void)
{
    weft_scope_go((weft_scope_ref)NULL, nothing);
}

static void await_in_a_cancelled_scope(void)
{
    weft_scope(s)
    {
        weft_cancel(s);
        weft_await((weft_future(int))NULL);
    }
}

Test(scope_regress, no_scope_has_ended, .timeout = 60)
{
    cr_assert_eq(weft_try(go_into_no_scope), WEFT_EPANIC);
}

/* It ended the process' main thread, by pthread_exit. */
Test(scope_regress, a_cancelled_await_panics_on_a_plain_thread, .timeout = 60)
{
    cr_assert_eq(weft_try(await_in_a_cancelled_scope), WEFT_EPANIC);
}

/* ---- panics of children ---- */

static int fail_at_once(void)
{
    return -EIO;
}

static int panic_when_cancelled(void)
{
    require(weft_sleep(30000 * WEFT_MS) == -ECANCELED);
    weft_panic("while cleaning up");
}

static int one_fails_one_panics(void)
{
    weft_scope(s)
    {
        weft_scope_go(s, panic_when_cancelled);
        weft_scope_go(s, fail_at_once);
    }
    return 0;
}

/* It was dropped because another child's error had come first. */
Test(scope_regress, a_panic_after_an_error_is_raised_again, .timeout = 60)
{
    cr_assert_eq(weft_try(one_fails_one_panics), WEFT_EPANIC);
    cr_assert_str_eq(weft_try_message(), "while cleaning up");
}

static int panic_deep_inside(void)
{
    weft_panic("deep inside");
}

static int report_a_panic(void)
{
    int err = 0;
    weft_scope(s, &err)
    {
        weft_scope_go(s, panic_deep_inside);
    }
    return err;
}

/* A child that returned WEFT_EPANIC was taken for one whose message had found no memory. */
Test(scope_regress, a_panic_that_is_passed_on_as_an_error_keeps_its_message, .timeout = 60)
{
    int err = 0;
    weft_scope(s, &err) weft_scope_go(s, report_a_panic);
    cr_assert_eq(err, WEFT_EPANIC);
    cr_assert_str_eq(weft_try_message(), "deep inside");
}

/* ---- restarts ---- */

static atomic_bool over;

static void *enter_deadlines(void *arg)
{
    while (!atomic_load(&over))
        weft_deadline(20 * WEFT_US) weft_sleep(1);
    return arg;
}

/* Who started it found that another thread had woken the first worker, and took that for a failure. */
Test(scope_regress, the_runtime_starts_while_others_use_it, .timeout = 60)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        require(pthread_create(&threads[i], NULL, enter_deadlines, NULL) == 0);
    for (int i = 0; i < 600; i++) {
        for (int k = 0; k < 10; k++)
            cr_assert_eq(weft_go(nothing), 0);
        cr_assert_eq(weft_stop(), 0);
    }
    atomic_store(&over, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

/* ---- threads that end inside a block ---- */

static void *end_inside(void *arg)
{
    static struct weft__scope_block block; /* without its cleanup */
    weft__scope_enter(&block, NULL);
    return arg;
}

static void end_a_thread_inside(void)
{
    pthread_t thread;
    require(pthread_create(&thread, NULL, end_inside, NULL) == 0);
    pthread_join(thread, NULL);
}

/* Children went on using the thread's memory. */
Test(scope_regress, a_thread_that_ends_inside_a_scope_without_cleanups_is_told, .timeout = 60)
{
    struct ending e = run_in_child(end_a_thread_inside, 20);
    cr_assert_eq(e.signal, SIGABRT);
    cr_assert(says(&e, "ended inside a weft_scope"));
}
