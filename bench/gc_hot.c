/* SPDX-License-Identifier: MIT */
/* gc_hot.c - what does a zeroed object cost while no collection is due?
 *
 * 256 KB of objects of one size, again and again; what was allocated is collected (calloc's side: freed) outside of the
 * time. Weft's side goes from line to line of collected spans, so refills are inside, as is a store into each object.
 */
#include "gc_memory.h"

enum { BATCH_BYTES = 256 << 10, BATCHES = 60 };

static void *volatile sink;

#if defined(BENCH_MALLOC)
static void *kept[BATCH_BYTES / 16];
static size_t n_kept;
static void note(void *p)
{
    kept[n_kept++] = p;
}
static void forget(void)
{
    while (n_kept > 0)
        free(kept[--n_kept]);
}
#else
static void note(void *p)
{
    (void)p;
}
static void forget(void)
{
    memory_collect();
}
#endif

static int64_t batch(size_t size, size_t n)
{
    int64_t start = bench_now();
    for (size_t i = 0; i < n; i++) {
        void **p = memory_new_zeroed(size);
        p[1] = p;
        sink = p;
        note(p);
    }
    return bench_now() - start;
}

static void measure(int unused)
{
    (void)unused;
    for (size_t size = 16; size <= 64; size *= 2) {
        char metric[32];
        snprintf(metric, sizeof metric, "object_%zu", size);
        size_t n = BATCH_BYTES / size;
        for (int round = -1; round < bench_rounds; round++) { /* the first one warms up */
            int64_t total = 0;
            for (int i = 0; i < BATCHES; i++) {
                total += batch(size, n);
                forget();
            }
            if (round >= 0)
                bench_print(metric, (double)total / (double)(n * BATCHES), "ns");
        }
    }
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    memory_init();
    tasks_run(measure, 1);
    return sink == NULL;
}
