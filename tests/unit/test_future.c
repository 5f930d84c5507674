/* SPDX-License-Identifier: MIT */
/* test_future.c - futures as weft/future.h promises them. Which types come back is test_go_arguments.c. */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <weft/weft.h>

#include "../support/child.h"
#include "../support/expect.h"
#include "scope/cancel.h"

#define start(...) require(weft_go(__VA_ARGS__) == 0)

static atomic_uint ended;
static atomic_bool released, begun;

static int square(int a)
{
    return a * a;
}

static int square_late(int a)
{
    while (!atomic_load(&released))
        require(weft_sleep(100 * WEFT_US) == 0);
    return a * a;
}

static _Noreturn void panic_with(const char *what)
{
    weft_panic("%s", what);
}

static int fail(const char *what)
{
    weft_yield();
    if (what != NULL)
        panic_with(what);
    return 1;
}

/* ---- awaiting ---- */

Test(future, await_waits_for_the_value, .timeout = 60)
{
    weft_future(int) f = weft_async(square_late, 7);
    cr_assert_not(weft_future_done(f));
    atomic_store(&released, true);
    cr_assert_eq(weft_await(f), 49);
    cr_assert(weft_future_done(f));
}

Test(future, the_value_can_be_awaited_again, .timeout = 60)
{
    weft_future(int) f = weft_async(square, 5);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(weft_await(f), 25);
    int out = 0;
    cr_assert_eq(weft_try_await(f, &out), 0);
    cr_assert_eq(out, 25);
}

static void await_it(weft_future(int) f, int expected)
{
    require(weft_await(f) == expected);
    atomic_fetch_add(&ended, 1);
}

static void *await_it_in_thread(void *future)
{
    await_it(*(weft_future(int) *)future, 49);
    return NULL;
}

Test(future, many_routines_and_threads_await_one, .timeout = 60)
{
    pthread_t threads[4];
    weft_future(int) f = weft_async(square_late, 7);
    for (int i = 0; i < 100; i++)
        start(await_it, f, 49);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, await_it_in_thread, &f), 0);
    pause_thread_ms(5);
    cr_assert_eq(atomic_load(&ended), 0);
    atomic_store(&released, true);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    eventually(atomic_load(&ended) == 104);
}

static int fibonacci(int n)
{
    if (n < 2)
        return n;
    weft_future(int) a = weft_async(fibonacci, n - 1);
    int b = fibonacci(n - 2);
    return weft_await(a) + b;
}

Test(future, a_routine_awaits_those_that_it_starts, .timeout = 60)
{
    cr_assert_eq(weft_await(weft_async(fibonacci, 17)), 1597);
}

struct holder {
    weft_future(int) f;
};

static weft_future(int) pass(struct holder h, weft_chan(weft_future(int)) c)
{
    weft_future(int) received = NULL;
    require(weft_chan_send(c, h.f) == 0);
    require(weft_chan_recv(c, &received) == 0);
    return received;
}

Test(future, a_handle_is_passed_stored_returned_sent_and_compared, .timeout = 60)
{
    weft_chan(weft_future(int)) c = weft_chan_make(weft_future(int), 1);
    struct holder h = {weft_async(square, 6)};
    weft_future(int) same = weft_await(weft_async(pass, h, c));
    cr_assert(same == h.f);
    cr_assert_eq(weft_await(same), 36);
}

static void write_before_end(uint64_t *plain, uint64_t v)
{
    *plain = v;
}

Test(future, what_the_routine_wrote_is_visible_after_the_await, .timeout = 60)
{
    uint64_t plain = 0;
    for (uint64_t i = 1; i < 5000; i++) {
        weft_await(weft_async(write_before_end, &plain, i));
        cr_assert_eq(plain, i);
    }
}

static double leave(void)
{
    if (!atomic_load(&released))
        weft_exit();
    return 1.5;
}

Test(future, of_a_routine_that_ended_itself_is_zero, .timeout = 60)
{
    double v = 9;
    cr_assert_eq(weft_try_await(weft_async(leave), &v), 0);
    cr_assert(v == 0);
}

/* ---- detaching ---- */

static int square_and_end(int a)
{
    atomic_fetch_add(&ended, 1);
    return a * a;
}

Test(future, a_detached_one_runs_to_its_end, .timeout = 60)
{
    for (int i = 0; i < 1000; i++)
        weft_detach(weft_async(square_and_end, i));
    eventually(atomic_load(&ended) == 1000);
}

