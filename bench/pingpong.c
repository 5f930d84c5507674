/* SPDX-License-Identifier: MIT */
/* pingpong.c - what does a round trip between two routines over two unbuffered channels cost?
 *
 * Strictly alternating, so a second worker can only cost something here.
 * Not measured: streams in one direction (prodcons.c), more than two routines (ring.c).
 */
#include "bench.h"
#include <weft/weft.h>

enum { TRIPS = 500000 };

static void echo(weft_chan(int) ping, weft_chan(int) pong)
{
    weft_chan_each(int, v, ping) {
        weft_chan_send(pong, v);
    }
}

static void play(int trips)
{
    weft_chan(int) ping = weft_chan_make(int, 0);
    weft_chan(int) pong = weft_chan_make(int, 0);
    weft_go(echo, ping, pong);
    for (int i = 0; i < trips; i++) {
        int back = 0;
        weft_chan_send(ping, i);
        weft_chan_recv(pong, &back);
        bench_require(back == i, "pingpong");
    }
    weft_chan_close(ping);
}

static void measure(void)
{
    bench_each("round_trip", play, TRIPS, TRIPS, "ns");
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
