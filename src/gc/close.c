/* SPDX-License-Identifier: MIT */
/* close.c - the closing pass.
 *
 * Owns:    states, spans and wf_heap.partial while it runs.
 * Callers: whoever stopped the world; wf_heap_stats: anybody.
 * Locking: wf_heap.lock for the units of dead spans, once a share; what threads found is added up by atomics.
 */
#include "gc/close.h"

#include <string.h>

#include "base/assert.h"

enum { SHARE_UNITS = 256 };

static struct {
    WF_ALIGNED_LINE _Atomic size_t next; /* first unit that nobody has taken */
    WF_ALIGNED_LINE _Atomic size_t n_closed; /* units of finished shares */
    _Atomic uint64_t live_bytes, live_objects, dead_objects, live_data_bytes;
} closing;

static struct {
    _Atomic uint64_t n_collections, live_bytes, live_objects, dead_objects, live_data_bytes;
} last;

struct totals {
    uint64_t live_bytes, live_objects, dead_objects, live_data_bytes;
};

/* Spans with free cells, by kind and class, in ascending order. */
struct chains {
    uint32_t head[WF_KIND_COUNT][WF_CLASS_COUNT], tail[WF_KIND_COUNT][WF_CLASS_COUNT];
};

/* What is about to become free must not be touched any more. Only in builds and runs that look for that. */
static WF_NOINLINE void forbid_dead(uint32_t span, const uint8_t *line, unsigned first_index)
{
    const struct wf_span *record = &wf_heap.spans[span];
    for (uint64_t dead = wf_line_equal(line, WF_WHITE); dead; dead &= dead - 1) {
        char *cell = wf_unit_address(span) + (first_index + (unsigned)__builtin_ctzl(dead)) * record->bytes;
        if (wf_heap_stress.poison) {
            wf_cell_allow(cell, record->bytes);
            memset(cell, WF_POISON, record->bytes);
        }
        wf_cell_forbid(cell, record->bytes);
    }
}

struct counts {
    unsigned n_live, n_used;
};

/* 3 -> 1, 1 -> 0 for 64 states. */
#if defined(__SSE2__) && !WF_TSAN
WF_INLINE void close_line(uint8_t *line, struct counts *counts)
{
    __m128i *states = (__m128i *)(void *)line, one = _mm_set1_epi8(1), zero = _mm_setzero_si128();
    __m128i n_live = zero, n_used = zero;
    for (unsigned i = 0; i < WF_LINE / sizeof *states; i++) {
        __m128i state = _mm_load_si128(states + i);
        __m128i live = _mm_and_si128(_mm_srli_epi16(state, 1), one);
        _mm_store_si128(states + i, live);
        n_live = _mm_add_epi8(n_live, live);
        n_used = _mm_add_epi8(n_used, _mm_and_si128(state, one)); /* 1 and 3 */
    }
    n_live = _mm_sad_epu8(n_live, zero);
    n_used = _mm_sad_epu8(n_used, zero);
    counts->n_live += (unsigned)(_mm_cvtsi128_si32(n_live) + _mm_extract_epi16(n_live, 4));
    counts->n_used += (unsigned)(_mm_cvtsi128_si32(n_used) + _mm_extract_epi16(n_used, 4));
}
#else
WF_INLINE void close_line(uint8_t *line, struct counts *counts)
{
    for (unsigned i = 0; i < WF_LINE; i++) {
        unsigned state = wf_state_load(line + i);
        wf_state_store(line + i, (enum wf_state)(state >> 1 & 1));
        counts->n_live += state >> 1 & 1;
        counts->n_used += state & 1;
    }
}
#endif

static struct counts close_states(uint32_t span, unsigned n_lines)
{
    uint8_t *states = wf_span_states(span);
    struct counts counts = {0};
    for (unsigned line = 0; line < n_lines; line++) {
        if (WF_UNLIKELY(wf_cells_watched || wf_heap_stress.poison))
            forbid_dead(span, states + (size_t)line * WF_LINE, line * WF_LINE);
        WF_ASSERT_SLOW(!wf_line_equal(states + (size_t)line * WF_LINE, WF_GREY));
        close_line(states + (size_t)line * WF_LINE, &counts);
    }
    return counts;
}

static void add_to_chain(struct chains *chains, uint32_t span)
{
    struct wf_span *record = &wf_heap.spans[span];
    uint32_t *head = &chains->head[record->kind][record->class_index];
    uint32_t *tail = &chains->tail[record->kind][record->class_index];
    wf_store_relaxed(&record->list, WF_SPAN_PARTIAL);
    record->next = 0;
    if (*head)
        wf_heap.spans[*tail].next = span;
    else
        *head = span;
    *tail = span;
}

