/* SPDX-License-Identifier: MIT */
/* test_scope_cancel.c - weft_cancel of a scope as weft/scope.h promises it. Deadlines and shields are test_deadline.c,
 * the waits that a cancellation ends test_cancel.c. */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include <weft/weft.h>

#include "../support/everywhere.h"
#include "../support/scopes.h"
#include "../support/start.h"

static void cancel_without_children(void)
{
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        require(!weft_cancelled());
        require(weft_sleep(WEFT_US) == 0);
        weft_cancel(s);
        require(weft_cancelled());
        require(weft_sleep(WEFT_HOUR) == -ECANCELED);
        weft_cancel(s);
        weft_scope(t, &err) {
            require(weft_cancelled());
            require(weft_sleep(WEFT_HOUR) == -ECANCELED);
        }
        require(err == -ECANCELED);
        err = 0;
    }
    require(err == -ECANCELED);
    require(!weft_cancelled());
}

Test(scope, a_cancelled_scope_says_so, .timeout = 60)
{
    everywhere(cancel_without_children);
}

static int end_fast_with_wait(void)
{
    return weft_sleep(10 * WEFT_MS) == -ECANCELED ? 0 : 1;
}

Test(scope, a_child_started_in_a_cancelled_scope_is_cancelled, .timeout = 60)
{
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        weft_cancel(s);
        for (int i = 0; i < 100; i++)
            start_child(s, end_fast_with_wait);
    }
    cr_assert_eq(err, -ECANCELED);
}

static void *cancel_in_thread(void *s)
{
    weft_cancel((weft_scope_ref)s);
    return NULL;
}

static void cancel_from_a_routine(void)
{
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        start(cancel_it, s);
        require(weft_sleep(WEFT_HOUR) == -ECANCELED);
    }
    require(err == -ECANCELED);
}

static void cancel_from_a_child(void)
{
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        start_child(s, cancel_it, s);
        start_child(s, end_when_cancelled);
    }
    require(err == -ECANCELED);
}

static void cancel_from_a_grandchild(void)
{
    int err = UNTOUCHED, inner = UNTOUCHED;
    weft_scope(s, &err) {
        weft_scope(t, &inner) {
            start_child(t, cancel_it, s);
            start_child(t, end_when_cancelled);
        }
        require(inner == -ECANCELED);
    }
    require(err == -ECANCELED);
}

static void cancel_from_a_thread(void)
{
    pthread_t thread;
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        require(pthread_create(&thread, NULL, cancel_in_thread, s) == 0);
        require(weft_sleep(WEFT_HOUR) == -ECANCELED);
    }
    require(err == -ECANCELED);
    require(pthread_join(thread, NULL) == 0);
}

static void cancel_from_a_timer(void)
{
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        require(weft_timer_start(100 * WEFT_US, cancel_later, s) != NULL);
        require(weft_sleep(WEFT_HOUR) == -ECANCELED);
    }
    require(err == -ECANCELED);
}

static void cancel_from_elsewhere(void)
{
    cancel_from_a_routine();
    cancel_from_a_child();
    cancel_from_a_grandchild();
    cancel_from_a_thread();
    cancel_from_a_timer();
}

Test(scope, it_is_cancelled_from_anywhere, .timeout = 60)
{
    for (int i = 0; i < 20; i++)
        everywhere(cancel_from_elsewhere);
}

static void cancel_inner_only(void)
{
    unsigned before = atomic_load(&ended);
    int outer = UNTOUCHED, inner = UNTOUCHED;
    weft_scope(s, &outer) {
        start_child(s, end_late, 0);
        weft_scope(t, &inner) {
            start_child(t, end_when_cancelled);
            weft_cancel(t);
        }
        require(inner == -ECANCELED);
        require(!weft_cancelled());
        require(weft_sleep(WEFT_US) == 0);
    }
    require(outer == 0);
    require(atomic_load(&ended) == before + 2);
}

Test(scope, cancelling_an_inner_scope_leaves_the_outer_one, .timeout = 60)
{
    everywhere(cancel_inner_only);
}

static void wait_and_count(int64_t d)
{
    require(weft_sleep(d) == 0);
    count_end();
}

Test(scope, weft_go_starts_outside_any_scope, .timeout = 60)
{
    weft_future(void) f = NULL;
    weft_deadline(0) {
        weft_scope(s) {
            weft_cancel(s);
            f = weft_async(wait_and_count, WEFT_MS);
            start(wait_and_count, WEFT_MS);
            cr_assert_neq(weft_timer_start(0, (void (*)(void *))count_end, NULL), NULL);
        }
    }
    weft_await(f);
    eventually(atomic_load(&ended) == 3);
}
