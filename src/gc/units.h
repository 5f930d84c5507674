/* SPDX-License-Identifier: MIT */
/* units.h - the address space of the collected heap: one reservation, cut into units of 64 KiB, and the free runs of them.
 *
 * "Is this word a pointer into the heap" is one subtraction and one comparison, because there is one reservation. Beside
 * it lie arrays with one element per unit (the unit table, spans, queue words, flags), the state bytes, and the markers'
 * queues, all reserved once and made usable as the heap grows: no other memory is ever needed, none during a collection.
 *
 * Two zones: spans of cells and objects of 1 MiB or more lie where huge pages are asked for once the heap exceeds 32 MiB;
 * objects in between do not, because whole units are given to them and only the pages they touch should cost memory.
 * A step of 64 MiB of address space belongs to one zone for good.
 *
 * Mutators call wf_units_* under no lock; all take `wf_heap.lock` themselves.
 */
#ifndef WEFT_GC_UNITS_H
#define WEFT_GC_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/compiler.h"
#include "base/spinlock.h"
#include "gc/sizeclass.h"

enum wf_kind {
    WF_KIND_SCANNED, /* zeroed; every aligned word may be a pointer */
    WF_KIND_DATA,    /* not zeroed, never scanned */
    WF_KIND_TRACED,  /* zeroed; the cell's first word is a wf_trace_fn, the object begins WF_TRACED_HEAD bytes behind it */
    WF_KIND_CHANNEL, /* zeroed; a record of the library's own, whose pointers wf_channel_trace names: no head, so its cells are
                        aligned to lines when their size is. Never large */
    WF_KIND_COUNT
};
enum { WF_TRACED_HEAD = 16 };

enum { WF_CLASS_LARGE = 254, WF_CLASS_NONE = 255 }; /* one object in a span of its own; no span */
enum wf_zone { WF_ZONE_DENSE, WF_ZONE_SPARSE, WF_ZONE_COUNT };

/* What a lookup needs of a unit. Free units have magic 0 and line 0, whose states are always 0: they need no branch.
 * Written under `wf_heap.lock`; read by mutators only through pointers to live objects, whose units do not change. */
struct wf_unit {
    uint32_t magic;         /* [RECIPROCAL], sizeclass.h */
    uint32_t line;          /* of the span's first state byte */
    _Atomic uint32_t first; /* unit of its span; 0: free */
    uint8_t class_index;
    uint8_t kind;
    uint8_t unused[2];
};
_Static_assert(sizeof(struct wf_unit) == 16, "four to a cache line");

/* What is known of a span, at its first unit, and of a free run, at its first and last. Written by the owner of the
 * span (`list`), with the world stopped, or under `wf_heap.lock`. */
struct wf_span {
    uint32_t next; /* list of spans with free cells, run of the same size; 0: none */
    uint32_t prev; /* run of the same size */
    uint32_t n_units;
    uint16_t n_cells;
    _Atomic uint16_t n_freed; /* by wf_heap_free since the cells were last looked through; a hint */
    uint64_t bytes;           /* of a cell; of a large object */
    uint8_t class_index;
    uint8_t kind;
    _Atomic uint8_t list; /* enum wf_span_list */
    bool fresh;           /* every cell has been zero since the units were taken (cursor's first way through only) */
    _Atomic bool has_specials; /* some object in it has, or had, a weak handle, a cleanup or external bytes: cleanup.c */
    uint8_t unused[3];
};
_Static_assert(sizeof(struct wf_span) == 32, "two to a cache line");

/* A span's place in the queues of the markers; see mark.c. */
struct wf_queued {
    _Atomic uint8_t state;
    _Atomic uint16_t representative;
};
_Static_assert(sizeof(struct wf_queued) == 4, "sixteen to a cache line");

/* Knobs of tests; set before wf_heap_init, immutable until wf_heap_fini. Zero: off. */
struct wf_heap_stress {
    unsigned cells_per_span;   /* at most so many cells are used */
    unsigned cells_per_refill; /* at most so many are taken at once */
    bool poison;               /* dead cells are filled with 0xdb, which must still be there at reuse */
    unsigned leftover_every;   /* one in so many marks is left for the last pass to find */
    unsigned delay_every;      /* one in so many steps of a marker is delayed */
    unsigned reserve_units;    /* size of the reservation */
    unsigned step_units;       /* what the heap grows by */
};
enum { WF_POISON = 0xdb };

enum { WF_MARKERS_MOST = 64 };

