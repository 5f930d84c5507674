/* SPDX-License-Identifier: MIT */
/* test_promise.c - promises as weft/future.h promises them. */
#include <criterion/criterion.h>

#include <complex.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <weft/weft.h>

#include "../support/child.h"
#include "../support/expect.h"

#define start(...) require(weft_go(__VA_ARGS__) == 0)

/* ---- values of every class of the calling convention ---- */

/* So that no value is right because it still is where it was. */
static void spoil_registers(void)
{
    __asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n\tpcmpeqd %%xmm1, %%xmm1\n\tmovq $-1, %%rax\n\tmovq $-1, %%rdx" ::
                         : "xmm0", "xmm1", "rax", "rdx");
}

/* What comes out is what went in: awaited before and after, by a routine and by a plain thread. */
#define carries(T, name, v, same) \
    static T wait_for_##name(weft_future(T) f) \
    { \
        spoil_registers(); \
        return weft_await(f); \
    } \
    Test(promise, carries_##name, .timeout = 60) \
    { \
        T sent = v; \
        weft_promise(T) p = weft_promise_make(T); \
        weft_future(T) early = weft_async(wait_for_##name, weft_promise_future(p)); \
        weft_yield(); \
        cr_assert_eq(weft_resolve(p, sent), 0); \
        spoil_registers(); \
        T a = weft_await(weft_promise_future(p)); \
        spoil_registers(); \
        T b = weft_await(early), c; \
        spoil_registers(); \
        cr_assert_eq(weft_try_await(weft_promise_future(p), &c), 0); \
        cr_assert(same(sent, a)); \
        cr_assert(same(sent, b)); \
        cr_assert(same(sent, c)); \
    }
#define equal(x, y) ((x) == (y))
#define equal_pair(x, y) ((x).a == (y).a && (x).b == (y).b)
#define equal_one(x, y) ((x).a == (y).a)
#define equal_bytes(x, y) (memcmp(&(x), &(y), sizeof(x)) == 0)

typedef const char *text;
struct doubles {
    double a, b;
};
struct longs {
    long a, b;
};
struct long_double {
    long a;
    double b;
};
struct double_long {
    double a;
    long b;
};
struct floats {
    float a, b, c;
};
struct bytes3 {
    char a[3];
};
struct bytes16 {
    char a[16];
};
struct extended {
    long double a;
};
struct int128 {
    __int128 a;
};
struct aligned_longs {
    _Alignas(16) long a;
    long b;
};
struct aligned_double {
    _Alignas(16) double a;
};
union mixed {
    long double x;
    long a[2];
};
struct one_float {
    float a;
};
enum colour { RED = 1, BLUE = -7 };

#define equal_floats(x, y) ((x).a == (y).a && (x).b == (y).b && (x).c == (y).c)
#define equal_longs_of(x, y) ((x).a[0] == (y).a[0] && (x).a[1] == (y).a[1])

carries(int, int, -5, equal)
carries(bool, bool, true, equal)
carries(signed char, signed_char, -100, equal)
carries(unsigned short, unsigned_short, 65000, equal)
carries(enum colour, enum, BLUE, equal)
carries(unsigned long, unsigned_long, 0xfedcba9876543210ul, equal)
carries(text, pointer, "text", equal)
carries(float, float, 1.5f, equal)
carries(double, double, -2.25, equal)
carries(long double, long_double_scalar, 1.0L / 3, equal)
carries(__int128, int128_scalar, ((__int128)-7 * ((__int128)1 << 70)) + 3, equal)
carries(_Complex float, complex_float, 1.5f + 2.5f * I, equal)
carries(_Complex double, complex_double, 1.5 - 2.5 * I, equal)
carries(struct doubles, doubles, ((struct doubles){1.25, -8}), equal_pair)
carries(struct longs, longs, ((struct longs){7, -9}), equal_pair)
carries(struct longs, ones, ((struct longs){1, 1}), equal_pair)
carries(struct doubles, double_ones, ((struct doubles){1, 1}), equal_pair)
carries(struct long_double, long_and_double, ((struct long_double){7, 0.5}), equal_pair)
carries(struct double_long, double_and_long, ((struct double_long){0.5, -7}), equal_pair)
carries(struct floats, floats, ((struct floats){1, 2.5f, 3}), equal_floats)
carries(struct bytes3, three_bytes, ((struct bytes3){"abc"}), equal_bytes)
carries(struct bytes16, sixteen_bytes, ((struct bytes16){"0123456789abcdef"}), equal_bytes)
carries(struct extended, struct_of_long_double, ((struct extended){2.0L / 3}), equal_one)
carries(struct int128, struct_of_int128, ((struct int128){((__int128)5 << 90) + 1}), equal_one)
carries(struct aligned_longs, aligned_longs, ((struct aligned_longs){3, 4}), equal_pair)
carries(struct aligned_double, aligned_double, ((struct aligned_double){3.5}), equal_one)
carries(union mixed, union_of_long_double_and_longs, ((union mixed){.a = {11, -12}}), equal_longs_of)
carries(struct one_float, one_float, ((struct one_float){0.25f}), equal_one)
carries(weft_future(int), a_future, (weft_future(int))NULL, equal)

static void wait_for_nothing(weft_future(void) f, atomic_int *after)
{
    weft_await(f);
    atomic_fetch_add(after, 1);
}

Test(promise, of_void_is_resolved_without_a_value, .timeout = 60)
{
    atomic_int after = 0;
    weft_promise(void) p = weft_promise_make(void);
    start(wait_for_nothing, weft_promise_future(p), &after);
    pause_thread_ms(5);
    cr_assert_eq(atomic_load(&after), 0);
    cr_assert_eq(weft_resolve(p), 0);
    weft_await(weft_promise_future(p));
    cr_assert_eq(weft_try_await(weft_promise_future(p), NULL), 0);
    eventually(atomic_load(&after) == 1);
}

Test(promise, leaves_no_value_on_the_x87_stack, .timeout = 60)
{
    for (int i = 0; i < 100; i++) {
        weft_promise(long double) p = weft_promise_make(long double);
        cr_assert_eq(weft_resolve(p, 0.5L * i), 0);
        cr_assert(weft_await(weft_promise_future(p)) == 0.5L * i);
    }
}

Test(promise, the_value_is_converted_to_its_type, .timeout = 60)
{
    weft_promise(double) p = weft_promise_make(double);
    cr_assert_eq(weft_resolve(p, 3), 0);
    cr_assert(weft_await(weft_promise_future(p)) == 3.0);
}

Test(promise, a_brace_literal_is_a_value, .timeout = 60)
{
    weft_promise(struct longs) p = weft_promise_make(struct longs);
    cr_assert_eq(weft_resolve(p, {.a = 4, .b = 5}), 0);
    cr_assert_eq(weft_await(weft_promise_future(p)).b, 5);
}

static int number_of_calls;

static weft_promise(int) hand_over(weft_promise(int) p)
{
    number_of_calls++;
    return p;
}

Test(promise, arguments_are_evaluated_once_and_may_be_nested, .timeout = 60)
{
    weft_promise(int) p = weft_promise_make(int), q = weft_promise_make(int);
    int i = 0;
    cr_assert_eq(weft_resolve(hand_over(q), weft_resolve(hand_over(p), ++i) + 7), 0);
    cr_assert_eq(i, 1);
    cr_assert_eq(number_of_calls, 2);
    cr_assert_eq(weft_await(weft_promise_future(hand_over(q))), 7);
    cr_assert_eq(weft_await(weft_promise_future(p)), 1);
    cr_assert_eq(number_of_calls, 3);
    cr_assert_eq(weft_reject(hand_over(p), -EIO), -EALREADY);
    cr_assert_eq(number_of_calls, 4);
}

/* ---- settling once ---- */

Test(promise, is_settled_once, .timeout = 60)
{
    weft_promise(int) p = weft_promise_make(int), q = weft_promise_make(int);
    cr_assert_not(weft_future_done(weft_promise_future(p)));
    cr_assert_eq(weft_resolve(p, 1), 0);
    cr_assert_eq(weft_resolve(p, 2), -EALREADY);
    cr_assert_eq(weft_reject(p, -EIO), -EALREADY);
    cr_assert_eq(weft_await(weft_promise_future(p)), 1);
    cr_assert_eq(weft_reject(q, -EIO), 0);
    cr_assert_eq(weft_reject(q, -ENOENT), -EALREADY);
    cr_assert_eq(weft_resolve(q, 2), -EALREADY);
    cr_assert_eq(weft_try_await(weft_promise_future(q), NULL), -EIO);
    cr_assert(weft_future_done(weft_promise_future(q)));
}

Test(promise, is_rejected_with_a_negative_errno_only, .timeout = 60)
{
    weft_promise(int) p = weft_promise_make(int);
    const int bad[] = {0, 1, EIO, -4096, WEFT_EPANIC};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert_eq(weft_reject(p, bad[i]), -EINVAL);
    cr_assert_not(weft_future_done(weft_promise_future(p)));
    cr_assert_eq(weft_reject(p, -4095), 0);
}

struct race {
    weft_promise(int) p;
    atomic_int turn, results[2];
};
enum { RACES = 3000 };
static struct race races[RACES];

static void *reject_each(void *unused)
{
    for (int i = 0; i < RACES; i++) {
        while (atomic_load(&races[i].turn) == 0)
            ;
        atomic_store(&races[i].results[1], weft_reject(races[i].p, -EIO));
    }
    return unused;
}

Test(promise, of_two_threads_that_settle_it_exactly_one_does, .timeout = 60)
{
    pthread_t thread;
    int resolved = 0;
    for (int i = 0; i < RACES; i++)
        races[i].p = weft_promise_make(int);
    cr_assert_eq(pthread_create(&thread, NULL, reject_each, NULL), 0);
    for (int i = 0; i < RACES; i++) {
        atomic_store(&races[i].turn, 1);
        for (volatile int pause = 0; pause < i % 64; pause++)
            ;
        atomic_store(&races[i].results[0], weft_resolve(races[i].p, i));
    }
    cr_assert_eq(pthread_join(thread, NULL), 0);
    for (int i = 0; i < RACES; i++) {
        int out = -1, error = weft_try_await(weft_promise_future(races[i].p), &out);
        bool won = races[i].results[0] == 0;
        cr_assert_eq(races[i].results[won ? 1 : 0], -EALREADY);
        cr_assert_eq(races[i].results[won ? 0 : 1], 0);
        cr_assert_eq(error, won ? 0 : -EIO);
        cr_assert_eq(out, won ? i : -1);
        resolved += won;
    }
    cr_log_info("%d of %d resolved", resolved, RACES);
}

/* ---- awaiting ---- */

static atomic_int n_awaited;

static void expect(weft_future(int) f, int value, int error)
{
    int out = 0;
    require(weft_try_await(f, &out) == error);
    require(out == value);
    atomic_fetch_add(&n_awaited, 1);
}

static weft_promise(int) shared;

static void *expect_five(void *unused)
{
    expect(weft_promise_future(shared), 5, 0);
    return unused;
}

Test(promise, many_await_it_early_and_late_from_routines_and_threads, .timeout = 60)
{
    pthread_t threads[6];
    shared = weft_promise_make(int);
    for (int i = 0; i < 100; i++)
        start(expect, weft_promise_future(shared), 5, 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, expect_five, NULL), 0);
    pause_thread_ms(10);
    cr_assert_eq(atomic_load(&n_awaited), 0);
    cr_assert_eq(weft_resolve(shared, 5), 0);
    for (int i = 0; i < 100; i++)
        start(expect, weft_promise_future(shared), 5, 0);
    for (int i = 3; i < 6; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, expect_five, NULL), 0);
    for (int i = 0; i < 6; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    eventually(atomic_load(&n_awaited) == 206);
}

Test(promise, a_rejection_reaches_all_who_await_it, .timeout = 60)
{
    weft_promise(int) p = weft_promise_make(int);
    for (int i = 0; i < 50; i++)
        start(expect, weft_promise_future(p), 0, -ENOENT);
    pause_thread_ms(5);
    cr_assert_eq(weft_reject(p, -ENOENT), 0);
    for (int i = 0; i < 50; i++)
        start(expect, weft_promise_future(p), 0, -ENOENT);
    eventually(atomic_load(&n_awaited) == 100);
}

static int await_it(weft_future(int) f)
{
    return weft_await(f);
}

Test(promise, awaiting_a_rejected_one_panics_and_names_the_error, .timeout = 60)
{
    weft_promise(int) p = weft_promise_make(int);
    weft_future(int) outer = weft_async(await_it, weft_promise_future(p));
    weft_yield();
    cr_assert_eq(weft_reject(p, -ENOENT), 0);
    cr_assert_eq(weft_try(await_it, weft_promise_future(p)), WEFT_EPANIC);
    cr_assert(strstr(weft_try_message(), strerror(ENOENT)) != NULL, "%s", weft_try_message());
    cr_assert_eq(weft_try_await(outer, NULL), WEFT_EPANIC);
    cr_assert(strstr(weft_try_message(), strerror(ENOENT)) != NULL, "%s", weft_try_message());
}

static void resolve_after_writing(weft_promise(int) p, uint64_t *plain, uint64_t v)
{
    *plain = v;
    require(weft_resolve(p, 0) == 0);
}

Test(promise, what_was_written_before_the_resolve_is_visible_after_the_await, .timeout = 60)
{
    uint64_t plain = 0;
    for (uint64_t i = 1; i < 3000; i++) {
        weft_promise(int) p = weft_promise_make(int);
        start(resolve_after_writing, p, &plain, i);
        cr_assert_eq(weft_await(weft_promise_future(p)), 0);
        cr_assert_eq(plain, i);
        weft_detach(weft_promise_future(p));
    }
}

Test(promise, selects_see_it_settle, .timeout = 60)
{
    static uint64_t plain;
    weft_promise(int) p = weft_promise_make(int), q = weft_promise_make(int), r = weft_promise_make(int);
    cr_assert_eq(weft_select(weft_on_done(weft_promise_future(p)), weft_otherwise), 1);
    start(resolve_after_writing, p, &plain, UINT64_C(1));
    cr_assert_eq(weft_select(weft_on_done(weft_promise_future(q)), weft_on_done(weft_promise_future(p))), 1);
    cr_assert_eq(weft_select(weft_on_done(weft_promise_future(p)), weft_otherwise), 0);
    weft_reject(q, -EIO);
    cr_assert_eq(weft_select(weft_on_done(weft_promise_future(q))), 0);
    cr_assert_eq(weft_select(weft_on_done(weft_promise_future(r)), weft_after(WEFT_MS)), 1);
    weft_future_cancel(weft_promise_future(r));
    cr_assert_eq(weft_select(weft_on_done(weft_promise_future(r)), weft_after(WEFT_HOUR)), 0);
}

/* ---- handles ---- */

static void resolve_null(void)
{
    weft_resolve((weft_promise(int))NULL, 1);
}

static void reject_null(void)
{
    weft_reject((weft_promise(int))NULL, -EIO);
}

Test(promise, settling_null_panics, .timeout = 60)
{
    cr_assert_eq(weft_try(resolve_null), WEFT_EPANIC);
    cr_assert(strstr(weft_try_message(), "weft_resolve") != NULL);
    cr_assert_eq(weft_try(reject_null), WEFT_EPANIC);
    cr_assert(strstr(weft_try_message(), "weft_reject") != NULL);
    cr_assert(weft_promise_future((weft_promise(int))NULL) == NULL);
}

Test(promise, its_future_is_always_the_same, .timeout = 60)
{
    weft_promise(int) p = weft_promise_make(int), q = weft_promise_make(int);
    cr_assert(weft_promise_future(p) == weft_promise_future(p));
    cr_assert(weft_promise_future(p) != weft_promise_future(q));
}

static void detach_in_both_ways(void)
{
    for (int i = 0; i < 1000; i++) {
        weft_promise(int) early = weft_promise_make(int), late = weft_promise_make(int);
        weft_detach(weft_promise_future(early));
        weft_promise(int) other = weft_promise_make(int);
        require(weft_resolve(early, 1) == 0);
        weft_promise(int) another = weft_promise_make(int);
        require(weft_resolve(early, 2) == -EALREADY); /* it is none of those made since */
        require(!weft_future_done(weft_promise_future(other)));
        require(!weft_future_done(weft_promise_future(another)));
        require(weft_resolve(late, i) == 0);
        require(weft_await(weft_promise_future(late)) == i);
        weft_detach(weft_promise_future(late));
    }
}

Test(promise, a_detached_one_can_still_be_settled_and_a_settled_one_detached, .timeout = 60)
{
    weft_await(weft_async(detach_in_both_ways));
}

static void leave_unsettled(void)
{
    weft_promise(int) p = weft_promise_make(int);
    weft_await(weft_promise_future(p));
}

Test(promise, waiting_for_one_that_nobody_settles_is_a_deadlock, .timeout = 60)
{
    struct ending e = run_in_child(leave_unsettled, 20);
    cr_assert_eq(e.exit_status, 2, "%s", e.text);
    cr_assert(says(&e, "awaits a future"), "%s", e.text);
}

Test(promise, errno_is_left_alone, .timeout = 60)
{
    errno = 77;
    weft_promise(int) p = weft_promise_make(int);
    weft_resolve(p, 1);
    weft_reject(p, -EIO);
    cr_assert_eq(errno, 77);
}
