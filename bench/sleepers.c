/* SPDX-License-Identifier: MIT */
/* sleepers.c - how much CPU time do 100000 routines cost that each sleep once, between 0 and 100 ms?
 *
 * User and system time of the process per round, starting and ending the routines included. `wall` shows whether
 * they slept at the same time. Not measured: how late each woke (sleep_late.c), timers that are stopped (timers.c).
 */
#include "bench.h"
#include <weft/weft.h>

#include <sys/resource.h>

enum { SLEEPERS = 100000 };

static weft_waitgroup running;

static void sleep_once(weft_duration duration)
{
    weft_sleep(duration);
    weft_waitgroup_done(&running);
}

static void sleep_all(int sleepers)
{
    weft_waitgroup_add(&running, sleepers);
    for (int i = 0; i < sleepers; i++)
        weft_go(sleep_once, (weft_duration)(bench_hash((uint64_t)i) % (100 * WEFT_MS)));
    weft_waitgroup_wait(&running);
}

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void measure(void)
{
    sleep_all(SLEEPERS);
    for (int round = 0; round < bench_rounds; round++) {
        double cpu = cpu_seconds();
        int64_t start = bench_now();
        sleep_all(SLEEPERS);
        bench_print("cpu", cpu_seconds() - cpu, "s");
        bench_print("wall", (double)(bench_now() - start) / 1e9, "s");
    }
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
