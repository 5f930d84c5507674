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
    size_t hint_bytes;  /* 0: none; see pacer.h */
    bool trace, verify;
    struct wf_gc_stress stress;
    void (*look)(void *unused); /* not NULL: called in every collection, the world stopped, all caches flushed */
    struct wf_thread *(*looked)(struct wf_thread *thread); /* and after it, inside the runtime: debug/leaks.h */
};
void wf_gc_configure(const struct wf_gc_config *config);

/* The share of the collected heap of the calling thread, which is inside the runtime; NULL: no memory. */
struct wf_cache *wf_gc_cache(struct wf_thread *thread);

/* hooks.after_switch. */
void wf_gc_after_switch(struct wf_thread *thread);

/* Collects if as much was allocated as begins a collection. Returns the thread that the caller is on afterwards. Inside the
 * runtime. */
struct wf_thread *wf_gc_collect_if_due(struct wf_thread *thread);
/* Collects in a routine, unless there is nothing that it could find. Outside the runtime. */
void wf_gc_collect_idle(void);

/* As weft_alloc() for a caller outside the runtime: may wait for a collection, and does not start the runtime. Not
 * WF_KIND_TRACED. */
void *wf_gc_new(size_t size, enum wf_kind kind);

/* A collection of the caller's own, in which `look` is called instead of the configuration's. Outside the runtime. */
void wf_gc_collect_looking(void (*look)(void *arg), void *arg);

/* How many collections there have been: constant while the world is stopped and objects are being marked. */
uint64_t wf_gc_cycles(void);

/* hooks.cache_retire. NULL is accepted. */
void wf_gc_cache_retire(void *cache);

#endif
