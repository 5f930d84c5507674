/* SPDX-License-Identifier: MIT */
/* collect.h - collections: when, and in which order. See collect.c. */
#ifndef WEFT_GC_COLLECT_H
#define WEFT_GC_COLLECT_H

#include "gc/alloc.h"
#include "sched/thread.h"

/* What the environment says; before the first allocation. percent < 0: only when asked, or at the limit. */
struct wf_gc_config {
    int percent;
    size_t limit_bytes; /* 0: none */
    bool trace, verify;
    void (*look)(void *unused); /* not NULL: called in every collection, the world stopped, all caches flushed */
    struct wf_thread *(*looked)(struct wf_thread *thread); /* and after it, inside the runtime: debug/leaks.h */
};
void wf_gc_configure(const struct wf_gc_config *config);

/* Memory for the library itself, as weft_alloc() gives: of the calling thread, which is inside the runtime. NULL: none. */
void *wf_gc_alloc(struct wf_thread *thread, size_t size, enum wf_kind kind);

/* The same for a caller outside the runtime: may wait for a collection, and does not start the runtime. Not WF_KIND_TRACED. */
void *wf_gc_new(size_t size, enum wf_kind kind);

/* A collection of the caller's own, in which `look` is called instead of the configuration's. Outside the runtime. */
void wf_gc_collect_looking(void (*look)(void *arg), void *arg);

/* hooks.cache_retire. */
void wf_gc_cache_retire(void *cache);

#endif
