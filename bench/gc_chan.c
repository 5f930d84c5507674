/* SPDX-License-Identifier: MIT */
/* gc_chan.c - how much of the time do collections take from routines that pass new objects by pointer through a channel?
 *
 * One makes objects of 64 bytes, the other reads them; default pacing, with 1 MB alive, and with 64. lost_*: the share of
 * the time from the request of a collection to its end, as weft reports it. item_*: time per object, collections included.
 */
#include "bench.h"

#include <weft/weft.h>

enum { ITEMS = 4000000, ITEM_BYTES = 64 };

struct item {
    long number;
    struct item *left, *right;
    long unused[5];
};

static weft_chan(struct item *) items;
static struct item *root;

static struct item *tree(size_t bytes)
{
    struct item *t = weft_new(struct item);
    if (bytes >= 3 * ITEM_BYTES) {
        t->left = tree((bytes - ITEM_BYTES) / 2);
        t->right = tree((bytes - ITEM_BYTES) / 2);
    }
    return t;
}

static void produce(void)
{
    for (long i = 0; i < ITEMS; i++) {
        struct item *item = weft_new(struct item);
        item->number = i;
        weft_chan_send(items, item);
    }
    weft_chan_close(items);
}

static void measure_live(int megabytes)
{
    char lost[32], per_item[32];
    snprintf(lost, sizeof lost, "lost_live_%d", megabytes);
    snprintf(per_item, sizeof per_item, "item_live_%d", megabytes);
    root = tree((size_t)megabytes << 20);
    weft_gc();
    for (int round = 0; round < bench_rounds; round++) {
        weft_gc_info before, after;
        items = weft_chan_make(struct item *, 128);
        weft_gc_stats(&before);
        int64_t start = bench_now();
        weft_go(produce);
        long sum = 0;
        weft_chan_each(struct item *, item, items)
            sum += item->number;
        int64_t took = bench_now() - start;
        weft_gc_stats(&after);
        bench_require(sum == (long)ITEMS * (ITEMS - 1) / 2, "sum of numbers");
        bench_require(after.cycles > before.cycles, "a collection");
        bench_print(lost, (double)(after.pause_total_ns - before.pause_total_ns) / (double)took * 100, "%");
        bench_print(per_item, (double)took / ITEMS, "ns");
    }
}

static void measure(void)
{
    measure_live(1);
    measure_live(64);
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return root == NULL;
}
