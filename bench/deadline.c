/* SPDX-License-Identifier: MIT */
/* deadline.c - what does a deadline around a channel operation cost?
 *
 * `ready` is the difference that a deadline around each send to and receive from a buffered channel makes, neither of which
 * waits; `waiting` the difference that one makes around the send and receive of a round trip between two routines, of which
 * one waits, with a deadline of a second and of a minute (which needs no look at the clock); `expire` a deadline of 1 ms
 * that passes, among 10 000 children that each wait in their own.
 * Not measured: many waits under one deadline, which cost what the first one does and then next to nothing.
 */
#include "bench.h"
#include <weft/weft.h>

enum { OPERATIONS = 1000000, TRIPS = 200000, EXPIRING = 10000 };

static weft_chan(int) box;

static void ready_plain(int n)
{
    int v = 0;
    for (int i = 0; i < n; i++) {
        bench_require(weft_chan_send(box, i) == 0, "send");
        weft_chan_recv(box, &v);
    }
    bench_require(v == n - 1, "value");
}

static void ready(int n)
{
    int v = 0;
    for (int i = 0; i < n; i++) {
        weft_deadline(WEFT_SEC)
            bench_require(weft_chan_send(box, i) == 0, "send");
        weft_deadline(WEFT_SEC)
            weft_chan_recv(box, &v);
    }
    bench_require(v == n - 1, "value");
}

static void echo(weft_chan(int) ping, weft_chan(int) pong)
{
    weft_chan_each(int, v, ping) {
        weft_chan_send(pong, v);
    }
}

static void round_trips(int n, weft_duration limit)
{
    weft_chan(int) ping = weft_chan_make(int, 0);
    weft_chan(int) pong = weft_chan_make(int, 0);
    weft_go(echo, ping, pong);
    for (int i = 0; i < n; i++) {
        int back = 0;
        if (limit != 0) {
            weft_deadline(limit) {
                weft_chan_send(ping, i);
                weft_chan_recv(pong, &back);
            }
        } else {
            weft_chan_send(ping, i);
            weft_chan_recv(pong, &back);
        }
        bench_require(back == i, "echo");
    }
    weft_chan_close(ping);
}

static double time_of(void (*body)(int), int n)
{
    int64_t start = bench_now();
    body(n);
    return (double)(bench_now() - start) / n;
}

static void waiting_plain(int n)
{
    round_trips(n, 0);
}
static void waiting_second(int n)
{
    round_trips(n, WEFT_SEC);
}

static void waiting_minute(int n)
{
    round_trips(n, WEFT_MIN);
}

static void expire_one(weft_chan(int) never)
{
    int v;
    weft_deadline(WEFT_MS)
        bench_require(weft_chan_recv(never, &v) == -ETIMEDOUT, "expires");
}

static void expire(int n)
{
    weft_chan(int) never = weft_chan_make(int, 0);
    weft_scope(s) {
        for (int i = 0; i < n; i++)
            weft_scope_go(s, expire_one, never);
    }
}

static void measure(void)
{
    box = weft_chan_make(int, 1);
    for (int round = -1; round < bench_rounds; round++) { /* the first one warms up */
        double plain = time_of(ready_plain, OPERATIONS), limited = time_of(ready, OPERATIONS);
        double wait_plain = time_of(waiting_plain, TRIPS), wait_second = time_of(waiting_second, TRIPS);
        double wait_minute = time_of(waiting_minute, TRIPS);
        double expiry = time_of(expire, EXPIRING);
        if (round < 0)
            continue;
        bench_print("ready", (limited - plain) / 2, "ns");
        bench_print("waiting", wait_second - wait_plain, "ns");
        bench_print("waiting_minute", wait_minute - wait_plain, "ns");
        bench_print("expire", expiry / 1000, "us");
    }
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
