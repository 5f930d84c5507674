/* SPDX-License-Identifier: MIT */
/* test_panic_try.c - weft_try as weft/panic.h promises it, wherever the panic comes from. */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <weft/weft.h>

#include "../support/child.h"
#include "../support/panics.h"
#include "../support/start.h"
#include "base/compiler.h"
#include "config.h"
#include "stack/arena.h"

static atomic_bool reached;

static unsigned wait_and_descend(unsigned depth, const char *message)
{
    require(weft_sleep(200 * WEFT_US) == 0);
    unsigned n = descend(depth, message);
    return n;
}

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
