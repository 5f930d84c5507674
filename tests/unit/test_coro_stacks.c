/* SPDX-License-Identifier: MIT */
/* test_coro_stacks.c - the stacks of coroutines: how large, how many, who gets them when they are few. */
#define _GNU_SOURCE
#include <errno.h>

#include "../support/child.h"
#include "../support/coros.h"
#include "base/compiler.h"

#define SKIP_UNDER_SANITIZERS \
    if (WF_ASAN) \
    cr_skip_test("the sanitizer reports faults itself")

static unsigned eat_stack(unsigned kilobytes)
{
    volatile char frame[1024];
    frame[kilobytes % sizeof(frame)] = 1;
    return kilobytes == 0 ? 0 : eat_stack(kilobytes - 1) + (unsigned)frame[kilobytes % sizeof(frame)];
}

static void eat_a_megabyte(void *arg)
{
    *(unsigned *)arg = eat_stack(1000);
}

static int large_stack_is_to_be_had(void)
{
    unsigned eaten = 0;
    weft_coro *c = weft_coro_create_with(&(weft_coro_attr){.stack_size = 4 << 20}, eat_a_megabyte, &eaten);
    require(weft_coro_resume(c, NULL, NULL) == -EPIPE);
    require(eaten == 1000);
    weft_coro_destroy(c);
    return 1;
}
TestBoth(large_stack_is_to_be_had, large_stack_is_to_be_had)

static int many_at_once(void)
{
    enum { MANY = 3000 };
    static weft_coro *all[MANY];
    void *out;
    for (int round = 0; round < 2; round++) {
        for (uintptr_t i = 0; i < MANY; i++) {
            all[i] = weft_coro_create(echo, word(i));
            require(all[i] != NULL);
            require(weft_coro_resume(all[i], NULL, &out) == 0);
        }
        for (uintptr_t i = 0; i < MANY; i++) {
            require(weft_coro_resume(all[i], word(1), &out) == 0);
            require(out == word(i + 1));
            weft_coro_destroy(all[i]);
        }
    }
    return 1;
}
TestBoth(many_at_once, many_at_once)

/* Coroutines take stacks that no descriptor counts on: of few there are, some must be refused, and then every routine
 * that could be started must still run. */
static int sleep_on_a_stack(void)
{
    require(weft_sleep(20 * WEFT_MS) == 0);
    return (int)eat_stack(8);
}

static void run_short_of_stacks(void)
{
    enum { MANY = 4096 };
    static weft_coro *all[MANY];
    static weft_future(int) ends[MANY];
    int n = 0, started = 0;
    require(weft_start(&(weft_config){.stack_memory = 8 << 20}) == 0);
    while (n < MANY && (all[n] = weft_coro_create(echo, NULL)) != NULL)
        n++;
    require(n > 10 && n < MANY);
    for (int i = 0; i < n / 2; i++)
        weft_coro_destroy(all[--n]);
    while (started < MANY && (ends[started] = weft_async(sleep_on_a_stack)) != NULL)
        started++;
    require(started > 10 && started < MANY);
    for (int i = 0; i < started; i++)
        require(weft_await(ends[i]) == 8);
    while (n > 0)
        weft_coro_destroy(all[--n]);
    printf("enough");
}

Test(coro, routines_still_find_stacks_when_coroutines_have_most, .timeout = 60)
{
    struct ending e = run_in_child(run_short_of_stacks, 40);
    cr_assert_eq(e.exit_status, 0, "%s", e.text);
    cr_assert(says(&e, "enough"), "%s", e.text);
}

static void overflow_inside(void *arg)
{
    (void)arg;
    eat_stack(100000000);
}

static void overflow_in_main(void)
{
    weft_coro_resume(weft_coro_create(overflow_inside, NULL), NULL, NULL);
}

static void overflow_in_routine(void)
{
    weft_await(weft_async(overflow_in_main));
}

Test(coro, an_overflow_says_that_it_was_in_a_coroutine, .timeout = 60)
{
    SKIP_UNDER_SANITIZERS;
    struct ending e = run_in_child(overflow_in_routine, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "stack overflow in a coroutine of routine 1"), "%s", e.text);
    cr_assert(says(&e, "64KiB (the default)"), "%s", e.text);
    e = run_in_child(overflow_in_main, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "stack overflow in a coroutine of a plain thread"), "%s", e.text);
}

static int use_a_coroutine(int n)
{
    int sum = 0;
    for (int i = 0; i < 40; i++) {
        weft_coro *c = weft_coro_create(suspend_once, NULL);
        sum += c != NULL;
        weft_coro_destroy(c);
    }
    return sum + n;
}

/* Workers keep the stacks of coroutines for the next ones; those go with the runtime. */
Test(coro, collections_and_coroutines_after_weft_stop_and_a_new_start, .timeout = 60)
{
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(weft_await(weft_async(use_a_coroutine, 2)), 42);
        weft_gc();
        cr_assert_eq(weft_stop(), 0);
        weft_gc();
    }
}
