/* SPDX-License-Identifier: MIT */
/* test_select.c - what weft/select.h promises, from routines and from plain threads. */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weft/future.h>
#include <weft/runtime.h>
#include <weft/select.h>
#include <weft/time.h>

#include "chan/chan.h"

/* Criterion's asserts unwind by longjmp, which a routine must not: there it is this one. */
#define require(x) \
    do { \
        if (!(x)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
            abort(); \
        } \
    } while (0)

#define in_routine(...) weft_await(weft_async(__VA_ARGS__))

static void pause_ns(int64_t ns)
{
    struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    nanosleep(&ts, NULL);
}

/* Return once somebody waits to receive, to send. From a plain thread. */
#define await_receiver(c) await_waiter(&WEFT__CHAN_OF(c)->receivers)
#define await_sender(c) await_waiter(&WEFT__CHAN_OF(c)->senders)
static void await_waiter(struct wf_waitq *q)
{
    while (wf_load_acquire(&q->first) == NULL)
        pause_ns(20000);
}

static _Atomic int passed;
static void await_passed(int n)
{
    while (passed != n)
        pause_ns(1000);
}

/* ---- which case ---- */

Test(select, the_index_is_that_of_the_case_in_the_order_written)
{
    weft_chan(int) a = weft_chan_make(int, 1), b = weft_chan_make(int, 1), c = weft_chan_make(int, 1);
    int x = 0, y = 0;
    weft_chan_send(c, 1);
    weft_chan_send(b, 7);
    cr_assert(weft_select(weft_on_recv(a, &x), weft_on_recv(b, &y), weft_on_send(c, 2)) == 1);
    cr_assert(y == 7);
    cr_assert(weft_select(weft_on_recv(b, &x), weft_on_send(b, 5), weft_on_send(c, 2)) == 1);
    cr_assert(weft_chan_recv(b, &y) == 0);
    cr_assert(y == 5);
    switch (weft_select(weft_on_recv(a, &x), weft_on_recv(b, &y), weft_on_recv(c, &x), weft_otherwise)) {
    case 2:
        cr_assert(x == 1);
        break;
    default:
        cr_assert_fail("only the third is ready");
    }
}

Test(select, otherwise_runs_only_if_nothing_is_ready)
{
    weft_chan(int) a = weft_chan_make(int, 1), r = weft_chan_make(int, 0), nil = NULL;
    int v = 9, status = 9;
    cr_assert(weft_select(weft_otherwise) == 0);
    cr_assert(weft_select(weft_on_recv(a, &v), weft_otherwise) == 1);
    cr_assert(weft_select(weft_otherwise, weft_on_recv(a, &v)) == 0);
    cr_assert(weft_select(weft_on_send(r, 1), weft_on_recv(r, &v, &status), weft_on_recv(nil, &v), weft_otherwise) ==
              3);
    cr_assert(weft_select(weft_after(WEFT_HOUR), weft_otherwise) == 1);
    cr_assert(v == 9);
    cr_assert(status == 9);
    weft_chan_send(a, 4);
    cr_assert(weft_select(weft_otherwise, weft_on_recv(a, &v)) == 1);
    cr_assert(v == 4);
}

static weft_chan(int) ready_ones[4];

/* Each of four ready cases, and a time that is up, must come about equally often. */
static void count_choices(int rounds, int *counts)
{
    int v;
    for (int i = 0; i < rounds; i++) {
        int chosen = weft_select(weft_on_recv(ready_ones[0], &v), weft_on_send(ready_ones[1], 1),
                                 weft_on_recv(ready_ones[2], &v), weft_after(0), weft_on_recv((weft_chan(int))NULL, &v),
                                 weft_on_recv(ready_ones[3], &v));
        require(chosen >= 0);
        require(chosen < 6);
        counts[chosen]++;
        if (chosen == 0)
            weft_chan_send(ready_ones[0], 1);
        if (chosen == 1)
            weft_chan_recv(ready_ones[1], NULL);
        if (chosen == 2)
            weft_chan_send(ready_ones[2], 1);
    }
}

static void check_uniform(const int *counts, int n, int rounds)
{
    int expected = rounds / n;
    for (int i = 0; i < n; i++)
        cr_assert(abs(counts[i] - expected) < expected / 10, "case %d came %d times of %d", i, counts[i], rounds);
}

