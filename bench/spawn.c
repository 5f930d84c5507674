/* SPDX-License-Identifier: MIT */
/* spawn.c - what does a routine cost that is started, runs and ends, in batches of 1000?
 *
 * Includes one weft_waitgroup_done per routine, by which the batch is joined, and a thousandth of a wait.
 * Not measured: results (spawn_await.c), first use of a stack (spawn_block.c), routines that wait (parked.c).
 */
#include "bench.h"
#include <weft/weft.h>

enum { BATCH = 1000, BATCHES = 500 };

static weft_waitgroup running;

static void end_at_once(void)
{
    weft_waitgroup_done(&running);
}

static void spawn_batches(int batches)
{
    for (int b = 0; b < batches; b++) {
        weft_waitgroup_add(&running, BATCH);
        for (int i = 0; i < BATCH; i++)
            weft_go(end_at_once);
        weft_waitgroup_wait(&running);
    }
}

static void measure(void)
{
    bench_each("spawn", spawn_batches, BATCHES, (double)BATCH * BATCHES, "ns");
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
