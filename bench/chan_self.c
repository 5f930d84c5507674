/* SPDX-License-Identifier: MIT */
/* chan_self.c - what do one send and one receive by the same routine on a buffered channel cost?
 *
 * Nobody else knows the channel and nothing ever waits: the bare cost of the buffer.
 * Not measured: contention (mpmc.c), waking (prodcons.c).
 */
#include "bench.h"
#include <weft/weft.h>

enum { PAIRS = 3000000, CAPACITY = 128 };

static void send_and_receive(int pairs)
{
    weft_chan(int) c = weft_chan_make(int, CAPACITY);
    int64_t sum = 0;
    for (int i = 0; i < pairs; i++) {
        int v = 0;
        weft_chan_send(c, i);
        weft_chan_recv(c, &v);
        sum += v;
    }
    bench_require(sum == (int64_t)pairs * (pairs - 1) / 2, "sum of items");
}

static void measure(void)
{
    bench_each("send_recv", send_and_receive, PAIRS, PAIRS, "ns");
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