Test(select, each_ready_case_has_the_same_chance, .timeout = 60)
{
    enum { ROUNDS = 50000 }; /* standard deviation of a count: 0.9 % of it; allowed: 10 % */
    for (int who = 0; who < 2; who++) {
        int counts[6] = {0};
        for (int i = 0; i < 4; i++) {
            ready_ones[i] = weft_chan_make(int, 1);
            if (i != 1 && i != 3)
                weft_chan_send(ready_ones[i], 1);
        }
        weft_chan_close(ready_ones[3]);
        if (who == 0)
            count_choices(ROUNDS, counts);
        else
            in_routine(count_choices, ROUNDS, counts);
        cr_assert(counts[4] == 0);
        counts[4] = counts[5];
        check_uniform(counts, 5, ROUNDS);
    }
}

Test(select, adjacent_ready_cases_among_many_have_the_same_chance, .timeout = 60)
{
    enum { CASES = 100, ROUNDS = 30000 };
    weft_chan(int) full = weft_chan_make(int, 1), empty = weft_chan_make(int, 1);
    weft_case cases[CASES];
    int counts[CASES] = {0};
    for (int i = 0; i < CASES; i++)
        cases[i] = weft_on_recv(i >= 40 && i < 43 ? full : empty, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        weft_chan_send(full, 1);
        counts[weft_select_n(cases, CASES)]++;
    }
    check_uniform(counts + 40, 3, ROUNDS);
}

static void wait_on_one_channel(weft_chan(int) c, weft_chan(int) other, weft_chan(int) go_on, int rounds, int *counts)
{
    int v = 0;
    for (int i = 0; i < rounds; i++) {
        weft_chan_send(go_on, i);
        int chosen =
            weft_select(weft_on_recv(c, &v), weft_on_recv(other, &v), weft_on_recv(c, &v), weft_on_recv(c, &v));
        require(chosen >= 0);
        require(v == i);
        counts[chosen]++;
    }
    weft_chan_close(go_on);
}

Test(select, several_cases_on_one_channel_have_the_same_chance_after_waiting, .timeout = 60)
{
    enum { ROUNDS = 6000 }; /* standard deviation of a count: 1.8 % */
    weft_chan(int) c = weft_chan_make(int, 0), other = weft_chan_make(int, 0), go_on = weft_chan_make(int, 0);
    int counts[4] = {0}, waited = 0;
    weft_go(wait_on_one_channel, c, other, go_on, ROUNDS, counts);
    weft_chan_each(int, round, go_on) {
        for (int k = 0; k < 2000 && wf_load_acquire(&WEFT__CHAN_OF(c)->receivers.first) == NULL; k++)
            sched_yield();
        waited += wf_load_acquire(&WEFT__CHAN_OF(c)->receivers.first) != NULL;
        weft_chan_send(c, round);
    }
    cr_assert(waited > ROUNDS / 2);
    cr_assert(counts[1] == 0);
    counts[1] = counts[3];
    check_uniform(counts, 3, ROUNDS);
}

/* ---- values, outputs, statuses ---- */

static int calls;
static int counted(int v)
{
    calls++;
    return v;
}

Test(select, send_values_are_evaluated_once_chosen_or_not)
{
    weft_chan(int) a = weft_chan_make(int, 1), full = weft_chan_make(int, 1);
    int v = 0;
    weft_chan_send(full, 0);
    cr_assert(weft_select(weft_on_send(full, counted(5)), weft_on_send(a, counted(6))) == 1);
    cr_assert(calls == 2);
    cr_assert(weft_chan_recv(a, &v) == 0);
    cr_assert(v == 6);
    cr_assert(weft_select(weft_on_send(full, counted(7)), weft_otherwise) == 1);
    cr_assert(calls == 3);
}

struct pair {
    int64_t a, b;
};

