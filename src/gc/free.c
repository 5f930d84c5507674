/* SPDX-License-Identifier: MIT */
/* free.c - frees an object before a collection would.
 *
 * A small cell's state goes back to 0: whoever holds its span finds it when going through the lines; a span that nobody
 * holds is offered to the caches again once a quarter of its cells were freed.
 *
 * A large object's state and the line that it lies in belong to whoever finds the object alive under the heap's lock: of two
 * who free it at once the second must not write to a line that is linked into a list already.
 */
#include <errno.h>
#include <string.h>

#include "gc/alloc.h"
#include "gc/cleanup.h"

enum { OFFER_FRACTION = 4 };

static void offer(uint32_t span)
{
    struct wf_span *record = &wf_heap.spans[span];
    uint8_t full = WF_SPAN_FULL;
    /* [A2] The one who changes the state pushes. Pairs with [A1]. The span's own cache may be about to find it
     * exhausted: then it stays FULL until the next free or collection. */
    if (wf_cas_acq_rel(&record->list, &full, WF_SPAN_PARTIAL)) {
        wf_store_relaxed(&record->n_freed, 0);
        wf_span_push_partial(span, span);
    }
}

static int free_large(const struct wf_cell *cell)
{
    int64_t bytes = (int64_t)wf_heap.spans[cell->span].bytes;
    const struct wf_unit *unit = &wf_heap.units[cell->span];
    wf_spinlock_lock(&wf_heap.lock);
    bool alive = wf_load_relaxed(&unit->first) == cell->span && unit->class_index == WF_CLASS_LARGE &&
                 wf_span_states(cell->span) == cell->state && wf_state_load(cell->state) == WF_WHITE;
    if (alive)
        wf_state_store(cell->state, WF_FREE);
    wf_spinlock_unlock(&wf_heap.lock);
    if (!alive)
        return -EALREADY;
    wf_span_destroy(cell->span);
    wf_sub_relaxed(&wf_heap.allocated_since, bytes);
    return 0;
}

static bool is_in_span(uintptr_t word)
{
    return wf_load_relaxed(&wf_heap.units[(word - wf_heap.base) >> WF_UNIT_SHIFT].first) != 0;
}

int wf_heap_free(void *p)
{
    uintptr_t word = (uintptr_t)p;
    struct wf_cell cell;
    if (!wf_heap_contains(word))
        return -EINVAL;
    if (!wf_heap_find(word, &cell)) /* free, or never was one: a cell begins there or not */
        return is_in_span(word) || word % WF_UNIT == 0 ? -EALREADY : -EINVAL;
    if (cell.start != p)
        return -EINVAL;
    if (WF_UNLIKELY(wf_load_relaxed(&wf_heap.spans[cell.span].has_specials)) && !wf_cleanups_freed(p))
        return -EBUSY;
    if (cell.large)
        return free_large(&cell);
    struct wf_span *record = &wf_heap.spans[cell.span];
    char *start = cell.kind == WF_KIND_TRACED ? cell.start - WF_TRACED_HEAD : cell.start;
    if (wf_heap_stress.poison)
        memset(start, WF_POISON, record->bytes);
    wf_cell_forbid(start, record->bytes);
    /* [F1] Releases the cell to who takes it next. Pairs with [F2] in alloc.c. */
    if (wf_swap_acq_rel((_Atomic uint8_t *)cell.state, WF_FREE) != WF_WHITE)
        return -EALREADY;
    unsigned n_freed = wf_add_relaxed(&record->n_freed, 1) + 1u;
    if (n_freed >= record->n_cells / OFFER_FRACTION && wf_load_relaxed(&record->list) == WF_SPAN_FULL)
        offer(cell.span);
    return 0;
}
