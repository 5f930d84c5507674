/* SPDX-License-Identifier: MIT */
/* test_panic.c - panics and weft_try as weft/panic.h promises them. */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>

#include <weft/go.h>
#include <weft/weft.h>

#include "../support/child.h"
#include "../support/expect.h"
#include "base/compiler.h"
#include "config.h"
#include "scope/panic.h"
#include "stack/arena.h"

#define start(...) require(weft_go(__VA_ARGS__) == 0)
#define in_routine(...) weft_await(weft_async(__VA_ARGS__))

static atomic_uint cleanups;
static atomic_bool reached;

static void count_cleanup(unsigned *unused)
{
    (void)unused;
    atomic_fetch_add(&cleanups, 1);
}

/* Panics at depth 0, with something to clean up in each frame. */
static unsigned descend(unsigned depth, const char *message)
{
    __attribute__((cleanup(count_cleanup))) unsigned guard = 1;
    if (depth == 0) {
        if (message != NULL)
            weft_panic("%s", message);
        return 1;
    }
    return descend(depth - 1, message) + guard;
}

static unsigned wait_and_descend(unsigned depth, const char *message)
{
    require(weft_sleep(200 * WEFT_US) == 0);
    unsigned n = descend(depth, message);
    return n;
}

/* ---- weft_try ---- */

static int try_both(void)
{
    require(weft_try(descend, 3, NULL) == 0);
    require(atomic_load(&cleanups) == 4);
    require(weft_try(descend, 3, "first") == WEFT_EPANIC);
    require(atomic_load(&cleanups) == 8);
    require(strcmp(weft_try_message(), "first") == 0);
    require(weft_try(wait_and_descend, 1, "second") == WEFT_EPANIC);
    require(atomic_load(&cleanups) == 10);
    require(strcmp(weft_try_message(), "second") == 0);
    return 1;
}

Test(panic, try_reports_it_in_a_routine, .timeout = 60)
{
    cr_assert_eq(in_routine(try_both), 1);
}

Test(panic, try_reports_it_in_main, .timeout = 60)
{
    cr_assert_eq(try_both(), 1);
}

static void *try_in_thread(void *arg)
{
    require(try_both() == 1);
    return arg;
}

Test(panic, try_reports_it_in_a_plain_thread, .timeout = 60)
{
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, try_in_thread, NULL), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
}

static void note_sum(long *out, int a, double b, long c, long d, long e, long f, long g, long h, long double i)
{
    *out = a + (long)b + c + d + e + f + g + h + (long)i;
    atomic_store(&reached, true);
}

Test(panic, try_passes_every_argument, .timeout = 60)
{
    long sum = 0;
    cr_assert_eq(weft_try(note_sum, &sum, 1, 2, 3, 4, 5, 6, 7, 8, 9), 0);
    cr_assert_eq(sum, 45);
}

static int try_inside(void)
{
    require(weft_try(descend, 1, "inner") == WEFT_EPANIC);
    require(strcmp(weft_try_message(), "inner") == 0);
    require(weft_try(descend, 1, NULL) == 0);
    weft_panic("outer after %s", weft_try_message());
    return 0;
}

static int try_nested(void)
{
    require(weft_try(try_inside) == WEFT_EPANIC);
    require(strcmp(weft_try_message(), "outer after inner") == 0);
    require(weft_try(try_inside) == WEFT_EPANIC);
    return 2;
}

Test(panic, tries_nest, .timeout = 60)
{
    cr_assert_eq(in_routine(try_nested), 2);
    cr_assert_eq(try_nested(), 2);
}

static void try_and_stay(unsigned i, atomic_uint *ended)
{
    char message[32];
    snprintf(message, sizeof(message), "of %u", i);
    for (unsigned k = 0; k < 20; k++) {
        require(weft_try(wait_and_descend, 2, message) == WEFT_EPANIC);
        weft_yield();
        require(strcmp(weft_try_message(), message) == 0);
    }
    atomic_fetch_add(ended, 1);
}

