/* SPDX-License-Identifier: MIT */
/* test_combine.c - waiting for several futures, and for one with a time limit, as weft/future.h promises it. */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <weft/weft.h>

#include "../support/expect.h"

#define start(...) require(weft_go(__VA_ARGS__) == 0)

typedef weft_future(int) int_future;
typedef weft_promise(int) int_promise;

static atomic_int n_ended, n_cancelled;

static int sleep_ms(int ms)
{
    int error = weft_sleep(ms * WEFT_MS);
    if (error == -ECANCELED)
        atomic_fetch_add(&n_cancelled, 1);
    atomic_fetch_add(&n_ended, 1);
    return error == 0 ? ms : error;
}

/* Like a routine that takes its time to stop. */
static int stop_slowly(int steps)
{
    weft_sleep(WEFT_HOUR);
    for (int i = 0; i < steps; i++)
        weft_yield();
    atomic_fetch_add(&n_ended, 1);
    return 0;
}

static int panic_at_once(const char *what)
{
    if (what != NULL)
        weft_panic("%s", what);
    return 0;
}

static int_future resolved(int v)
{
    int_promise p = weft_promise_make(int);
    require(weft_resolve(p, v) == 0);
    return weft_promise_future(p);
}

static int_future rejected(int error)
{
    int_promise p = weft_promise_make(int);
    require(weft_reject(p, error) == 0);
    return weft_promise_future(p);
}

