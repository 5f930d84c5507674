/* SPDX-License-Identifier: MIT */
/* test_coro_blocks.c - coroutines meet the scopes, deadlines, shields of the one that resumes them, or open their own. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../support/child.h"
#include "../support/coros.h"

static void suspend_in_deadline(void *arg)
{
    weft_deadline(WEFT_SEC)
        weft_coro_suspend(arg);
}

Test(coro, suspending_inside_of_a_block_of_its_own_panics, .timeout = 60)
{
    weft_coro *c = weft_coro_create(suspend_in_deadline, NULL);
    cr_assert_eq(weft_try(resume_it, c), WEFT_EPANIC);
    cr_assert(strstr(weft_try_message(), "inside of a scope, deadline or shield") != NULL, "%s", weft_try_message());
    weft_coro_destroy(c);
}

Test(coro, may_be_resumed_inside_of_blocks_and_outlive_them, .timeout = 60)
{
    weft_coro *c = weft_coro_create(suspend_once, NULL);
    weft_deadline(WEFT_SEC)
        cr_assert_eq(weft_coro_resume(c, NULL, NULL), 0);
    cr_assert_eq(weft_coro_resume(c, NULL, NULL), -EPIPE);
    weft_coro_destroy(c);
}

/* ---- panics inside leave those blocks alone ---- */

static void panic_when_resumed_again(void *arg)
{
    weft_coro_suspend(arg);
    weft_panic("resumed again");
}

static int catch_it_in_a_deadline_of_ours(void)
{
    weft_coro *c = weft_coro_create(panic_when_resumed_again, NULL);
    require(resume_it(c) == 0);
    int error = 0;
    weft_deadline(10 * WEFT_MS) {
        require(weft_try(resume_it, c) == WEFT_EPANIC);
        error = weft_sleep(PATIENCE_SECONDS * WEFT_SEC); /* we are still in it */
    }
    require(error == -ETIMEDOUT);
    weft_coro_destroy(c);
    return 1;
}
TestBoth(a_panic_leaves_the_blocks_of_the_resumer_alone, catch_it_in_a_deadline_of_ours)

static void panic_after_suspending(void)
{
    weft_coro_suspend(NULL);
    weft_panic("caught inside");
}

static void catch_inside(void *error)
{
    *(int *)error = weft_try(panic_after_suspending);
}

static int try_begun_in_another_scope(void)
{
    int caught = 0, error = -1;
    weft_coro *c = weft_coro_create(catch_inside, &caught);
    weft_shield
        require(resume_it(c) == 0);
    weft_scope(s, &error)
        weft_deadline(10 * WEFT_MS) {
            require(resume_it(c) == -EPIPE && caught == WEFT_EPANIC);
            caught = weft_sleep(PATIENCE_SECONDS * WEFT_SEC);
        }
    require(caught == -ETIMEDOUT && error == 0);
    weft_coro_destroy(c);
    return 1;
}
TestBoth(a_try_inside_leaves_the_blocks_of_the_latest_resume_alone, try_begun_in_another_scope)

/* ---- waits inside are ended with them ---- */

static void await_never(void *arg)
{
    (void)arg;
    weft_await((weft_future(int))NULL);
}

static int await_in_a_coroutine(weft_chan(int) begun)
{
    weft_coro *c = weft_coro_create(await_never, NULL);
    weft_chan_send(begun, 1);
    resume_it(c);
    return 0;
}

Test(coro, an_await_inside_that_is_cancelled_is_a_cancellation_of_the_child, .timeout = 60)
{
    weft_chan(int) begun = weft_chan_make(int, 1);
    int error = 0;
    weft_scope(s, &error) {
        weft_scope_go(s, await_in_a_coroutine, begun);
        weft_chan_recv(begun, NULL);
        weft_cancel(s);
    }
    cr_assert_eq(error, -ECANCELED, "%d", error);
}

static void stop_during_an_await_in_a_coroutine(void)
{
    weft_chan(int) begun = weft_chan_make(int, 1);
    weft_go(await_in_a_coroutine, begun);
    weft_chan_recv(begun, NULL);
    exit(weft_stop() == 0 ? 0 : 1);
}

Test(coro, an_await_inside_that_weft_stop_ends_is_no_panic_of_the_process, .timeout = 60)
{
    struct ending e = run_in_child(stop_during_an_await_in_a_coroutine, 20);
    cr_assert_eq(e.exit_status, 0, "%s", e.text);
}
