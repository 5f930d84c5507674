/* SPDX-License-Identifier: MIT */
/* span.c - makes and unmakes spans, keeps the ones with free cells, finds the cell of a word.
 *
 * Owns:    the unit table and the span records of units in spans; wf_heap.partial.
 * Callers: alloc.c, free.c, close.c; rt and the marker through wf_heap_find.
 */
#include "gc/span.h"

#include <string.h>

#include "base/assert.h"

static void describe(uint32_t span, size_t n_units, uint32_t line, uint32_t magic, unsigned class_index, enum wf_kind kind)
{
    for (size_t i = 0; i < n_units; i++) {
        struct wf_unit *unit = &wf_heap.units[span + i];
        unit->line = line;
        unit->class_index = (uint8_t)class_index;
        unit->kind = (uint8_t)kind;
        wf_store_relaxed(&unit->first, span);
        unit->magic = magic;
    }
    struct wf_span *record = &wf_heap.spans[span];
    record->next = 0;
    record->prev = 0;
    record->n_units = (uint32_t)n_units;
    record->class_index = (uint8_t)class_index;
    record->kind = (uint8_t)kind;
    wf_store_relaxed(&record->n_freed, 0);
    wf_store_relaxed(&record->has_specials, false);
}

static void give_back_units(uint32_t span, size_t n_units)
{
    wf_spinlock_lock(&wf_heap.lock);
    wf_units_give_locked(span, n_units);
    wf_spinlock_unlock(&wf_heap.lock);
}

uint32_t wf_span_create(unsigned class_index, enum wf_kind kind)
{
    const struct wf_sizeclass *class = &wf_sizeclasses[class_index];
    uint32_t span = wf_units_take(class->n_units, WF_ZONE_DENSE);
    if (!span)
        return 0;
    uint32_t line = wf_lines_take(class->n_lines);
    if (!line) {
        give_back_units(span, class->n_units);
        return 0;
    }
    bool fresh = true;
    for (unsigned i = 0; i < class->n_units; i++)
        fresh &= wf_unit_touch(span + i);
    describe(span, class->n_units, line, class->magic, class_index, kind);
    struct wf_span *record = &wf_heap.spans[span];
    record->n_cells = class->n_cells;
    if (wf_heap_stress.cells_per_span && wf_heap_stress.cells_per_span < record->n_cells)
        record->n_cells = (uint16_t)wf_heap_stress.cells_per_span;
    record->bytes = class->size;
    /* A line that is taken in several refills may hold cells that were used and freed in between. */
    record->fresh = fresh && !wf_heap_stress.poison && !wf_heap_stress.cells_per_refill;
    wf_store_relaxed(&record->list, WF_SPAN_CACHED);
    if (wf_heap_stress.poison) {
        wf_cell_allow(wf_unit_address(span), (size_t)class->n_units << WF_UNIT_SHIFT);
        memset(wf_unit_address(span), WF_POISON, (size_t)class->n_units << WF_UNIT_SHIFT);
    }
    wf_cell_forbid(wf_unit_address(span), (size_t)class->n_units << WF_UNIT_SHIFT);
    return span;
}

uint32_t wf_span_create_large(size_t bytes, enum wf_kind kind)
{
    if (bytes > wf_heap.reserved_units << WF_UNIT_SHIFT)
        return 0;
    size_t n_units = (bytes + WF_UNIT - 1) >> WF_UNIT_SHIFT;
    uint32_t span = wf_units_take(n_units, bytes >= (size_t)1 << 20 ? WF_ZONE_DENSE : WF_ZONE_SPARSE);
    if (!span)
        return 0;
    uint32_t line = wf_lines_take(1);
    if (!line) {
        give_back_units(span, n_units);
        return 0;
    }
    char *start = wf_unit_address(span);
    wf_cell_allow(start, n_units << WF_UNIT_SHIFT);
    for (size_t i = 0; i < n_units; i++)
        if (!wf_unit_touch((uint32_t)(span + i)) && kind != WF_KIND_DATA)
            memset(wf_unit_address((uint32_t)(span + i)), 0, WF_UNIT);
    describe(span, n_units, line, 0, WF_CLASS_LARGE, kind);
    struct wf_span *record = &wf_heap.spans[span];
    record->n_cells = 1;
    record->bytes = (bytes + WF_GRAIN - 1) & -(size_t)WF_GRAIN;
    record->fresh = false;
    if (kind == WF_KIND_DATA)
        wf_cell_unwritten(start, record->bytes);
    wf_cell_forbid(start + record->bytes, (n_units << WF_UNIT_SHIFT) - record->bytes);
    wf_store_relaxed(&record->list, WF_SPAN_LARGE);
    wf_state_store(wf_span_states(span), WF_WHITE);
    return span;
}

/* Lookups find state 0 from now on. */
static void forget(uint32_t span, size_t n_units)
{
    for (size_t i = 0; i < n_units; i++) {
        struct wf_unit *unit = &wf_heap.units[span + i];
        unit->magic = 0;
        unit->line = 0;
        unit->class_index = WF_CLASS_NONE;
        wf_store_relaxed(&unit->first, 0);
    }
    wf_cell_forbid(wf_unit_address(span), n_units << WF_UNIT_SHIFT);
}

