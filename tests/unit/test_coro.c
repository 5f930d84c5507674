/* SPDX-License-Identifier: MIT */
/* test_coro.c - coroutines and generators as weft/coro.h promises them. */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <weft/weft.h>

#include "../support/child.h"
#include "../support/expect.h"
#include "base/compiler.h"

#define in_routine(...) weft_await(weft_async(__VA_ARGS__))
#define SKIP_UNDER_SANITIZERS \
    if (WF_ASAN) \
    cr_skip_test("the sanitizer reports faults itself")

static atomic_uint cleanups;

static void count_cleanup(unsigned *unused)
{
    (void)unused;
    atomic_fetch_add(&cleanups, 1);
}

static void *word(uintptr_t value)
{
    return (void *)value;
}

/* Every behaviour is looked at in main and in routines; with several workers where routines move. */
#define TestBoth(name, body) \
    Test(coro, name##_in_main, .timeout = 60) \
    { \
        cr_assert_eq(body(), 1); \
    } \
    Test(coro, name##_in_a_routine, .timeout = 60) \
    { \
        cr_assert_eq(in_routine(body), 1); \
    }

/* ---- values either way ---- */

static void echo(void *arg)
{
    uintptr_t sum = (uintptr_t)arg;
    for (int i = 0; i < 5; i++)
        sum += (uintptr_t)weft_coro_suspend(word(sum));
}

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

/* ---- panics ---- */

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

/* ---- waiting inside, moving ---- */

struct relay {
    weft_chan(int) in, out;
    uint64_t id;
};

static weft_local mark;

static void relay_inside(void *arg)
{
    struct relay *r = arg;
    int n;
    while (weft_chan_recv(r->in, &n) == 0) {
        errno = n;
        require(weft_id() == r->id);
        require(weft_local_get(&mark) == r);
        require(weft_sleep(100 * WEFT_US) == 0);
        require(errno == n);
        require(weft_chan_send(r->out, n + 1) == 0);
        weft_coro_suspend(word((uintptr_t)n));
        require(errno == n + 1000);
    }
}

static void relay_outside(weft_chan(int) in, weft_chan(int) out)
{
    struct relay r = {in, out, weft_id()};
    void *seen;
    require(weft_local_set(&mark, &r) == 0);
    weft_coro *c = weft_coro_create(relay_inside, &r);
    while (weft_coro_resume(c, NULL, &seen) == 0) {
        require(errno == (int)(uintptr_t)seen);
        errno += 1000;
    }
    weft_chan_close(out);
    weft_coro_destroy(c);
}

static void feed(weft_chan(int) first, int n)
{
    for (int i = 0; i < n; i++)
        require(weft_chan_send(first, i) == 0);
    weft_chan_close(first);
}

Test(coro, waiting_inside_parks_the_routine_and_keeps_what_belongs_to_it, .timeout = 60)
{
    enum { STAGES = 20, ITEMS = 200 };
    weft_chan(int) first = weft_chan_make(int, 0), last = first;
    for (int i = 0; i < STAGES; i++) {
        weft_chan(int) next = weft_chan_make(int, 1);
        weft_go(relay_outside, last, next);
        last = next;
    }
    weft_go(feed, first, ITEMS);
    int expected = STAGES;
    weft_chan_each(int, n, last)
        cr_assert_eq(n, expected++);
    cr_assert_eq(expected, STAGES + ITEMS);
}

static void count_up(void *arg)
{
    volatile uint64_t noise[64];
    for (unsigned i = 0; i < 64; i++)
        noise[i] = i * 31;
    for (uintptr_t n = 0;; n++) {
        weft_coro_suspend(word(n));
        for (unsigned i = 0; i < 64; i++)
            require(noise[i] == i * 31);
        if (n % 7 == 0)
            weft_yield();
    }
    (void)arg;
}

static atomic_uintptr_t next_expected;

static void pass_around(weft_chan(weft_coro *) ring, unsigned turns)
{
    weft_coro *c;
    void *out;
    for (unsigned i = 0; i < turns; i++) {
        require(weft_chan_recv(ring, &c) == 0);
        require(weft_coro_resume(c, NULL, &out) == 0);
        require(out == word(atomic_fetch_add(&next_expected, 1)));
        require(weft_chan_send(ring, c) == 0);
    }
}

static void *pass_around_in_thread(void *arg)
{
    pass_around((weft_chan(weft_coro *))(uintptr_t)arg, 500);
    return NULL;
}

Test(coro, goes_from_routine_to_thread_and_back, .timeout = 60)
{
    enum { ROUTINES = 8, THREADS = 3 };
    pthread_t threads[THREADS];
    weft_chan(weft_coro *) ring = weft_chan_make(weft_coro *, 1);
    weft_coro *c = weft_coro_create(count_up, NULL);
    weft_future(void) passers[ROUTINES];
    for (int i = 0; i < ROUTINES; i++)
        passers[i] = weft_async(pass_around, ring, 500);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, pass_around_in_thread, (void *)(uintptr_t)ring), 0);
    cr_assert_eq(weft_chan_send(ring, c), 0);
    for (int i = 0; i < ROUTINES; i++)
        weft_await(passers[i]);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    cr_assert_eq(atomic_load(&next_expected), (ROUTINES + THREADS) * 500);
    weft_coro_destroy(c);
}

