/* SPDX-License-Identifier: MIT */
/* gc_stop.c - how long does it take until all threads stand still, when two routines compute without a call?
 *
 * Median and 99th percentile of 2000 stops, a millisecond or so apart, asked for by the main thread; the stop alone, without
 * marking. With fewer CPUs than threads that want one it measures the kernel's time slices instead: WEFT_PROCS=1 on two CPUs
 * is the quiet case there. It does not measure how long the threads take to go on.
 */
#define _GNU_SOURCE
#include <weft/weft.h>

#include "bench.h"
#include "sched/world.h"

enum { STOPS = 2000, LOOPS = 2 };

static int64_t took[STOPS];
static _Atomic unsigned n_running;
static volatile bool done;

static void loop(void)
{
    n_running++;
    while (!done)
        ;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void stop_once(int i)
{
    struct wf_thread *thread = wf_enter();
    while (!wf_world_claim(&thread))
        ;
    for (unsigned attempt = 0; !wf_world_stop(thread, attempt); attempt++)
        ;
    took[i] = wf_world_stats.last_stop_ns;
    wf_world_resume();
    wf_world_unclaim();
    wf_leave(thread);
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    unsigned loops = weft_procs() < LOOPS ? weft_procs() : LOOPS;
    for (unsigned i = 0; i < loops; i++)
        weft_go(loop);
    while (n_running < loops)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    for (int round = 0; round < bench_rounds; round++) {
        for (int i = 0; i < STOPS; i++) {
            stop_once(i);
            nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
        }
        qsort(took, STOPS, sizeof(took[0]), compare);
        bench_print("stop_p50", (double)took[STOPS / 2] / 1000, "us");
        bench_print("stop_p99", (double)took[STOPS * 99 / 100] / 1000, "us");
    }
    bench_print("given_up", (double)wf_world_stats.given_up, "stops"); /* a thread got no CPU for 100 ms */
    done = true;
    return 0;
}
