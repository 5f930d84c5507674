/* SPDX-License-Identifier: MIT */
/* timers.c - what does a timer cost that never fires, with up to one million of them pending?
 *
 * `arm` fills up to one million, `arm_stop` starts and stops one more at that population (the time-out that is not
 * needed), `stop` takes all out again. Not measured: firing (sleepers.c), lateness (sleep_late.c).
 */
#include "bench.h"
#include <weft/weft.h>

enum { TIMERS = 1000000 };

static weft_timer *timers[TIMERS]; /* static data keeps them alive */

static void never(void *arg)
{
    (void)arg;
    bench_require(false, "a stopped timer fired");
}

static weft_timer *start_far(int i)
{
    return weft_timer_start(WEFT_HOUR + (weft_duration)(bench_hash((uint64_t)i) % WEFT_HOUR), never, NULL);
}

static void arm(int n)
{
    for (int i = 0; i < n; i++)
        timers[i] = start_far(i);
}

static void arm_and_stop(int n)
{
    int stopped = 0;
    for (int i = 0; i < n; i++)
        stopped += weft_timer_stop(start_far(i));
    bench_require(stopped == n, "timers stopped at once");
}

static void stop(int n)
{
    int stopped = 0;
    for (int i = 0; i < n; i++)
        stopped += weft_timer_stop(timers[i]);
    bench_require(stopped == n, "timers stopped");
}

static void print_time(const char *metric, void (*body)(int))
{
    int64_t start = bench_now();
    body(TIMERS);
    bench_print(metric, (double)(bench_now() - start) / TIMERS, "ns");
}

static void measure(void)
{
    arm(TIMERS);
    stop(TIMERS);
    for (int round = 0; round < bench_rounds; round++) {
        print_time("arm", arm);
        print_time("arm_stop", arm_and_stop);
        print_time("stop", stop);
    }
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