/* ---- stacks ---- */

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

/* ---- generators ---- */

struct point {
    double x, y;
    char name[24];
};

static void count(weft_generator(int) self, const int *limit)
{
    unsigned guard __attribute__((cleanup(count_cleanup))) = 1;
    (void)guard;
    for (int i = 0; i < *limit; i++)
        weft_gen_yield(self, i);
}

static void points(weft_generator(struct point) self)
{
    for (int i = 0; i < 3; i++)
        weft_gen_yield(self, {.x = i, .y = -i, .name = "point"});
}

static void squares(weft_generator(long) self, int *limit)
{
    weft_gen_each(int, n, weft_gen_make(int, count, limit))
        weft_gen_yield(self, (long)n * n);
}

static int first_above(int least)
{
    int limit = 100;
    weft_gen_each(int, n, weft_gen_make(int, count, &limit))
        if (n > least)
            return n;
    return -1;
}

static void sums(weft_generator(double) self, char a, double b, const char *text, struct point *p, long c, float d,
                 uint64_t e, int f, unsigned char g, long double h, int i, double j, double k, double l, double m)
{
    weft_gen_yield(self, a + b + (double)strlen(text) + p->x);
    weft_gen_yield(self, (double)(c + (long)e) + d);
    weft_gen_yield(self, f + g + (double)h + i);
    weft_gen_yield(self, j + k + l + m);
}

static int generators_take_any_arguments(void)
{
    struct point p = {.x = 1000};
    double expected[] = {1 + 2.5 + 3 + 1000, 4 + 6 + 5.5, 7 + 8 + 9.25 + 10, 11 + 12 + 13 + 14.5};
    int n = 0;
    weft_gen_each(double, sum, weft_gen_make(double, sums, 1, 2.5f, "abc", &p, 4, 5.5, 6, 7, 8, 9.25, 10, 11, 12, 13, 14.5))
        require(sum == expected[n++]);
    require(n == 4);
    return 1;
}
TestBoth(generators_take_any_arguments, generators_take_any_arguments)

static int generators_give_typed_values(void)
{
    int limit = 10, sum = 0, seen = 0;
    weft_gen_each(int, n, weft_gen_make(int, count, &limit)) {
        if (n == 3)
            continue;
        sum += n;
    }
    require(sum == 42);
    weft_gen_each(struct point, p, weft_gen_make(struct point, points)) {
        require(p.x == seen && p.y == -seen && strcmp(p.name, "point") == 0);
        seen++;
    }
    require(seen == 3);
    long total = 0;
    weft_gen_each(long, s, weft_gen_make(long, squares, &limit))
        total += s;
    require(total == 285);
    weft_generator(int) g = weft_gen_make(int, count, &limit);
    for (int i = 0, n = -1; i < 10; i++) {
        require(weft_gen_next(g, &n) == 0);
        require(n == i);
    }
    require(weft_gen_next(g, &sum) == -EPIPE);
    require(sum == 42);
    weft_gen_destroy(g);
    return 1;
}
TestBoth(generators_give_typed_values, generators_give_typed_values)

