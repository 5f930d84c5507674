/* SPDX-License-Identifier: MIT */
/* collect.h - collections: when, and in which order. See collect.c. */
#ifndef WEFT_GC_COLLECT_H
#define WEFT_GC_COLLECT_H

#include "gc/alloc.h"
#include "sched/thread.h"

/* How the collector is made to show its faults. Zero: off. The latter four are read before the heap is made, and not again. */
struct wf_gc_stress {
    unsigned alloc_every;    /* gcstress: collects at one allocation in so many; cells are taken one at a time */
    unsigned switch_every;   /* gcswitch: collects at one switch of routines in so many; every switch goes by the loop */
    unsigned leftover_every; /* gcleftover, gcdelay, gcpoison: struct wf_heap_stress */
    unsigned delay_every;
    bool poison;
    bool tiny; /* gctiny: spans of few cells, a heap that grows in small steps */
};

/* What the environment says; before the first allocation. percent < 0: only when asked, or at the limit. */
struct wf_gc_config {
    int percent;
    size_t limit_bytes; /* 0: none */
    bool trace, verify;
    struct wf_gc_stress stress;
};
void wf_gc_configure(const struct wf_gc_config *config);

/* Memory for the library itself, as weft_alloc() gives: of the calling thread, which is inside the runtime. NULL: none. */
void *wf_gc_alloc(struct wf_thread *thread, size_t size, enum wf_kind kind);

/* hooks.after_switch. */
void wf_gc_after_switch(struct wf_thread *thread);

/* hooks.cache_retire. */
void wf_gc_cache_retire(void *cache);

#endif