void wf_span_destroy_many(const uint32_t *spans, unsigned n)
{
    wf_spinlock_lock(&wf_heap.lock);
    uint32_t run = 0;
    size_t length = 0;
    for (unsigned i = 0; i < n; i++) {
        uint32_t span = spans[i];
        const struct wf_span *record = &wf_heap.spans[span];
        size_t n_units = record->n_units;
        unsigned n_lines = record->class_index < WF_CLASS_COUNT ? wf_sizeclasses[record->class_index].n_lines : 1;
        wf_lines_give_locked(wf_heap.units[span].line, n_lines);
        forget(span, n_units);
        if (length && run + length != span) {
            wf_units_give_locked(run, length);
            length = 0;
        }
        if (!length)
            run = span;
        length += n_units;
    }
    if (length)
        wf_units_give_locked(run, length);
    wf_spinlock_unlock(&wf_heap.lock);
}

void wf_span_destroy(uint32_t span)
{
    wf_span_destroy_many(&span, 1);
}

/* ---- spans with free cells: a stack, the upper half of whose head counts the changes ---- */

void wf_span_push_partial(uint32_t head, uint32_t tail)
{
    struct wf_span *record = &wf_heap.spans[head];
    _Atomic uint64_t *list = &wf_heap.partial[record->kind][record->class_index];
    uint64_t seen = wf_load_relaxed(list), next;
    do {
        wf_store_relaxed((_Atomic uint32_t *)&wf_heap.spans[tail].next, (uint32_t)seen);
        next = ((seen >> 32) + 1) << 32 | head;
        /* [S1] Publishes the records of the chain. Pairs with [S2]. */
    } while (!wf_cas_release(list, &seen, next));
}

uint32_t wf_span_pop_partial(unsigned class_index, enum wf_kind kind)
{
    _Atomic uint64_t *list = &wf_heap.partial[kind][class_index];
    uint64_t seen = wf_load_acquire(list), next; /* [S2] */
    do {
        if (!(uint32_t)seen)
            return 0;
        /* Another may have popped it: then `next` means nothing, and the count makes the exchange fail. */
        uint32_t behind = wf_load_relaxed((_Atomic uint32_t *)&wf_heap.spans[(uint32_t)seen].next);
        next = ((seen >> 32) + 1) << 32 | behind;
    } while (!wf_cas_acq_rel(list, &seen, next));
    uint32_t span = (uint32_t)seen;
    wf_store_relaxed(&wf_heap.spans[span].list, WF_SPAN_CACHED);
    return span;
}

/* ---- from a word to its cell ---- */

bool wf_heap_find(uintptr_t word, struct wf_cell *ret_cell)
{
    if (!wf_heap_contains(word))
        return false;
    size_t offset = word - wf_heap.base;
    const struct wf_unit *unit = &wf_heap.units[offset >> WF_UNIT_SHIFT];
    uint32_t span = wf_load_relaxed(&unit->first);
    uint64_t grains = (offset >> 4) - ((uint64_t)span << (WF_UNIT_SHIFT - 4));
    uint64_t index = grains * unit->magic >> WF_MAGIC_SHIFT;
    if (WF_UNLIKELY(index >= WF_SPAN_UNITS_MOST * WF_CELLS_MOST)) /* the unit is changing hands: `word` is no live pointer */
        return false;
    uint8_t *state = wf_heap.states + (size_t)unit->line * WF_LINE + index;
    if (wf_state_load(state) == WF_FREE)
        return false;
    const struct wf_span *record = &wf_heap.spans[span];
    size_t head = unit->kind == WF_KIND_TRACED ? WF_TRACED_HEAD : 0;
    char *cell = wf_unit_address(span) + index * record->bytes;
    if (unit->class_index == WF_CLASS_LARGE && word - (uintptr_t)cell >= record->bytes)
        return false; /* the rest of the last unit */
    ret_cell->start = cell + head;
    ret_cell->size = record->bytes - head;
    ret_cell->state = state;
    ret_cell->span = span;
    ret_cell->index = (uint32_t)index;
    ret_cell->kind = unit->kind;
    ret_cell->large = unit->class_index == WF_CLASS_LARGE;
    return true;
}

bool wf_heap_find_object(const void *p, struct wf_cell *ret_cell)
{
    uintptr_t word = (uintptr_t)p;
    struct wf_cell before;
    bool found = wf_heap_find(word, ret_cell);
    if (WF_LIKELY(found && (uintptr_t)ret_cell->start <= word))
        return true;
    /* Nothing, or what lies in front of a traced object. */
    if (word % WF_GRAIN != 0 || !wf_heap_find(word - 1, &before))
        return found;
    *ret_cell = before;
    return true;
}

size_t wf_heap_size_of(const void *p)
{
    struct wf_cell cell;
    return wf_heap_find_object(p, &cell) ? cell.size : 0;
}

void *wf_heap_base_of(const void *p)
{
    struct wf_cell cell;
    return wf_heap_find_object(p, &cell) ? cell.start : NULL;
}
