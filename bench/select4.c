/* SPDX-License-Identifier: MIT */
/* select4.c - what does one receive cost in a select over 4 channels, each with a producer of its own?
 *
 * All unbuffered, and all with a buffer of 128. The cost of the producer's send is part of the figure.
 * Not measured: cases built at run time (fanin.c), polling (select_default.c), send cases.
 */
#include "bench.h"
#include <weft/weft.h>

enum { ITEMS = 1000000 };

static void produce(weft_chan(int) c, int items)
{
    for (int i = 0; i < items; i++)
        weft_chan_send(c, i);
}

static void receive_from_four(int capacity)
{
    weft_chan(int) a = weft_chan_make(int, (size_t)capacity);
    weft_chan(int) b = weft_chan_make(int, (size_t)capacity);
    weft_chan(int) c = weft_chan_make(int, (size_t)capacity);
    weft_chan(int) d = weft_chan_make(int, (size_t)capacity);
    int each = ITEMS / 4, v = 0;
    int64_t sum = 0;
    weft_go(produce, a, each);
    weft_go(produce, b, each);
    weft_go(produce, c, each);
    weft_go(produce, d, each);
    for (int i = 0; i < ITEMS; i++) {
        weft_select(weft_on_recv(a, &v), weft_on_recv(b, &v), weft_on_recv(c, &v), weft_on_recv(d, &v));
        sum += v;
    }
    bench_require(sum == 4 * ((int64_t)each * (each - 1) / 2), "sum of items");
}

static void measure(void)
{
    bench_each("unbuffered", receive_from_four, 0, ITEMS, "ns");
    bench_each("buffered_128", receive_from_four, 128, ITEMS, "ns");
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
