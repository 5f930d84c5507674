/* SPDX-License-Identifier: MIT */
/* skynet.c - how long does a tree of routines take, 10 children per node, one million leaves, and how much memory?
 *
 * Each node sums what its children send on one unbuffered channel. peak_memory is ru_maxrss of the whole process
 * after all rounds. Not measured: balance between workers, work inside the nodes.
 */
#include "bench.h"
#include <weft/weft.h>

#include <sys/resource.h>

enum { LEAVES = 1000000, CHILDREN = 10 };

static void node(weft_chan(int64_t) parent, int64_t first, int leaves)
{
    if (leaves == 1) {
        weft_chan_send(parent, first);
        return;
    }
    weft_chan(int64_t) results = weft_chan_make(int64_t, 0);
    int share = leaves / CHILDREN;
    int64_t sum = 0;
    for (int i = 0; i < CHILDREN; i++)
        weft_go(node, results, first + (int64_t)i * share, share);
    for (int i = 0; i < CHILDREN; i++) {
        int64_t part = 0;
        weft_chan_recv(results, &part);
        sum += part;
    }
    weft_chan_send(parent, sum);
}

static void grow(int leaves)
{
    weft_chan(int64_t) result = weft_chan_make(int64_t, 0);
    int64_t sum = 0;
    weft_go(node, result, (int64_t)0, leaves);
    weft_chan_recv(result, &sum);
    bench_require(sum == (int64_t)leaves * (leaves - 1) / 2, "sum of the leaves");
}

static void measure(void)
{
    struct rusage usage;
    bench_each("skynet", grow, LEAVES, 1e6, "ms");
    getrusage(RUSAGE_SELF, &usage);
    bench_print("peak_memory", (double)usage.ru_maxrss * 1024 / 1e6, "MB");
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