/* Runs the test in a routine; require() instead of cr_assert. */
#define routine_test(name) \
    static void name##_in_routine(void); \
    Test(combine, name, .timeout = 60) \
    { \
        cr_assert_eq(weft_try_await(weft_async(name##_in_routine), NULL), 0, "%s", weft_try_message()); \
    } \
    static void name##_in_routine(void)

/* ---- all ---- */

routine_test(all_of_three_sleeps_take_as_long_as_one)
{
    weft_duration took, least = WEFT_HOUR;
    weft_time give_up = weft_now() + PATIENCE_SECONDS * WEFT_SEC;
    do { /* a loaded machine makes it longer; one after the other they never take less than the sum */
        int out[3] = {0};
        weft_time begin = weft_now();
        int_future fs[3] = {weft_async(sleep_ms, 100), weft_async(sleep_ms, 99), weft_async(sleep_ms, 98)};
        require(weft_all(fs, 3, out) == 0);
        took = weft_now() - begin;
        require(took >= 100 * WEFT_MS);
        require(out[0] == 100 && out[1] == 99 && out[2] == 98);
        least = took < least ? took : least;
    } while (least >= 250 * WEFT_MS && weft_now() < give_up);
    require(least < 250 * WEFT_MS);
}

Test(combine, all_can_be_called_by_a_plain_thread, .timeout = 60)
{
    int out[3] = {0};
    int_future fs[3] = {weft_async(sleep_ms, 20), resolved(7), weft_async(sleep_ms, 1)};
    cr_assert_eq(weft_all(fs, 3, out), 0);
    cr_assert_eq(out[0], 20);
    cr_assert_eq(out[1], 7);
    cr_assert_eq(out[2], 1);
    cr_assert_eq(weft_all(fs, 3, NULL), 0);
    cr_assert_eq(weft_all(fs, 3, out), 0);
}

static void resolve_after(int_promise p, int v, int ms)
{
    require(weft_sleep(ms * WEFT_MS) == 0);
    weft_resolve(p, v);
}

static void reject_after(int_promise p, int error, int ms)
{
    require(weft_sleep(ms * WEFT_MS) == 0);
    weft_reject(p, error);
}

/* Settles in so many milliseconds, and is a promise's: nobody has to be cancelled. */
static int_future resolved_after(int v, int ms)
{
    int_promise p = weft_promise_make(int);
    start(resolve_after, p, v, ms);
    return weft_promise_future(p);
}

static int_future rejected_after(int error, int ms)
{
    int_promise p = weft_promise_make(int);
    start(reject_after, p, error, ms);
    return weft_promise_future(p);
}

routine_test(all_gives_the_first_error_in_time_and_the_others_have_ended)
{
    int out[5] = {1, 2, 3, 4, 5};
    int_future fs[5] = {weft_async(stop_slowly, 300), rejected_after(-EPERM, 3600000), rejected_after(-EIO, 5),
                        weft_async(sleep_ms, 3600000), resolved(9)};
    require(weft_all(fs, 5, out) == -EIO);
    require(atomic_load(&n_ended) == 2);
    for (int i = 0; i < 5; i++) {
        require(weft_future_done(fs[i]));
        require(out[i] == i + 1);
    }
    require(weft_try_await(fs[0], NULL) == -ECANCELED);
    require(weft_try_await(fs[1], NULL) == -ECANCELED);
    require(weft_try_await(fs[3], NULL) == -ECANCELED);
    require(weft_await(fs[4]) == 9);
}

routine_test(all_reports_a_panic)
{
    int_future fs[2] = {weft_async(sleep_ms, 3600000), weft_async(panic_at_once, "in one of them")};
    require(weft_all(fs, 2, NULL) == WEFT_EPANIC);
    require(strcmp(weft_try_message(), "in one of them") == 0);
    require(weft_future_done(fs[0]));
}

routine_test(all_of_settled_ones_gives_the_error_of_the_lowest_index)
{
    int_future fs[4] = {resolved(1), rejected(-ENOENT), rejected(-EIO), resolved(2)};
    require(weft_all(fs, 4, NULL) == -ENOENT);
}

routine_test(of_none_all_are_settled_and_none_is_first)
{
    int_future fs[1] = {NULL};
    require(weft_all(fs, 0, NULL) == 0);
    require(weft_all_settled(fs, 0, NULL, NULL) == 0);
    require(weft_race(fs, 0, NULL) == -EINVAL);
    require(weft_any(fs, 0, NULL) == -EINVAL);
}

routine_test(one_may_stand_in_the_array_several_times)
{
    int out[4] = {0};
    int_future f = resolved_after(8, 3), g = weft_async(sleep_ms, 4);
    int_future fs[4] = {f, g, f, f};
    require(weft_all(fs, 4, out) == 0);
    require(out[0] == 8 && out[1] == 4 && out[2] == 8 && out[3] == 8);
    int_future gs[3] = {rejected_after(-EIO, 3), NULL, NULL};
    gs[1] = gs[2] = weft_async(sleep_ms, 3600000);
    require(weft_all(gs, 3, NULL) == -EIO);
    require(weft_try_await(gs[2], NULL) == -ECANCELED);
}

/* ---- all settled ---- */

routine_test(all_settled_gives_each_its_status)
{
    int statuses[5] = {1, 1, 1, 1, 1}, out[5] = {-1, -1, -1, -1, -1};
    int_future cancelled = weft_async(sleep_ms, 3600000);
    weft_future_cancel(cancelled);
    int_future fs[5] = {resolved_after(5, 4), rejected_after(-EIO, 2), weft_async(panic_at_once, "panic"), cancelled,
                        weft_async(sleep_ms, 3)};
    require(weft_all_settled(fs, 5, statuses, out) == 0);
    const int expected[5] = {0, -EIO, WEFT_EPANIC, -ECANCELED, 0}, values[5] = {5, -1, -1, -1, 3};
    for (int i = 0; i < 5; i++)
        require(statuses[i] == expected[i] && out[i] == values[i]);
    require(weft_all_settled(fs, 5, NULL, NULL) == 0);
}

/* ---- race ---- */

routine_test(race_gives_the_first_and_ends_the_others)
{
    int out = 0;
    int_future fs[4] = {weft_async(sleep_ms, 3600000), resolved_after(7, 5), weft_async(stop_slowly, 200),
                        resolved_after(8, 3600000)};
    require(weft_race(fs, 4, &out) == 1);
    require(out == 7);
    require(atomic_load(&n_ended) == 2);
    for (int i = 0; i < 4; i++)
        require(weft_future_done(fs[i]));
    require(weft_try_await(fs[3], NULL) == -ECANCELED);
}

routine_test(race_gives_the_error_of_the_first)
{
    int out = 77;
    int_future fs[3] = {weft_async(sleep_ms, 3600000), NULL, rejected_after(-ENOENT, 5)};
    require(weft_race(fs, 3, &out) == -ENOENT);
    require(out == 77);
    int_future gs[2] = {weft_async(panic_at_once, "first"), weft_async(sleep_ms, 3600000)};
    require(weft_race(gs, 2, NULL) == WEFT_EPANIC);
    require(strcmp(weft_try_message(), "first") == 0);
}

routine_test(race_of_settled_ones_gives_the_lowest_index)
{
    int out = 0;
    int_future fs[4] = {NULL, resolved(4), rejected(-EIO), resolved(5)};
    require(weft_race(fs, 4, &out) == 1);
    require(out == 4);
}

/* ---- any ---- */

routine_test(any_gives_the_first_value_and_passes_over_errors)
{
    int out = 0;
    int_future fs[5] = {weft_async(sleep_ms, 3600000), rejected(-EIO), resolved_after(6, 5), rejected_after(-EPERM, 1), NULL};
    require(weft_any(fs, 5, &out) == 2);
    require(out == 6);
    require(weft_try_await(fs[0], NULL) == -ECANCELED);
}

static void reject_behind(int_promise p, int error, int_future *others, int n)
{
    for (int i = 0; i < n; i++)
        require(weft_try_await(others[i], NULL) != 0);
    require(weft_sleep(5 * WEFT_MS) == 0); /* weft_any is there */
    weft_reject(p, error);
}

routine_test(any_of_failures_gives_the_error_of_the_last_in_time)
{
    int out = 77;
    int_promise last = weft_promise_make(int);
    int_future others[3] = {rejected_after(-EPERM, 1), rejected(-EIO), weft_async(panic_at_once, "not the last")};
    int_future fs[4] = {others[0], weft_promise_future(last), others[1], others[2]};
    start(reject_behind, last, -ENOENT, others, 3);
    require(weft_any(fs, 4, &out) == -ENOENT);
    require(out == 77);
    int_future gs[2] = {rejected(-EPERM), rejected(-EIO)};
    require(weft_any(gs, 2, NULL) == -EIO);
}

/* ---- types ---- */

struct pair {
    double a;
    long b;
};

static struct pair make_pair(double a, long b)
{
    weft_yield();
    return (struct pair){a, b};
}

static void do_nothing(void)
{
    weft_yield();
}

static long double third(int n)
{
    return (long double)n / 3;
}

routine_test(values_of_other_types_and_of_none)
{
    struct pair pairs[2];
    weft_future(struct pair) fs[2] = {weft_async(make_pair, 0.5, 6), weft_async(make_pair, 1.5, 7)};
    require(weft_all(fs, 2, pairs) == 0);
    require(pairs[0].a == 0.5 && pairs[1].b == 7);
    require(weft_any(&fs[1], 1, pairs) == 0);
    require(pairs[0].b == 7);
    int statuses[2];
    weft_future(void) gs[2] = {weft_async(do_nothing), weft_async(do_nothing)};
    require(weft_all(gs, 2, NULL) == 0);
    require(weft_all_settled(gs, 2, statuses, NULL) == 0);
    require(weft_race(gs, 2, NULL) == 0);
    require(weft_any(gs, 2, NULL) == 0);
    long double out[2];
    weft_future(long double) hs[2] = {weft_async(third, 1), weft_async(third, 2)};
    require(weft_all(hs, 2, out) == 0);
    require(out[0] == 1.0L / 3 && out[1] == 2.0L / 3);
}

static int calls;

static int_future *count_call(int_future *fs)
{
    calls++;
    return fs;
}

routine_test(arguments_are_evaluated_once_and_may_be_nested)
{
    int out[3] = {0};
    int_future fs[3] = {resolved(1), resolved(2), resolved(3)};
    require(weft_all(count_call(fs), (unsigned char)weft_race(count_call(&fs[1]), 1, NULL) + 3, out) == 0);
    require(calls == 2);
    require(out[2] == 3);
}

/* ---- many ---- */

enum { MANY = 10000 };

static int give(int i)
{
    if (i % 7 == 0)
        weft_yield();
    return i;
}

routine_test(ten_thousand_are_waited_for)
{
    static int_future fs[MANY];
    static int out[MANY];
    for (int i = 0; i < MANY; i++)
        fs[i] = weft_async(give, i);
    require(weft_all(fs, MANY, out) == 0);
    for (int i = 0; i < MANY; i++)
        require(out[i] == i);
}

/* Of the whole process: how busy the machine is makes no difference. */
static int64_t cpu_time(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* n sleepers and one that fails: the CPU time that the call takes, with all the cancelling. */
static int64_t cancel_all_of(int_future *fs, int n)
{
    for (int i = 0; i < n - 1; i++)
        fs[i] = weft_async(sleep_ms, 3600000);
    fs[n - 1] = rejected_after(-EIO, 20);
    while (!weft_future_done(fs[n - 1]))
        weft_sleep(WEFT_MS);
    int ended = atomic_load(&n_cancelled);
    int64_t begin = cpu_time();
    require(weft_all(fs, (size_t)n, NULL) == -EIO);
    int64_t took = cpu_time() - begin;
    require(atomic_load(&n_cancelled) == ended + n - 1);
    return took;
}

routine_test(ten_thousand_are_cancelled_in_time_proportional_to_their_number)
{
    static int_future fs[MANY];
    int64_t few = INT64_MAX, many = INT64_MAX;
    for (int round = 0; round < 3 || (many >= 50 * few && round < 20); round++) { /* the least of both, however busy it is */
        int64_t took = cancel_all_of(fs, MANY / 10);
        few = took < few ? took : few;
        took = cancel_all_of(fs, MANY);
        many = took < many ? took : many;
    }
    require(many < 50 * few); /* 10 if proportional, 100 if quadratic */
}

/* The same future n times: as many waiters in one queue. */
routine_test(one_stands_in_the_array_ten_thousand_times)
{
    static int_future fs[MANY];
    static int out[MANY];
    fs[0] = resolved_after(3, 5);
    for (int i = 1; i < MANY; i++)
        fs[i] = fs[0];
    require(weft_all(fs, MANY, out) == 0);
    require(out[0] == 3 && out[MANY - 1] == 3);
    fs[0] = weft_async(sleep_ms, 3600000);
    for (int i = 1; i < MANY - 1; i++)
        fs[i] = fs[0];
    fs[MANY - 1] = resolved_after(3, 5);
    require(weft_race(fs, MANY, out) == MANY - 1);
}

/* ---- waits that are ended ---- */

enum how { ALL, ALL_SETTLED, RACE, ANY };

static atomic_int n_started, result;

static int wait_for_sleepers(enum how how, bool with_null)
{
    int_future fs[12];
    for (int i = 0; i < 12; i++)
        fs[i] = i < 10 ? weft_async(sleep_ms, 3600000) : NULL;
    if (!with_null)
        fs[10] = fs[11] = weft_promise_future(weft_promise_make(int));
    atomic_store(&n_started, 10);
    int r = how == ALL ? weft_all(fs, 12, NULL) : how == ALL_SETTLED ? weft_all_settled(fs, 12, NULL, NULL)
            : how == RACE ? weft_race(fs, 12, NULL) : weft_any(fs, 12, NULL);
    require(atomic_load(&n_cancelled) == 10);
    for (int i = 0; i < 12; i++)
        require(fs[i] == NULL || weft_try_await(fs[i], NULL) == -ECANCELED);
    atomic_store(&result, r);
    return r;
}

static void end_the_wait(enum how how, bool with_null)
{
    int_future f = weft_async(wait_for_sleepers, how, with_null);
    eventually(atomic_load(&n_started) == 10);
    pause_thread_ms(5);
    weft_future_cancel(f);
    cr_assert_eq(weft_try_await(f, NULL), -ECANCELED);
    cr_assert_eq(atomic_load(&result), -ECANCELED);
}

Test(combine, all_that_is_ended_cancels_and_waits_for_all, .timeout = 60)
{
    end_the_wait(ALL, false);
}

Test(combine, all_settled_that_is_ended_cancels_and_waits_for_all, .timeout = 60)
{
    end_the_wait(ALL_SETTLED, true);
}

Test(combine, race_that_is_ended_cancels_and_waits_for_all, .timeout = 60)
{
    end_the_wait(RACE, true);
}

Test(combine, any_that_is_ended_cancels_and_waits_for_all, .timeout = 60)
{
    end_the_wait(ANY, false);
}

static int wait_for_nulls(enum how how)
{
    int_future fs[2] = {NULL, NULL};
    atomic_store(&n_started, 1);
    return how == ALL ? weft_all(fs, 2, NULL) : how == RACE ? weft_race(fs, 2, NULL) : weft_timeout(fs[0], WEFT_HOUR);
}

Test(combine, nulls_are_waited_for_until_the_wait_is_ended, .timeout = 60)
{
    for (int how = 0; how < 4; how++) {
        int_future f = weft_async(wait_for_nulls, (enum how)how);
        pause_thread_ms(10);
        if (how == ALL_SETTLED)
            cr_assert_eq(weft_timeout((int_future)NULL, 3 * WEFT_MS), -ETIMEDOUT);
        cr_assert_not(weft_future_done(f));
        weft_future_cancel(f);
        cr_assert_eq(weft_try_await(f, NULL), -ECANCELED);
    }
}

static void race_promises(int_promise p, int_promise q)
{
    int_future fs[3] = {weft_promise_future(p), NULL, weft_promise_future(q)};
    atomic_store(&n_started, 1);
    int error = weft_race(fs, 3, NULL);
    atomic_store(&result, error);
}

Test(combine, stop_ends_the_wait_for_several, .timeout = 60)
{
    int_promise p = weft_promise_make(int), q = weft_promise_make(int);
    start(race_promises, p, q);
    eventually(atomic_load(&n_started) == 1);
    pause_thread_ms(5);
    cr_assert_eq(weft_stop(), 0);
    cr_assert_eq(atomic_load(&result), -ECANCELED);
    cr_assert(weft_future_done(weft_promise_future(p)));
    cr_assert_eq(weft_resolve(q, 1), -EALREADY);
}

/* ---- timeout ---- */

static void let_time_pass(void)
{
    int_future slow = weft_async(stop_slowly, 50), soon = weft_async(sleep_ms, 5);
    weft_time begin = weft_now();
    require(weft_timeout(slow, 20 * WEFT_MS) == -ETIMEDOUT);
    require(weft_now() - begin >= 20 * WEFT_MS);
    require(weft_try_await(slow, NULL) == -ECANCELED);
    require(weft_timeout(soon, WEFT_HOUR) == 0);
    require(weft_await(soon) == 5);
    require(weft_timeout(soon, 0) == 0);
    int_promise p = weft_promise_make(int);
    require(weft_timeout(weft_promise_future(p), 0) == -ETIMEDOUT);
    require(weft_resolve(p, 1) == -EALREADY);
    require(weft_timeout(rejected_after(-EIO, 2), WEFT_HOUR) == 0);
    require(weft_timeout(weft_async(panic_at_once, "x"), WEFT_HOUR) == 0);
    require(weft_timeout((int_future)NULL, 2 * WEFT_MS) == -ETIMEDOUT);
}

routine_test(timeout_waits_so_long_and_cancels)
{
    let_time_pass();
}

Test(combine, timeout_can_be_called_by_a_plain_thread, .timeout = 60)
{
    let_time_pass();
}

static int wait_an_hour(int_future f)
{
    int error = weft_timeout(f, WEFT_HOUR);
    atomic_store(&result, error);
    return error;
}

Test(combine, timeout_that_is_ended_leaves_the_future_alone, .timeout = 60)
{
    int_promise p = weft_promise_make(int);
    int_future f = weft_async(wait_an_hour, weft_promise_future(p));
    pause_thread_ms(10);
    weft_future_cancel(f);
    cr_assert_eq(weft_try_await(f, NULL), -ECANCELED);
    cr_assert_eq(atomic_load(&result), -ECANCELED);
    cr_assert_not(weft_future_done(weft_promise_future(p)));
    cr_assert_eq(weft_resolve(p, 3), 0);
    cr_assert_eq(weft_await(weft_promise_future(p)), 3);
}

static void resolve_at(int_promise p, weft_time when)
{
    while (weft_now() < when)
        weft_yield();
    weft_resolve(p, 6);
}

/* The limit and the value at about the same moment; one of the two is told, and is true. */
static void race_the_limit(int rounds)
{
    for (int i = 0; i < rounds; i++) {
        int_promise p = weft_promise_make(int);
        weft_duration d = 100 * WEFT_US + i % 100 * WEFT_US;
        start(resolve_at, p, weft_now() + 150 * WEFT_US);
        int error = weft_timeout(weft_promise_future(p), d), out = 0;
        require(error == 0 || error == -ETIMEDOUT);
        int outcome = weft_try_await(weft_promise_future(p), &out);
        require(outcome == 0 ? out == 6 : error == -ETIMEDOUT && outcome == -ECANCELED);
        atomic_fetch_add(&n_ended, error == 0);
    }
}

routine_test(timeout_and_value_at_once_give_one_of_both)
{
    race_the_limit(500);
}

Test(combine, timeout_and_value_at_once_give_one_of_both_to_a_thread, .timeout = 60)
{
    race_the_limit(500);
}

/* ---- settling on other threads ---- */

static void settle_some(int_promise *ps, int first, int step, int n)
{
    for (int i = first; i < n; i += step)
        if (i % 5 == 4)
            weft_reject(ps[i], -EIO);
        else
            weft_resolve(ps[i], i);
}

static void *race_in_thread(void *unused)
{
    for (int round = 0; round < 300; round++) {
        int_promise ps[20];
        int_future fs[20];
        for (int i = 0; i < 20; i++) {
            ps[i] = weft_promise_make(int);
            fs[i] = weft_promise_future(ps[i]);
        }
        weft_tracker settlers = {0};
        for (int i = 0; i < 3; i++)
            require(weft_tracker_go(&settlers, settle_some, ps, i, 3, 20) == 0);
        int out = -1, index = round % 2 == 0 ? weft_any(fs, 20, &out) : weft_race(fs, 20, &out);
        require(index >= 0 ? out == index && index % 5 != 4 : index == -EIO && round % 2 != 0);
        for (int i = 0; i < 20; i++)
            require(weft_future_done(fs[i]));
        weft_tracker_close(&settlers);
        require(weft_tracker_wait(&settlers) == 0);
    }
    return unused;
}

Test(combine, races_are_decided_once_by_those_who_settle_on_other_threads, .timeout = 60)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, race_in_thread, NULL), 0);
    weft_future(void *) f = weft_async(race_in_thread, (void *)NULL);
    weft_await(f);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
}