/* Waits inside weft_try move the routine to other threads; the record and the message move with it. */
Test(panic, tries_of_many_routines_do_not_mix, .timeout = 60)
{
    atomic_uint ended = 0;
    for (unsigned i = 0; i < 50; i++)
        start(try_and_stay, i, &ended);
    eventually(atomic_load(&ended) == 50);
    cr_assert_eq(atomic_load(&cleanups), 50 * 20 * 3);
}

Test(panic, the_message_is_empty_before_the_first, .timeout = 60)
{
    cr_assert_str_eq(weft_try_message(), "");
}

static void panic_long(void)
{
    char text[1001];
    memset(text, 'x', 1000);
    text[1000] = '\0';
    weft_panic("%s", text);
}

Test(panic, of_a_long_message_255_bytes_are_kept, .timeout = 60)
{
    cr_assert_eq(weft_try(panic_long), WEFT_EPANIC);
    cr_assert_eq(strlen(weft_try_message()), 255);
}

static void panic_formatted(void)
{
    weft_panic("%d %s %.1f", 7, "seven", 7.5);
}

Test(panic, the_message_is_formatted, .timeout = 60)
{
    cr_assert_eq(weft_try(panic_formatted), WEFT_EPANIC);
    cr_assert_str_eq(weft_try_message(), "7 seven 7.5");
}

static void panic_in_cleanup(unsigned *unused)
{
    (void)unused;
    require(weft_try(descend, 1, "while cleaning up") == WEFT_EPANIC);
    weft_yield();
    atomic_fetch_add(&cleanups, 1);
}

static void clean_up_with_try(void)
{
    __attribute__((cleanup(panic_in_cleanup))) unsigned guard = 0;
    (void)guard;
    weft_panic("the first");
}

Test(panic, a_cleanup_may_try_and_wait, .timeout = 60)
{
    cr_assert_eq(weft_try(clean_up_with_try), WEFT_EPANIC);
    cr_assert_str_eq(weft_try_message(), "the first");
    cr_assert_eq(atomic_load(&cleanups), 3);
    cr_assert_eq(weft_try_await(weft_async(clean_up_with_try), NULL), WEFT_EPANIC);
    cr_assert_str_eq(weft_try_message(), "the first");
    cr_assert_eq(atomic_load(&cleanups), 6);
}

static void misuse(weft_chan(int) c)
{
    weft_chan_close(c);
}

Test(panic, misuse_is_one_and_can_be_caught, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    weft_chan_close(c);
    cr_assert_eq(weft_try(misuse, c), WEFT_EPANIC);
    cr_assert_neq(strlen(weft_try_message()), 0);
    cr_assert_eq(weft_try_await(weft_async(misuse, c), NULL), WEFT_EPANIC);
}

/* ---- one that nobody sees ---- */

static void wait_for_ever(void)
{
    pause_thread_for_ever();
}

static void panic_unseen(void)
{
    weft_go_with(weft_attr(.name = "the guilty one"), descend, 4, "all is lost");
    wait_for_ever();
}

Test(panic, that_nobody_sees_stops_the_process_with_a_report, .timeout = 60)
{
    struct ending e = run_in_child(panic_unseen, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "all is lost"), "%s", e.text);
    cr_assert(says(&e, "the guilty one"), "%s", e.text);
    cr_assert(says(&e, "test_panic.c:"), "%s", e.text);
    cr_assert(says(&e, "(descend)"), "%s", e.text);
    cr_assert(says(&e, "routine 1"), "%s", e.text);
}

static void panic_unseen_in_main(void)
{
    descend(2, "in main");
}

Test(panic, that_nobody_sees_in_main_stops_the_process, .timeout = 60)
{
    struct ending e = run_in_child(panic_unseen_in_main, 20);
    cr_assert_eq(e.signal, SIGABRT);
    cr_assert(says(&e, "in main"), "%s", e.text);
}

static void panic_after_try(void)
{
    require(weft_try(descend, 0, "caught") == WEFT_EPANIC);
    weft_panic("not caught");
}

static void start_panic_after_try(void)
{
    weft_go(panic_after_try);
    wait_for_ever();
}

