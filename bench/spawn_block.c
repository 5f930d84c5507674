/* SPDX-License-Identifier: MIT */
/* spawn_block.c - what does each of 200000 routines cost from its start, through one wait on a channel, to its end?
 *
 * Wall time of all three together. `total` is the first round of the process, whose stacks are new; `total_again` are
 * the later ones, which reuse them. Not measured: the parts (parked.c), routines that never wait (spawn.c).
 */
#include "bench.h"
#include <weft/weft.h>

enum { ROUTINES = 200000 };

static weft_waitgroup starting, ending;

static void wait_at_gate(weft_chan(int) gate)
{
    weft_waitgroup_done(&starting);
    weft_chan_recv(gate, NULL);
    weft_waitgroup_done(&ending);
}

static void block_and_wake(int routines)
{
    weft_chan(int) gate = weft_chan_make(int, 0);
    weft_waitgroup_add(&starting, routines);
    weft_waitgroup_add(&ending, routines);
    for (int i = 0; i < routines; i++)
        weft_go(wait_at_gate, gate);
    weft_waitgroup_wait(&starting);
    weft_chan_close(gate);
    weft_waitgroup_wait(&ending);
}

static void measure(void)
{
    block_and_wake(1);
    for (int round = 0; round < bench_rounds; round++) {
        int64_t start = bench_now();
        block_and_wake(ROUTINES);
        bench_print(round == 0 ? "total" : "total_again", (double)(bench_now() - start) / ROUTINES / 1e3, "us");
    }
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
