/* SPDX-License-Identifier: MIT */
/* pool.c - what does an object from a weft_pool cost, got and put again?
 *
 *   get_put   one object at a time, by one routine
 *   burst     100 got, then 100 put: more than a worker's own share
 *
 * Not measured: what a collection does to pools, objects that several workers pass to each other.
 */
#include "bench.h"
#include <weft/weft.h>

enum { PAIRS = 20000000, BURST = 100, BURSTS = 100000 };

static weft_pool pool;

static void *make(void *arg)
{
    (void)arg;
    return weft_alloc(64);
}

static void get_put(int pairs)
{
    for (int i = 0; i < pairs; i++) {
        char *p = weft_pool_get(&pool);
        *p = (char)i;
        weft_pool_put(&pool, p);
    }
}

static void burst(int bursts)
{
    char *held[BURST];
    for (int b = 0; b < bursts; b++) {
        for (int i = 0; i < BURST; i++)
            *(held[i] = weft_pool_get(&pool)) = (char)i;
        for (int i = 0; i < BURST; i++)
            weft_pool_put(&pool, held[i]);
    }
}

static void measure(void)
{
    pool.make = make;
    bench_each("get_put", get_put, PAIRS, PAIRS, "ns");
    bench_each("burst", burst, BURSTS, (double)BURST * BURSTS, "ns");
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