Test(panic, after_a_try_has_ended_is_not_caught_by_it, .timeout = 60)
{
    struct ending e = run_in_child(start_panic_after_try, 20);
    cr_assert_eq(e.signal, SIGABRT);
    cr_assert(says(&e, "not caught"), "%s", e.text);
}

static void report_by_hand(const char *message, uint64_t id, void *arg)
{
    fprintf(stderr, "seen by hand: %s of %d, %s\n", message, id != 0, (const char *)arg);
}

static void report_by_hand_and_leave(const char *message, uint64_t id, void *arg)
{
    report_by_hand(message, id, arg);
    _exit(7);
}

static void configure_return(void)
{
    static char arg[] = "with its argument";
    require(weft_start(&(weft_config){.on_panic = report_by_hand, .on_panic_arg = arg}) == 0);
    weft_go(descend, 1, "bad luck");
    wait_for_ever();
}

static void configure_exit(void)
{
    static char arg[] = "with its argument";
    require(weft_start(&(weft_config){.on_panic = report_by_hand_and_leave, .on_panic_arg = arg}) == 0);
    weft_go(descend, 1, "bad luck");
    wait_for_ever();
}

Test(panic, on_panic_gets_message_routine_and_argument, .timeout = 60)
{
    struct ending e = run_in_child(configure_exit, 20);
    cr_assert_eq(e.exit_status, 7);
    cr_assert(says(&e, "seen by hand: bad luck of 1, with its argument"), "%s", e.text);
}

Test(panic, the_process_is_stopped_when_on_panic_returns, .timeout = 60)
{
    struct ending e = run_in_child(configure_return, 20);
    cr_assert_eq(e.signal, SIGABRT);
    cr_assert(says(&e, "seen by hand"), "%s", e.text);
}

static void unlock_what_is_not_locked(int *unused)
{
    weft_mutex m = {0};
    (void)unused;
    weft_mutex_unlock(&m);
}

static void panic_over_a_bad_cleanup(void)
{
    int here __attribute__((cleanup(unlock_what_is_not_locked), unused)) = 0;
    weft_panic("the first");
}

Test(try, catches_what_a_cleanup_raises_while_a_panic_passes, .timeout = 60)
{
#ifdef __clang__
    cr_skip_test("clang ends the process when a cleanup that is not a weft_defer raises something");
#endif
    cr_assert_eq(weft_try(panic_over_a_bad_cleanup), WEFT_EPANIC);
    cr_assert_not_null(strstr(weft_try_message(), "not locked"));
    cr_assert_eq(weft_try(panic_over_a_bad_cleanup), WEFT_EPANIC);
}

static void exit_under_try(void)
{
    weft_exit();
}

static void panic_at_the_end(int *unused)
{
    (void)unused;
    weft_panic("from the cleanup");
}

static void leave_through_a_try(void)
{
    int here __attribute__((cleanup(panic_at_the_end), unused)) = 0;
    weft_try(exit_under_try);
}

Test(try, that_weft_exit_has_left_catches_nothing_more, .timeout = 60)
{
#ifdef __clang__
    cr_skip_test("clang ends the process when a cleanup that is not a weft_defer raises something");
#endif
    cr_assert_eq(weft_try_await(weft_async(leave_through_a_try), NULL), WEFT_EPANIC);
    cr_assert_str_eq(weft_try_message(), "from the cleanup");
}

/* ---- weft_defer ---- */

/* What happened, in order. */
static char story[64];

static void tell(const char *what)
{
    strncat(story, what, sizeof(story) - strlen(story) - 1);
}

static bool told(const char *expected)
{
    bool same = strcmp(story, expected) == 0;
    if (!same)
        fprintf(stderr, "told \"%s\", not \"%s\"\n", story, expected);
    story[0] = '\0';
    return same;
}

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

