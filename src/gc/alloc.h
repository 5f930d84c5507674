/* SPDX-License-Identifier: MIT */
/* alloc.h - allocation: per worker and plain thread a cache of up to 64 free cells per kind and class.
 *
 * A cache's cells are a bitmap over one line of state bytes: the next free cell is its lowest bit. A refill takes all free
 * cells of the next line at once and stores 1 into their states, so an allocation writes nothing but the object.
 *
 * The caller is inside the runtime: the world cannot be stopped in the middle of a call, and no two calls on one cache
 * overlap. Before a collection wf_cache_flush() makes the states exact.
 */
#ifndef WEFT_GC_ALLOC_H
#define WEFT_GC_ALLOC_H

#include <string.h>

#include "gc/span.h"

/* Called for each object of WF_KIND_TRACED that is reached: names the object's pointers by wf_mark_object() on the marker
 * that `visitor` is. Runs with the world stopped: must neither lock nor allocate. */
struct weft_visitor;
typedef void (*wf_trace_fn)(void *object, struct weft_visitor *visitor);

/* The same for each record of WF_KIND_CHANNEL. Defined in rt/init.c. */
extern const wf_trace_fn wf_channel_trace;

struct wf_cache_slot {
    uint64_t bits; /* free cells of the line, lowest first */
    char *base;    /* of the line's first cell */
    uint32_t size; /* of a cell */
    uint32_t clear; /* bytes to zero in cells of 256 bytes and more; 0: they are known to be zero, or need not be */
};

/* Where the bits came from, and where to look for more. */
struct wf_cache_cursor {
    uint32_t span; /* 0: none */
    uint32_t next_line;
    uint8_t *line; /* states of the cells in `bits` */
};

struct wf_cache {
    struct wf_cache_slot slots[WF_KIND_COUNT][WF_CLASS_COUNT];
    struct wf_cache_cursor cursors[WF_KIND_COUNT][WF_CLASS_COUNT];
    int64_t unpublished; /* bytes allocated and not yet in wf_heap.allocated_since */
    uint32_t number;     /* which of the process' caches it is, from 0; set by its maker */
    bool goal_passed;    /* set when publishing found wf_heap.goal reached; cleared by who acts on it, and by a flush */
};

void wf_cache_init(struct wf_cache *cache);

/* The world is stopped: cells not handed out become free again, spans are let go (the closing pass offers those with free
 * cells to all caches), the byte counters are published. */
void wf_cache_flush(struct wf_cache *cache);

/* The owner gives the cache up while the program runs: the same, and other caches may use its spans at once. */
void wf_cache_retire(struct wf_cache *cache);

/* Memory for `size` bytes of a kind other than WF_KIND_TRACED, aligned to 16. NULL: the page heap cannot give units. */
WF_INLINE void *wf_cache_alloc(struct wf_cache *cache, size_t size, enum wf_kind kind);

/* The same for an object whose pointers `trace` names. */
void *wf_cache_alloc_traced(struct wf_cache *cache, size_t size, wf_trace_fn trace);

WF_NOINLINE void *wf_cache_alloc_slow(struct wf_cache *cache, size_t size, enum wf_kind kind);

/* Frees the object that begins at p before a collection finds it dead. Any thread. A large object's units are free at
 * once, a cell with the next refill from its span. 0; -EINVAL: no object begins there; -EALREADY: it is free (where the
 * cell has not been handed out again; of large objects that are gone: where a unit begins); -EBUSY: it is a weak handle.
 * What hangs on the object is dealt with as if it had been found dead. Frees that race with a refill of the same line
 * are left to the next collection. */
int wf_heap_free(void *p);

/* ---- */

/* `n` is a multiple of 16, 16 to 240. The first and last stores may overlap, so few branches depend on the size. */
WF_INLINE void wf_zero_cell(char *p, size_t n)
{
    wf_vector zero = {0};
    char *end = p + n;
    *(wf_vector *)(void *)p = zero;
    *(wf_vector *)(void *)(end - 16) = zero;
    if (n <= 32)
        return;
    *(wf_vector *)(void *)(p + 16) = zero;
    *(wf_vector *)(void *)(end - 32) = zero;
    for (p += 32, end -= 32; p < end; p += 16) {
        *(wf_vector *)(void *)p = zero;
        __asm__("" : "+r"(p)); /* or gcc makes it `rep stos`, 4 ns slower */
    }
}

WF_INLINE void wf_prefetch_for_writing(const char *p)
{
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" : : "m"(*p));
#else
    __builtin_prefetch(p, 1);
#endif
}

/* The cell of the slot's lowest bit, which is set. */
WF_INLINE void *wf_slot_pop(struct wf_cache_slot *slot, enum wf_kind kind)
{
    uint64_t bits = slot->bits;
    uint32_t size = slot->size;
    char *p = slot->base + (size_t)(unsigned)__builtin_ctzl(bits) * size;
    slot->bits = bits & (bits - 1);
    wf_cell_hand_out(p, size);
    if (kind != WF_KIND_DATA) {
        if (WF_LIKELY(size < 256)) {
            wf_prefetch_for_writing(p + 512);
            wf_zero_cell(p, size);
        } else if (slot->clear) {
            memset(p, 0, slot->clear);
        }
    }
    return p;
}

WF_INLINE void *wf_cache_alloc(struct wf_cache *cache, size_t size, enum wf_kind kind)
{
    if (WF_LIKELY(size <= WF_SMALL_MOST)) {
        struct wf_cache_slot *slot = &cache->slots[kind][wf_class_of(size)];
        if (WF_LIKELY(slot->bits != 0))
            return wf_slot_pop(slot, kind);
    }
    return wf_cache_alloc_slow(cache, size, kind);
}

#endif