Test(future, detached_ones_do_not_mix_with_new_ones, .timeout = 60)
{
    for (int i = 0; i < 2000; i++) {
        weft_future(int) kept = weft_async(square, i % 1000);
        weft_detach(weft_async(square_and_end, i));
        cr_assert_eq(weft_await(kept), i % 1000 * (i % 1000));
        weft_detach(kept); /* after it has settled */
    }
    eventually(atomic_load(&ended) == 2000);
}

/* ---- panics ---- */

Test(future, a_panic_is_reported_to_whoever_tries_to_await, .timeout = 60)
{
    int out = 77;
    weft_future(int) f = weft_async(fail, "gone wrong");
    cr_assert_eq(weft_try_await(f, &out), WEFT_EPANIC);
    cr_assert_eq(out, 77);
    cr_assert_str_eq(weft_try_message(), "gone wrong");
    cr_assert_eq(weft_try_await(f, NULL), WEFT_EPANIC);
    cr_assert(weft_future_done(f));
}

static int await_and_add(weft_future(int) f)
{
    return weft_await(f) + 1;
}

Test(future, a_panic_is_raised_again_where_it_is_awaited, .timeout = 60)
{
    weft_future(int) f = weft_async(fail, "passed on");
    weft_future(int) outer = weft_async(await_and_add, f);
    cr_assert_eq(weft_try(await_and_add, outer), WEFT_EPANIC);
    cr_assert_str_eq(weft_try_message(), "passed on");
    cr_assert_eq(weft_try_await(outer, NULL), WEFT_EPANIC);
    cr_assert_str_eq(weft_try_message(), "passed on");
}

static void count_cleanup(int *unused)
{
    (void)unused;
    atomic_fetch_add(&ended, 1);
}

static int await_with_cleanup(weft_future(int) f)
{
    __attribute__((cleanup(count_cleanup))) int guard = 0;
    return weft_await(f) + guard;
}

Test(future, cleanups_around_an_await_run_when_it_raises, .timeout = 60)
{
    cr_assert_eq(weft_try_await(weft_async(await_with_cleanup, weft_async(fail, "x")), NULL), WEFT_EPANIC);
    cr_assert_eq(atomic_load(&ended), 1);
    cr_assert_eq(weft_try(await_with_cleanup, weft_async(fail, "x")), WEFT_EPANIC);
    cr_assert_eq(atomic_load(&ended), 2);
    cr_assert_eq(weft_await(weft_async(await_with_cleanup, weft_async(square, 3))), 9);
    cr_assert_eq(atomic_load(&ended), 3);
}

static void await_a_panic_in_main(void)
{
    weft_await(weft_async(fail, "from the routine"));
}

Test(future, a_panic_that_main_awaits_stops_the_process, .timeout = 60)
{
    struct ending e = run_in_child(await_a_panic_in_main, 20);
    cr_assert_eq(e.signal, SIGABRT);
    cr_assert(says(&e, "from the routine"), "%s", e.text);
}

static int fail_late(const char *what)
{
    square_late(1);
    return fail(what);
}

static void detach_a_panic(void)
{
    weft_detach(weft_async(fail_late, "nobody looks"));
    atomic_store(&released, true);
    pause_thread_for_ever();
}

Test(future, a_panic_in_a_detached_routine_stops_the_process, .timeout = 60)
{
    struct ending e = run_in_child(detach_a_panic, 20);
    cr_assert_eq(e.signal, SIGABRT);
    cr_assert(says(&e, "nobody looks"), "%s", e.text);
}

/* ---- waits that end otherwise ---- */

static atomic_int error_seen;

static void try_await_it(weft_future(int) f)
{
    int out = 77;
    atomic_store(&error_seen, weft_try_await(f, &out));
    require(out == 77);
}

Test(future, the_one_that_never_settles_is_not_done, .timeout = 60)
{
    weft_future(int) f = NULL;
    cr_assert_not(weft_future_done(f));
    weft_detach(f);
}

Test(future, stop_ends_the_wait_for_one_that_never_settles, .timeout = 60)
{
    start(try_await_it, (weft_future(int))NULL);
    pause_thread_ms(20);
    cr_assert_eq(weft_stop(), 0);
    cr_assert_eq(atomic_load(&error_seen), -ECANCELED);
}

static weft_future(void) each_other[2];

