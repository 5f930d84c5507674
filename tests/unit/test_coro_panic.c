/* SPDX-License-Identifier: MIT */
/* test_coro_panic.c - panics that coroutines raise, catch, or are left by. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "../support/child.h"
#include "../support/cleanups.h"
#include "../support/coros.h"

static void panic_inner(void)
{
    weft_panic("inner");
}

static void panic_later(void *arg)
{
    unsigned guard __attribute__((cleanup(count_cleanup))) = 0;
    require(weft_try(panic_inner) == WEFT_EPANIC);
    require(strcmp(weft_try_message(), "inner") == 0);
    weft_coro_suspend(arg);
    (void)guard;
    weft_panic("number %d", 7);
}

static void resume_once(weft_coro *c)
{
    unsigned guard __attribute__((cleanup(count_cleanup))) = 0;
    (void)guard;
    weft_coro_resume(c, NULL, NULL);
}

static int panic_reaches_the_resumer(void)
{
    unsigned before = atomic_load(&cleanups);
    weft_coro *c = weft_coro_create(panic_later, NULL);
    require(weft_try(resume_once, c) == 0);
    require(atomic_load(&cleanups) == before + 1);
    require(weft_try(resume_once, c) == WEFT_EPANIC);
    require(strcmp(weft_try_message(), "number 7") == 0);
    require(atomic_load(&cleanups) == before + 3); /* inside, and in the resumer */
    require(weft_coro_done(c));
    require(weft_coro_current() == NULL);
    require(weft_coro_resume(c, NULL, NULL) == -EPIPE);
    weft_coro_destroy(c);
    return 1;
}
TestBoth(panic_reaches_the_resumer, panic_reaches_the_resumer)

/* Its record of a weft_try that is still open must not catch what the resumer raises meanwhile, nor the other way. */
static void suspend_in_try(void *arg)
{
    weft_coro_suspend(arg);
    weft_panic("of the coroutine");
}

static void try_and_suspend(void *arg)
{
    require(weft_try(suspend_in_try, arg) == WEFT_EPANIC);
    require(strcmp(weft_try_message(), "of the coroutine") == 0);
    weft_coro_suspend(NULL);
}

static void resume_and_panic(weft_coro *c)
{
    require(weft_coro_resume(c, NULL, NULL) == 0);
    weft_panic("of the resumer");
}

static int open_tries_belong_to_their_stack(void)
{
    weft_coro *c = weft_coro_create(try_and_suspend, NULL);
    require(weft_try(resume_and_panic, c) == WEFT_EPANIC);
    require(strcmp(weft_try_message(), "of the resumer") == 0);
    require(weft_try(resume_and_panic, c) == WEFT_EPANIC);
    require(strcmp(weft_try_message(), "of the resumer") == 0);
    require(weft_coro_resume(c, NULL, NULL) == -EPIPE);
    weft_coro_destroy(c);
    return 1;
}
TestBoth(open_tries_belong_to_their_stack, open_tries_belong_to_their_stack)

static void panic_uncaught(void)
{
    weft_coro *c = weft_coro_create(panic_later, NULL);
    weft_coro_resume(c, NULL, NULL);
    weft_coro_resume(c, NULL, NULL);
}

Test(coro, a_panic_that_nobody_catches_stops_the_process, .timeout = 60)
{
    struct ending e = run_in_child(panic_uncaught, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "number 7"), "%s", e.text);
}

/* ---- while a panic passes, or after it ---- */

static void suspend_as_a_cleanup(void *arg)
{
    weft_coro_suspend(arg);
}

static void panic_and_suspend(void *arg)
{
    weft_defer(suspend_as_a_cleanup, arg);
    weft_panic("replaced");
}

static int suspend_while_it_is_left(void)
{
    weft_coro *c = weft_coro_create(panic_and_suspend, NULL);
    require(weft_try(resume_it, c) == WEFT_EPANIC);
    require(strstr(weft_try_message(), "a panic or weft_exit is leaving it") != NULL);
    require(weft_coro_done(c));
    weft_coro_destroy(c);
    return 1;
}
TestBoth(suspending_while_a_panic_passes_panics, suspend_while_it_is_left)

static void panic_at_once(void)
{
    weft_panic("caught");
}

static void suspend_after_a_caught_panic(void *arg)
{
    require(weft_try(panic_at_once) == WEFT_EPANIC);
    weft_coro_suspend(arg);
}

static void use_a_generator(void *arg)
{
    weft_coro *c = weft_coro_create(suspend_once, arg);
    require(resume_it(c) == 0 && resume_it(c) == -EPIPE);
    weft_coro_destroy(c);
}

static int suspend_after_departures(void)
{
    weft_coro *c = weft_coro_create(suspend_after_a_caught_panic, NULL);
    require(resume_it(c) == 0 && resume_it(c) == -EPIPE);
    weft_coro_destroy(c);
    c = weft_coro_create(suspend_once, NULL);
    require(resume_it(c) == 0);
    weft_coro_destroy(c); /* the next one on this stack suspends as any */
    c = weft_coro_create(suspend_once, NULL);
    require(resume_it(c) == 0 && resume_it(c) == -EPIPE);
    weft_coro_destroy(c);
    return 1;
}
TestBoth(suspending_after_a_panic_that_was_caught_is_allowed, suspend_after_departures)

static void use_a_coroutine_and_panic(void)
{
    weft_defer(use_a_generator, NULL);
    weft_panic("of the user");
}

static int coroutines_in_cleanups(void)
{
    require(weft_try(use_a_coroutine_and_panic) == WEFT_EPANIC);
    require(strcmp(weft_try_message(), "of the user") == 0);
    return 1;
}
TestBoth(cleanups_may_use_other_coroutines, coroutines_in_cleanups)
