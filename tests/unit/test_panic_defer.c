/* SPDX-License-Identifier: MIT */
/* test_panic_defer.c - weft_defer's functions run at the end of their block, whichever way it is left. */
#include <criterion/criterion.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <weft/go.h>
#include <weft/weft.h>

#include "../support/panics.h"
#include "../support/start.h"
#include "scope/panic.h"

static void note(void *arg)
{
    ++*(int *)arg;
}

static const char *evaluated(const char *what)
{
    tell("(");
    return what;
}

static int return_from_within(int n)
{
    weft_defer(tell, "o");
    {
        weft_defer(tell, "i");
        if (n == 1)
            return n;
        if (n == 2)
            goto out;
    }
    tell("-");
out:
    tell("=");
    return n;
}

Test(defer, runs_at_the_end_of_its_block_the_last_first, .timeout = 60)
{
    int deferred = 0;
    {
        weft_defer(note, &deferred);
        weft_defer(tell, evaluated("a"));
        defer(tell, "b");
        cr_assert_eq(deferred, 0);
        tell(".");
    }
    cr_assert_eq(deferred, 1);
    cr_assert(told("(.ba"));
    for (int i = 0; i < 3; i++) {
        weft_defer(tell, "l");
        if (i == 0)
            continue;
        tell("b");
        if (i == 1)
            break;
    }
    cr_assert(told("lbl"));
    cr_assert_eq(return_from_within(0), 0);
    cr_assert(told("i-=o"));
    cr_assert_eq(return_from_within(1), 1);
    cr_assert(told("io"));
    cr_assert_eq(return_from_within(2), 2);
    cr_assert(told("i=o"));
label:;
    weft_defer(tell, "x");
    weft_defer(free, malloc(1));
    if (deferred++ == 1)
        goto label; /* leaves the block of what follows the label */
    cr_assert(told("x"));
}

Test(defer, runs_when_a_panic_passes, .timeout = 60)
{
    cr_assert_eq(weft_try(panic_among_defers, "passes"), WEFT_EPANIC);
    cr_assert(told("321"));
    cr_assert_eq(weft_try_await(weft_async(panic_among_defers, "passes"), NULL), WEFT_EPANIC);
    cr_assert(told("321"));
    cr_assert_eq(atomic_load(&cleanups), 4);
}

static int exit_among_defers(void)
{
    weft_defer(tell, "1");
    weft_defer(tell, "2");
    weft_exit();
}

Test(defer, runs_when_weft_exit_passes, .timeout = 60)
{
    in_routine(exit_among_defers);
    cr_assert(told("21"));
}

static void fail_in_defers_further_up(void)
{
    weft_defer(tell, "0");
    weft_defer(fail_with, "fourth");
    fail_in_defers();
}

Test(defer, that_panics_while_a_panic_passes_replaces_it_and_the_others_run, .timeout = 60)
{
    cr_assert_eq(weft_try(fail_in_defers), WEFT_EPANIC);
    cr_assert(told("3f2f1"));
    cr_assert_str_eq(weft_try_message(), "third");
    cr_assert_eq(weft_try(fail_in_defers_further_up), WEFT_EPANIC);
    cr_assert(told("3f2f1f0"));
    cr_assert_str_eq(weft_try_message(), "fourth");
    cr_assert_eq(wf_panic_departures(), 0);
    cr_assert_eq(weft_try_await(weft_async(fail_in_defers_further_up), NULL), WEFT_EPANIC);
    cr_assert(told("3f2f1f0"));
    cr_assert_str_eq(weft_try_message(), "fourth");
}

static void end_normally_with_a_bad_defer(void)
{
    weft_defer(tell, "1");
    weft_defer(fail_with, "at the end");
    weft_defer(tell, "2");
}

Test(defer, that_panics_at_the_end_of_its_block_is_an_ordinary_panic, .timeout = 60)
{
    cr_assert_eq(weft_try(end_normally_with_a_bad_defer), WEFT_EPANIC);
    cr_assert(told("2f1"));
    cr_assert_str_eq(weft_try_message(), "at the end");
}

/* The block inside is left by a panic of its own, not by the one that passes outside. */
static void fail_in_a_block_inside(const char *message)
{
    {
        weft_defer(fail_with, message);
        tell("b");
    }
    tell("not here");
}

static void defer_a_block_that_fails(void)
{
    weft_defer(tell, "1");
    weft_defer(fail_in_a_block_inside, "inside");
    weft_panic("outside");
}

Test(defer, whose_function_has_defers_that_panic_is_left_by_that_panic, .timeout = 60)
{
    cr_assert_eq(weft_try(defer_a_block_that_fails), WEFT_EPANIC);
    cr_assert(told("bf1"));
    cr_assert_str_eq(weft_try_message(), "inside");
}

/* May be inlined into the frame that is being left. */
static inline void try_a_block_inside(int *unused)
{
    (void)unused;
    require(weft_try(fail_in_a_block_inside, "inside") == WEFT_EPANIC);
    require(strcmp(weft_try_message(), "inside") == 0);
}

