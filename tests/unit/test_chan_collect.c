/* SPDX-License-Identifier: MIT */
/* test_chan_collect.c - channels are collected memory: those that nobody can use any more are freed, all others stay. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <pthread.h>

#include "../support/watch.h"
#include "sched/park.h"
#include "sched/threads.h"

TestSuite(chan_collect, .timeout = 60);

enum { CHANNELS = 64, MILLIONS = 3000000 };

static _Atomic unsigned n_done;

static bool parked(unsigned n, enum wf_wait_kind kind)
{
    unsigned found = 0;
    for (uint32_t i = 0; i < wf_routines_count(); i++)
        found += wf_load_relaxed(&wf_routine_at(i)->id) != 0 &&
                 wf_wait_kind_of(wf_load_acquire(&wf_routine_at(i)->waits_on)) == kind;
    return found == n;
}

static void *raw(weft_chan(int) c)
{
    return (void *)(uintptr_t)c;
}

/* The watched channel, if it lives. */
static weft_chan(int) seen(unsigned i)
{
    return (weft_chan(int))(uintptr_t)weft_weak_get(watched.handles[i]);
}

static WF_NOINLINE weft_chan(int) make_watched(size_t capacity)
{
    weft_chan(int) c = weft_chan_make(int, capacity);
    require(c != NULL);
    watch(raw(c));
    return c;
}

/* ---- what is freed ---- */

static WF_NOINLINE void make_and_forget(size_t capacity)
{
    for (int i = 0; i < CHANNELS; i++) {
        weft_chan(int) c = make_watched(capacity);
        if (capacity > 0)
            require(weft_chan_send(c, i) == 0);
    }
}

static void dies(size_t capacity)
{
    make_and_forget(capacity);
    cr_assert(dies_down_to(CHANNELS / 4), "%u of %u live", count_alive(), watched.n);
}

Test(chan_collect, an_unbuffered_channel_that_nobody_holds_is_freed)
{
    dies(0);
}

Test(chan_collect, a_buffered_channel_that_nobody_holds_is_freed)
{
    dies(100);
}

Test(chan_collect, an_unbounded_channel_that_nobody_holds_is_freed)
{
    dies(WEFT_UNBOUNDED);
}

Test(chan_collect, collected_channels_and_what_is_in_them_are_freed_together)
{
    for (int i = 0; i < CHANNELS; i++) {
        weft_chan(struct node *) c = weft_chan_make(struct node *, 4);
        require(weft_chan_send(c, make_node((uint64_t)i)) == 0);
    }
    cr_assert(dies_down_to(CHANNELS / 4));
}

Test(chan_collect, channels_stand_on_lines_of_their_own)
{
    for (int i = 0; i < 1000; i++)
        cr_assert_eq((uintptr_t)raw(weft_chan_make(int, i % 3)) % WF_CACHELINE, 0);
}

static void make_millions(void)
{
    for (int i = 0; i < MILLIONS; i++) {
        weft_chan(uint64_t) c = weft_chan_make(uint64_t, 2);
        require(c != NULL);
        require(weft_chan_try_send(c, (uint64_t)i) == 0);
    }
    weft_gc_info info;
    weft_gc_stats(&info);
    require(info.cycles > 10);
    require(info.heap_bytes < (size_t)64 << 20);
    n_done++;
}

Test(chan_collect, millions_of_channels_in_a_row_take_bounded_memory)
{
    cr_assert_eq(weft_go(make_millions), 0);
    eventually(n_done == 1);
}

Test(chan_collect, making_channels_and_collecting_them_starts_no_worker)
{
    make_millions();
    cr_assert_eq(wf_n_workers, 0);
}

/* ---- what is kept ---- */

static void receive_without_holding(unsigned i)
{
    int v = 0;
    require(weft_chan_recv(seen(i), &v) == 0);
    require(v == (int)i);
    n_done++;
}

static WF_NOINLINE void send_to_the_seen(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        require(seen(i) != NULL);
        require(weft_chan_send(seen(i), (int)i) == 0);
    }
}

static WF_NOINLINE void start_receivers(void)
{
    for (unsigned i = 0; i < CHANNELS; i++) {
        make_watched(0);
        require(weft_go(receive_without_holding, i) == 0);
    }
    eventually(parked(CHANNELS, WF_WAIT_CHAN_RECV));
}

