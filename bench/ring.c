/* SPDX-License-Identifier: MIT */
/* ring.c - what does one hop of a token cost around a ring of 128 routines over unbuffered channels?
 *
 * One routine runs at a time; each hop wakes one that has waited for a whole lap.
 * Not measured: several tokens, two routines with warm caches (pingpong.c).
 */
#include "bench.h"
#include <weft/weft.h>

enum { MEMBERS = 128, LAPS = 8000 };

static void pass_on(weft_chan(int) in, weft_chan(int) out)
{
    weft_chan_each(int, hops, in) {
        weft_chan_send(out, hops + 1);
    }
    weft_chan_close(out);
}

/* The caller is a member of the ring too. */
static void run_laps(int laps)
{
    weft_chan(int) first = weft_chan_make(int, 0), last = first;
    int hops = 0;
    for (int i = 1; i < MEMBERS; i++) {
        weft_chan(int) next = weft_chan_make(int, 0);
        weft_go(pass_on, last, next);
        last = next;
    }
    for (int i = 0; i < laps; i++) {
        weft_chan_send(first, hops + 1);
        weft_chan_recv(last, &hops);
    }
    weft_chan_close(first);
    bench_require(hops == laps * MEMBERS, "number of hops");
}

static void measure(void)
{
    bench_each("hop", run_laps, LAPS, (double)LAPS * MEMBERS, "ns");
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
