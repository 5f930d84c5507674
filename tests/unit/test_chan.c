/* SPDX-License-Identifier: MIT */
/* test_chan.c - what weft/chan.h promises, from routines and from plain threads. */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <weft/chan.h>
#include <weft/future.h>
#include <weft/runtime.h>

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

struct nothing {
};
struct three {
    char bytes[3];
};
struct sixteen {
    uint64_t a, b;
};
struct twentyfour {
    uint64_t a, b, c;
};
struct hundred {
    char bytes[100];
};
struct page {
    unsigned char bytes[4096];
};

static void pause_ns(int64_t ns)
{
    struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    nanosleep(&ts, NULL);
}

static size_t count_queue(struct weft__chan *c, struct wf_waitq *q)
{
    size_t n = 0;
    wf_spinlock_lock(&c->lock);
    struct wf_waiter *first = wf_waitq_first(q), *w = first;
    if (first != NULL) {
        do {
            n++;
            w = w->next;
        } while (w != first);
    }
    wf_spinlock_unlock(&c->lock);
    return n;
}

/* Return once exactly n wait to receive, to send. From a plain thread. */
#define await_receivers(c, n) await_queue(WEFT__CHAN_OF(c), &WEFT__CHAN_OF(c)->receivers, n)
#define await_senders(c, n) await_queue(WEFT__CHAN_OF(c), &WEFT__CHAN_OF(c)->senders, n)
static void await_queue(struct weft__chan *c, struct wf_waitq *q, size_t n)
{
    while (count_queue(c, q) != n)
        pause_ns(20000);
}

/* ---- rendezvous ---- */

static _Atomic int passed;

static void send_then_pass(weft_chan(int) c, int v)
{
    require(weft_chan_send(c, v) == 0);
    passed++;
}

static void recv_then_pass(weft_chan(int) c, int expected)
{
    int v = -1;
    require(weft_chan_recv(c, &v) == 0);
    require(v == expected);
    passed++;
}

Test(chan, a_send_without_buffer_waits_for_its_receive, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    int v = 0;
    weft_go(send_then_pass, c, 7);
    await_senders(c, 1);
    pause_ns(2000000);
    cr_assert(passed == 0);
    cr_assert(weft_chan_len(c) == 0);
    cr_assert(weft_chan_recv(c, &v) == 0);
    cr_assert(v == 7);
    while (passed != 1)
        pause_ns(1000);
}

Test(chan, a_receive_waits_for_its_send, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    weft_go(recv_then_pass, c, 8);
    await_receivers(c, 1);
    pause_ns(2000000);
    cr_assert(passed == 0);
    cr_assert(weft_chan_send(c, 8) == 0);
    while (passed != 1)
        pause_ns(1000);
}

static void echo(weft_chan(int) in, weft_chan(int) out)
{
    weft_chan_each(int, v, in)
        require(weft_chan_send(out, v + 1) == 0);
    weft_chan_close(out);
}

static void play(weft_chan(int) ping, weft_chan(int) pong, int n)
{
    for (int i = 0; i < n; i++) {
        int back = 0;
        require(weft_chan_send(ping, i) == 0);
        require(weft_chan_recv(pong, &back) == 0);
        require(back == i + 1);
    }
    weft_chan_close(ping);
    require(weft_chan_recv(pong, NULL) == -EPIPE);
}

Test(chan, routines_play_ping_pong, .timeout = 60)
{
    weft_chan(int) ping = weft_chan_make(int, 0), pong = weft_chan_make(int, 0);
    weft_go(echo, ping, pong);
    in_routine(play, ping, pong, 100000);
}

Test(chan, a_plain_thread_plays_ping_pong_with_a_routine, .timeout = 60)
{
    weft_chan(int) ping = weft_chan_make(int, 0), pong = weft_chan_make(int, 0);
    weft_go(echo, ping, pong);
    play(ping, pong, 3000);
}

static void *echo_thread(void *arg)
{
    weft_chan(int) *both = arg;
    echo(both[0], both[1]);
    return NULL;
}

Test(chan, two_plain_threads_play_ping_pong, .timeout = 60)
{
    weft_chan(int) both[2] = {weft_chan_make(int, 0), weft_chan_make(int, 0)};
    pthread_t thread;
    pthread_create(&thread, NULL, echo_thread, both);
    play(both[0], both[1], 1000);
    pthread_join(thread, NULL);
}

/* ---- buffers ---- */