struct wf_heap {
    /* Immutable after init. */
    uintptr_t base;
    size_t reserved_units;
    struct wf_unit *units;
    struct wf_span *spans;
    struct wf_queued *queued;
    uint8_t *flags; /* per unit, under `lock`: WF_UNIT_* */
    bool *dirty;    /* per unit, its owner's (free ones: under `lock`): may be other than zero */
    uint8_t *zones; /* per step, under `lock` */
    uint8_t *states;
    _Atomic uint32_t *rings; /* of the markers */
    size_t step_units;

    /* Written under `lock`. */
    WF_ALIGNED_LINE struct wf_spinlock lock;
    bool huge_pages;
    uint64_t bins_used[WF_ZONE_COUNT]; /* bit set: the bin has a run */
    uint32_t bins[WF_ZONE_COUNT][64];
    uint32_t bins_last[WF_ZONE_COUNT][64];
    uint32_t free_lines[WF_LINE + 2]; /* by number of lines: ranges of state bytes, linked through their first word */
    size_t n_lines;        /* ever taken */
    size_t n_lines_usable; /* memory behind them */
    int64_t released_at_ns;
    _Atomic size_t n_units;        /* usable, free or not; grows only */
    _Atomic size_t used_units;     /* in spans */
    _Atomic size_t resident_units; /* written to and not given back since */
    _Atomic size_t limit_bytes;    /* of units in spans; 0: none; anybody may set it */

    /* Pacing: [allocated_since] counts up from 0 at the end of a collection, by what caches publish; early frees of large
     * objects and flushed cells count down, so it may be negative. A cache that publishes sets `goal_passed` in itself
     * once it has reached `goal`. */
    WF_ALIGNED_LINE _Atomic int64_t allocated_since;
    _Atomic int64_t goal;

    /* Spans with free cells, left by the last closing pass: {tag, unit}. */
    WF_ALIGNED_LINE _Atomic uint64_t partial[WF_KIND_COUNT][WF_CLASS_COUNT];
};
extern struct wf_heap wf_heap;
extern struct wf_heap_stress wf_heap_stress;

enum {
    WF_UNIT_USED = 1,     /* in a span */
    WF_UNIT_RELEASED = 2, /* given back, and not taken since */
};

/* Reserves and prepares. limit_hint: bytes that spans may occupy, 0: no limit (see `limit_bytes`). 0, -ENOMEM; -EALREADY
 * after an init without wf_heap_fini. Not concurrent with anything. */
int wf_heap_init(size_t limit_hint);

/* Unmaps everything: for tests that start over. */
void wf_heap_fini(void);

/* A run of `n` units for a span, lowest addresses first within the best-fitting size. 0: limit or reservation reached. */
uint32_t wf_units_take(size_t n, enum wf_zone zone);
void wf_units_give_locked(uint32_t first, size_t n); /* the caller holds wf_heap.lock */

/* Marks a unit of the caller's as written to; true: all of it was zero until now. */
bool wf_unit_touch(uint32_t unit);

/* State bytes for a span: `n_lines` lines of zeros. 0: no memory. They come back all zero. */
uint32_t wf_lines_take(unsigned n_lines);
void wf_lines_give_locked(uint32_t line, unsigned n_lines);

/* Gives free runs of whole 2 MiB back to the system, as long as what is resident exceeds `keep_bytes` (the pacer's goal
 * and a tenth), at a pace of 160 MiB a second of `now_ns` (1 % of a CPU), at most 64 MiB a call. The pages are dropped at
 * once, so that what the system shows of the process is true (MADV_FREE would let it stand until others want it). Returns
 * bytes. */
size_t wf_heap_release(int64_t now_ns, size_t keep_bytes);

/* Entries of a marker's ring: a power of two that holds every unit. */
WF_INLINE uint32_t wf_ring_entries(size_t n_units)
{
    return (uint32_t)((size_t)1 << (64 - __builtin_clzl(n_units - 1)));
}

/* True if `word` lies in the part of the reservation that has been used so far. */
WF_INLINE bool wf_heap_contains(uintptr_t word)
{
    return word - wf_heap.base < wf_load_relaxed(&wf_heap.n_units) << WF_UNIT_SHIFT;
}

WF_INLINE char *wf_unit_address(uint32_t unit)
{
    return (char *)wf_heap.base + ((size_t)unit << WF_UNIT_SHIFT);
}

/* The walk over free runs that wf_heap_check() in verify.c does; stops the program at the first fault. */
void wf_units_check(void);

#endif
