/* SPDX-License-Identifier: MIT */
/* prodcons.c - what does an item cost from one producer to one consumer, unbuffered and with a buffer of 128?
 *
 * Items are one int; neither side does any other work.
 * Not measured: several producers or consumers (mpmc.c), large elements.
 */
#include "bench.h"
#include <weft/weft.h>

enum { ITEMS = 1000000 };

static void produce(weft_chan(int) c, int items)
{
    for (int i = 0; i < items; i++)
        weft_chan_send(c, i);
    weft_chan_close(c);
}

static void consume(int capacity)
{
    weft_chan(int) c = weft_chan_make(int, (size_t)capacity);
    int expected = 0;
    weft_go(produce, c, ITEMS);
    weft_chan_each(int, v, c) {
        bench_require(v == expected++, "order of items");
    }
    bench_require(expected == ITEMS, "number of items");
}

static void measure(void)
{
    bench_each("unbuffered", consume, 0, ITEMS, "ns");
    bench_each("buffered_128", consume, 128, ITEMS, "ns");
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
