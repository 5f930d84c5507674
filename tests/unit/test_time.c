/* SPDX-License-Identifier: MIT */
/* test_time.c - sleeps, timers and tickers as users see them: never early, one winner, ticks dropped. */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <weft/weft.h>

TestSuite(sleep, .timeout = 60);
TestSuite(timer, .timeout = 60);
TestSuite(ticker, .timeout = 60);

/* Waits for a condition, for as long as a slow machine may need. */
#define UNTIL(condition) \
    do { \
        weft_time give_up = weft_now() + 30 * WEFT_SEC; \
        while (!(condition)) { \
            cr_assert_lt(weft_now(), give_up, "never came true: %s", #condition); \
            weft_sleep(200 * WEFT_US); \
        } \
    } while (0)

static uint64_t random_state = 88172645463325252u;

static weft_duration random_below(weft_duration bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (weft_duration)(random_state % (uint64_t)bound);
}

/* ---- clock and sleep ---- */

Test(sleep, the_clock_never_goes_back)
{
    weft_time last = weft_now();
    for (int i = 0; i < 100000; i++) {
        weft_time now = weft_now();
        cr_assert_geq(now, last);
        last = now;
    }
}

static const weft_duration durations[] = {1,       999,  5 * WEFT_US, 50 * WEFT_US, 131072,      200 * WEFT_US,
                                          WEFT_MS, 7919, 3 * WEFT_MS, 20 * WEFT_MS, 70 * WEFT_MS};

static int count_short_sleeps(void)
{
    int n = 0;
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        weft_time start = weft_now();
        n += weft_sleep(durations[i]) != 0;
        n += weft_now() - start < durations[i];
    }
    return n;
}

Test(sleep, of_a_routine_is_never_short)
{
    cr_assert_eq(weft_await(weft_async(count_short_sleeps)), 0);
}
Test(sleep, of_a_plain_thread_is_never_short)
{
    cr_assert_eq(count_short_sleeps(), 0);
}

Test(sleep, of_no_length_returns_at_once)
{
    cr_assert_eq(weft_sleep(0), 0);
    cr_assert_eq(weft_sleep(INT64_MIN), 0);
    cr_assert_eq(weft_await(weft_async(weft_sleep, -5)), 0);
}

static atomic_int n_early, n_done;

static void sleep_and_check(weft_duration d)
{
    weft_time start = weft_now();
    weft_sleep(d);
    if (weft_now() - start < d)
        atomic_fetch_add(&n_early, 1);
    atomic_fetch_add(&n_done, 1);
}

Test(sleep, of_a_hundred_thousand_routines_ends_for_each_and_not_early)
{
    enum { SLEEPERS = 100000 };
    for (int i = 0; i < SLEEPERS; i++)
        cr_assert_eq(weft_go(sleep_and_check, random_below(100 * WEFT_MS)), 0);
    UNTIL(atomic_load(&n_done) == SLEEPERS);
    cr_assert_eq(atomic_load(&n_early), 0);
}

static atomic_int others_ran;

static void run_beside_sleepers(void)
{
    for (int i = 0; i < 1000; i++) {
        atomic_fetch_add(&others_ran, 1);
        weft_yield();
    }
}

static void sleep_for_ever(void)
{
    weft_sleep(INT64_MAX);
}

Test(sleep, for_ever_does_not_keep_others)
{
    weft_go(sleep_for_ever);
    weft_go(run_beside_sleepers);
    UNTIL(atomic_load(&others_ran) == 1000);
}

/* ---- timers ---- */

static atomic_int runs;
static _Atomic uint64_t last_id;
static _Atomic weft_time last_run;

static void note_run(void *arg)
{
    (void)arg;
    atomic_store(&last_id, weft_id());
    atomic_store(&last_run, weft_now());
    atomic_fetch_add(&runs, 1);
}

Test(timer, runs_its_function_once_in_a_routine_and_not_early)
{
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        atomic_store(&runs, 0);
        weft_time start = weft_now();
        cr_assert_not_null(weft_timer_start(durations[i], note_run, NULL));
        UNTIL(atomic_load(&runs) > 0);
        cr_assert_geq(atomic_load(&last_run), start + durations[i]);
        cr_assert_neq(atomic_load(&last_id), 0);
    }
    weft_sleep(20 * WEFT_MS);
    cr_assert_eq(atomic_load(&runs), 1);
}

