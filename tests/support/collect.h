/* SPDX-License-Identifier: MIT */
/* collect.h - a whole collection in a test or benchmark of the inside: the caller is the only mutator, its roots are an
 * array of words, and the markers are this thread and pthreads of the moment. */
#ifndef WEFT_SUPPORT_COLLECT_H
#define WEFT_SUPPORT_COLLECT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "gc/close.h"
#include "gc/mark.h"
#include "gc/verify.h"

struct collect {
    const void *const *roots;
    size_t n_roots;
    unsigned n_markers;
    atomic_size_t next_root;
    pthread_barrier_t marked;
    bool verify;           /* compare with the independent marker */
    int64_t n_differences; /* found by it */
    struct wf_mark_counts counts;
};

enum { COLLECT_ROOTS_A_JOB = 64 };

static inline void collect_mark(struct collect *c)
{
    struct wf_marker *m = wf_mark_join();
    if (!m)
        return;
    for (;;) {
        size_t from = atomic_fetch_add(&c->next_root, COLLECT_ROOTS_A_JOB), to = from + COLLECT_ROOTS_A_JOB;
        if (from >= c->n_roots)
            break;
        wf_mark_range(m, c->roots + from, c->roots + (to < c->n_roots ? to : c->n_roots));
    }
    wf_mark_drain(m);
}

static inline void collect_roots(struct wf_verifier *v, void *arg)
{
    struct collect *c = arg;
    wf_verify_range(v, c->roots, c->roots + c->n_roots);
}

static inline void *collect_help(void *arg)
{
    struct collect *c = arg;
    collect_mark(c);
    pthread_barrier_wait(&c->marked);
    pthread_barrier_wait(&c->marked);
    wf_close_part();
    return NULL;
}

/* Marks and closes. The caller has flushed its caches. */
static inline void collect_run(struct collect *c)
{
    pthread_t helpers[WF_MARKERS_MOST];
    atomic_store(&c->next_root, 0);
    pthread_barrier_init(&c->marked, NULL, c->n_markers);
    wf_mark_start(c->n_markers);
    for (unsigned i = 1; i < c->n_markers; i++)
        if (pthread_create(&helpers[i], NULL, collect_help, c) != 0)
            abort();
    collect_mark(c);
    pthread_barrier_wait(&c->marked);
    wf_mark_count(&c->counts);
    c->n_differences = c->verify ? wf_heap_verify(collect_roots, c) : 0;
    wf_close_start();
    pthread_barrier_wait(&c->marked);
    wf_close_part();
    for (unsigned i = 1; i < c->n_markers; i++)
        pthread_join(helpers[i], NULL);
    pthread_barrier_destroy(&c->marked);
}

/* Flush, mark with n_markers, verify, close, check. Returns the verifier's differences. */
static inline int64_t collect_all(struct wf_cache *cache, const void *const *roots, size_t n_roots, unsigned n_markers)
{
    struct collect c = {.roots = roots, .n_roots = n_roots, .n_markers = n_markers, .verify = true};
    wf_cache_flush(cache);
    collect_run(&c);
    wf_heap_check();
    return c.n_differences;
}

#endif
