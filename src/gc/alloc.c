/* SPDX-License-Identifier: MIT */
/* alloc.c - refills caches from spans, makes large objects, counts what was allocated.
 *
 * Owns:    the spans that are CACHED, and the states of their free cells.
 * Callers: the runtime's allocating calls; wf_cache_flush: whoever stops the world.
 *
 * A cache goes through a span line by line and skips lines without a free cell (16 bytes of state per comparison). When
 * the span is exhausted it goes to the next with free cells, and last to the page heap. Spans are never shared by caches.
 */
#include "gc/alloc.h"

#include "base/assert.h"

enum { PUBLISH_BYTES = 64 << 10, AGAIN_FRACTION = 4 };

void wf_cache_init(struct wf_cache *cache)
{
    memset(cache, 0, sizeof *cache);
    for (unsigned kind = 0; kind < WF_KIND_COUNT; kind++)
        for (unsigned i = 0; i < WF_CLASS_COUNT; i++)
            cache->slots[kind][i].size = wf_sizeclasses[i].size;
}

static void publish(struct wf_cache *cache)
{
    int64_t bytes = cache->unpublished;
    cache->unpublished = 0;
    if (wf_add_relaxed(&wf_heap.allocated_since, bytes) + bytes >= wf_load_relaxed(&wf_heap.goal))
        cache->goal_passed = true;
}

static void count_bytes(struct wf_cache *cache, size_t bytes)
{
    cache->unpublished += (int64_t)bytes;
    if (cache->unpublished >= PUBLISH_BYTES)
        publish(cache);
}

/* Enough cells of the span were freed early to go through it once more. */
static bool worth_another_look(struct wf_span *record)
{
    unsigned n_freed = wf_load_relaxed(&record->n_freed);
    if (n_freed == 0 || n_freed < record->n_cells / AGAIN_FRACTION)
        return false;
    wf_store_relaxed(&record->n_freed, 0);
    record->fresh = false;
    return true;
}

static bool next_span(struct wf_cache_cursor *cursor, unsigned class_index, enum wf_kind kind)
{
    cursor->next_line = 0;
    if (cursor->span) {
        struct wf_span *record = &wf_heap.spans[cursor->span];
        if (worth_another_look(record))
            return true;
        record->fresh = false;
        /* [A1] The record is no longer ours. Pairs with [A2] in free.c. */
        wf_store_release(&record->list, WF_SPAN_FULL);
    }
    cursor->span = wf_span_pop_partial(class_index, kind);
    if (!cursor->span)
        cursor->span = wf_span_create(class_index, kind);
    return cursor->span != 0;
}

static void check_poison(const char *base, size_t size, uint64_t bits)
{
    for (; bits; bits &= bits - 1) {
        const uint8_t *cell = (const uint8_t *)base + (size_t)(unsigned)__builtin_ctzl(bits) * size;
        wf_cell_allow(cell, size);
        for (size_t i = 0; i < size; i++)
            if (cell[i] != WF_POISON)
                wf_fatal("a dead object was written to: cell %p, byte %zu is %#x", (const void *)cell, i, cell[i]);
        wf_cell_forbid(cell, size);
    }
}

/* [F2] What was done to these cells before they were freed early comes before what their next owner does. Pairs with [F1]
 * in free.c. ThreadSanitizer knows no fences. */
static void acquire_cells(const uint8_t *line, uint64_t bits)
{
    if (!WF_TSAN)
        wf_fence_acquire();
    else
        for (; bits; bits &= bits - 1)
            (void)wf_load_acquire((const _Atomic uint8_t *)line + __builtin_ctzl(bits));
}

/* Takes all free cells of the line: their states become 1. */
static void take_line(struct wf_cache_slot *slot, struct wf_cache_cursor *cursor, uint64_t bits, uint64_t valid)
{
    struct wf_span *record = &wf_heap.spans[cursor->span];
    uint32_t line = cursor->next_line;
    uint8_t *states = wf_span_states(cursor->span) + (size_t)line * WF_LINE;
    if (wf_heap_stress.cells_per_refill) {
        uint64_t few = 0;
        for (unsigned i = 0; i < wf_heap_stress.cells_per_refill && bits; i++, bits &= bits - 1)
            few |= bits & -bits;
        if (!bits)
            cursor->next_line++;
        bits = valid = few;
    } else {
        cursor->next_line++;
    }
    acquire_cells(states, bits);
    if (valid == ~UINT64_C(0) && !WF_TSAN) {
        /* All 64 are 0 or 1. A free from elsewhere (1 -> 0) in this moment is overwritten: a collection finds it. */
        memset(states, WF_WHITE, WF_LINE);
    } else {
        for (uint64_t left = bits; left; left &= left - 1)
            wf_state_store(states + __builtin_ctzl(left), WF_WHITE);
    }
    cursor->line = states;
    slot->bits = bits;
    slot->base = wf_unit_address(cursor->span) + (size_t)line * WF_LINE * slot->size;
    slot->clear = record->fresh ? 0 : slot->size;
    if (wf_heap_stress.poison)
        check_poison(slot->base, slot->size, bits);
    if (WF_UNLIKELY(wf_cells_watched))
        for (uint64_t left = bits; left; left &= left - 1)
            wf_cell_unwritten(slot->base + (size_t)(unsigned)__builtin_ctzl(left) * slot->size, slot->size);
}

