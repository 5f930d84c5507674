/* SPDX-License-Identifier: MIT */
/* free.c - frees an object before a collection would.
 *
 * A small cell's state goes back to 0: whoever holds its span finds it when going through the lines; a span that nobody
 * holds is offered to the caches again once a quarter of its cells were freed.
 */
#include <errno.h>
#include <string.h>

#include "gc/alloc.h"

enum { OFFER_FRACTION = 4 };

static void offer(uint32_t span)
{
    struct wf_span *record = &wf_heap.spans[span];
    uint8_t full = WF_SPAN_FULL;
    /* [A2] The one who changes the state pushes. Pairs with [A1]. The span's own cache may be about to find it exhausted: then it stays FULL
     * until the next free or collection. */
    if (wf_cas_acq_rel(&record->list, &full, WF_SPAN_PARTIAL)) {
        wf_store_relaxed(&record->n_freed, 0);
        wf_span_push_partial(span, span);
    }
}

static int free_large(const struct wf_cell *cell)
{
    int64_t bytes = (int64_t)wf_heap.spans[cell->span].bytes;
    if (wf_swap_acq_rel((_Atomic uint8_t *)cell->state, WF_FREE) != WF_WHITE)
        return -EALREADY;
    wf_span_destroy(cell->span);
    wf_sub_relaxed(&wf_heap.allocated_since, bytes);
    return 0;
}

int wf_heap_free(void *p)
{
    uintptr_t word = (uintptr_t)p;
    struct wf_cell cell;
    if (!wf_heap_contains(word))
        return -EINVAL;
    if (!wf_heap_find(word, &cell)) /* free, or never was one: a cell begins there or not */
        return wf_load_relaxed(&wf_heap.units[(word - wf_heap.base) >> WF_UNIT_SHIFT].first) ? -EALREADY : -EINVAL;
    if (cell.start != p)
        return -EINVAL;
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
