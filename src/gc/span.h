/* SPDX-License-Identifier: MIT */
/* span.h - spans: runs of units cut into cells of one size and kind, and the way from any word to its cell.
 *
 * A cell's state byte lies in a dense array beside the heap, not in the span: headers at equal offsets in 64 KiB blocks
 * fall into the same cache sets.
 *
 *   0 free    1 in use (white)    2 found, not yet scanned (grey)    3 found (black)
 *
 * Outside a collection there are only 0 and 1. Who writes a state: the cache that holds the span (0 -> 1, alloc.c), who
 * frees an object early (1 -> 0, free.c), markers with the world stopped (1 -> 2 -> 3, mark.c), the closing pass
 * (3 -> 1, 1 -> 0, close.c).
 *
 *   A span is      wf_span_create_*                   cache exhausted it
 *                  ------------------> CACHED ----------------------------> FULL
 *                                      ^   |                               |    |
 *                   wf_span_pop_partial|   | closing pass, wf_cache_retire |    | wf_heap_free, many cells
 *                                      |   v                               v    v
 *                                     PARTIAL <--------------------------------+
 */
#ifndef WEFT_GC_SPAN_H
#define WEFT_GC_SPAN_H

#include "gc/cellcheck.h"
#include "gc/units.h"

enum wf_state { WF_FREE, WF_WHITE, WF_GREY, WF_BLACK };

enum wf_span_list {
    WF_SPAN_FULL,    /* nobody's; no free cells, or not worth looking for */
    WF_SPAN_CACHED,  /* belongs to one wf_cache */
    WF_SPAN_PARTIAL, /* in wf_heap.partial */
    WF_SPAN_LARGE,   /* one object */
};

/* A span of small cells, all free, owned by the caller (CACHED). 0: the page heap has no units (limit). */
uint32_t wf_span_create(unsigned class_index, enum wf_kind kind);

/* A span of one object of `bytes` > 0, state WF_WHITE, zeroed unless WF_KIND_DATA. 0 as above. */
uint32_t wf_span_create_large(size_t bytes, enum wf_kind kind);

/* Give back the units of spans that nobody holds and whose states are all 0; ascending order saves work. */
void wf_span_destroy(uint32_t span);
void wf_span_destroy_many(const uint32_t *spans, unsigned n);

/* Spans with free cells. Any thread; a popped one belongs to the caller (CACHED). 0: none. */
uint32_t wf_span_pop_partial(unsigned class_index, enum wf_kind kind);
/* A chain of PARTIAL spans linked by `next`. */
void wf_span_push_partial(uint32_t head, uint32_t tail);

struct wf_cell {
    char *start;     /* of the object: behind the head of a traced one */
    size_t size;     /* usable bytes from there */
    uint8_t *state;
    uint32_t span;
    uint32_t index;
    uint8_t kind;
    bool large;
};

/* The cell in use that `word` points into, at any byte. False: none, `*ret_cell` is untouched. With the world stopped, or
 * for a pointer whose object lives; any other word gives some answer but no fault. Cells that a cache holds ready count as
 * in use. */
bool wf_heap_find(uintptr_t word, struct wf_cell *ret_cell);

/* The same, but one past the end of an object belongs to it, unless an object in use begins there. */
bool wf_heap_find_object(const void *p, struct wf_cell *ret_cell);

/* weft_size, weft_base: 0, NULL when p is no collected memory. */
size_t wf_heap_size_of(const void *p);
void *wf_heap_base_of(const void *p);

WF_INLINE uint8_t *wf_span_states(uint32_t span)
{
    return wf_heap.states + (size_t)wf_heap.units[span].line * WF_LINE;
}

/* State bytes are plain: each is written by one thread at a time but for markers, who write the same value (mark.c). */
WF_INLINE unsigned wf_state_load(const uint8_t *state)
{
    return wf_load_relaxed((const _Atomic uint8_t *)state);
}
WF_INLINE void wf_state_store(uint8_t *state, enum wf_state value)
{
    wf_store_relaxed((_Atomic uint8_t *)state, (uint8_t)value);
}

/* Bit i: byte i of the 64 at `line` equals `value`. */
WF_INLINE uint64_t wf_line_equal(const uint8_t *line, uint8_t value);

/* ---- */

typedef uint8_t wf_vector __attribute__((vector_size(16), aligned(16)));

#if defined(__SSE2__) && !WF_TSAN
#include <emmintrin.h>
WF_INLINE uint64_t wf_line_equal(const uint8_t *line, uint8_t value)
{
    const __m128i *in = (const __m128i *)(const void *)line;
    __m128i v = _mm_set1_epi8((char)value);
    uint64_t a = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_load_si128(in), v));
    uint64_t b = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_load_si128(in + 1), v));
    uint64_t c = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_load_si128(in + 2), v));
    uint64_t d = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_load_si128(in + 3), v));
    return a | b << 16 | c << 32 | d << 48;
}
#else
WF_INLINE uint64_t wf_line_equal(const uint8_t *line, uint8_t value)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < WF_LINE; i++)
        bits |= (uint64_t)(wf_state_load(line + i) == value) << i;
    return bits;
}
#endif

/* Which of the 64 cells from `line` of a span with `n_cells` cells exist. */
WF_INLINE uint64_t wf_line_valid(unsigned n_cells, unsigned line)
{
    unsigned from = line * WF_LINE;
    if (n_cells >= from + WF_LINE)
        return ~UINT64_C(0);
    return n_cells <= from ? 0 : (UINT64_C(1) << (n_cells - from)) - 1;
}

#endif