Test(chan_collect, a_channel_lives_while_somebody_receives_from_it)
{
    start_receivers();
    for (int i = 0; i < 3; i++)
        cr_assert_eq(alive_after_gc(), CHANNELS);
    send_to_the_seen(CHANNELS);
    eventually(n_done == CHANNELS);
    cr_assert(dies_down_to(CHANNELS / 4));
}

static void send_without_holding(unsigned i)
{
    require(weft_chan_send(seen(i), (int)i) == 0);
    n_done++;
}

Test(chan_collect, a_channel_lives_while_somebody_sends_to_it)
{
    for (unsigned i = 0; i < CHANNELS; i++) {
        make_watched(0);
        require(weft_go(send_without_holding, i) == 0);
    }
    eventually(parked(CHANNELS, WF_WAIT_CHAN_SEND));
    cr_assert_eq(alive_after_gc(), CHANNELS);
    for (unsigned i = 0; i < CHANNELS; i++) {
        int v = -1;
        require(weft_chan_recv(seen(i), &v) == 0);
        require(v == (int)i);
    }
    eventually(n_done == CHANNELS);
}

/* More cases than fit the frame, and in memory where nobody looks. */
static void select_from_malloc(void)
{
    weft_case *cases = malloc(CHANNELS * sizeof(*cases));
    int v = -1;
    for (unsigned i = 0; i < CHANNELS; i++)
        cases[i] = weft_on_recv(seen(i), &v);
    int chosen = weft_select_n(cases, CHANNELS);
    require(chosen == CHANNELS - 1);
    require(v == CHANNELS - 1);
    free(cases);
    n_done++;
}

Test(chan_collect, the_channels_of_a_waiting_select_live)
{
    for (unsigned i = 0; i < CHANNELS; i++)
        make_watched(0);
    require(weft_go(select_from_malloc) == 0);
    eventually(parked(1, WF_WAIT_SELECT));
    for (int i = 0; i < 3; i++)
        cr_assert_eq(alive_after_gc(), CHANNELS);
    require(weft_chan_send(seen(CHANNELS - 1), CHANNELS - 1) == 0);
    eventually(n_done == 1);
    cr_assert(dies_down_to(CHANNELS / 4));
}

static void *thread_receives(void *unused)
{
    (void)unused;
    receive_without_holding(0);
    return NULL;
}

Test(chan_collect, a_channel_lives_while_a_plain_thread_waits_on_it)
{
    pthread_t thread;
    make_watched(0);
    require(pthread_create(&thread, NULL, thread_receives, NULL) == 0);
    eventually(wf_load_acquire(&wf_threads.n_foreign_blocked) == 1); /* no collection came before */
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(alive_after_gc(), 1);
        pause_thread_ms(1);
    }
    send_to_the_seen(1);
    pthread_join(thread, NULL);
}

/* Nobody has a use for the object but the value that is to come. */
struct holder {
    int value;
};

static void receive_into_an_object(weft_chan(int) c)
{
    struct holder *h = weft_new(struct holder);
    watch(h);
    weft_chan_recv(c, &h->value);
    n_done++;
}

Test(chan_collect, where_a_value_will_be_put_lives)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    for (unsigned i = 0; i < CHANNELS; i++)
        require(weft_go(receive_into_an_object, c) == 0);
    eventually(parked(CHANNELS, WF_WAIT_CHAN_RECV));
    cr_assert_eq(alive_after_gc(), CHANNELS);
    for (int i = 0; i < CHANNELS; i++)
        require(weft_chan_send(c, i) == 0);
    eventually(n_done == CHANNELS);
}

/* A wrapped buffer: what lies in its use on both sides of the end stays, what was taken from between goes. */
Test(chan_collect, a_wrapped_buffer_keeps_what_is_in_it_only)
{
    enum { CAPACITY = 100, OUT = 60 };
    weft_chan(struct node *) c = weft_chan_make(struct node *, CAPACITY);
    for (uint64_t i = 0; i < CAPACITY; i++)
        require(weft_chan_send(c, make_node(i)) == 0);
    for (int i = 0; i < OUT; i++)
        require(weft_chan_recv(c, NULL) == 0);
    cr_assert(dies_down_to(CAPACITY - OUT + OUT / 8));
    for (uint64_t i = CAPACITY; i < CAPACITY + OUT / 2; i++)
        require(weft_chan_send(c, make_node(i)) == 0);
    cr_assert(alive_after_gc() >= CAPACITY - OUT + OUT / 2);
    for (uint64_t i = OUT; i < CAPACITY + OUT / 2; i++) {
        struct node *n = NULL;
        require(weft_chan_recv(c, &n) == 0);
        cr_assert(is_node(n, i));
    }
}