/* True: nothing in it is alive. */
static bool close_span(uint32_t span, struct chains *chains, struct totals *totals)
{
    struct wf_span *record = &wf_heap.spans[span];
    bool large = record->class_index == WF_CLASS_LARGE;
    struct counts counts = close_states(span, large ? 1 : wf_sizeclasses[record->class_index].n_lines);
    totals->live_objects += counts.n_live;
    totals->dead_objects += counts.n_used - counts.n_live;
    totals->live_bytes += counts.n_live * record->bytes;
    if (record->kind == WF_KIND_DATA)
        totals->live_data_bytes += counts.n_live * record->bytes;
    if (counts.n_live == 0)
        return true;
    if (large)
        return false;
    wf_store_relaxed(&record->n_freed, 0);
    record->fresh = false;
    if (counts.n_live < record->n_cells)
        add_to_chain(chains, span);
    else
        wf_store_relaxed(&record->list, WF_SPAN_FULL);
    return false;
}

static void close_share(size_t unit, size_t end, struct chains *chains, struct totals *totals)
{
    uint32_t dead[SHARE_UNITS];
    unsigned n_dead = 0;
    for (; unit < end; unit++)
        if (unit && wf_load_relaxed(&wf_heap.units[unit].first) == unit && close_span((uint32_t)unit, chains, totals))
            dead[n_dead++] = (uint32_t)unit;
    if (n_dead)
        wf_span_destroy_many(dead, n_dead);
}

static void publish(struct chains *chains, const struct totals *totals)
{
    for (unsigned kind = 0; kind < WF_KIND_COUNT; kind++)
        for (unsigned i = 0; i < WF_CLASS_COUNT; i++)
            if (chains->head[kind][i])
                wf_span_push_partial(chains->head[kind][i], chains->tail[kind][i]);
    wf_add_relaxed(&closing.live_bytes, totals->live_bytes);
    wf_add_relaxed(&closing.live_objects, totals->live_objects);
    wf_add_relaxed(&closing.dead_objects, totals->dead_objects);
    wf_add_relaxed(&closing.live_data_bytes, totals->live_data_bytes);
}

static void finish(void)
{
    wf_store_relaxed(&last.live_bytes, wf_load_relaxed(&closing.live_bytes));
    wf_store_relaxed(&last.live_objects, wf_load_relaxed(&closing.live_objects));
    wf_store_relaxed(&last.dead_objects, wf_load_relaxed(&closing.dead_objects));
    wf_store_relaxed(&last.live_data_bytes, wf_load_relaxed(&closing.live_data_bytes));
    wf_add_relaxed(&last.n_collections, 1);
    wf_store_relaxed(&wf_heap.allocated_since, 0);
}

void wf_close_start(void)
{
    for (unsigned kind = 0; kind < WF_KIND_COUNT; kind++)
        for (unsigned i = 0; i < WF_CLASS_COUNT; i++)
            wf_store_relaxed(&wf_heap.partial[kind][i], wf_load_relaxed(&wf_heap.partial[kind][i]) >> 32 << 32);
    wf_store_relaxed(&closing.live_bytes, 0);
    wf_store_relaxed(&closing.live_objects, 0);
    wf_store_relaxed(&closing.dead_objects, 0);
    wf_store_relaxed(&closing.live_data_bytes, 0);
    wf_store_relaxed(&closing.n_closed, 0);
    /* [C1] Lets threads in. Pairs with [C2]. */
    wf_store_release(&closing.next, 0);
}

bool wf_close_part(void)
{
    size_t n_units = wf_load_acquire(&wf_heap.n_units), n_mine = 0;
    struct chains chains = {0};
    struct totals totals = {0};
    for (;;) {
        size_t unit = wf_add_acq_rel(&closing.next, SHARE_UNITS); /* [C2] */
        if (unit >= n_units)
            break;
        size_t end = unit + SHARE_UNITS < n_units ? unit + SHARE_UNITS : n_units;
        close_share(unit, end, &chains, &totals);
        n_mine += end - unit;
    }
    if (n_mine == 0)
        return false;
    publish(&chains, &totals);
    /* [C3] The one that completes the sum sees what all others published before adding theirs. */
    if (wf_add_acq_rel(&closing.n_closed, n_mine) + n_mine != n_units)
        return false;
    finish();
    return true;
}

void wf_heap_stats(struct wf_heap_stats *ret_stats)
{
    ret_stats->n_collections = wf_load_relaxed(&last.n_collections);
    ret_stats->live_bytes = wf_load_relaxed(&last.live_bytes);
    ret_stats->live_objects = wf_load_relaxed(&last.live_objects);
    ret_stats->dead_objects = wf_load_relaxed(&last.dead_objects);
    ret_stats->live_data_bytes = wf_load_relaxed(&last.live_data_bytes);
    size_t n_units = wf_load_relaxed(&wf_heap.n_units);
    wf_spinlock_lock(&wf_heap.lock);
    size_t n_lines = wf_heap.n_lines;
    wf_spinlock_unlock(&wf_heap.lock);
    ret_stats->used_bytes = wf_load_relaxed(&wf_heap.used_units) << WF_UNIT_SHIFT;
    ret_stats->resident_bytes = wf_load_relaxed(&wf_heap.resident_units) << WF_UNIT_SHIFT;
    ret_stats->reserved_bytes = wf_heap.reserved_units << WF_UNIT_SHIFT;
    ret_stats->metadata_bytes =
        n_lines * WF_LINE + n_units * (sizeof(struct wf_unit) + sizeof(struct wf_span) + sizeof(struct wf_queued) + 1);
}
