/* SPDX-License-Identifier: MIT */
/* gc_pause.c - how long does a whole collection take with 4 MiB alive and 100 routines that wait?
 *
 * The live objects are a list of trees with nodes of 64 bytes; 200 collections a round, asked for by one routine: their
 * median, and the parts of the last one.
 */
#include "bench.h"

#include <weft/weft.h>

enum { ROUTINES = 100, LIVE_BYTES = 4 << 20, NODE_BYTES = 64, COLLECTIONS = 200 };

static weft_chan(int) gate;
static void **root;

static void wait_at_gate(void)
{
    weft_chan_recv(gate, NULL);
}

static void **tree(size_t bytes)
{
    void **node = weft_alloc(NODE_BYTES);
    for (int child = 0; child < 2 && bytes >= 3 * NODE_BYTES; child++)
        node[child] = tree((bytes - NODE_BYTES) / 2);
    return node;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void measure(void)
{
    static int64_t pauses[COLLECTIONS];
    gate = weft_chan_make(int, 0);
    for (int i = 0; i < ROUTINES; i++)
        weft_go(wait_at_gate);
    root = tree(LIVE_BYTES);
    weft_sleep(10 * WEFT_MS);
    for (int round = 0; round < bench_rounds; round++) {
        for (int i = 0; i < COLLECTIONS; i++) {
            int64_t start = bench_now();
            weft_gc();
            pauses[i] = bench_now() - start;
        }
        qsort(pauses, COLLECTIONS, sizeof *pauses, compare);
        weft_gc_info info;
        weft_gc_stats(&info);
        bench_require(info.live_bytes >= LIVE_BYTES * 9 / 10, "live bytes");
        bench_print("whole", (double)pauses[COLLECTIONS / 2] / 1e3, "us");
        bench_print("stop", (double)info.stop_ns / 1e3, "us");
        bench_print("roots", (double)info.roots_ns / 1e3, "us");
        bench_print("mark", (double)info.mark_ns / 1e3, "us");
        bench_print("close", (double)info.close_ns / 1e3, "us");
    }
    weft_chan_close(gate);
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return root == NULL;
}