Test(select, a_send_case_takes_conversions_and_brace_literals, .timeout = 60)
{
    weft_chan(struct pair) c = weft_chan_make(struct pair, 1);
    weft_chan(double) d = weft_chan_make(double, 1);
    struct pair v = {0, 0};
    int status = 9, three = 3;
    double x = 0;
    cr_assert(weft_select(weft_on_send(c, (struct pair){1, 2})) == 0);
    cr_assert(weft_select(weft_on_recv(c, &v)) == 0);
    cr_assert(v.a == 1 && v.b == 2);
    cr_assert(weft_select(weft_on_send(c, ((struct pair){3, 4}), &status)) == 0);
    cr_assert(status == 0);
    cr_assert(weft_select(weft_on_recv(c, &v)) == 0);
    cr_assert(v.a == 3 && v.b == 4);
    cr_assert(weft_select(weft_on_send(c, {5, 6}, &status)) == 0);
    cr_assert(weft_select(weft_on_recv(c, &v)) == 0);
    cr_assert(v.a == 5 && v.b == 6);
    cr_assert(weft_select(weft_on_send(d, three)) == 0);
    cr_assert(weft_select(weft_on_recv(d, &x)) == 0);
    cr_assert(x == 3.0);
}

Test(select, send_from_reads_the_value_when_the_case_runs)
{
    weft_chan(int) c = weft_chan_make(int, 1);
    int value = 1, v = 0, status = 9;
    weft_case cases[] = {weft_on_send_from(c, &value, &status)};
    value = 2;
    cr_assert(weft_select_n(cases, 1) == 0);
    cr_assert(status == 0);
    cr_assert(weft_chan_recv(c, &v) == 0);
    cr_assert(v == 2);
}

Test(select, outputs_and_statuses_of_the_other_cases_are_untouched)
{
    weft_chan(int) a = weft_chan_make(int, 1), b = weft_chan_make(int, 1), full = weft_chan_make(int, 1);
    int x = 11, y = 12, sx = 13, sy = 14, sz = 15;
    weft_chan_send(full, 0);
    weft_chan_send(b, 5);
    cr_assert(weft_select(weft_on_recv(a, &x, &sx), weft_on_recv(b, &y, &sy), weft_on_send(full, 1, &sz)) == 1);
    cr_assert(x == 11);
    cr_assert(sx == 13);
    cr_assert(sz == 15);
    cr_assert(y == 5);
    cr_assert(sy == 0);
}

Test(select, a_closed_channel_is_ready_and_says_epipe)
{
    weft_chan(int) c = weft_chan_make(int, 1), empty = weft_chan_make(int, 0);
    int v = 9, status = 9;
    weft_chan_send(c, 3);
    weft_chan_close(c);
    cr_assert(weft_select(weft_on_send(c, 1, &status), weft_on_recv(empty, &v)) == 0);
    cr_assert(status == -EPIPE);
    cr_assert(weft_select(weft_on_recv(c, &v, &status)) == 0);
    cr_assert(v == 3);
    cr_assert(status == 0);
    cr_assert(weft_select(weft_on_recv(empty, &v), weft_on_recv(c, &v, &status)) == 1);
    cr_assert(v == 0);
    cr_assert(status == -EPIPE);
    cr_assert(weft_select(weft_on_recv(c, NULL), weft_otherwise) == 0);
}

static int start_values(int *x, int *y, int *sx, int *sy)
{
    *x = *y = *sx = *sy = 9;
    return 0;
}

static void select_recv_two(weft_chan(int) a, weft_chan(int) b, int index, int value, int status)
{
    int x, y, sx, sy;
    start_values(&x, &y, &sx, &sy);
    require(weft_select(weft_on_recv(a, &x, &sx), weft_on_recv(b, &y, &sy), weft_after(WEFT_HOUR)) == index);
    require((index == 0 ? x : y) == value);
    require((index == 0 ? sx : sy) == status);
    require((index == 0 ? y : x) == 9);
    require((index == 0 ? sy : sx) == 9);
    passed++;
}

static void select_send_two(weft_chan(int) a, weft_chan(int) b, int index, int status)
{
    int sa = 9, sb = 9;
    require(weft_select(weft_on_send(a, 1, &sa), weft_on_send(b, 2, &sb)) == index);
    require((index == 0 ? sa : sb) == status);
    require((index == 0 ? sb : sa) == 9);
    passed++;
}

Test(select, a_waiting_select_is_served_by_a_send, .timeout = 60)
{
    for (int i = 0; i < 2; i++) {
        weft_chan(int) c[2] = {weft_chan_make(int, 0), weft_chan_make(int, 3)};
        passed = 0;
        weft_go(select_recv_two, c[0], c[1], i, 5, 0);
        await_receiver(c[0]);
        cr_assert((i != 0 ? weft_chan_try_send(c[i], 5) : weft_chan_send(c[i], 5)) == 0);
        await_passed(1);
        cr_assert(weft_chan_try_send(c[0], 6) == -EAGAIN);
        cr_assert(weft_chan_len(c[1]) == 0);
    }
}