static void await_the_other(int i)
{
    while (each_other[!i] == NULL)
        weft_yield();
    int error = weft_try_await(each_other[!i], NULL);
    if (error != 0)
        atomic_store(&error_seen, error);
}

Test(future, stop_ends_routines_that_await_each_other, .timeout = 60)
{
    setenv("WEFT_DEBUG", "deadlock=off", 1);
    each_other[0] = weft_async(await_the_other, 0);
    each_other[1] = weft_async(await_the_other, 1);
    pause_thread_ms(20);
    cr_assert_eq(weft_stop(), 0);
    cr_assert_eq(atomic_load(&error_seen), -ECANCELED);
}

/* ---- cancelling ---- */

static int sleep_then_return(int error_is_value)
{
    int error = weft_sleep(WEFT_HOUR);
    atomic_store(&error_seen, error);
    return error_is_value ? error : 5;
}

Test(future, cancelling_ends_the_waits_of_its_routine_and_it_fails, .timeout = 60)
{
    int out = 77;
    weft_future(int) f = weft_async(sleep_then_return, 0);
    pause_thread_ms(5);
    cr_assert_not(weft_future_done(f));
    weft_future_cancel(f);
    weft_future_cancel(f);
    cr_assert_eq(weft_try_await(f, &out), -ECANCELED);
    cr_assert_eq(out, 77);
    cr_assert_eq(atomic_load(&error_seen), -ECANCELED);
    cr_assert(weft_future_done(f));
    weft_future_cancel(f);
    cr_assert_eq(weft_try_await(f, NULL), -ECANCELED);
}

Test(future, one_cancelled_before_its_routine_has_run_fails_when_that_waits, .timeout = 60)
{
    for (int i = 0; i < 200; i++) {
        weft_future(int) f = weft_async(sleep_then_return, 0);
        weft_future_cancel(f);
        cr_assert_eq(weft_try_await(f, NULL), -ECANCELED);
    }
}

Test(future, cancelling_a_settled_one_or_null_does_nothing, .timeout = 60)
{
    weft_future(int) f = weft_async(square, 4), failed = weft_async(fail, "as it was");
    cr_assert_eq(weft_await(f), 16);
    weft_future_cancel(f);
    cr_assert_eq(weft_await(f), 16);
    cr_assert_eq(weft_try_await(failed, NULL), WEFT_EPANIC);
    weft_future_cancel(failed);
    cr_assert_eq(weft_try_await(failed, NULL), WEFT_EPANIC);
    weft_future_cancel((weft_future(int))NULL);
}

static int run_until_released(int a)
{
    while (!atomic_load(&released))
        weft_yield();
    return a * a;
}

Test(future, one_whose_routine_waits_no_more_has_its_value_though_cancelled, .timeout = 60)
{
    weft_future(int) f = weft_async(run_until_released, 9);
    pause_thread_ms(5);
    weft_future_cancel(f);
    atomic_store(&released, true);
    cr_assert_eq(weft_await(f), 81);
}

static int panic_when_cancelled(void)
{
    if (weft_sleep(WEFT_HOUR) == -ECANCELED)
        panic_with("while it was cancelled");
    return 1;
}

Test(future, a_panic_of_a_cancelled_routine_is_a_panic, .timeout = 60)
{
    weft_future(int) f = weft_async(panic_when_cancelled);
    pause_thread_ms(5);
    weft_future_cancel(f);
    cr_assert_eq(weft_try_await(f, NULL), WEFT_EPANIC);
    cr_assert_str_eq(weft_try_message(), "while it was cancelled");
}

Test(future, awaiting_a_cancelled_one_panics_and_names_the_error, .timeout = 60)
{
    weft_future(int) f = weft_async(sleep_then_return, 0);
    weft_future_cancel(f);
    cr_assert_eq(weft_try(await_and_add, f), WEFT_EPANIC);
    cr_assert(strstr(weft_try_message(), strerror(ECANCELED)) != NULL, "%s", weft_try_message());
}

static weft_future(int) own;

static int cancel_oneself(void)
{
    weft_future_cancel(own);
    return weft_sleep(WEFT_HOUR);
}

static int start_and_cancel_oneself(void)
{
    while (own == NULL)
        weft_yield();
    return cancel_oneself();
}

Test(future, a_routine_may_cancel_its_own, .timeout = 60)
{
    own = weft_async(start_and_cancel_oneself);
    cr_assert_eq(weft_try_await(own, NULL), -ECANCELED);
}

static int await_own(void)
{
    while (own == NULL)
        weft_yield();
    return weft_try_await(own, NULL);
}