static void panic_among_defers(const char *message)
{
    weft_defer(tell, "1");
    {
        weft_defer(tell, "2");
        weft_defer(tell, "3");
        descend(1, message);
        tell("not here");
    }
    tell("nor here");
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

static void fail_with(const char *message)
{
    tell("f");
    weft_panic("%s", message);
}

static void fail_in_defers(void)
{
    weft_defer(tell, "1");
    weft_defer(fail_with, "third");
    weft_defer(tell, "2");
    weft_defer(fail_with, "second");
    weft_defer(tell, "3");
    weft_panic("first");
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

/* ---- with an error ---- */

static void end_with(int error)
{
    weft_defer(tell, "d");
    wf_panic_error(error, "ended by %d", error);
}

static void start_end_with(void)
{
    weft_go(end_with, -ECANCELED);
    wait_for_ever();
}

Test(panic, with_an_error_is_one_like_any_other_while_the_runtime_runs, .timeout = 60)
{
    struct ending e = run_in_child(start_end_with, 20);
    cr_assert_eq(e.signal, SIGABRT);
    cr_assert(says(&e, "panic: ended by -125"), "%s", e.text);
    cr_assert_eq(weft_try(end_with, -ETIMEDOUT), WEFT_EPANIC);
    cr_assert_str_eq(weft_try_message(), "ended by -110");
    cr_assert_eq(weft_try_await(weft_async(end_with, -ECANCELED), NULL), -ECANCELED, "the future has the error");
    cr_assert(told("dd"));
}

static atomic_uint n_ended;

static void count_end(void *unused)
{
    (void)unused;
    atomic_fetch_add(&n_ended, 1);
}

static void await_for_ever(bool under_try)
{
    weft_future(int) never = NULL;
    weft_defer(count_end, NULL);
    atomic_store(&reached, true);
    if (under_try)
        require(weft_try(await_for_ever, false) == WEFT_EPANIC);
    else
        weft_await(never);
}

static void stop_all(void)
{
    weft_future(void) f = weft_async(await_for_ever, false);
    weft_go(await_for_ever, false);
    weft_go(await_for_ever, true);
    eventually(atomic_load(&reached));
    require(weft_stop() == 0);
    require(atomic_load(&n_ended) == 4);
    require(weft_future_done(f));
}

Test(panic, of_a_wait_ended_by_weft_stop_ends_the_routine_quietly, .timeout = 60)
{
    struct ending e = run_in_child(stop_all, 20);
    cr_assert_eq(e.exit_status, 0, "%s", e.text);
    cr_assert_str_empty(e.text);
}

/* ---- the backtrace ---- */

static __attribute__((noinline)) void panic_at_line(void)
{
    weft_panic("look where");
}
enum { PANIC_LINE = __LINE__ - 2 };

static __attribute__((noinline)) void middle(void)
{
    panic_at_line();
    atomic_store(&reached, true); /* no tail call */
}

static void start_middle(void)
{
    weft_go(middle);
    wait_for_ever();
}

static void run_middle(void)
{
    middle();
}

static void detach_middle(void)
{
    weft_detach(weft_async(middle));
    wait_for_ever();
}

#define FAR_STACK weft_attr(.stack_size = 1 << 20, .pin = true, .name = "far")

static void start_pinned_middle(void)
{
    weft_go_with(FAR_STACK, middle);
    wait_for_ever();
}

static void expect_trace(void (*fn)(void))
{
    struct ending e = run_in_child(fn, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "look where"), "%s", e.text);
    cr_assert(says(&e, "weft:   #0 "), "%s", e.text);
    cr_assert(says(&e, "weft:   #1 "), "%s", e.text);
    cr_assert_not(says(&e, "weft_panic"), "%s", e.text);
    cr_assert_not(says(&e, "wf_"), "%s", e.text);
    if (!WF_HAVE_LIBDW)
        return;
    char line[32];
    snprintf(line, sizeof(line), "test_panic.c:%d\n", PANIC_LINE);
    const char *first = strstr(e.text, "#0 panic_at_line at "), *second = strstr(e.text, "#1 middle at ");
    cr_assert_not_null(first, "%s", e.text);
    cr_assert_not_null(second, "%s", e.text);
    cr_assert(first < strstr(e.text, line) && strstr(e.text, line) < second, "%s", e.text);
}

Test(panic, that_nobody_sees_says_which_calls_led_to_it, .timeout = 60)
{
    expect_trace(start_middle);
    expect_trace(run_middle);
    expect_trace(start_pinned_middle);
    expect_trace(detach_middle);
}

/* Room for the page that the report is shared in, not for the stack that it is printed on. */
static void panic_without_memory(void)
{
    unsigned long pages = 0;
    require(weft_try(descend, 0, "for whatever is loaded at the first time") == WEFT_EPANIC);
    FILE *f = fopen("/proc/self/statm", "r");
    require(f != NULL && fscanf(f, "%lu", &pages) == 1);
    fclose(f);
    rlim_t most = pages * 4096 + (1 << 20);
    require(setrlimit(RLIMIT_AS, &(struct rlimit){most, most}) == 0);
    middle();
}

Test(panic, that_nobody_sees_has_bare_addresses_where_names_cannot_be_had, .timeout = 60)
{
    if (WF_ASAN)
        cr_skip_test("the sanitizer needs address space");
    struct ending e = run_in_child(panic_without_memory, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "look where"), "%s", e.text);
    cr_assert(says(&e, "#0 0x"), "%s", e.text);
    cr_assert(says(&e, "#1 0x"), "%s", e.text);
}