Test(select, a_waiting_select_is_served_by_a_receive, .timeout = 60)
{
    for (int i = 0; i < 2; i++) {
        weft_chan(int) c[2] = {weft_chan_make(int, 0), weft_chan_make(int, 1)};
        int v = 0;
        passed = 0;
        weft_chan_send(c[1], 77);
        weft_go(select_send_two, c[0], c[1], i, 0);
        await_sender(c[0]);
        cr_assert(weft_chan_recv(c[i], &v) == 0);
        cr_assert(v == (i == 0 ? 1 : 77));
        await_passed(1);
        cr_assert(weft_chan_try_recv(c[0], &v) == -EAGAIN);
        cr_assert(weft_chan_recv(c[1], &v) == 0);
        cr_assert(v == (i == 0 ? 77 : 2));
    }
}

Test(select, close_wakes_a_waiting_select, .timeout = 60)
{
    weft_chan(int) c[2];
    for (int i = 0; i < 2; i++) {
        c[0] = weft_chan_make(int, 0);
        c[1] = weft_chan_make(int, 0);
        passed = 0;
        weft_go(select_recv_two, c[0], c[1], i, 0, -EPIPE);
        await_receiver(c[0]);
        weft_chan_close(c[i]);
        await_passed(1);
        c[0] = weft_chan_make(int, 0);
        c[1] = weft_chan_make(int, 0);
        weft_go(select_send_two, c[0], c[1], i, -EPIPE);
        await_sender(c[0]);
        weft_chan_close(c[i]);
        await_passed(2);
    }
}

/* ---- the same channel twice ---- */

Test(select, a_select_does_not_meet_itself, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    int v = 9;
    cr_assert(weft_select(weft_on_send(c, 1), weft_on_recv(c, &v), weft_otherwise) == 2);
    cr_assert(weft_select(weft_on_send(c, 1), weft_on_recv(c, &v), weft_after(2 * WEFT_MS)) == 2);
    cr_assert(v == 9);
    cr_assert(weft_chan_try_send(c, 1) == -EAGAIN);
    cr_assert(weft_chan_try_recv(c, &v) == -EAGAIN);
}

static void send_or_recv(weft_chan(int) c, weft_chan(int) results, int self)
{
    int v = -1;
    int chosen = weft_select(weft_on_send(c, self), weft_on_recv(c, &v));
    require(chosen == 0 || chosen == 1);
    weft_chan_send(results, chosen == 0 ? -1 : v);
}

Test(select, two_selects_with_both_ends_of_one_channel_meet, .timeout = 60)
{
    weft_chan(int) results = weft_chan_make(int, 2);
    for (int i = 0; i < 3000; i++) {
        weft_chan(int) c = weft_chan_make(int, 0);
        int a = 0, b = 0;
        weft_go(send_or_recv, c, results, 1);
        weft_go(send_or_recv, c, results, 2);
        weft_chan_recv(results, &a);
        weft_chan_recv(results, &b);
        cr_assert(a == -1 || b == -1);
        cr_assert(a + b == 0 || a + b == 1);
    }
}

/* ---- many cases ---- */

enum { MANY = 1000 };

static void send_to(weft_chan(int) c, int v)
{
    require(weft_chan_send(c, v) == 0);
}

static void select_over_many(weft_chan(int) *chans, int rounds)
{
    weft_case *cases = calloc(MANY, sizeof(*cases));
    int outs[MANY], statuses[MANY];
    for (int i = 0; i < MANY; i++) {
        outs[i] = statuses[i] = -1;
        cases[i] = weft_on_recv(chans[i], &outs[i], &statuses[i]);
    }
    for (int i = 0; i < rounds; i++) {
        int k = i * 7919 % MANY;
        if (i % 2 == 0)
            weft_go(send_to, chans[k], i);
        else
            require(weft_chan_try_send(chans[k], i) == 0);
        require(weft_select_n(cases, MANY) == k);
        require(outs[k] == i);
        require(statuses[k] == 0);
    }
    free(cases);
}