Test(future, a_routine_that_awaits_its_own_can_be_cancelled, .timeout = 60)
{
    own = weft_async(await_own);
    pause_thread_ms(5);
    weft_future_cancel(own);
    cr_assert_eq(weft_try_await(own, NULL), -ECANCELED);
}

/* Begins to wait only when its scope has been cancelled, and says why the wait has ended. */
static int wait_afterwards(void)
{
    while (!atomic_load(&released))
        weft_yield();
    return weft_sleep(WEFT_HOUR);
}

static int wait_in_child_of_child(int *ret_error)
{
    weft_scope(s, ret_error)
        weft_scope_go(s, wait_afterwards);
    return *ret_error;
}

static int be_cancelled_by_children(int depth)
{
    int error = 0, inner = 0;
    atomic_store(&begun, true);
    weft_scope(s, &error) {
        if (depth == 1)
            weft_scope_go(s, wait_afterwards);
        else
            weft_scope_go(s, wait_in_child_of_child, &inner);
    }
    return error;
}

Test(future, a_cancellation_is_felt_by_children_that_wait_only_later, .timeout = 60)
{
    for (int depth = 1; depth <= 2; depth++) {
        atomic_store(&released, false);
        atomic_store(&begun, false);
        weft_future(int) f = weft_async(be_cancelled_by_children, depth);
        eventually(atomic_load(&begun));
        pause_thread_ms(5);
        weft_future_cancel(f);
        atomic_store(&released, true);
        cr_assert_eq(weft_try_await(f, NULL), -ECANCELED, "depth %d", depth);
        weft_detach(f);
    }
}

static int cancel_the_children_only(void)
{
    int error = 0;
    weft_scope(s, &error) {
        weft_cancel(s);
        weft_scope_go(s, wait_afterwards);
        atomic_store(&begun, true);
    }
    return error == -ECANCELED ? 5 : error;
}

Test(future, a_scope_that_was_cancelled_before_does_not_make_it_fail, .timeout = 60)
{
    atomic_store(&released, false);
    atomic_store(&begun, false);
    weft_future(int) f = weft_async(cancel_the_children_only);
    eventually(atomic_load(&begun));
    pause_thread_ms(5);
    weft_future_cancel(f);
    atomic_store(&released, true);
    int value = 0;
    cr_assert_eq(weft_try_await(f, &value), 0);
    cr_assert_eq(value, 5);
    weft_detach(f);
}

static int sleep_shortly(int us)
{
    int error = weft_sleep(us * WEFT_US);
    return error == 0 ? us : error;
}

static void cancel_it(weft_future(int) f)
{
    weft_future_cancel(f);
}

static void *cancel_it_in_thread(void *future)
{
    cancel_it(*(weft_future(int) *)future);
    return NULL;
}

/* Cancelled by three at about the moment at which it ends. */
Test(future, cancelling_and_ending_at_once_give_a_value_or_the_error, .timeout = 60)
{
    int failed = 0;
    for (int i = 0; i < 600; i++) {
        pthread_t thread;
        int out = -1;
        weft_future(int) f = weft_async(sleep_shortly, i % 60);
        cr_assert_eq(pthread_create(&thread, NULL, cancel_it_in_thread, &f), 0);
        start(cancel_it, f);
        weft_future_cancel(f);
        int error = weft_try_await(f, &out);
        cr_assert(error == 0 ? out == i % 60 || out == -ECANCELED : error == -ECANCELED && out == -1);
        cr_assert_eq(weft_try_await(f, NULL), error);
        failed += error != 0;
        cr_assert_eq(pthread_join(thread, NULL), 0);
    }
    cr_log_info("%d of 600 failed", failed);
}

static int chain(int n)
{
    if (n == 0)
        return sleep_then_return(1);
    weft_future(int) inner = weft_async(chain, n - 1);
    int error = weft_try_await(inner, NULL);
    if (error != 0)
        weft_future_cancel(inner);
    weft_try_await(inner, NULL);
    return error;
}

Test(future, selects_see_a_cancelled_one_settle, .timeout = 60)
{
    weft_future(int) f = weft_async(chain, 0);
    cr_assert_eq(weft_select(weft_on_done(f), weft_after(2 * WEFT_MS)), 1);
    weft_future_cancel(f);
    cr_assert_eq(weft_select(weft_on_done(f), weft_after(WEFT_HOUR)), 0);
}