static bool refill(struct wf_cache *cache, unsigned class_index, enum wf_kind kind)
{
    struct wf_cache_slot *slot = &cache->slots[kind][class_index];
    struct wf_cache_cursor *cursor = &cache->cursors[kind][class_index];
    unsigned n_spans_left = 1000000;
    for (;;) {
        const struct wf_span *record = &wf_heap.spans[cursor->span];
        const uint8_t *states = wf_span_states(cursor->span);
        unsigned n_cells = cursor->span ? record->n_cells : 0;
        for (; cursor->next_line * WF_LINE < n_cells; cursor->next_line++) {
            uint64_t valid = wf_line_valid(n_cells, cursor->next_line);
            uint64_t bits = wf_line_equal(states + (size_t)cursor->next_line * WF_LINE, WF_FREE) & valid;
            if (!bits)
                continue;
            take_line(slot, cursor, bits, valid);
            count_bytes(cache, (size_t)__builtin_popcountl(slot->bits) * slot->size);
            return true;
        }
        if (!next_span(cursor, class_index, kind))
            return false;
        WF_CHECK(--n_spans_left > 0);
    }
}

static void *alloc_large(struct wf_cache *cache, size_t size, enum wf_kind kind)
{
    uint32_t span = wf_span_create_large(size, kind);
    if (!span)
        return NULL;
    count_bytes(cache, wf_heap.spans[span].bytes);
    return wf_unit_address(span);
}

void *wf_cache_alloc_slow(struct wf_cache *cache, size_t size, enum wf_kind kind)
{
    if (size > WF_SMALL_MOST)
        return alloc_large(cache, size, kind);
    unsigned class_index = wf_class_of(size);
    struct wf_cache_slot *slot = &cache->slots[kind][class_index];
    if (!slot->bits && !refill(cache, class_index, kind))
        return NULL;
    return wf_slot_pop(slot, kind);
}

void *wf_cache_alloc_traced(struct wf_cache *cache, size_t size, wf_trace_fn trace)
{
    size_t with_head; /* and at least one byte: or the object would begin where the next cell does */
    if (__builtin_add_overflow(size != 0 ? size : 1, (size_t)WF_TRACED_HEAD, &with_head))
        return NULL;
    char *cell = wf_cache_alloc(cache, with_head, WF_KIND_TRACED);
    if (!cell)
        return NULL;
    *(wf_trace_fn *)(void *)cell = trace;
    return cell + WF_TRACED_HEAD;
}

/* Lets go of the cursor's span; `offered`: to the other caches, which look for what is left in it. */
static void release_span(struct wf_cache_cursor *cursor, bool offered)
{
    struct wf_span *record = &wf_heap.spans[cursor->span];
    record->fresh = false;
    if (offered) {
        wf_store_relaxed(&record->n_freed, 0);
        wf_store_relaxed(&record->list, WF_SPAN_PARTIAL);
        wf_span_push_partial(cursor->span, cursor->span);
    } else {
        wf_store_release(&record->list, WF_SPAN_FULL); /* [A1] */
    }
    *cursor = (struct wf_cache_cursor){0};
}

static void empty(struct wf_cache *cache, bool offered)
{
    for (unsigned kind = 0; kind < WF_KIND_COUNT; kind++)
        for (unsigned i = 0; i < WF_CLASS_COUNT; i++) {
            struct wf_cache_slot *slot = &cache->slots[kind][i];
            struct wf_cache_cursor *cursor = &cache->cursors[kind][i];
            if (!cursor->span)
                continue;
            for (uint64_t bits = slot->bits; bits; bits &= bits - 1) {
                wf_state_store(cursor->line + __builtin_ctzl(bits), WF_FREE);
                cache->unpublished -= slot->size;
            }
            slot->bits = 0;
            release_span(cursor, offered);
        }
    publish(cache);
    cache->goal_passed = false;
}

void wf_cache_flush(struct wf_cache *cache)
{
    empty(cache, false);
}

void wf_cache_retire(struct wf_cache *cache)
{
    empty(cache, true);
}
