/* SPDX-License-Identifier: MIT */
/* gc_full.c - how long does a full collection of 1.07 GB take, through the whole runtime?
 *
 * 16.7 million nodes of 64 bytes with 3 pointers in 8 words (a binary tree, and an edge to the next), all reached: in order
 * of allocation; linked in random order. data: 1.07 GB of text in blocks of 64 KB, all reached. WEFT_PROCS is how many mark.
 * *_mark: the part in which weft marks, as it reports it.
 * Not measured: other routines at work meanwhile.
 */
#include "gc_memory.h"

enum { NODE_BYTES = 64, N_NODES = 1 << 24, BLOCK_BYTES = 64 << 10, N_BLOCKS = 1 << 14 };

struct node {
    struct node *to[3];
    uintptr_t value[5];
};

static struct node *root;
static char **blocks;
static struct node **nodes; /* malloc's: not searched */

/* Each one hangs on those before it from the beginning: what is allocated later may cause a collection. */
static void plant(void)
{
    for (size_t i = 0; i < N_NODES; i++) {
        struct node *node = memory_new(sizeof *node);
        bench_require(node != NULL, "memory");
        nodes[i] = node;
        node->value[0] = i;
        if (i == 0) {
            root = node;
            continue;
        }
        nodes[(i - 1) / 2]->to[(i - 1) % 2] = node;
        nodes[i - 1]->to[2] = node;
    }
}

static void plant_at_random(void)
{
    for (size_t i = N_NODES - 1; i > 0; i--) {
        size_t j = bench_hash(i) % (i + 1);
        struct node *held = nodes[i];
        nodes[i] = nodes[j];
        nodes[j] = held;
    }
    for (size_t i = 0; i < N_NODES; i++) {
        nodes[i]->to[0] = 2 * i + 1 < N_NODES ? nodes[2 * i + 1] : NULL;
        nodes[i]->to[1] = 2 * i + 2 < N_NODES ? nodes[2 * i + 2] : NULL;
        nodes[i]->to[2] = i + 1 < N_NODES ? nodes[i + 1] : NULL;
    }
    root = nodes[0];
}

static void collect(const char *name)
{
    memory_collect();
    for (int round = 0; round < bench_rounds; round++) {
        int64_t start = bench_now();
        memory_collect();
        bench_print(name, (double)(bench_now() - start) / 1e6, "ms");
#if !defined(BENCH_BDWGC)
        char metric[64];
        weft_gc_info info;
        weft_gc_stats(&info);
        snprintf(metric, sizeof metric, "%s_mark", name);
        bench_print(metric, (double)info.mark_ns / 1e6, "ms");
#endif
    }
}

static void measure(int unused)
{
    (void)unused;
    nodes = malloc(N_NODES * sizeof *nodes);
    bench_require(nodes != NULL, "memory");
    plant();
    collect("in_order");
    plant_at_random();
    collect("random");
    bench_require(root->value[0] < N_NODES, "a node");
    memset(nodes, 0, N_NODES * sizeof *nodes);
    free(nodes);
    root = NULL;
    memory_collect();
    blocks = memory_new(N_BLOCKS * sizeof *blocks);
    for (size_t i = 0; i < N_BLOCKS; i++) {
        blocks[i] = memory_new_data(BLOCK_BYTES);
        bench_require(blocks[i] != NULL, "memory");
    }
    collect("data");
    bench_require(blocks[0] != NULL, "a block");
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    memory_init();
    tasks_run(measure, 1);
    return 0;
}
