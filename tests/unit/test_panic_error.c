/* SPDX-License-Identifier: MIT */
/* test_panic_error.c - panics by which a wait that was ended passes its error on. */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <weft/weft.h>

#include "../support/child.h"
#include "../support/panics.h"
#include "scope/panic.h"

static atomic_bool reached;

static void end_with(int error)
{
    weft_defer(tell, "d");
    wf_panic_error(error, "ended by %d", error);
}

static void start_end_with(void)
{
    weft_go(end_with, -ECANCELED);
    pause_thread_for_ever();
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