Test(chan, sends_fill_the_buffer_and_then_wait, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 3);
    int v = 0;
    for (int i = 0; i < 3; i++)
        cr_assert(weft_chan_send(c, i) == 0);
    cr_assert(weft_chan_try_send(c, 99) == -EAGAIN);
    weft_go(send_then_pass, c, 3);
    await_senders(c, 1);
    cr_assert(passed == 0);
    for (int i = 0; i < 4; i++) {
        cr_assert(weft_chan_recv(c, &v) == 0);
        cr_assert(v == i);
    }
    while (passed != 1)
        pause_ns(1000);
    cr_assert(weft_chan_len(c) == 0);
}

Test(chan, values_leave_a_buffer_of_any_size_in_the_order_they_entered)
{
    for (size_t cap = 1; cap <= 130; cap += cap < 10 ? 1 : 40) {
        weft_chan(int64_t) c = weft_chan_make(int64_t, cap);
        int64_t in = 0, out = 0;
        for (unsigned round = 0; round < 2000; round++) {
            unsigned fill = round * 7 % ((unsigned)cap + 2), drain = round * 5 % ((unsigned)cap + 2);
            for (unsigned i = 0; i < fill; i++)
                if (weft_chan_try_send(c, in) == 0)
                    in++;
                else
                    cr_assert((size_t)(in - out) == cap);
            cr_assert(weft_chan_len(c) == (size_t)(in - out));
            for (unsigned i = 0; i < drain; i++) {
                int64_t v = -1;
                if (weft_chan_try_recv(c, &v) == 0)
                    cr_assert(v == out++);
                else
                    cr_assert(in == out);
            }
        }
    }
}

static void produce(weft_chan(int) c, int n)
{
    for (int i = 0; i < n; i++)
        require(weft_chan_send(c, i) == 0);
    weft_chan_close(c);
}

static void consume_in_order(weft_chan(int) c, int n)
{
    int next = 0;
    weft_chan_each(int, v, c)
        require(v == next++);
    require(next == n);
}

Test(chan, one_producer_and_one_consumer_keep_the_order, .timeout = 60)
{
    size_t caps[] = {0, 1, 2, 128, WEFT_UNBOUNDED};
    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
        weft_chan(int) c = weft_chan_make(int, caps[i]);
        weft_go(produce, c, 50000);
        in_routine(consume_in_order, c, 50000);
        c = weft_chan_make(int, caps[i]);
        weft_go(produce, c, 2000);
        consume_in_order(c, 2000);
    }
}

Test(chan, an_unbounded_channel_takes_everything_and_keeps_the_order, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, WEFT_UNBOUNDED);
    int v = -1;
    for (int i = 0; i < 200000; i++)
        cr_assert(weft_chan_try_send(c, i) == 0);
    cr_assert(weft_chan_len(c) == 200000);
    for (int i = 0; i < 200000; i++) {
        cr_assert(weft_chan_recv(c, &v) == 0);
        cr_assert(v == i);
    }
    cr_assert(weft_chan_try_recv(c, &v) == -EAGAIN);
}

Test(chan, an_unbounded_channel_grows_and_shrinks_without_mixing_values, .timeout = 60)
{
    weft_chan(struct hundred) c = weft_chan_make(struct hundred, WEFT_UNBOUNDED);
    unsigned in = 0, out = 0, seed = 1;
    for (int round = 0; round < 3000; round++) {
        seed = seed * 1103515245 + 12345;
        unsigned fill = seed >> 16 & 63, drain = seed >> 22 & 63;
        for (unsigned i = 0; i < fill; i++) {
            struct hundred v;
            memset(v.bytes, (char)in++, sizeof(v.bytes));
            cr_assert(weft_chan_send(c, v) == 0);
        }
        for (unsigned i = 0; i < drain && out != in; i++) {
            struct hundred v, expected;
            memset(expected.bytes, (char)out++, sizeof(v.bytes));
            cr_assert(weft_chan_try_recv(c, &v) == 0);
            cr_assert(memcmp(&v, &expected, sizeof(v)) == 0);
        }
        cr_assert(weft_chan_len(c) == in - out);
    }
}

/* ---- elements ---- */

