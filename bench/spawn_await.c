/* SPDX-License-Identifier: MIT */
/* spawn_await.c - what does it cost to start one routine and wait for its result, one after the other?
 *
 * The Go peer receives the result on one unbuffered channel that it reuses, the cheapest form Go has.
 * Without a collector a future's memory comes back by weft_detach; spawn_await_kept leaves it, and so pays the kernel
 * for 64 bytes of fresh memory a call.
 * Not measured: many in flight at once (spawn.c, skynet.c).
 */
#include "bench.h"
#include <weft/weft.h>

enum { CALLS = 500000 };

static int increment(int x)
{
    return x + 1;
}

static void call_in_turn(int calls)
{
    int x = 0;
    for (int i = 0; i < calls; i++) {
        weft_future(int) f = weft_async(increment, x);
        x = weft_await(f);
        weft_detach(f);
    }
    bench_require(x == calls, "spawn_await");
}

static void call_and_keep(int calls)
{
    int x = 0;
    for (int i = 0; i < calls; i++)
        x = weft_await(weft_async(increment, x));
    bench_require(x == calls, "spawn_await");
}

static void measure(void)
{
    bench_each("spawn_await", call_in_turn, CALLS, CALLS, "ns");
    bench_each("spawn_await_kept", call_and_keep, CALLS, CALLS, "ns");
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
