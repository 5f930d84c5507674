/* SPDX-License-Identifier: MIT */
/* test_coro_end.c - coroutines that end before their function returns: destroyed while suspended, or left by weft_exit. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../support/cleanups.h"
#include "../support/coros.h"

/* ---- the end of a suspended one ---- */

static unsigned descend_and_suspend(unsigned depth)
{
    unsigned guard __attribute__((cleanup(count_cleanup))) = 1;
    if (depth == 0) {
        weft_coro_suspend(NULL);
        return 1;
    }
    return descend_and_suspend(depth - 1) + guard;
}

static void descend_inside(void *arg)
{
    require(weft_try(descend_and_suspend, *(unsigned *)arg) == 0);
    abort(); /* it was resumed */
}

static int destroying_runs_cleanups(void)
{
    unsigned depth = 9, before = atomic_load(&cleanups);
    weft_coro *c = weft_coro_create(descend_inside, &depth);
    require(weft_coro_resume(c, NULL, NULL) == 0);
    require(atomic_load(&cleanups) == before);
    weft_coro_destroy(c);
    require(atomic_load(&cleanups) == before + 10);
    require(weft_coro_current() == NULL);
    return 1;
}
TestBoth(destroying_runs_cleanups, destroying_runs_cleanups)

static void suspend_in_cleanup(unsigned *unused)
{
    (void)unused;
    weft_coro_suspend(NULL);
}

static void refuse_to_end(void *arg)
{
    unsigned guard __attribute__((cleanup(suspend_in_cleanup))) = 1;
    (void)guard;
    weft_coro_suspend(arg);
}

static int panic_in_a_cleanup_reaches_the_destroyer(void)
{
    weft_coro *c = weft_coro_create(refuse_to_end, NULL);
    require(weft_coro_resume(c, NULL, NULL) == 0);
    require(weft_try(weft_coro_destroy, c) == WEFT_EPANIC);
    require(strstr(weft_try_message(), "destroyed") != NULL);
    return 1;
}

Test(coro, a_panic_in_a_cleanup_reaches_the_destroyer, .timeout = 60)
{
#ifdef __clang__
    cr_skip_test("clang ends the process when a cleanup panics: weft/panic.h");
#endif
    cr_assert_eq(panic_in_a_cleanup_reaches_the_destroyer(), 1);
    cr_assert_eq(in_routine(panic_in_a_cleanup_reaches_the_destroyer), 1);
}

static void wait_in_cleanup(unsigned *unused)
{
    (void)unused;
    require(weft_sleep(2 * WEFT_MS) == 0);
    atomic_fetch_add(&cleanups, 1);
}

static void wait_when_ended(void *arg)
{
    unsigned guard __attribute__((cleanup(wait_in_cleanup))) = 1;
    (void)guard;
    weft_coro_suspend(arg);
}

static int cleanups_may_wait(void)
{
    unsigned before = atomic_load(&cleanups);
    weft_coro *c = weft_coro_create(wait_when_ended, NULL);
    require(weft_coro_resume(c, NULL, NULL) == 0);
    weft_coro_destroy(c);
    require(atomic_load(&cleanups) == before + 1);
    return 1;
}
TestBoth(cleanups_may_wait, cleanups_may_wait)

/* ---- weft_exit ---- */

static void exit_in_try(void)
{
    weft_exit();
}

static void exit_inside(void *arg)
{
    unsigned guard __attribute__((cleanup(count_cleanup))) = 1;
    (void)guard;
    weft_coro_suspend(arg);
    require(weft_try(exit_in_try) == 0);
    abort();
}

static weft_coro *exited;

static int resume_until_exit(void)
{
    unsigned guard __attribute__((cleanup(count_cleanup))) = 1;
    (void)guard;
    exited = weft_coro_create(exit_inside, NULL);
    require(weft_coro_resume(exited, NULL, NULL) == 0);
    weft_coro_resume(exited, NULL, NULL);
    abort();
    return 5;
}

Test(coro, exit_ends_the_routine_around_it, .timeout = 60)
{
    cr_assert_eq(in_routine(resume_until_exit), 0);
    cr_assert_eq(atomic_load(&cleanups), 2);
    cr_assert(weft_coro_done(exited));
    weft_coro_destroy(exited);
}

static void *thread_that_exits(void *arg)
{
    resume_until_exit();
    return arg;
}

Test(coro, exit_ends_the_plain_thread_around_it, .timeout = 60)
{
    pthread_t thread;
    void *result = &cleanups;
    cr_assert_eq(pthread_create(&thread, NULL, thread_that_exits, &cleanups), 0);
    cr_assert_eq(pthread_join(thread, &result), 0);
    cr_assert_null(result);
    cr_assert_eq(atomic_load(&cleanups), 2);
    weft_coro_destroy(exited);
}
