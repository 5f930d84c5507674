/* SPDX-License-Identifier: MIT */
/* gc_mark.c - how long does a full collection of 1 GiB of 64-byte objects take, with one marker and with two?
 *
 * Graphs of 16.7 million nodes with 3 pointers in 8 words: in order of allocation, shuffled in windows of 4096, shuffled
 * as a whole; all are reached. Then 1 GiB without pointers of which nothing is reached, and a list of 10 million nodes,
 * which nobody can follow in parallel. Marking and closing are timed apart; helpers are started outside of the time.
 * Not measured: stopping the world and its roots.
 */
#include "bench.h"

#include <string.h>

#include "../tests/support/collect.h"

enum { NODE_BYTES = 64, N_NODES = 1 << 24, WINDOW = 4096, N_LIST = 10000000 };

struct node {
    struct node *to[3];
    uintptr_t value[5];
};

static struct wf_cache cache;
static struct node **nodes;
static pthread_barrier_t barrier;
static const void *root;
static unsigned n_markers;

static void shuffle(size_t from, size_t n)
{
    for (size_t i = n - 1; i > 0; i--) {
        size_t j = bench_hash(from + i) % (i + 1);
        struct node *held = nodes[from + i];
        nodes[from + i] = nodes[from + j];
        nodes[from + j] = held;
    }
}

/* A binary tree over nodes[], and an edge to the next. */
static void connect(size_t window)
{
    for (size_t i = 0; i < N_NODES; i++)
        nodes[i] = NULL;
    for (size_t i = 0; i < N_NODES; i++) {
        nodes[i] = wf_cache_alloc(&cache, NODE_BYTES, WF_KIND_SCANNED);
        bench_require(nodes[i] != NULL, "memory");
    }
    for (size_t from = 0; window > 1 && from < N_NODES; from += window)
        shuffle(from, window);
    for (size_t i = 0; i < N_NODES; i++) {
        nodes[i]->to[0] = 2 * i + 1 < N_NODES ? nodes[2 * i + 1] : NULL;
        nodes[i]->to[1] = 2 * i + 2 < N_NODES ? nodes[2 * i + 2] : NULL;
        nodes[i]->to[2] = i + 1 < N_NODES ? nodes[i + 1] : NULL;
        nodes[i]->value[0] = i;
    }
    root = nodes[0];
}

static void *help(void *arg)
{
    (void)arg;
    pthread_barrier_wait(&barrier);
    struct wf_marker *m = wf_mark_join();
    if (m)
        wf_mark_drain(m);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    wf_close_part();
    pthread_barrier_wait(&barrier);
    return NULL;
}

static double collect(double *ret_close_ms)
{
    pthread_t helper;
    pthread_barrier_init(&barrier, NULL, n_markers);
    wf_cache_flush(&cache);
    if (n_markers == 2)
        pthread_create(&helper, NULL, help, NULL);
    wf_mark_start(n_markers);
    struct wf_marker *m = wf_mark_join(); /* before the helper, which has no roots and would find marking over */
    pthread_barrier_wait(&barrier);
    int64_t start = bench_now();
    wf_mark_word(m, (uintptr_t)root);
    wf_mark_drain(m);
    pthread_barrier_wait(&barrier);
    int64_t marked = bench_now();
    wf_close_start();
    pthread_barrier_wait(&barrier);
    wf_close_part();
    pthread_barrier_wait(&barrier);
    int64_t closed = bench_now();
    if (n_markers == 2)
        pthread_join(helper, NULL);
    pthread_barrier_destroy(&barrier);
    *ret_close_ms = (double)(closed - marked) / 1e6;
    return (double)(marked - start) / 1e6;
}

static void measure(const char *name, uint64_t n_live)
{
    for (n_markers = 1; n_markers <= 2; n_markers++)
        for (int round = 0; round < bench_rounds; round++) {
            char metric[64];
            double close_ms, mark_ms = collect(&close_ms);
            struct wf_heap_stats stats;
            wf_heap_stats(&stats);
            bench_require(stats.live_objects == n_live, name);
            snprintf(metric, sizeof metric, "%s_%u_mark", name, n_markers);
            bench_print(metric, mark_ms, "ms");
            snprintf(metric, sizeof metric, "%s_%u_close", name, n_markers);
            bench_print(metric, close_ms, "ms");
        }
}

static void drop_everything(void)
{
    double unused;
    root = NULL;
    n_markers = 1;
    collect(&unused);
}

static void measure_data(void)
{
    for (n_markers = 1; n_markers <= 2; n_markers++)
        for (int round = 0; round < bench_rounds; round++) {
            for (size_t i = 0; i < N_NODES; i++)
                root = wf_cache_alloc(&cache, NODE_BYTES, WF_KIND_DATA);
            char metric[64];
            double close_ms, mark_ms = collect(&close_ms);
            snprintf(metric, sizeof metric, "data_%u_all", n_markers);
            bench_print(metric, mark_ms + close_ms, "ms");
        }
}

static void measure_list(void)
{
    struct node *head = NULL;
    for (size_t i = 0; i < N_LIST; i++) {
        struct node *node = wf_cache_alloc(&cache, NODE_BYTES, WF_KIND_SCANNED);
        node->to[0] = head;
        head = node;
    }
    root = head;
    measure("list", N_LIST);
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    bench_require(wf_heap_init(0) == 0, "reservation");
    wf_cache_init(&cache);
    nodes = malloc(N_NODES * sizeof *nodes);
    connect(1);
    measure("in_order", N_NODES);
    drop_everything();
    connect(WINDOW);
    measure("local", N_NODES);
    drop_everything();
    connect(N_NODES);
    measure("random", N_NODES);
    drop_everything();
    measure_data();
    drop_everything();
    measure_list();
    return 0;
}