Test(select, an_array_of_a_thousand_cases_works, .timeout = 60)
{
    static weft_chan(int) chans[MANY];
    for (int i = 0; i < MANY; i++)
        chans[i] = weft_chan_make(int, 1);
    select_over_many(chans, 300);
    in_routine(select_over_many, chans, 300);
    for (int i = 0; i < MANY; i++)
        cr_assert(weft_chan_len(chans[i]) == 0);
}

Test(select, an_array_may_name_few_channels_many_times, .timeout = 60)
{
    weft_chan(int) a = weft_chan_make(int, 0), b = weft_chan_make(int, 0);
    weft_case cases[60];
    int v = 0;
    for (int i = 0; i < 60; i++)
        cases[i] = i % 3 == 0   ? weft_on_recv(a, &v)
                   : i % 3 == 1 ? weft_on_recv(b, &v)
                                : weft_on_recv((weft_chan(int))NULL, &v);
    for (int i = 0; i < 200; i++) {
        weft_go(send_to, i % 2 == 0 ? a : b, i);
        int chosen = weft_select_n(cases, 60);
        cr_assert(chosen >= 0);
        cr_assert(chosen % 3 == i % 2);
        cr_assert(v == i);
    }
}

Test(select, a_case_of_zeroes_is_never_ready)
{
    weft_case cases[2] = {{0}, weft_otherwise};
    cr_assert(weft_select_n(cases, 2) == 1);
    cases[1] = weft_after(WEFT_MS);
    cr_assert(weft_select_n(cases, 2) == 1);
}

/* ---- time ---- */

static void time_limits(void)
{
    weft_chan(int) c = weft_chan_make(int, 0), nil = NULL;
    int v = 9;
    for (int64_t d = 1; d < 20 * WEFT_MS; d *= 7) {
        int64_t before = weft_now();
        require(weft_select(weft_on_recv(c, &v), weft_after(d)) == 1);
        require(weft_now() - before >= d);
        before = weft_now();
        require(weft_select(weft_after(d)) == 0);
        require(weft_now() - before >= d);
        before = weft_now();
        require(weft_select(weft_after(d + WEFT_HOUR), weft_on_recv(nil, &v), weft_after(d), weft_after(INT64_MAX)) ==
                2);
        require(weft_now() - before >= d);
    }
    require(v == 9);
}

Test(select, a_time_limit_is_never_early_and_the_earliest_counts, .timeout = 60)
{
    time_limits();
    in_routine(time_limits);
}

Test(select, a_time_that_is_up_is_ready_at_once, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    cr_assert(weft_select(weft_on_recv(c, NULL), weft_after(0)) == 1);
    cr_assert(weft_select(weft_after(-WEFT_SEC), weft_on_recv(c, NULL)) == 0);
    cr_assert(weft_select(weft_after(INT64_MIN), weft_on_recv(c, NULL), weft_otherwise) == 0);
}

static void count_down(weft_chan(int) c, int n)
{
    for (int i = 0; i < n; i++) {
        int v = -1;
        require(weft_select(weft_on_recv(c, &v), weft_after(WEFT_HOUR)) == 0);
        require(v == i);
    }
    passed++;
}

Test(select, a_time_limit_that_was_not_reached_leaves_nothing_behind, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    weft_go(count_down, c, 50000);
    for (int i = 0; i < 50000; i++)
        weft_chan_send(c, i);
    await_passed(1);
    cr_assert(weft_chan_try_send(c, 1) == -EAGAIN);
}

/* Time limit and sender race; what was sent must be what was received. */
static _Atomic int n_sent, n_received, n_late;

static void race_recv(weft_chan(int) a, weft_chan(int) b, weft_chan(int) done)
{
    for (uint32_t i = 0; i < 4000; i++) {
        int v;
        int chosen = weft_select(weft_on_recv(a, &v), weft_on_recv(b, &v), weft_after(i % 37 * 500));
        require(chosen >= 0);
        if (chosen == 2)
            n_late++;
        else
            n_received++;
    }
    weft_chan_send(done, 0);
}

static void race_send(weft_chan(int) a, weft_chan(int) b, weft_chan(int) done)
{
    while (weft_chan_try_recv(done, NULL) != -EPIPE) {
        if (weft_select(weft_on_send(a, 1), weft_on_send(b, 1), weft_after(3000)) != 2)
            n_sent++;
        if (weft_chan_try_send(a, 1) == 0)
            n_sent++;
        if (n_sent % 16 == 0)
            weft_sleep(2000);
    }
    passed++;
}

