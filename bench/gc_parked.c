/* SPDX-License-Identifier: MIT */
/* gc_parked.c - what does each of one million routines that wait cost a collection? CPU time of all threads.
 *
 * Each has a pointer to an object of its own on its stack. Not measured: deep stacks.
 */
#include "bench.h"

#include <sys/resource.h>
#include <weft/weft.h>

enum { ROUTINES = 1000000 };

static weft_chan(int) gate;
static weft_waitgroup starting;

static void wait_at_gate(int number)
{
    int *mine = weft_new(int);
    *mine = number;
    weft_waitgroup_done(&starting);
    weft_chan_recv(gate, NULL);
    bench_require(*mine == number, "an object of its own");
}

static double cpu_ns(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e9 +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e3;
}

static void measure(void)
{
    gate = weft_chan_make(int, 0);
    weft_waitgroup_add(&starting, ROUTINES);
    for (int i = 0; i < ROUTINES; i++)
        weft_go(wait_at_gate, i);
    weft_waitgroup_wait(&starting);
    weft_sleep(100 * WEFT_MS);
    for (int round = -1; round < bench_rounds; round++) {
        double start = cpu_ns();
        int64_t start_wall = bench_now();
        weft_gc();
        if (round < 0)
            continue;
        bench_print("cpu", (cpu_ns() - start) / ROUTINES, "ns");
        bench_print("wall", (double)(bench_now() - start_wall) / ROUTINES, "ns");
    }
    weft_chan_close(gate);
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
