/* SPDX-License-Identifier: MIT */
/* test_panic.c - panics and weft_try as weft/panic.h promises them. */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <weft/weft.h>

#include "../support/child.h"
#include "../support/expect.h"

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
    pause_thread_ms(10000);
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
    cr_skip_test("clang ends the process when a cleanup raises something");
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
    cr_skip_test("clang ends the process when a cleanup raises something");
#endif
    cr_assert_eq(weft_try_await(weft_async(leave_through_a_try), NULL), WEFT_EPANIC);
    cr_assert_str_eq(weft_try_message(), "from the cleanup");
}