static void clean_up_with_blocks(void)
{
    __attribute__((cleanup(try_a_block_inside), unused)) int guard = 0;
    weft_panic("%d %d %d %d %d %d %d %d %d %d %d %d %d %d outside", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14);
}

Test(defer, that_panics_inside_a_cleanup_leaves_what_the_cleanup_tries, .timeout = 60)
{
    cr_assert_eq(weft_try(clean_up_with_blocks), WEFT_EPANIC);
    cr_assert(told("bf"));
    cr_assert_not_null(strstr(weft_try_message(), "14 outside"));
    cr_assert_eq(wf_panic_departures(), 0);
}

static void try_in_a_defer(const char *message)
{
    require(weft_try(fail_in_defers) == WEFT_EPANIC);
    require(strcmp(weft_try_message(), "third") == 0);
    require(weft_try_await(weft_async(descend, 0, message), NULL) == WEFT_EPANIC);
    require(weft_sleep(WEFT_MS) == 0);
}

static void panic_over_tries(void)
{
    weft_defer(tell, "0");
    weft_defer(try_in_a_defer, "inner");
    weft_panic("outer");
}

Test(defer, may_catch_panics_and_wait_while_one_passes, .timeout = 60)
{
    cr_assert_eq(weft_try(panic_over_tries), WEFT_EPANIC);
    cr_assert(told("3f2f10"));
    cr_assert_str_eq(weft_try_message(), "outer");
    cr_assert_eq(weft_try_await(weft_async(panic_over_tries), NULL), WEFT_EPANIC);
    cr_assert_str_eq(weft_try_message(), "outer");
    cr_assert_eq(wf_panic_departures(), 0);
}

static int exit_over_a_bad_defer(void)
{
    weft_defer(tell, "1");
    weft_defer(fail_with, "from the defer");
    weft_exit();
}

Test(defer, that_panics_while_weft_exit_passes_replaces_it, .timeout = 60)
{
    cr_assert_eq(weft_try_await(weft_async(exit_over_a_bad_defer), NULL), WEFT_EPANIC);
    cr_assert(told("f1"));
    cr_assert_str_eq(weft_try_message(), "from the defer");
}

static int exit_under_a_try(void)
{
    weft_defer(tell, "0");
    require(weft_try(exit_over_a_bad_defer) == WEFT_EPANIC);
    tell("t");
    return 5;
}

Test(defer, that_panics_while_weft_exit_passes_is_caught_by_a_try_not_yet_left, .timeout = 60)
{
    cr_assert_eq(in_routine(exit_under_a_try), 5);
    cr_assert(told("f1t0"));
}

static void leave_routine(const char *what)
{
    tell(what);
    weft_exit();
}

static void panic_over_an_exit(void)
{
    weft_defer(tell, "1");
    weft_defer(leave_routine, "x");
    weft_panic("forgotten");
}

static int try_a_panic_over_an_exit(void)
{
    weft_defer(tell, "0");
    weft_try(panic_over_an_exit);
    tell("not here");
    return 5;
}

Test(defer, that_ends_the_routine_while_a_panic_passes_ends_it, .timeout = 60)
{
    int result = 7;
    cr_assert_eq(weft_try_await(weft_async(try_a_panic_over_an_exit), &result), 0);
    cr_assert_eq(result, 0);
    cr_assert(told("x10"));
}

static void *exit_thread_over_defers(void *arg)
{
    weft_defer(tell, "1");
    require(weft_try(exit_among_defers) == 0);
    return arg;
}

Test(defer, runs_when_weft_exit_ends_a_plain_thread, .timeout = 60)
{
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, exit_thread_over_defers, NULL), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert(told("211"));
}

static void count_departures(unsigned *most)
{
    unsigned n = wf_panic_departures();
    if (n > *most)
        *most = n;
}

static void count_over_a_panic(unsigned *most)
{
    weft_defer(count_departures, most);
    weft_panic("counted");
}

static void count_twice(unsigned *most)
{
    require(wf_panic_departures() == 1);
    require(weft_try(count_over_a_panic, most) == WEFT_EPANIC);
    require(wf_panic_departures() == 1);
}

static void count_nested(unsigned *most)
{
    weft_defer(count_twice, most);
    weft_panic("counted");
}

Test(panic, departures_are_counted_while_they_last, .timeout = 60)
{
    unsigned most = 0;
    cr_assert_eq(wf_panic_departures(), 0);
    cr_assert_eq(weft_try(count_over_a_panic, &most), WEFT_EPANIC);
    cr_assert_eq(most, 1);
    cr_assert_eq(wf_panic_departures(), 0);
    cr_assert_eq(weft_try(count_nested, &most), WEFT_EPANIC);
    cr_assert_eq(most, 2);
    cr_assert_eq(wf_panic_departures(), 0);
}
