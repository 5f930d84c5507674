/* SPDX-License-Identifier: MIT */
/* parked.c - what does each of one million routines cost that wait on one channel: memory, creation, waking?
 *
 * Cold on purpose: `create` (until all wait) and `memory` (growth of the resident set) come from the first round of the
 * process; later rounds reuse its stacks and give `create_again`. `wake` is from the close until all have ended.
 * Not measured: page tables, routines with deep stacks, long-parked ones.
 */
#include "bench.h"
#include <weft/weft.h>

#include <unistd.h>

enum { ROUTINES = 1000000 };

static weft_chan(int) gate;
static weft_waitgroup starting, ending;

static void wait_at_gate(void)
{
    weft_waitgroup_done(&starting);
    weft_chan_recv(gate, NULL);
    weft_waitgroup_done(&ending);
}

static double resident_bytes(void)
{
    long size = 0, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    bool ok = f && fscanf(f, "%ld %ld", &size, &pages) == 2;
    bench_require(ok, "statm");
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void measure(void)
{
    for (int round = 0; round < bench_rounds; round++) {
        double before = resident_bytes();
        gate = weft_chan_make(int, 0);
        weft_waitgroup_add(&starting, ROUTINES);
        weft_waitgroup_add(&ending, ROUTINES);
        int64_t start = bench_now();
        for (int i = 0; i < ROUTINES; i++)
            weft_go(wait_at_gate);
        weft_waitgroup_wait(&starting);
        bench_print(round == 0 ? "create" : "create_again", (double)(bench_now() - start) / ROUTINES / 1e3, "us");
        weft_sleep(100 * WEFT_MS);
        if (round == 0)
            bench_print("memory", (resident_bytes() - before) / ROUTINES / 1e3, "KB");
        start = bench_now();
        weft_chan_close(gate);
        weft_waitgroup_wait(&ending);
        bench_print("wake", (double)(bench_now() - start) / ROUTINES / 1e3, "us");
    }
}

static void warm_up(void) {}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(warm_up));
    weft_await(weft_async(measure));
    return 0;
}