/* ---- nobody sees it, in other ways ---- */

static void detach_after_panic(bool look_first)
{
    weft_future(unsigned) f = weft_async(descend, 0, "detached too late");
    eventually(weft_future_done(f));
    if (look_first)
        require(weft_try_await(f, NULL) == WEFT_EPANIC);
    weft_detach(f);
}

static void detach_unseen(void)
{
    detach_after_panic(false);
}

static void detach_seen(void)
{
    detach_after_panic(true);
}

Test(panic, whose_future_is_detached_unseen_stops_the_process, .timeout = 60)
{
    struct ending e = run_in_child(detach_unseen, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "detached too late"), "%s", e.text);
    cr_assert(says(&e, "in routine 1, started at"), "%s", e.text);
    cr_assert(says(&e, "test_panic.c:"), "%s", e.text);
    if (WF_HAVE_LIBDW)
        cr_assert(says(&e, "#0 descend"), "%s", e.text);
    e = run_in_child(detach_seen, 20);
    cr_assert_eq(e.exit_status, 0, "%s", e.text);
    cr_assert_str_empty(e.text);
}

static void park_then_say(const char *message, uint64_t id, void *arg)
{
    (void)arg;
    require(weft_sleep(5 * WEFT_MS) == 0);
    require(weft_id() == id);
    fprintf(stderr, "seen after a wait: %s\n", message);
}

static void panic_too(const char *message, uint64_t id, void *arg)
{
    (void)id, (void)arg;
    weft_panic("by hand after %s", message);
}

static void end_routine_instead(const char *message, uint64_t id, void *arg)
{
    (void)message, (void)id, (void)arg;
    weft_exit();
}

static void run_with(void (*on_panic)(const char *, uint64_t, void *))
{
    require(weft_start(&(weft_config){.on_panic = on_panic}) == 0);
    weft_go(middle);
    wait_for_ever();
}

static void run_park_then_say(void)
{
    run_with(park_then_say);
}

static void run_panic_too(void)
{
    run_with(panic_too);
}

static void panic_when_closed(weft_chan(int) c, const char *message)
{
    weft_chan_recv(c, NULL);
    panic_among_defers(message);
}

static void run_end_routine_instead(void)
{
    require(weft_start(&(weft_config){.on_panic = end_routine_instead}) == 0);
    weft_go(panic_among_defers, "ended instead");
    /* It must not panic before it is detached: then that is for whoever detaches it, and weft_exit would end main. */
    weft_chan(int) detached = weft_chan_make(int, 0);
    weft_detach(weft_async(panic_when_closed, detached, "ended instead"));
    weft_chan_close(detached);
    require(weft_stop() == 0);
    require(strlen(story) == 6);
}

Test(panic, on_panic_may_wait, .timeout = 60)
{
    struct ending e = run_in_child(run_park_then_say, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "seen after a wait: look where"), "%s", e.text);
}

