/* SPDX-License-Identifier: MIT */
/* fanin.c - what does a message cost from one producer through 8 workers to a collector that selects over all 8?
 *
 * Unbuffered channels, one in and one out per worker; the producer deals in turn. The cases are built once, in an
 * array; the Go peer writes its 8 cases out. Not measured: work inside the workers.
 */
#include "bench.h"
#include <weft/weft.h>

enum { WORKERS = 8, MESSAGES = 200000 };

static weft_chan(int) in[WORKERS], out[WORKERS];

static void deal(int messages)
{
    for (int i = 0; i < messages; i++)
        weft_chan_send(in[i % WORKERS], i);
    for (int i = 0; i < WORKERS; i++)
        weft_chan_close(in[i]);
}

static void relay(weft_chan(int) from, weft_chan(int) to)
{
    weft_chan_each(int, v, from) {
        weft_chan_send(to, v);
    }
}

static void collect(int messages)
{
    weft_case cases[WORKERS];
    int v = 0;
    int64_t sum = 0;
    for (int i = 0; i < WORKERS; i++) {
        in[i] = weft_chan_make(int, 0);
        out[i] = weft_chan_make(int, 0);
        cases[i] = weft_on_recv(out[i], &v);
        weft_go(relay, in[i], out[i]);
    }
    weft_future(void) dealt = weft_async(deal, messages);
    for (int i = 0; i < messages; i++) {
        weft_select_n(cases, WORKERS);
        sum += v;
    }
    weft_await(dealt); /* it closes the channels, which the next round replaces */
    weft_detach(dealt);
    bench_require(sum == (int64_t)messages * (messages - 1) / 2, "sum of messages");
}

static void measure(void)
{
    bench_each("message", collect, MESSAGES, MESSAGES * 1e3, "us");
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