#define ELEMENT_TEST(name, T) \
    static void send_##name(weft_chan(T) c, int n) \
    { \
        for (int at = 0; at < n; at++) { \
            T value; \
            memset(&value, at + 1, sizeof(value)); \
            require(weft_chan_send(c, value) == 0); \
        } \
    } \
    static void recv_##name(weft_chan(T) c, int n) \
    { \
        for (int at = 0; at < n; at++) { \
            struct { \
                unsigned char before[16]; \
                T value; \
                unsigned char after[16]; \
            } got, want; \
            memset(&got, 0xa5, sizeof(got)); \
            memset(&want, 0xa5, sizeof(want)); \
            memset(&want.value, at + 1, sizeof(want.value)); \
            require(weft_chan_recv(c, &got.value) == 0); \
            require(memcmp(&got, &want, sizeof(got)) == 0); \
        } \
    } \
    Test(chan, elements_of_type_##name##_arrive_whole, .timeout = 60) \
    { \
        size_t caps[] = {0, 1, 3, 40, WEFT_UNBOUNDED}; \
        for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) { \
            weft_chan(T) c = weft_chan_make(T, caps[i]); \
            weft_future(void) f = weft_async(recv_##name, c, 100); \
            in_routine(send_##name, c, 100); \
            weft_await(f); \
            f = weft_async(send_##name, c, 100); \
            in_routine(recv_##name, c, 100); \
            weft_await(f); \
            f = weft_async(recv_##name, c, 100); \
            send_##name(c, 100); \
            weft_await(f); \
        } \
    }

ELEMENT_TEST(nothing, struct nothing)
ELEMENT_TEST(char, char)
ELEMENT_TEST(short, short)
ELEMENT_TEST(three_bytes, struct three)
ELEMENT_TEST(int, int)
ELEMENT_TEST(int64, int64_t)
ELEMENT_TEST(sixteen_bytes, struct sixteen)
ELEMENT_TEST(twentyfour_bytes, struct twentyfour)
ELEMENT_TEST(hundred_bytes, struct hundred)
ELEMENT_TEST(page, struct page)

Test(chan, values_without_size_are_still_counted)
{
    weft_chan(struct nothing) c = weft_chan_make(struct nothing, 5), u = weft_chan_make(struct nothing, WEFT_UNBOUNDED);
    for (int i = 0; i < 5; i++)
        cr_assert(weft_chan_try_send(c, (struct nothing){}) == 0);
    cr_assert(weft_chan_try_send(c, (struct nothing){}) == -EAGAIN);
    for (int i = 0; i < 1000; i++)
        cr_assert(weft_chan_send(u, (struct nothing){}) == 0);
    cr_assert(weft_chan_len(c) == 5);
    cr_assert(weft_chan_len(u) == 1000);
    struct nothing v;
    for (int i = 0; i < 5; i++)
        cr_assert(weft_chan_recv(c, &v) == 0);
    cr_assert(weft_chan_try_recv(c, &v) == -EAGAIN);
}

Test(chan, pointers_travel_with_their_qualifiers)
{
    weft_chan(const char *) c = weft_chan_make(const char *, 1);
    weft_chan(char *const) k = weft_chan_make(char *const, 1);
    const char *v = NULL;
    char text[] = "y", *p = NULL;
    cr_assert(weft_chan_send(c, "x") == 0);
    cr_assert(weft_chan_recv(c, &v) == 0);
    cr_assert(strcmp(v, "x") == 0);
    cr_assert(weft_chan_send(k, text) == 0);
    cr_assert(weft_chan_recv(k, &p) == 0);
    cr_assert(p == text);
    cr_assert(weft_chan_send(c, NULL) == 0);
    cr_assert(weft_chan_recv(c, &v) == 0);
    cr_assert(v == NULL);
}

Test(chan, channels_travel_through_channels)
{
    weft_chan(weft_chan(int)) cc = weft_chan_make(weft_chan(int), 1);
    weft_chan(int) c = weft_chan_make(int, 1), got = NULL;
    cr_assert(weft_chan_send(cc, c) == 0);
    cr_assert(weft_chan_recv(cc, &got) == 0);
    cr_assert(got == c);
    cr_assert(weft_chan_send(got, 5) == 0);
    int v = 0;
    cr_assert(weft_chan_recv(c, &v) == 0);
    cr_assert(v == 5);
}

Test(chan, a_sent_value_is_converted_to_the_element_type)
{
    weft_chan(double) d = weft_chan_make(double, 1);
    weft_chan(unsigned char) b = weft_chan_make(unsigned char, 1);
    int three = 3;
    double got = 0;
    unsigned char byte = 0;
    cr_assert(weft_chan_send(d, three) == 0);
    cr_assert(weft_chan_recv(d, &got) == 0);
    cr_assert(got == 3.0);
    cr_assert(weft_chan_try_send(d, 2.5f) == 0);
    cr_assert(weft_chan_try_recv(d, &got) == 0);
    cr_assert(got == 2.5);
    cr_assert(weft_chan_send(b, (unsigned char)(three + 256)) == 0);
    cr_assert(weft_chan_recv(b, &byte) == 0);
    cr_assert(byte == 3);
}

Test(chan, a_brace_literal_may_be_sent_with_and_without_parentheses)
{
    weft_chan(struct sixteen) c = weft_chan_make(struct sixteen, 3);
    struct sixteen v = {0, 0};
    cr_assert(weft_chan_send(c, (struct sixteen){1, 2}) == 0);
    cr_assert(weft_chan_send(c, ((struct sixteen){3, 4})) == 0);
    cr_assert(weft_chan_try_send(c, {5, 6}) == 0);
    for (uint64_t i = 1; i < 6; i += 2) {
        cr_assert(weft_chan_recv(c, &v) == 0);
        cr_assert(v.a == i);
        cr_assert(v.b == i + 1);
    }
}

static int calls;
static weft_chan(int) counted_channel(weft_chan(int) c)
{
    calls++;
    return c;
}
static int counted_value(int v)
{
    calls++;
    return v;
}
static int *counted_pointer(int *p)
{
    calls++;
    return p;
}

Test(chan, macros_evaluate_each_argument_once)
{
    weft_chan(int) c = weft_chan_make(int, 4);
    int v = 0;
    weft_chan_send(counted_channel(c), counted_value(1));
    cr_assert(calls == 2);
    weft_chan_try_send(counted_channel(c), counted_value(2));
    cr_assert(calls == 4);
    weft_chan_recv(counted_channel(c), counted_pointer(&v));
    cr_assert(calls == 6);
    weft_chan_try_recv(counted_channel(c), counted_pointer(&v));
    cr_assert(calls == 8);
    cr_assert(weft_chan_len(counted_channel(c)) == 0);
    cr_assert(calls == 9);
    cr_assert(weft_chan_cap(counted_channel(c)) == 4);
    cr_assert(calls == 10);
    weft_chan_close(counted_channel(c));
    cr_assert(calls == 11);
    weft_chan_each(int, unused, counted_channel(c))
        cr_assert_fail("a value from a closed channel");
    cr_assert(calls == 12);
    cr_assert(v == 2);
}

/* ---- nil ---- */

static void send_to_nil(void)
{
    passed = 1;
    weft_chan_send((weft_chan(int))NULL, 1);
    passed = 2;
}
static void recv_from_nil(void)
{
    passed = 1;
    weft_chan_recv((weft_chan(int))NULL, NULL);
    passed = 2;
}

Test(chan, sending_to_a_nil_channel_waits_for_ever, .timeout = 60)
{
    weft_go(send_to_nil);
    while (passed == 0)
        pause_ns(1000);
    pause_ns(5000000);
    cr_assert(passed == 1);
}

Test(chan, receiving_from_a_nil_channel_waits_for_ever, .timeout = 60)
{
    weft_go(recv_from_nil);
    while (passed == 0)
        pause_ns(1000);
    pause_ns(5000000);
    cr_assert(passed == 1);
}

Test(chan, a_nil_channel_is_never_ready_and_has_no_length)
{
    weft_chan(int) nil = NULL;
    int v = 9;
    cr_assert(weft_chan_try_send(nil, 1) == -EAGAIN);
    cr_assert(weft_chan_try_recv(nil, &v) == -EAGAIN);
    cr_assert(v == 9);
    cr_assert(weft_chan_len(nil) == 0);
    cr_assert(weft_chan_cap(nil) == 0);
}

Test(chan, closing_a_nil_channel_stops_the_program, .signal = SIGABRT)
{
    weft_chan_close((weft_chan(int))NULL);
}

/* ---- close ---- */

Test(chan, receivers_drain_a_closed_channel_and_then_get_epipe_and_zero)
{
    size_t caps[] = {3, WEFT_UNBOUNDED};
    for (int i = 0; i < 2; i++) {
        weft_chan(int) c = weft_chan_make(int, caps[i]);
        int v = 9;
        for (int k = 1; k <= 3; k++)
            weft_chan_send(c, k);
        weft_chan_close(c);
        cr_assert(weft_chan_len(c) == 3);
        cr_assert(weft_chan_recv(c, &v) == 0);
        cr_assert(v == 1);
        cr_assert(weft_chan_try_recv(c, &v) == 0);
        cr_assert(v == 2);
        cr_assert(weft_chan_recv(c, NULL) == 0);
        v = 9;
        cr_assert(weft_chan_recv(c, &v) == -EPIPE);
        cr_assert(v == 0);
        v = 9;
        cr_assert(weft_chan_try_recv(c, &v) == -EPIPE);
        cr_assert(v == 0);
        cr_assert(weft_chan_recv(c, NULL) == -EPIPE);
    }
}

Test(chan, sends_on_a_closed_channel_get_epipe)
{
    size_t caps[] = {0, 3, WEFT_UNBOUNDED};
    for (int i = 0; i < 3; i++) {
        weft_chan(int) c = weft_chan_make(int, caps[i]);
        weft_chan_close(c);
        cr_assert(weft_chan_send(c, 1) == -EPIPE);
        cr_assert(weft_chan_try_send(c, 1) == -EPIPE);
        cr_assert(weft_chan_len(c) == 0);
    }
}

static void recv_closed(weft_chan(struct page) c)
{
    struct page v, zero;
    memset(&v, 7, sizeof(v));
    memset(&zero, 0, sizeof(zero));
    require(weft_chan_recv(c, &v) == -EPIPE);
    require(memcmp(&v, &zero, sizeof(v)) == 0);
    require(weft_chan_recv(c, NULL) == -EPIPE);
    passed++;
}

Test(chan, close_wakes_every_receiver_with_epipe_and_zero, .timeout = 60)
{
    size_t caps[] = {0, 5, WEFT_UNBOUNDED};
    for (int i = 0; i < 3; i++) {
        weft_chan(struct page) c = weft_chan_make(struct page, caps[i]);
        passed = 0;
        for (int k = 0; k < 300; k++)
            weft_go(recv_closed, c);
        await_receivers(c, 300);
        weft_chan_close(c);
        while (passed != 300)
            pause_ns(1000);
    }
}

static void send_closed(weft_chan(int) c)
{
    require(weft_chan_send(c, 5) == -EPIPE);
    passed++;
}

Test(chan, close_wakes_every_sender_with_epipe_and_the_buffer_stays, .timeout = 60)
{
    for (size_t cap = 0; cap < 3; cap++) {
        weft_chan(int) c = weft_chan_make(int, cap);
        int v = 9;
        passed = 0;
        for (size_t k = 0; k < cap; k++)
            weft_chan_send(c, 1);
        for (int k = 0; k < 300; k++)
            weft_go(send_closed, c);
        await_senders(c, 300);
        weft_chan_close(c);
        while (passed != 300)
            pause_ns(1000);
        for (size_t k = 0; k < cap; k++)
            cr_assert(weft_chan_recv(c, &v) == 0);
        cr_assert(weft_chan_recv(c, &v) == -EPIPE);
    }
}

static void *recv_closed_thread(void *arg)
{
    int v = 9;
    require(weft_chan_recv(*(weft_chan(int) *)arg, &v) == -EPIPE);
    require(v == 0);
    return NULL;
}

Test(chan, close_by_a_routine_wakes_a_plain_thread, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    pthread_t thread;
    pthread_create(&thread, NULL, recv_closed_thread, &c);
    await_receivers(c, 1);
    weft_go(weft__chan_close, WEFT__CHAN_OF(c));
    pthread_join(thread, NULL);
}

Test(chan, second_close_stops_the_program, .signal = SIGABRT)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    weft_chan_close(c);
    weft_chan_close(c);
}

/* ---- try ---- */

Test(chan, try_forms_give_eagain_where_the_others_would_wait)
{
    weft_chan(int) c = weft_chan_make(int, 0), b = weft_chan_make(int, 1);
    int v = 9;
    cr_assert(weft_chan_try_send(c, 1) == -EAGAIN);
    cr_assert(weft_chan_try_recv(c, &v) == -EAGAIN);
    cr_assert(weft_chan_try_recv(b, &v) == -EAGAIN);
    cr_assert(weft_chan_try_send(b, 1) == 0);
    cr_assert(weft_chan_try_send(b, 2) == -EAGAIN);
    cr_assert(v == 9);
    cr_assert(weft_chan_try_recv(b, &v) == 0);
    cr_assert(v == 1);
}

Test(chan, try_send_serves_a_waiting_receiver, .timeout = 60)
{
    for (size_t cap = 0; cap < 2; cap++) {
        weft_chan(int) c = weft_chan_make(int, cap);
        passed = 0;
        weft_go(recv_then_pass, c, 4);
        await_receivers(c, 1);
        cr_assert(weft_chan_try_send(c, 4) == 0);
        while (passed != 1)
            pause_ns(1000);
        cr_assert(weft_chan_len(c) == 0);
    }
}

Test(chan, try_recv_serves_a_waiting_sender, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 0), b = weft_chan_make(int, 1);
    int v = 0;
    weft_go(send_then_pass, c, 4);
    await_senders(c, 1);
    cr_assert(weft_chan_try_recv(c, &v) == 0);
    cr_assert(v == 4);
    weft_chan_send(b, 5);
    weft_go(send_then_pass, b, 6);
    await_senders(b, 1);
    cr_assert(weft_chan_try_recv(b, &v) == 0);
    cr_assert(v == 5);
    cr_assert(weft_chan_len(b) == 1);
    cr_assert(weft_chan_try_recv(b, &v) == 0);
    cr_assert(v == 6);
    while (passed != 2)
        pause_ns(1000);
}

/* Two sides that first send and then look: at least one must see the other. */
static struct {
    weft_chan(int) x, y;
    _Atomic int arrived;
    int saw[2];
} dekker;

static void meet(int *times)
{
    int all = ++*times * 2;
    dekker.arrived++;
    for (unsigned spins = 0; dekker.arrived < all; spins++)
        if (spins > 1000)
            sched_yield();
}

static void *send_then_look(void *arg)
{
    int side = *(int *)arg, times = 0, v;
    weft_chan(int) mine = side != 0 ? dekker.y : dekker.x, other = side != 0 ? dekker.x : dekker.y;
    for (int i = 0; i < 1000000; i++) {
        meet(&times);
        weft_chan_send(mine, 1);
        dekker.saw[side] = weft_chan_try_recv(other, &v);
        meet(&times);
        require(dekker.saw[0] == 0 || dekker.saw[1] == 0);
        if (dekker.saw[1 - side] != 0)
            require(weft_chan_try_recv(mine, &v) == 0);
    }
    return NULL;
}

Test(chan, a_try_form_sees_what_completed_before_it, .timeout = 60)
{
    pthread_t thread;
    int sides[2] = {0, 1};
    dekker.x = weft_chan_make(int, 1);
    dekker.y = weft_chan_make(int, 1);
    pthread_create(&thread, NULL, send_then_look, &sides[1]);
    send_then_look(&sides[0]);
    pthread_join(thread, NULL);
}

/* ---- length, capacity, making ---- */

Test(chan, length_counts_the_buffer_and_capacity_is_what_was_asked_for)
{
    weft_chan(int) c = weft_chan_make(int, 4), r = weft_chan_make(int, 0), u = weft_chan_make(int, WEFT_UNBOUNDED);
    cr_assert(weft_chan_cap(c) == 4);
    cr_assert(weft_chan_cap(r) == 0);
    cr_assert(weft_chan_cap(u) == WEFT_UNBOUNDED);
    for (size_t i = 0; i < 4; i++) {
        cr_assert(weft_chan_len(c) == i);
        weft_chan_send(c, 1);
    }
    cr_assert(weft_chan_len(c) == 4);
    weft_chan_recv(c, NULL);
    cr_assert(weft_chan_len(c) == 3);
    cr_assert(weft_chan_len(r) == 0);
}

Test(chan, distinct_channels_are_unequal)
{
    weft_chan(int) a = weft_chan_make(int, 0), b = weft_chan_make(int, 0), again = a;
    cr_assert(a != b);
    cr_assert(a == again);
    cr_assert(a != NULL);
}

Test(chan, a_capacity_beyond_any_memory_stops_the_program, .signal = SIGABRT)
{
    weft_chan_make(int, SIZE_MAX / 2);
}

Test(chan, a_negative_capacity_stops_the_program, .signal = SIGABRT)
{
    weft_chan_make(char, -1);
}

Test(chan, a_capacity_beyond_the_memory_left_gives_null)
{
    if (WF_ASAN)
        cr_skip_test("AddressSanitizer cannot live with a limit");
    struct rlimit limit = {.rlim_cur = (rlim_t)4 << 30, .rlim_max = (rlim_t)4 << 30};
    setrlimit(RLIMIT_AS, &limit);
    errno = 0;
    cr_assert(weft_chan_make(char, (size_t)1 << 40) == NULL);
    cr_assert(errno == 0);
}

/* ---- each ---- */

Test(chan, each_ends_when_the_channel_is_closed_and_drained, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 5);
    int sum = 0;
    for (int i = 1; i <= 5; i++)
        weft_chan_send(c, i);
    weft_chan_close(c);
    weft_chan_each(int, v, c)
        sum += v;
    cr_assert(sum == 15);
}

static int first_above(weft_chan(int) c, int least)
{
    weft_chan_each(int, v, c) {
        if (v <= least)
            continue;
        return v;
    }
    return -1;
}

Test(chan, each_obeys_break_continue_and_return, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 10);
    int last = 0;
    for (int i = 1; i <= 10; i++)
        weft_chan_send(c, i);
    weft_chan_each(int, v, c) {
        last = v;
        if (v == 3)
            break;
    }
    cr_assert(last == 3);
    cr_assert(weft_chan_len(c) == 7);
    cr_assert(first_above(c, 5) == 6);
    cr_assert(weft_chan_len(c) == 4);
}

Test(chan, each_may_be_nested, .timeout = 60)
{
    weft_chan(int) a = weft_chan_make(int, 3);
    int sum = 0;
    for (int i = 1; i <= 3; i++)
        weft_chan_send(a, i);
    weft_chan_close(a);
    weft_chan_each(int, v, a) {
        weft_chan(int) b = weft_chan_make(int, 2);
        weft_chan_send(b, v * 10);
        weft_chan_send(b, v * 100);
        weft_chan_close(b);
        weft_chan_each(int, w, b) {
            if (w > 250)
                break;
            sum += w;
        }
        sum += v;
    }
    cr_assert(sum == 6 + 10 + 100 + 20 + 200 + 30);
}

/* ---- order of waiters ---- */

static int served[50];
static _Atomic int n_served;

static void recv_and_note(weft_chan(int) c, int self)
{
    int v = -1;
    require(weft_chan_recv(c, &v) == 0);
    served[self] = v;
    n_served++;
}

Test(chan, receivers_are_served_in_the_order_in_which_they_began_to_wait, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    for (int i = 0; i < 50; i++) {
        weft_go(recv_and_note, c, i);
        await_receivers(c, (size_t)i + 1);
    }
    for (int i = 0; i < 50; i++)
        cr_assert(weft_chan_send(c, i) == 0);
    while (n_served != 50)
        pause_ns(1000);
    for (int i = 0; i < 50; i++)
        cr_assert(served[i] == i);
}

Test(chan, senders_are_served_in_the_order_in_which_they_began_to_wait, .timeout = 60)
{
    for (size_t cap = 0; cap < 3; cap++) {
        weft_chan(int) c = weft_chan_make(int, cap);
        passed = 0;
        for (int i = 0; i < 50; i++) {
            weft_go(send_then_pass, c, i);
            while ((size_t)passed + count_queue(WEFT__CHAN_OF(c), &WEFT__CHAN_OF(c)->senders) != (size_t)i + 1)
                pause_ns(1000);
        }
        for (int i = 0; i < 50; i++) {
            int v = -1;
            cr_assert(weft_chan_recv(c, &v) == 0);
            cr_assert(v == i);
        }
        while (passed != 50)
            pause_ns(1000);
    }
}

/* ---- memory order ---- */

static int64_t plain_counter; /* guarded by a channel of capacity 1 */

static void count_guarded(weft_chan(struct nothing) guard, weft_chan(struct nothing) done, int n)
{
    for (int i = 0; i < n; i++) {
        require(weft_chan_send(guard, (struct nothing){}) == 0);
        plain_counter++;
        require(weft_chan_recv(guard, NULL) == 0);
    }
    weft_chan_send(done, (struct nothing){});
}

Test(chan, a_receive_happens_before_the_send_that_takes_its_place, .timeout = 60)
{
    weft_chan(struct nothing) guard = weft_chan_make(struct nothing, 1), done = weft_chan_make(struct nothing, 0);
    for (int i = 0; i < 6; i++)
        weft_go(count_guarded, guard, done, 20000);
    for (int i = 0; i < 6; i++)
        cr_assert(weft_chan_recv(done, NULL) == 0);
    cr_assert(plain_counter == 120000);
}

static _Atomic int inside, most_inside;

static void enter_limited(weft_chan(int) limit, weft_chan(int) done)
{
    for (int i = 0; i < 300; i++) {
        require(weft_chan_send(limit, i) == 0);
        int now = ++inside, most = most_inside;
        while (now > most && !atomic_compare_exchange_weak(&most_inside, &most, now))
            ;
        weft_yield();
        inside--;
        require(weft_chan_recv(limit, NULL) == 0);
    }
    weft_chan_send(done, 0);
}

Test(chan, a_channel_of_capacity_c_lets_c_in_at_once, .timeout = 60)
{
    weft_chan(int) limit = weft_chan_make(int, 3), done = weft_chan_make(int, 0);
    for (int i = 0; i < 20; i++)
        weft_go(enter_limited, limit, done);
    for (int i = 0; i < 20; i++)
        weft_chan_recv(done, NULL);
    cr_assert(most_inside <= 3);
}

static void send_boxes(weft_chan(int64_t *) c, weft_chan(int64_t *) back, int n)
{
    int64_t *box = malloc(sizeof(*box));
    for (int i = 0; i < n; i++) {
        *box = i;
        require(weft_chan_send(c, box) == 0);
        require(weft_chan_recv(back, &box) == 0);
        require(*box == -i);
    }
    free(box);
    weft_chan_close(c);
}

static void return_boxes(weft_chan(int64_t *) c, weft_chan(int64_t *) back)
{
    int64_t expected = 0;
    weft_chan_each(int64_t *, box, c) {
        require(*box == expected++);
        *box = -*box;
        require(weft_chan_send(back, box) == 0);
    }
}

Test(chan, what_was_written_before_a_send_is_seen_after_its_receive, .timeout = 60)
{
    for (size_t cap = 0; cap < 2; cap++) {
        weft_chan(int64_t *) c = weft_chan_make(int64_t *, cap), back = weft_chan_make(int64_t *, cap);
        weft_go(return_boxes, c, back);
        in_routine(send_boxes, c, back, 50000);
    }
}

/* ---- many at once ---- */

enum { SHARERS = 8, SHARE = 5000 };
static _Atomic unsigned char seen[SHARERS * SHARE];

static void share_send(weft_chan(int) c, weft_chan(int) done, int self)
{
    for (int i = 0; i < SHARE; i++)
        require(weft_chan_send(c, self * SHARE + i) == 0);
    weft_chan_send(done, 0);
}

static void share_recv(weft_chan(int) c, weft_chan(int) done)
{
    weft_chan_each(int, v, c)
        require(seen[v]++ == 0);
    weft_chan_send(done, 0);
}

static void *share_recv_thread(void *arg)
{
    weft_chan(int) *both = arg;
    share_recv(both[0], both[1]);
    return NULL;
}

Test(chan, every_value_arrives_exactly_once_whoever_shares_the_channel, .timeout = 60)
{
    size_t caps[] = {0, 1, 7, 128, WEFT_UNBOUNDED};
    for (size_t k = 0; k < sizeof(caps) / sizeof(caps[0]); k++) {
        weft_chan(int) c = weft_chan_make(int, caps[k]), done = weft_chan_make(int, 0), both[2] = {c, done};
        pthread_t thread;
        memset((void *)seen, 0, sizeof(seen));
        for (int i = 0; i < SHARERS; i++)
            weft_go(share_send, c, done, i);
        for (int i = 0; i < SHARERS; i++)
            weft_go(share_recv, c, done);
        pthread_create(&thread, NULL, share_recv_thread, both);
        for (int i = 0; i < SHARERS; i++)
            weft_chan_recv(done, NULL);
        weft_chan_close(c);
        for (int i = 0; i < SHARERS + 1; i++)
            weft_chan_recv(done, NULL);
        pthread_join(thread, NULL);
        for (int i = 0; i < SHARERS * SHARE; i++)
            cr_assert(seen[i] == 1);
    }
}

/* ---- waits ended from outside; errno ---- */

static void recv_cancelled(weft_chan(int) c)
{
    int v = 9;
    require(weft_chan_recv(c, &v) == -ECANCELED);
    require(v == 9);
    passed++;
}
static void send_cancelled(weft_chan(int) c)
{
    require(weft_chan_send(c, 1) == -ECANCELED);
    passed++;
}
static void later_calls_see_it_only_when_they_wait(weft_chan(int) c, weft_chan(int) buffered)
{
    int v = 0;
    require(weft_chan_recv(c, &v) == -ECANCELED);
    require(weft_chan_send(buffered, 3) == 0);
    require(weft_chan_recv(buffered, &v) == 0);
    require(v == 3);
    require(weft_chan_recv(buffered, &v) == -ECANCELED);
    passed++;
}

Test(chan, stopping_the_runtime_ends_all_waits_and_leaves_the_channel_usable, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 0), s = weft_chan_make(int, 0), b = weft_chan_make(int, 1), nil = NULL;
    for (int i = 0; i < 100; i++) {
        weft_go(recv_cancelled, c);
        weft_go(send_cancelled, s);
        weft_go(recv_cancelled, nil);
        weft_go(send_cancelled, nil);
    }
    weft_go(later_calls_see_it_only_when_they_wait, c, b);
    await_receivers(c, 101);
    await_senders(s, 100);
    cr_assert(weft_stop() == 0);
    cr_assert(passed == 401);
    cr_assert(weft_chan_try_send(c, 1) == -EAGAIN);
    cr_assert(weft_chan_try_recv(s, NULL) == -EAGAIN);
    weft_go(recv_then_pass, c, 6);
    cr_assert(weft_chan_send(c, 6) == 0);
    while (passed != 402)
        pause_ns(1000);
}

Test(chan, errno_is_left_alone, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 1), u = weft_chan_make(int, WEFT_UNBOUNDED);
    int v;
    errno = 77;
    weft_chan_try_recv(c, &v);
    weft_chan_send(c, 1);
    weft_go(send_then_pass, c, 2);
    await_senders(c, 1);
    errno = 77;
    weft_chan_recv(c, &v);
    weft_chan_recv(c, &v);
    for (int i = 0; i < 2000; i++)
        weft_chan_send(u, i);
    weft_chan_close(c);
    cr_assert(weft_chan_send(c, 1) == -EPIPE);
    cr_assert(errno == 77);
}