Test(panic, on_panic_that_panics_gets_the_report, .timeout = 60)
{
    struct ending e = run_in_child(run_panic_too, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "weft_config.on_panic panicked: by hand after look where"), "%s", e.text);
    cr_assert(says(&e, "panic: look where"), "%s", e.text);
}

Test(panic, on_panic_may_end_the_routine_alone, .timeout = 60)
{
    struct ending e = run_in_child(run_end_routine_instead, 20);
    cr_assert_eq(e.exit_status, 0, "%s", e.text);
    cr_assert_str_empty(e.text);
}

/* ---- places ---- */

static atomic_bool moved, hogs_run;

/* Keeps the thread that it runs on. */
static void hog_until_moved(void)
{
    atomic_store(&hogs_run, true);
    while (!atomic_load(&moved))
        ;
}

static void move_and_panic(weft_chan(int) go_on)
{
    int first = gettid();
    start(hog_until_moved); /* next on this thread, once this routine waits */
    require(weft_chan_recv(go_on, NULL) == 0);
    require(gettid() != first);
    atomic_store(&moved, true);
    weft_panic("elsewhere");
}

static int try_to_move(weft_chan(int) go_on)
{
    return weft_try(move_and_panic, go_on);
}

Test(panic, is_caught_on_another_thread_than_the_try_began_on, .timeout = 60)
{
    weft_chan(int) go_on = weft_chan_make(int, 0);
    cr_assert_eq(weft_start(&(weft_config){.procs = 1}), 0);
    weft_future(int) f = weft_async(try_to_move, go_on);
    eventually(atomic_load(&hogs_run));
    cr_assert_eq(weft_chan_send(go_on, 1), 0);
    cr_assert_eq(weft_await(f), WEFT_EPANIC);
    cr_assert(atomic_load(&moved));
}

static void try_far_away(atomic_bool *done)
{
    require(weft_try(fail_in_defers) == WEFT_EPANIC);
    require(strcmp(weft_try_message(), "third") == 0);
    atomic_store(done, true);
}

Test(panic, is_caught_in_a_pinned_routine_on_a_stack_of_its_own, .timeout = 60)
{
    static atomic_bool done;
    cr_assert_eq(weft_go_with(FAR_STACK, try_far_away, &done), 0);
    eventually(atomic_load(&done));
}

/* With so many bytes of its stack left. */
static __attribute__((noinline)) void panic_at_the_edge(uintptr_t low, size_t left)
{
    volatile char frame[64];
    frame[0] = 1;
    if (low == 0)
        return;
    if ((uintptr_t)frame - low > left)
        panic_at_the_edge(low, left);
    else
        weft_panic("at the edge, %zu bytes left", left);
    frame[1] = frame[0];
}

static size_t bytes_left;

static int try_at_the_edge(void)
{
    char here;
    uintptr_t low = ((uintptr_t)&here & ~(uintptr_t)(wf_arena.slot_size - 1)) + WF_GUARD_SIZE;
    int result = weft_try(panic_at_the_edge, low, bytes_left);
    require(strstr(weft_try_message(), "at the edge") != NULL);
    return result;
}

static void run_to_the_edge(void)
{
    require(in_routine(try_at_the_edge) == WEFT_EPANIC);
}

Test(panic, with_little_stack_left_is_caught_or_a_reported_overflow, .timeout = 60)
{
    if (WF_ASAN)
        cr_skip_test("the sanitizer reports faults itself");
    struct ending e = {.exit_status = -1};
    for (bytes_left = 128; bytes_left <= 16384; bytes_left = bytes_left * 4 / 3) {
        e = run_in_child(run_to_the_edge, 20);
        if (e.exit_status == 0)
            continue;
        cr_assert_eq(e.signal, SIGABRT, "%zu bytes left: %d %s", bytes_left, e.signal, e.text);
        cr_assert(says(&e, "stack overflow in routine"), "%zu bytes left: %s", bytes_left, e.text);
    }
    cr_assert_eq(e.exit_status, 0, "%s", e.text);
}