static void leave_by_panic(int *limit)
{
    weft_gen_each(long, s, weft_gen_make(long, squares, limit))
        if (s == 16)
            weft_panic("at %ld", s);
}

static int leaving_the_loop_destroys_the_generator(void)
{
    unsigned before = atomic_load(&cleanups);
    int limit = 100;
    require(first_above(4) == 5);
    require(atomic_load(&cleanups) == before + 1);
    weft_gen_each(long, s, weft_gen_make(long, squares, &limit))
        if (s == 4)
            break;
    require(atomic_load(&cleanups) == before + 2); /* that of the generator inside the generator */
    require(weft_try(leave_by_panic, &limit) == WEFT_EPANIC);
    require(strcmp(weft_try_message(), "at 16") == 0);
    require(atomic_load(&cleanups) == before + 3);
    return 1;
}
TestBoth(leaving_the_loop_destroys_the_generator, leaving_the_loop_destroys_the_generator)

static void yield_of_another(weft_generator(int) self)
{
    int limit = 3;
    weft_generator(int) inner = weft_gen_make(int, count, &limit);
    weft_gen_destroy(inner);
    (void)self;
    weft_gen_yield(inner, 1);
}

static int yield_in_another_generator_panics(void)
{
    weft_generator(int) g = weft_gen_make(int, yield_of_another);
    require(weft_try(weft_coro_resume, (weft_coro *)(uintptr_t)g, NULL, NULL) == WEFT_EPANIC);
    require(strstr(weft_try_message(), "weft_gen_yield") != NULL);
    weft_gen_destroy(g);
    return 1;
}
TestBoth(yield_in_another_generator_panics, yield_in_another_generator_panics)

Test(coro, routines_still_find_stacks_when_coroutines_have_most, .timeout = 60)
{
    struct ending e = run_in_child(run_short_of_stacks, 40);
    cr_assert_eq(e.exit_status, 0, "%s", e.text);
    cr_assert(says(&e, "enough"), "%s", e.text);
}

static void suspend_in_deadline(void *arg)
{
    weft_deadline(WEFT_SEC)
        weft_coro_suspend(arg);
}

static int resume_it(weft_coro *c)
{
    return weft_coro_resume(c, NULL, NULL);
}

Test(coro, suspending_inside_of_a_block_of_its_own_panics, .timeout = 60)
{
    weft_coro *c = weft_coro_create(suspend_in_deadline, NULL);
    cr_assert_eq(weft_try(resume_it, c), WEFT_EPANIC);
    cr_assert(strstr(weft_try_message(), "inside of a scope, deadline or shield") != NULL, "%s", weft_try_message());
    weft_coro_destroy(c);
}

static void suspend_once(void *arg)
{
    weft_coro_suspend(arg);
}

Test(coro, may_be_resumed_inside_of_blocks_and_outlive_them, .timeout = 60)
{
    weft_coro *c = weft_coro_create(suspend_once, NULL);
    weft_deadline(WEFT_SEC)
        cr_assert_eq(weft_coro_resume(c, NULL, NULL), 0);
    cr_assert_eq(weft_coro_resume(c, NULL, NULL), -EPIPE);
    weft_coro_destroy(c);
}

/* ---- where they meet blocks, panics and cancellation of the one that resumes ---- */

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

static int use_a_coroutine(int n)
{
    int sum = 0;
    for (int i = 0; i < 40; i++) {
        weft_coro *c = weft_coro_create(await_never, NULL);
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
