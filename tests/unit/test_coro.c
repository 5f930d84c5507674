/* SPDX-License-Identifier: MIT */
/* test_coro.c - switches into coroutines, out of them: what they hand over, who is current, what is refused. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "../support/coros.h"
#include "base/compiler.h"

static int values_go_both_ways(void)
{
    weft_coro *c = weft_coro_create(echo, word(100));
    void *out = NULL;
    require(!weft_coro_done(c));
    require(weft_coro_resume(c, word(7), &out) == 0); /* this 7 reaches nobody */
    require(out == word(100));
    for (uintptr_t i = 1, sum = 100; i < 5; i++) {
        sum += i;
        require(weft_coro_resume(c, word(i), &out) == 0);
        require(out == word(sum));
    }
    require(!weft_coro_done(c));
    require(weft_coro_resume(c, NULL, &out) == -EPIPE);
    require(out == word(110)); /* untouched */
    require(weft_coro_done(c));
    require(weft_coro_resume(c, NULL, NULL) == -EPIPE);
    weft_coro_destroy(c);
    weft_coro_destroy(NULL);
    return 1;
}
TestBoth(values_go_both_ways, values_go_both_ways)

static void never(void *arg)
{
    *(bool *)arg = true;
}

static int unused_one_is_destroyed_without_a_run(void)
{
    bool ran = false;
    for (int i = 0; i < 100; i++)
        weft_coro_destroy(weft_coro_create(never, &ran));
    require(!ran);
    return 1;
}
TestBoth(unused_one_is_destroyed_without_a_run, unused_one_is_destroyed_without_a_run)

/* ---- who is running ---- */

struct family {
    weft_coro *outer, *inner;
    int visits;
};

static void resume_family(void *arg)
{
    struct family *f = arg;
    require(weft_coro_current() == f->inner);
    require(weft_coro_resume(f->inner, NULL, NULL) == -EBUSY);
    require(weft_coro_resume(f->outer, NULL, NULL) == -EBUSY);
    weft_coro_suspend(NULL);
    require(weft_coro_current() == f->inner);
    f->visits++;
}

static void be_outer(void *arg)
{
    struct family *f = arg;
    require(weft_coro_current() == f->outer);
    require(weft_coro_resume(f->inner, NULL, NULL) == 0);
    require(weft_coro_current() == f->outer);
    weft_coro_suspend(NULL);
    require(weft_coro_resume(f->inner, NULL, NULL) == -EPIPE);
    f->visits++;
}

static int running_ones_are_busy(void)
{
    struct family f = {0};
    require(weft_coro_current() == NULL);
    f.outer = weft_coro_create(be_outer, &f);
    f.inner = weft_coro_create(resume_family, &f);
    require(weft_coro_resume(f.outer, NULL, NULL) == 0);
    require(weft_coro_current() == NULL);
    require(weft_coro_resume(f.outer, NULL, NULL) == -EPIPE);
    require(f.visits == 2);
    weft_coro_destroy(f.outer);
    weft_coro_destroy(f.inner);
    return 1;
}
TestBoth(running_ones_are_busy, running_ones_are_busy)

enum { DEPTH = 1000 };

static void nest(void *arg)
{
    uintptr_t depth = (uintptr_t)arg;
    if (depth == 0) {
        weft_coro_suspend(word(0));
        weft_panic("from the depth");
    }
    weft_coro *c = weft_coro_create(nest, word(depth - 1));
    void *out;
    if (weft_coro_resume(c, NULL, &out) == 0)
        weft_coro_suspend(word((uintptr_t)out + 1));
    weft_coro_resume(c, NULL, NULL); /* panics */
}

static int nested_a_thousand_deep(void)
{
    weft_coro *c = weft_coro_create(nest, word(DEPTH));
    void *out;
    require(weft_coro_resume(c, NULL, &out) == 0);
    require(out == word(DEPTH));
    require(weft_try(weft_coro_resume, c, NULL, NULL) == WEFT_EPANIC);
    require(strcmp(weft_try_message(), "from the depth") == 0);
    require(weft_coro_done(c));
    weft_coro_destroy(c); /* those inside are lost with their handles */
    return 1;
}

Test(coro, nested_a_thousand_deep, .timeout = 60)
{
    if (WF_ASAN)
        cr_skip_test("the leak checker rightly finds what a panic has left");
    cr_assert_eq(nested_a_thousand_deep(), 1);
    cr_assert_eq(in_routine(nested_a_thousand_deep), 1);
}

/* ---- misuse ---- */

static void suspend_outside(void)
{
    weft_coro_suspend(NULL);
}

static void destroy_self(void *arg)
{
    (void)arg;
    weft_coro_destroy(weft_coro_current());
}

static int misuse_panics(void)
{
    require(weft_try(suspend_outside) == WEFT_EPANIC);
    require(strstr(weft_try_message(), "weft_coro_suspend") != NULL);
    weft_coro *c = weft_coro_create(destroy_self, NULL);
    require(weft_try(weft_coro_resume, c, NULL, NULL) == WEFT_EPANIC);
    require(strstr(weft_try_message(), "running") != NULL);
    weft_coro_destroy(c);
    require(weft_try(weft_coro_destroy, c) == WEFT_EPANIC);
    require(strstr(weft_try_message(), "already") != NULL);
    require(weft_try(weft_coro_resume, NULL, NULL, NULL) == WEFT_EPANIC);
    require(weft_coro_create_with(&(weft_coro_attr){.stack_size = SIZE_MAX / 2}, never, NULL) == NULL);
    return 1;
}
TestBoth(misuse_panics, misuse_panics)
