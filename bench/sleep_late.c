/* SPDX-License-Identifier: MIT */
/* sleep_late.c - how late does a routine wake from a sleep of 1 ms, alone and while others keep the workers busy?
 *
 * `late`: the process is idle in between, so the kernel's own wake-up of a thread is part of it.
 * `late_busy`: 4 routines yield in a loop. Mean of 200 sleeps per round. Not measured: the tail, many sleepers.
 */
#include "bench.h"
#include <weft/weft.h>

#include <stdatomic.h>

enum { SLEEPS = 200, BUSY = 4 };

static atomic_bool stop;

static void keep_busy(void)
{
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) /* relaxed: only the value matters */
        weft_yield();
}

static double mean_lateness_us(void)
{
    int64_t late = 0;
    for (int i = 0; i < SLEEPS; i++) {
        int64_t start = bench_now();
        weft_sleep(WEFT_MS);
        int64_t over = bench_now() - start - WEFT_MS;
        bench_require(over >= 0, "a sleep was short");
        late += over;
    }
    return (double)late / SLEEPS / 1e3;
}

static void repeat(const char *metric)
{
    mean_lateness_us();
    for (int round = 0; round < bench_rounds; round++)
        bench_print(metric, mean_lateness_us(), "us");
}

static void measure(void)
{
    repeat("late");
    for (int i = 0; i < BUSY; i++)
        weft_go(keep_busy);
    repeat("late_busy");
    atomic_store(&stop, true);
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