static void take_pointer(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

Test(timer, gives_its_function_the_argument)
{
    atomic_int mine = 0;
    weft_timer_start(WEFT_MS, take_pointer, &mine);
    UNTIL(atomic_load(&mine) == 1);
}

Test(timer, of_no_length_runs_at_once)
{
    weft_timer_start(0, note_run, NULL);
    weft_timer_start(-WEFT_SEC, note_run, NULL);
    UNTIL(atomic_load(&runs) == 2);
}

Test(timer, that_is_stopped_does_not_run)
{
    weft_timer *t;
    int missed = 0;
    for (;; missed++) { /* it runs before it is stopped if this thread has to wait so long for a CPU */
        t = weft_timer_start(30 * WEFT_MS, note_run, NULL);
        if (weft_timer_stop(t) == 1)
            break;
        UNTIL(atomic_load(&runs) == missed + 1);
        cr_assert_lt(missed, 100);
    }
    cr_assert_eq(weft_timer_stop(t), 0);
    weft_sleep(60 * WEFT_MS);
    cr_assert_eq(atomic_load(&runs), missed);
}

Test(timer, that_has_run_cannot_be_stopped)
{
    weft_timer *t = weft_timer_start(WEFT_MS, note_run, NULL);
    UNTIL(atomic_load(&runs) == 1);
    cr_assert_eq(weft_timer_stop(t), 0);
    cr_assert_eq(weft_timer_stop(NULL), 0);
}

Test(timer, that_is_reset_runs_later)
{
    weft_timer *t = weft_timer_start(WEFT_HOUR, note_run, NULL);
    weft_time start = weft_now();
    cr_assert_eq(weft_timer_reset(t, 10 * WEFT_MS), 1);
    UNTIL(atomic_load(&runs) == 1);
    cr_assert_geq(atomic_load(&last_run), start + 10 * WEFT_MS);
}

Test(timer, can_be_reset_after_it_ran_or_was_stopped)
{
    weft_timer *t = weft_timer_start(0, note_run, NULL);
    UNTIL(atomic_load(&runs) == 1);
    cr_assert_eq(weft_timer_reset(t, WEFT_MS), 0);
    UNTIL(atomic_load(&runs) == 2);
    cr_assert_eq(weft_timer_reset(t, WEFT_HOUR), 0);
    cr_assert_eq(weft_timer_stop(t), 1);
    cr_assert_eq(weft_timer_reset(t, WEFT_MS), 0);
    UNTIL(atomic_load(&runs) == 3);
}

Test(timer, null_cannot_be_reset, .signal = SIGABRT)
{
    weft_timer_reset(NULL, 1);
}

Test(timer, for_the_end_of_time_can_be_stopped)
{
    weft_timer *t = weft_timer_start(INT64_MAX, note_run, NULL);
    weft_sleep(5 * WEFT_MS);
    cr_assert_eq(weft_timer_stop(t), 1);
}

Test(timer, a_nearer_one_is_not_held_up_by_a_farther_one)
{
    weft_timer *far = weft_timer_start(WEFT_HOUR, note_run, NULL);
    weft_sleep(20 * WEFT_MS); /* the workers sleep towards the far one */
    weft_timer_start(5 * WEFT_MS, note_run, NULL);
    UNTIL(atomic_load(&runs) == 1);
    cr_assert_eq(weft_timer_stop(far), 1);
}

/* Each gets its own record, so that early or repeated runs show. */
struct record {
    weft_time due;
    atomic_int runs;
};

static void run_record(void *arg)
{
    struct record *r = arg;
    if (weft_now() < r->due)
        atomic_fetch_add(&n_early, 1);
    atomic_fetch_add(&r->runs, 1);
    atomic_fetch_add(&runs, 1);
}

enum { MANY = 100000 };

static void start_many(struct record *records)
{
    for (int i = 0; i < MANY; i++) {
        weft_duration d = random_below(200 * WEFT_MS);
        records[i].due = weft_now() + d;
        weft_timer_start(d, run_record, &records[i]);
    }
}

static void check_many(const struct record *records)
{
    UNTIL(atomic_load(&runs) == MANY);
    cr_assert_eq(atomic_load(&n_early), 0);
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(atomic_load(&records[i].runs), 1);
}

Test(timer, a_hundred_thousand_from_a_plain_thread_run_once_each)
{
    struct record *records = calloc(MANY, sizeof(*records));
    start_many(records);
    check_many(records);
}

Test(timer, a_hundred_thousand_from_a_routine_run_once_each)
{
    struct record *records = calloc(MANY, sizeof(*records));
    weft_await(weft_async(start_many, records));
    check_many(records);
}

Test(timer, a_hundred_thousand_stopped_ones_never_run)
{
    weft_timer **timers = calloc(MANY, sizeof(*timers));
    for (int i = 0; i < MANY; i++)
        timers[i] = weft_timer_start(WEFT_MIN + random_below(WEFT_HOUR), note_run, NULL);
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(weft_timer_stop(timers[(int64_t)i * 7919 % MANY]), 1);
    cr_assert_eq(atomic_load(&runs), 0);
}

/* ---- races ---- */

static int stop_around_expiry(void)
{
    int stopped = 0;
    for (int i = 0; i < 20000; i++) {
        weft_timer *t = weft_timer_start(random_below(20 * WEFT_US), note_run, NULL);
        for (weft_duration spin = random_below(200); spin > 0; spin--)
            __asm__ volatile("");
        if (i % 4 == 0)
            weft_yield();
        stopped += weft_timer_stop(t);
    }
    return stopped;
}

Test(timer, stop_and_expiry_have_exactly_one_winner)
{
    weft_future(int) a = weft_async(stop_around_expiry), b = weft_async(stop_around_expiry);
    int stopped = weft_await(a) + weft_await(b) + stop_around_expiry();
    UNTIL(atomic_load(&runs) + stopped == 3 * 20000);
    weft_sleep(20 * WEFT_MS);
    cr_assert_eq(atomic_load(&runs) + stopped, 3 * 20000);
}

static weft_timer *shared;
static atomic_int arms, taken; /* times it was made pending; times it was taken out by stop or reset */

static void stop_and_reset(int seed)
{
    for (int i = 0; i < 20000; i++) {
        if ((i * 31 + seed) % 3 == 0) {
            atomic_fetch_add(&taken, weft_timer_stop(shared));
        } else {
            atomic_fetch_add(&arms, 1);
            atomic_fetch_add(&taken, weft_timer_reset(shared, (i + seed) % 7 * WEFT_US));
        }
        if (i % 16 == 0)
            weft_yield();
    }
}

static void *stop_and_reset_in_thread(void *arg)
{
    stop_and_reset(*(int *)arg);
    return NULL;
}

Test(timer, each_arming_ends_once_whoever_stops_and_resets)
{
    pthread_t thread;
    int seed = 2;
    shared = weft_timer_start(0, note_run, NULL);
    atomic_fetch_add(&arms, 1);
    cr_assert_eq(pthread_create(&thread, NULL, stop_and_reset_in_thread, &seed), 0);
    weft_future(void) a = weft_async(stop_and_reset, 0), b = weft_async(stop_and_reset, 1);
    weft_await(a);
    weft_await(b);
    pthread_join(thread, NULL);
    atomic_fetch_add(&taken, weft_timer_stop(shared));
    UNTIL(atomic_load(&runs) + atomic_load(&taken) == atomic_load(&arms));
    weft_sleep(20 * WEFT_MS);
    cr_assert_eq(atomic_load(&runs) + atomic_load(&taken), atomic_load(&arms));
}

Test(timer, pending_ones_do_not_keep_the_runtime_from_stopping)
{
    weft_timer *t = weft_timer_start(WEFT_HOUR, note_run, NULL);
    cr_assert_eq(weft_stop(), 0);
    cr_assert_eq(weft_timer_stop(t), 0, "the runtime's end has taken it out");
    cr_assert_eq(weft_timer_reset(t, WEFT_MS), 0);
    UNTIL(atomic_load(&runs) == 1);
}

/* ---- tickers ---- */

static int count_early_ticks(void)
{
    int early = 0;
    weft_time start = weft_now(), tick;
    weft_chan(weft_time) c = weft_ticker_make(3 * WEFT_MS);
    for (int i = 1; i <= 10; i++) {
        if (weft_chan_recv(c, &tick) != 0 || tick < start + i * 3 * WEFT_MS || tick > weft_now())
            early++;
    }
    weft_ticker_stop(c);
    return early;
}

Test(ticker, ticks_in_a_routine_and_not_early)
{
    cr_assert_eq(weft_await(weft_async(count_early_ticks)), 0);
}
Test(ticker, ticks_on_a_plain_thread_and_not_early)
{
    cr_assert_eq(count_early_ticks(), 0);
}

Test(ticker, drops_ticks_for_a_slow_reader)
{
    weft_time first, second;
    weft_chan(weft_time) c = weft_ticker_make(WEFT_MS);
    cr_assert_eq(weft_chan_cap(c), 1);
    weft_sleep(30 * WEFT_MS);
    UNTIL(weft_chan_len(c) == 1);
    weft_time before = weft_now();
    cr_assert_eq(weft_chan_recv(c, &first), 0);
    cr_assert_eq(weft_chan_recv(c, &second), 0);
    cr_assert_lt(first, before, "the first tick waited in the channel");
    cr_assert_geq(second, before, "those between were dropped");
    weft_ticker_stop(c);
}

Test(ticker, sends_nothing_once_it_is_stopped)
{
    for (int i = 0; i < 200; i++) {
        weft_chan(weft_time) c = weft_ticker_make(10 * WEFT_US);
        weft_chan_recv(c, NULL);
        weft_ticker_stop(c);
        weft_chan_try_recv(c, NULL);
        weft_sleep(100 * WEFT_US);
        cr_assert_eq(weft_chan_len(c), 0);
        weft_ticker_stop(c);
    }
}

Test(ticker, stopping_another_channel_does_nothing)
{
    weft_chan(weft_time) c = weft_chan_make(weft_time, 1);
    weft_ticker_stop(c);
    weft_ticker_stop((weft_chan(weft_time))NULL);
    cr_assert_eq(weft_chan_try_send(c, 1), 0);
}

Test(ticker, a_closed_channel_does_not_stop_the_program)
{
    weft_chan(weft_time) c = weft_ticker_make(WEFT_MS);
    weft_chan_recv(c, NULL);
    weft_chan_close(c);
    weft_sleep(10 * WEFT_MS);
    weft_ticker_stop(c);
}

Test(ticker, without_a_period_stops_the_program, .signal = SIGABRT)
{
    weft_ticker_make(0);
}

/* ---- after-channels ---- */

static int receive_after(weft_duration d)
{
    weft_time start = weft_now(), at = 0;
    weft_chan(weft_time) c = weft_after_chan(d);
    int result = weft_chan_recv(c, &at);
    return result != 0 || at < start + d || at > weft_now() || weft_chan_cap(c) != 1;
}

Test(timer, an_after_channel_gets_the_time_once)
{
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        cr_assert_eq(receive_after(durations[i]), 0);
        cr_assert_eq(weft_await(weft_async(receive_after, durations[i])), 0);
    }
    weft_chan(weft_time) c = weft_after_chan(0);
    cr_assert_eq(weft_chan_recv(c, NULL), 0);
    weft_sleep(5 * WEFT_MS);
    cr_assert_eq(weft_chan_try_recv(c, NULL), -EAGAIN);
}

Test(timer, an_after_channel_can_be_a_case_of_a_select)
{
    weft_chan(int) never = weft_chan_make(int, 0);
    weft_time at = 0, start = weft_now();
    weft_chan(weft_time) after = weft_after_chan(3 * WEFT_MS);
    cr_assert_eq(weft_select(weft_on_recv(never, NULL), weft_on_recv(after, &at)), 1);
    cr_assert_geq(at, start + 3 * WEFT_MS);
}
