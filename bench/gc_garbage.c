/* SPDX-License-Identifier: MIT */
/* gc_garbage.c - what does an object cost that soon is garbage, with the collections that it causes, beside 64 MB alive?
 *
 * One routine, default pacing; each object is zeroed and written to. The tree alive has nodes of 64 bytes. malloc's side
 * frees each object at once, and does not zero.
 * Not measured: several routines that allocate, objects that live for a while.
 */
#include "gc_memory.h"

enum { TREE_BYTES = 64 << 20, NODE_BYTES = 64, GARBAGE_BYTES = 512 << 20 };

static void **tree(size_t bytes)
{
    void **node = memory_new_zeroed(NODE_BYTES);
    for (int child = 0; child < 2 && bytes >= 3 * NODE_BYTES; child++)
        node[child] = tree((bytes - NODE_BYTES) / 2);
    return node;
}

static void **root;
static void *volatile sink;

static void litter(int size)
{
    for (int n = GARBAGE_BYTES / size; n > 0; n--) {
        void **p = memory_new((size_t)size);
        p[1] = p;
        sink = p;
        memory_drop(p);
    }
}

static void measure(int unused)
{
    (void)unused;
    root = tree(TREE_BYTES);
    for (int size = 16; size <= 256; size *= 4) {
        char metric[32];
        snprintf(metric, sizeof metric, "object_%d", size);
        bench_each(metric, litter, size, GARBAGE_BYTES / size, "ns");
    }
    bench_require(root[0] != NULL, "a tree");
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    memory_init();
    tasks_run(measure, 1);
    return 0;
}