Test(select, time_limits_and_senders_race_without_losing_a_value, .timeout = 60)
{
    weft_chan(int) a = weft_chan_make(int, 0), b = weft_chan_make(int, 0);
    weft_chan(int) done = weft_chan_make(int, 0), stop = weft_chan_make(int, 0);
    for (int i = 0; i < 6; i++) {
        weft_go(race_recv, a, b, done);
        weft_go(race_send, a, b, stop);
    }
    for (int i = 0; i < 6; i++)
        weft_chan_recv(done, NULL);
    weft_chan_close(stop);
    await_passed(6);
    cr_assert(n_sent == n_received);
    cr_assert(n_received + n_late == 6 * 4000);
}

/* ---- for ever ---- */

static void select_nothing(weft_chan(int) nil)
{
    int v = 9, status = 9;
    passed++;
    require(weft_select(weft_on_recv(nil, &v, &status), weft_on_send(nil, 1, &status)) == -ECANCELED);
    require(v == 9);
    require(status == 9);
    require(weft_select() == -ECANCELED);
    passed++;
}

Test(select, nil_channels_or_no_case_at_all_wait_for_ever, .timeout = 60)
{
    weft_go(select_nothing, (weft_chan(int))NULL);
    await_passed(1);
    pause_ns(5000000);
    cr_assert(passed == 1);
    cr_assert(weft_stop() == 0);
    cr_assert(passed == 2);
}

static void select_cancelled(weft_chan(int) a, weft_chan(int) b)
{
    int v = 9, status = 9;
    require(weft_select(weft_on_recv(a, &v, &status), weft_on_send(b, 1, &status), weft_after(WEFT_HOUR)) ==
            -ECANCELED);
    require(v == 9);
    require(status == 9);
    passed++;
}

Test(select, stopping_the_runtime_ends_waiting_selects_and_leaves_the_channels_usable, .timeout = 60)
{
    weft_chan(int) a = weft_chan_make(int, 0), b = weft_chan_make(int, 0);
    for (int i = 0; i < 200; i++)
        weft_go(select_cancelled, a, b);
    await_sender(b);
    cr_assert(weft_stop() == 0);
    cr_assert(passed == 200);
    cr_assert(weft_chan_try_send(a, 1) == -EAGAIN);
    cr_assert(weft_chan_try_recv(b, NULL) == -EAGAIN);
}

/* ---- select against select ---- */

/* Everyone both sends and receives on the same channels; what is sent is what is received. */
static _Atomic int64_t sum_sent, sum_received;

static void both_ends(weft_chan(int) x, weft_chan(int) y, weft_chan(int) done, int seed, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        int u = 0, v = 0, value = seed * 10007 + i;
        switch (weft_select(weft_on_send(seed % 2 != 0 ? x : y, value), weft_on_recv(y, &v), weft_on_recv(x, &u),
                            weft_on_recv(done, NULL))) {
        case 0:
            sum_sent += value;
            break;
        case 1:
            sum_received += v;
            break;
        case 2:
            sum_received += u;
            break;
        case 3:
            passed++;
            return;
        default:
            require(false);
        }
    }
    passed++;
}

Test(select, selects_on_both_ends_of_the_same_channels_lose_nothing, .timeout = 60)
{
    size_t caps[] = {0, 1};
    for (int k = 0; k < 2; k++) {
        weft_chan(int) x = weft_chan_make(int, caps[k]), y = weft_chan_make(int, caps[k]),
                       done = weft_chan_make(int, 0);
        passed = 0;
        sum_sent = sum_received = 0;
        for (int i = 0; i < 12; i++)
            weft_go(both_ends, x, y, done, i, 5000);
        while (passed == 0)
            pause_ns(100000);
        weft_chan_close(done);
        await_passed(12);
        int v;
        while (weft_chan_try_recv(x, &v) == 0)
            sum_received += v;
        while (weft_chan_try_recv(y, &v) == 0)
            sum_received += v;
        cr_assert(sum_sent == sum_received);
    }
}

static void ping(weft_chan(int) out, weft_chan(int) in, weft_chan(int) never, int n)
{
    for (int i = 0; i < n; i++) {
        int v = -1;
        require(weft_select(weft_on_send(out, i), weft_on_recv(never, &v)) == 0);
        require(weft_select(weft_on_recv(never, &v), weft_on_recv(in, &v)) == 1);
        require(v == i);
    }
    passed++;
}

