/* SPDX-License-Identifier: MIT */
/* yield.c - what does one weft_yield cost among 2 and among 1000 routines that do nothing else?
 *
 * Wall time over all yields: with two workers they overlap. Spawning the routines is less than 1 % of it.
 * Not measured: the cache misses of routines that use their stacks.
 */
#include "bench.h"
#include <weft/weft.h>

enum { YIELDS = 2000000 };

static weft_waitgroup running;

static void yield_often(int times)
{
    for (int i = 0; i < times; i++)
        weft_yield();
    weft_waitgroup_done(&running);
}

static void yield_among(int routines)
{
    weft_waitgroup_add(&running, routines);
    for (int i = 0; i < routines; i++)
        weft_go(yield_often, YIELDS / routines);
    weft_waitgroup_wait(&running);
}

static void measure(void)
{
    bench_each("routines_2", yield_among, 2, YIELDS, "ns");
    bench_each("routines_1000", yield_among, 1000, YIELDS, "ns");
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
