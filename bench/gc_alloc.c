/* SPDX-License-Identifier: MIT */
/* gc_alloc.c - what does an allocation cost, zeroing and a store into the object included?
 *
 * hot_N: cells of N bytes out of 512 KB that are collected over and over (the collections are not timed: nothing is
 * reached, so only refills remain). half_N: the same with a random half of the cells alive. churn_N: garbage of N bytes
 * beside a live tree of 64 MB, collections by one marker at twice the live size included.
 * Not measured: the way from a public call to the cache.
 */
#include "bench.h"

#include <string.h>

#include "../tests/support/collect.h"

enum { HOT_BYTES = 512 << 10, HOT_PASSES = 200, TREE_BYTES = 64 << 20, CHURN_BYTES = 512 << 20 };

static struct wf_cache cache;
static void *volatile sink;

static void collect(const void *const *roots, size_t n_roots)
{
    struct collect c = {.roots = roots, .n_roots = n_roots, .n_markers = 1};
    wf_cache_flush(&cache);
    collect_run(&c);
}

/* Out of line, as the public calls are. */
static WF_NOINLINE void *allocate(size_t size)
{
    return wf_cache_alloc(&cache, size, WF_KIND_SCANNED);
}

static int64_t fill(size_t size, size_t n)
{
    int64_t start = bench_now();
    for (size_t i = 0; i < n; i++) {
        void **p = allocate(size);
        p[1] = p;
        sink = p;
    }
    return bench_now() - start;
}

static void hot(size_t size)
{
    char metric[32];
    snprintf(metric, sizeof metric, "hot_%zu", size);
    for (int round = 0; round < bench_rounds; round++) {
        int64_t total = 0;
        size_t n = HOT_BYTES / size;
        for (int pass = 0; pass < HOT_PASSES; pass++) {
            total += fill(size, n);
            collect(NULL, 0);
        }
        bench_print(metric, (double)total / (double)(n * HOT_PASSES), "ns");
    }
}

static void half(size_t size)
{
    char metric[32];
    snprintf(metric, sizeof metric, "half_%zu", size);
    size_t n = HOT_BYTES / size;
    const void **alive = calloc(n, sizeof *alive);
    for (size_t i = 0; i < n; i++) {
        void *p = wf_cache_alloc(&cache, size, WF_KIND_DATA);
        alive[i] = bench_hash(i) & 1 ? (char *)p + 1 : NULL; /* inside: a root at the first byte keeps the cell before */
    }
    collect((const void *const *)alive, n);
    struct wf_heap_stats stats;
    wf_heap_stats(&stats);
    size_t n_free = n - stats.live_objects;
    for (int round = 0; round < bench_rounds; round++) {
        int64_t total = 0;
        for (int pass = 0; pass < HOT_PASSES; pass++) {
            int64_t start = bench_now();
            for (size_t i = 0; i < n_free; i++) {
                char **p = wf_cache_alloc(&cache, size, WF_KIND_DATA);
                wf_zero_cell((char *)p, (size + 15) & ~(size_t)15);
                p[1] = (char *)p;
                sink = p;
            }
            total += bench_now() - start;
            collect((const void *const *)alive, n);
        }
        bench_print(metric, (double)total / (double)(n_free * HOT_PASSES), "ns");
    }
    free(alive);
    collect(NULL, 0);
}

static void **tree(size_t bytes)
{
    void **node = wf_cache_alloc(&cache, 64, WF_KIND_SCANNED);
    for (int child = 0; child < 2 && bytes >= 192; child++)
        node[child] = tree((bytes - 64) / 2);
    return node;
}

static void churn(size_t size)
{
    char metric[32];
    snprintf(metric, sizeof metric, "churn_%zu", size);
    const void *root = tree(TREE_BYTES);
    for (int round = 0; round < bench_rounds; round++) {
        size_t n = CHURN_BYTES / size;
        uint64_t n_collections = 0;
        wf_store_relaxed(&wf_heap.goal, TREE_BYTES);
        int64_t start = bench_now();
        for (size_t i = 0; i < n; i++) {
            void **p = allocate(size);
            p[1] = p;
            sink = p;
            if (cache.goal_passed) {
                collect(&root, 1);
                n_collections++;
            }
        }
        bench_print(metric, (double)(bench_now() - start) / (double)n, "ns");
        bench_require(n_collections >= CHURN_BYTES / TREE_BYTES / 2, "collections");
    }
    wf_store_relaxed(&wf_heap.goal, INT64_MAX);
    collect(NULL, 0);
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    bench_require(wf_heap_init(0) == 0, "reservation");
    wf_cache_init(&cache);
    for (size_t size = 16; size <= 256; size *= 2)
        hot(size);
    half(16);
    half(32);
    half(64);
    churn(16);
    churn(64);
    churn(256);
    return 0;
}