static void pong(weft_chan(int) in, weft_chan(int) out, weft_chan(int) never, int n)
{
    for (int i = 0; i < n; i++) {
        int v = -1;
        require(weft_select(weft_on_recv(in, &v), weft_on_recv(never, &v)) == 0);
        require(v == i);
        require(weft_select(weft_on_recv(never, &v), weft_on_send(out, v)) == 1);
    }
    passed++;
}

Test(select, selects_play_ping_pong, .timeout = 60)
{
    weft_chan(int) a = weft_chan_make(int, 0), b = weft_chan_make(int, 0), never = weft_chan_make(int, 0);
    weft_go(pong, a, b, never, 50000);
    in_routine(ping, a, b, never, 50000);
    await_passed(2);
    weft_go(pong, a, b, never, 2000);
    ping(a, b, never, 2000);
    await_passed(4);
}

struct ends {
    weft_chan(int) in, out, never;
};
static void *pong_thread(void *arg)
{
    struct ends *e = arg;
    pong(e->in, e->out, e->never, 1000);
    return NULL;
}

Test(select, plain_threads_play_ping_pong, .timeout = 60)
{
    struct ends e = {weft_chan_make(int, 0), weft_chan_make(int, 0), weft_chan_make(int, 0)};
    pthread_t thread;
    pthread_create(&thread, NULL, pong_thread, &e);
    ping(e.in, e.out, e.never, 1000);
    pthread_join(thread, NULL);
    pthread_create(&thread, NULL, pong_thread, &e);
    in_routine(ping, e.in, e.out, e.never, 1000);
    pthread_join(thread, NULL);
    await_passed(4);
}

/* ---- otherwise is one moment ---- */

/* Whenever the other side holds no token, there is one in x or in y: it must never find them both empty. */
static void *move_token(void *arg)
{
    struct ends *e = arg;
    while (weft_chan_try_recv(e->never, NULL) == -EAGAIN) {
        require(weft_chan_try_send(e->in, 1) == 0);
        while (weft_chan_try_recv(e->out, NULL) != 0)
            wf_cpu_relax();
        require(weft_chan_try_send(e->out, 1) == 0);
        while (weft_chan_try_recv(e->in, NULL) != 0)
            wf_cpu_relax();
    }
    return NULL;
}

Test(select, otherwise_means_that_nothing_was_ready_at_one_moment, .timeout = 60)
{
    enum { BETWEEN = 100, ROUNDS = 200000 }; /* cases that take time to look at */
    struct ends e = {weft_chan_make(int, 2), weft_chan_make(int, 2), weft_chan_make(int, 0)};
    weft_chan(int) empty = weft_chan_make(int, 0);
    weft_case cases[BETWEEN + 3];
    pthread_t thread;
    for (int i = 0; i < BETWEEN; i++)
        cases[i + 1] = weft_on_recv(empty, NULL);
    cases[0] = weft_on_recv(e.in, NULL);
    cases[BETWEEN + 1] = weft_on_recv(e.out, NULL);
    cases[BETWEEN + 2] = weft_otherwise;
    weft_chan_send(e.out, 1);
    pthread_create(&thread, NULL, move_token, &e);
    for (int i = 0; i < ROUNDS; i++) {
        int chosen = weft_select_n(cases, BETWEEN + 3);
        cr_assert(chosen == 0 || chosen == BETWEEN + 1);
        weft_chan_send(chosen == 0 ? e.in : e.out, 1);
    }
    weft_chan_close(e.never);
    pthread_join(thread, NULL);
}

/* ---- interference ---- */

static void noisy_close(weft_chan(int) c)
{
    weft_yield();
    weft_chan_close(c);
}

Test(select, senders_receivers_and_close_race_for_one_select, .timeout = 60)
{
    for (int i = 0; i < 3000; i++) {
        weft_chan(int) a = weft_chan_make(int, 0), b = weft_chan_make(int, 0);
        int v = 9, status = 9;
        weft_go(noisy_close, b);
        weft_go(noisy_close, a);
        int chosen = weft_select(weft_on_recv(a, &v, &status), weft_on_send(b, 1, &status));
        cr_assert(chosen == 0 || chosen == 1);
        cr_assert(status == -EPIPE);
    }
}