/* ---- channels that timers send to ---- */

static WF_NOINLINE void make_after_channels(weft_duration d)
{
    for (unsigned i = 0; i < CHANNELS; i++)
        watch((void *)(uintptr_t)weft_after_chan(d));
}

Test(chan_collect, an_after_channel_is_freed_when_its_time_has_come)
{
    make_after_channels(WEFT_MS);
    cr_assert(dies_down_to(CHANNELS / 4));
}

Test(chan_collect, an_after_channel_lives_until_its_time_has_come)
{
    make_after_channels(30 * WEFT_SEC);
    cr_assert_eq(alive_after_gc(), CHANNELS);
}

static WF_NOINLINE void make_tickers(bool stop)
{
    for (unsigned i = 0; i < CHANNELS; i++) {
        weft_chan(weft_time) c = weft_ticker_make(WEFT_MS);
        watch((void *)(uintptr_t)c);
        if (stop)
            weft_ticker_stop(c);
    }
}

Test(chan_collect, a_stopped_ticker_is_freed)
{
    make_tickers(true);
    cr_assert(dies_down_to(CHANNELS / 4));
}

Test(chan_collect, a_running_ticker_lives)
{
    make_tickers(false);
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(alive_after_gc(), CHANNELS);
        pause_thread_ms(2);
    }
}

static void wait_for_after_channels(void)
{
    for (int i = 0; i < 2000; i++)
        require(weft_chan_recv(weft_after_chan(10 * WEFT_US), NULL) == 0);
    n_done++;
}

Test(chan_collect, after_channels_come_and_go_during_collections)
{
    for (int i = 0; i < 4; i++)
        require(weft_go(wait_for_after_channels) == 0);
    while (n_done < 4)
        weft_gc();
}

/* ---- ends of waits ---- */

static void wait_a_little(weft_chan(int) keep)
{
    for (int i = 0; i < 300; i++) {
        weft_chan(int) c = weft_chan_make(int, 0);
        int error = 1;
        weft_deadline (20 * WEFT_US)
            error = weft_chan_recv(c, NULL);
        require(error == -ETIMEDOUT);
        weft_deadline (20 * WEFT_US)
            error = weft_select(weft_on_recv(c, NULL), weft_on_recv(keep, NULL)) < 0;
        require(error);
    }
    n_done++;
}

/* Who ends a wait touches the channel after the waiter may have left it. */
Test(chan_collect, waits_end_from_outside_during_collections)
{
    weft_chan(int) keep = weft_chan_make(int, 0);
    for (int i = 0; i < 16; i++)
        require(weft_go(wait_a_little, keep) == 0);
    while (n_done < 16)
        weft_gc();
    weft_chan_close(keep);
}

/* ---- at the memory limit ---- */

struct large {
    char bytes[8192];
};

/* Dropped full: the channel is small, so what meets the limit is what its values go to. */
static WF_NOINLINE void fill_and_forget(unsigned i)
{
    static const struct large value = {"value"};
    weft_chan(struct large) c = weft_chan_make(struct large, WEFT_UNBOUNDED);
    int error = 1;
    require(c != NULL);
    if (i % 3 == 0)
        error = weft_chan_send(c, value);
    else if (i % 3 == 1)
        require(weft_select(weft_on_send(c, value, &error), weft_on_recv((weft_chan(int))NULL, NULL)) == 0);
    else
        error = weft_chan_try_send(c, value);
    require(error == 0);
}

Test(chan_collect, unbounded_channels_grow_into_what_was_dropped)
{
    enum { LIMIT = 16 << 20 };
    setenv("WEFT_MEMLIMIT", "16MiB", 1);
    setenv("WEFT_GC", "off", 1); /* but for the limit */
    for (unsigned i = 0; i < 10 * LIMIT / sizeof(struct large); i++)
        fill_and_forget(i);
    weft_gc_info info;
    weft_gc_stats(&info);
    cr_assert_geq(info.cycles, 5);
    cr_assert_leq(info.heap_bytes, LIMIT);
}
