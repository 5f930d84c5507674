/* SPDX-License-Identifier: MIT */
/* gc_trees.h - the binary-trees program: a tree of depth 21 comes and goes, one of depth 20 stays, and for the depths 4, 6,
 * ... 20 trees are built, counted and dropped, 16 million nodes of two pointers per depth.
 */
#ifndef WEFT_BENCH_GC_TREES_H
#define WEFT_BENCH_GC_TREES_H

#include "gc_memory.h"

enum { LEAST_DEPTH = 4, MOST_DEPTH = 20, N_DEPTHS = (MOST_DEPTH - LEAST_DEPTH) / 2 + 1 };

struct tree {
    struct tree *left, *right;
};

static struct tree *grow(int depth)
{
    struct tree *t = memory_new(sizeof *t);
    t->left = depth > 0 ? grow(depth - 1) : NULL;
    t->right = depth > 0 ? grow(depth - 1) : NULL;
    return t;
}

static long count(const struct tree *t)
{
    return t->left == NULL ? 1 : 1 + count(t->left) + count(t->right);
}

static inline void cut(struct tree *t)
{
#if defined(BENCH_MALLOC)
    if (t->left != NULL) {
        cut(t->left);
        cut(t->right);
    }
#endif
    memory_drop(t);
}

static void one_depth(int i)
{
    int depth = LEAST_DEPTH + 2 * i, n = 1 << (MOST_DEPTH - depth + LEAST_DEPTH);
    long nodes = 0;
    for (int k = 0; k < n; k++) {
        struct tree *t = grow(depth);
        nodes += count(t);
        cut(t);
    }
    bench_require(nodes == (long)n * ((2L << depth) - 1), "nodes");
}

static struct tree *long_lived;

static void stretch(int unused)
{
    (void)unused;
    struct tree *t = grow(MOST_DEPTH + 1);
    bench_require(count(t) == (4L << MOST_DEPTH) - 1, "nodes");
    cut(t);
    long_lived = grow(MOST_DEPTH);
}

static void all_depths(int unused)
{
    (void)unused;
    for (int i = 0; i < N_DEPTHS; i++)
        one_depth(i);
}

/* Prints the time and the memory of one round; the peak is of all rounds so far. */
static inline void trees_main(int argc, char **argv, void (*body)(int i), int n_tasks)
{
    bench_init(argc, argv);
    memory_init();
    for (int round = 0; round < bench_rounds; round++) {
        int64_t start = bench_now();
        tasks_run(stretch, 1);
        tasks_run(body, n_tasks);
        bench_require(count(long_lived) == (2L << MOST_DEPTH) - 1, "nodes");
        bench_print("total", (double)(bench_now() - start) / 1e9, "s");
        bench_print("peak_memory", bench_peak_bytes() / 1e6, "MB");
        cut(long_lived);
        long_lived = NULL;
    }
}

#endif
