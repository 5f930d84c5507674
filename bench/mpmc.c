/* SPDX-License-Identifier: MIT */
/* mpmc.c - what does an item cost when 4 producers and 4 consumers share one channel with a buffer of 128?
 *
 * Wall time per item over all of them. Not measured: fairness among them, latency of one item.
 */
#include "bench.h"
#include <weft/weft.h>

enum { PRODUCERS = 4, CONSUMERS = 4, CAPACITY = 128, ITEMS = 1000000 };

static weft_waitgroup producing, consuming;
static int64_t sums[CONSUMERS][8]; /* a cache line each */

static void produce(weft_chan(int) c, int items)
{
    for (int i = 0; i < items; i++)
        weft_chan_send(c, i);
    weft_waitgroup_done(&producing);
}

static void consume(weft_chan(int) c, int self)
{
    int64_t sum = 0;
    weft_chan_each(int, v, c) {
        sum += v;
    }
    sums[self][0] = sum;
    weft_waitgroup_done(&consuming);
}

static void share(int items)
{
    int each = items / PRODUCERS;
    int64_t sum = 0;
    weft_chan(int) c = weft_chan_make(int, CAPACITY);
    weft_waitgroup_add(&producing, PRODUCERS);
    weft_waitgroup_add(&consuming, CONSUMERS);
    for (int i = 0; i < PRODUCERS; i++)
        weft_go(produce, c, each);
    for (int i = 0; i < CONSUMERS; i++)
        weft_go(consume, c, i);
    weft_waitgroup_wait(&producing);
    weft_chan_close(c);
    weft_waitgroup_wait(&consuming);
    for (int i = 0; i < CONSUMERS; i++)
        sum += sums[i][0];
    bench_require(sum == PRODUCERS * ((int64_t)each * (each - 1) / 2), "sum of items");
}

static void measure(void)
{
    bench_each("item", share, ITEMS, ITEMS, "ns");
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
