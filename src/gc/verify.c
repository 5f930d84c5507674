/* SPDX-License-Identifier: MIT */
/* verify.c - marks a second time, another way.
 *
 * Owns:    its own memory, mapped for one call.
 * Callers: the collector in debug mode, tests.
 *
 * It shares with the marker the unit table's "which span is this" and nothing else: cells by division, a set of addresses
 * instead of states, a stack instead of queues.
 */
#define _GNU_SOURCE
#include "gc/verify.h"

#include <errno.h>

#include "base/assert.h"
#include "gc/mark.h"
#include "gc/memory.h"

enum { REPORTS_MOST = 8, FIRST_ENTRIES = 1 << 16 };

struct words {
    uintptr_t *at;
    size_t n, most;
};

struct wf_verifier {
    struct words seen;  /* hash set of cells' addresses, 0: empty place; at most half full */
    struct words stack; /* cells to be scanned */
    bool out_of_memory;
};

static struct wf_marker tracer; /* stands in for a marker in calls of trace functions */

static bool map_words(struct words *words, size_t most)
{
    void *p = wf_memory_map(most * sizeof(uintptr_t));
    if (p == NULL)
        return false;
    *words = (struct words){.at = p, .most = most};
    return true;
}

static void unmap_words(struct words *words)
{
    if (words->at)
        wf_memory_unmap(words->at, words->most * sizeof(uintptr_t));
}

static bool insert(struct words *set, uintptr_t cell)
{
    size_t i = (cell * UINT64_C(0x9e3779b97f4a7c15)) >> 20;
    for (;; i++) {
        uintptr_t *place = &set->at[i & (set->most - 1)];
        if (*place == cell)
            return false;
        if (!*place) {
            *place = cell;
            set->n++;
            return true;
        }
    }
}

static bool double_set(struct wf_verifier *v)
{
    struct words larger;
    if (!map_words(&larger, v->seen.most * 2))
        return false;
    for (size_t i = 0; i < v->seen.most; i++)
        if (v->seen.at[i])
            insert(&larger, v->seen.at[i]);
    unmap_words(&v->seen);
    v->seen = larger;
    return true;
}

static bool double_stack(struct wf_verifier *v)
{
    void *p = wf_memory_resize(v->stack.at, v->stack.most * sizeof(uintptr_t), v->stack.most * 2 * sizeof(uintptr_t));
    if (p == NULL)
        return false;
    v->stack.at = p;
    v->stack.most *= 2;
    return true;
}

/* The cell in use that `word` points into, or 0. */
static uintptr_t cell_of(uintptr_t word)
{
    if (!wf_heap_contains(word))
        return 0;
    uint32_t span = wf_load_relaxed(&wf_heap.units[(word - wf_heap.base) >> WF_UNIT_SHIFT].first);
    if (!span)
        return 0;
    const struct wf_span *record = &wf_heap.spans[span];
    uintptr_t start = (uintptr_t)wf_unit_address(span);
    /* Markers do not know how long a large object is: the rest of its last unit keeps it, too. */
    size_t index = record->class_index == WF_CLASS_LARGE ? 0 : (word - start) / record->bytes;
    if (index >= record->n_cells || wf_span_states(span)[index] == WF_FREE)
        return 0;
    return start + index * record->bytes;
}

static void reach(struct wf_verifier *v, uintptr_t word)
{
    uintptr_t cell = cell_of(word);
    if (!cell || v->out_of_memory || !insert(&v->seen, cell))
        return;
    if (v->seen.n * 2 > v->seen.most && !double_set(v))
        v->out_of_memory = true;
    if (v->stack.n == v->stack.most && !double_stack(v))
        v->out_of_memory = true;
    else
        v->stack.at[v->stack.n++] = cell;
}

void wf_verify_word(struct wf_verifier *v, uintptr_t word)
{
    reach(v, word);
    if (word % WF_GRAIN == 0)
        reach(v, word - 1);
}

WF_READS_ANYTHING void wf_verify_range(struct wf_verifier *v, const void *low, const void *high)
{
    const uintptr_t *p = (const uintptr_t *)(((uintptr_t)low + sizeof *p - 1) & -sizeof *p); /* NOLINT */
    for (; p + 1 <= (const uintptr_t *)high; p++)
        wf_verify_word(v, *p);
}

void wf_verify_object(struct wf_verifier *v, const void *p)
{
    reach(v, (uintptr_t)p);
}

/* What wf_mark_object() does on behalf of a trace function that the verifier called. */
static void verify_object(void *arg, const void *p)
{
    wf_verify_object(arg, p);
}

WF_READS_ANYTHING static void scan_reached(struct wf_verifier *v)
{
    while (v->stack.n > 0 && !v->out_of_memory) {
        uintptr_t cell = v->stack.at[--v->stack.n];
        const struct wf_span *record =
            &wf_heap.spans[wf_load_relaxed(&wf_heap.units[(cell - wf_heap.base) >> WF_UNIT_SHIFT].first)];
        const uintptr_t *words = (const uintptr_t *)cell; /* NOLINT */
        if (record->kind == WF_KIND_TRACED) {
            wf_trace_fn trace = *(const wf_trace_fn *)(const void *)words;
            if (trace)
                trace((char *)cell + WF_TRACED_HEAD, (struct weft_visitor *)&tracer); /* NOLINT */
        } else if (record->kind == WF_KIND_CHANNEL) {
            wf_channel_trace((void *)cell, (struct weft_visitor *)&tracer); /* NOLINT */
        } else if (record->kind == WF_KIND_SCANNED) {
            for (size_t i = 0; i < record->bytes / sizeof *words; i++)
                reach(v, words[i]);
        }
    }
}

/* Reached cells that are not black, and black ones that were not reached. */
static int64_t compare(struct wf_verifier *v)
{
    int64_t n_differences = 0;
    for (size_t i = 0; i < v->seen.most; i++) {
        struct wf_cell cell;
        if (!v->seen.at[i])
            continue;
        bool found = wf_heap_find(v->seen.at[i], &cell);
        unsigned state = found ? wf_state_load(cell.state) : WF_FREE;
        if (state != WF_BLACK && n_differences++ < REPORTS_MOST)
            wf_message("gcverify: cell %p can be reached, and its state is %u", (void *)v->seen.at[i], state); /* NOLINT */
    }
    size_t n_units = wf_load_relaxed(&wf_heap.n_units);
    for (uint32_t span = 1; span < n_units; span++) {
        if (wf_load_relaxed(&wf_heap.units[span].first) != span)
            continue;
        const uint8_t *states = wf_span_states(span);
        for (unsigned i = 0; i < wf_heap.spans[span].n_cells; i++)
            if (states[i] == WF_BLACK) {
                uintptr_t cell = (uintptr_t)wf_unit_address(span) + i * wf_heap.spans[span].bytes;
                if (insert(&v->seen, cell) && n_differences++ < REPORTS_MOST)
                    wf_message("gcverify: cell %p is black, and cannot be reached", (void *)cell); /* NOLINT */
                if (v->seen.n * 2 > v->seen.most && !double_set(v))
                    return -ENOMEM;
            }
    }
    return n_differences;
}

int64_t wf_heap_verify(void (*roots)(struct wf_verifier *v, void *arg), void *arg)
{
    struct wf_verifier v = {0};
    int64_t result = -ENOMEM;
    tracer.instead = verify_object;
    tracer.instead_arg = &v;
    if (map_words(&v.seen, FIRST_ENTRIES) && map_words(&v.stack, FIRST_ENTRIES)) {
        wf_begin_reading_anything();
        roots(&v, arg);
        scan_reached(&v);
        wf_end_reading_anything();
        if (!v.out_of_memory)
            result = compare(&v);
    }
    unmap_words(&v.seen);
    unmap_words(&v.stack);
    tracer.instead = NULL;
    return result;
}

/* ---- structure ---- */

static void check_small(uint32_t span)
{
    const struct wf_span *record = &wf_heap.spans[span];
    const struct wf_sizeclass *class = &wf_sizeclasses[record->class_index];
    const uint8_t *states = wf_span_states(span);
    WF_CHECK(record->bytes == class->size && record->n_units == class->n_units && record->n_cells <= class->n_cells);
    for (unsigned i = 0; i < class->n_lines * (unsigned)WF_LINE; i++)
        WF_CHECK(states[i] <= (i < record->n_cells ? WF_WHITE : WF_FREE));
    WF_CHECK(wf_load_relaxed(&record->list) == WF_SPAN_FULL || wf_load_relaxed(&record->list) == WF_SPAN_PARTIAL);
}

static size_t check_spans(void)
{
    size_t n_partial = 0, n_units = wf_load_relaxed(&wf_heap.n_units);
    for (uint32_t unit = 1; unit < n_units;) {
        const struct wf_unit *entry = &wf_heap.units[unit];
        if (!wf_load_relaxed(&entry->first)) {
            WF_CHECK(entry->magic == 0 && entry->line == 0);
            unit++;
            continue;
        }
        const struct wf_span *record = &wf_heap.spans[unit];
        for (uint32_t i = 0; i < record->n_units; i++) {
            WF_CHECK(wf_load_relaxed(&entry[i].first) == unit && entry[i].line == entry->line && entry->line > 0);
            WF_CHECK(entry[i].magic == entry->magic && entry[i].kind == record->kind);
            WF_CHECK(wf_heap.flags[unit + i] & WF_UNIT_USED);
            WF_CHECK(wf_load_relaxed(&wf_heap.queued[unit + i].state) == 0);
        }
        if (record->class_index == WF_CLASS_LARGE)
            WF_CHECK(*wf_span_states(unit) == WF_WHITE && record->bytes <= (size_t)record->n_units << WF_UNIT_SHIFT);
        else
            check_small(unit);
        n_partial += wf_load_relaxed(&record->list) == WF_SPAN_PARTIAL;
        unit += record->n_units;
    }
    return n_partial;
}

void wf_heap_check(void)
{
    size_t n_partial = check_spans();
    for (unsigned kind = 0; kind < WF_KIND_COUNT; kind++)
        for (unsigned i = 0; i < WF_CLASS_COUNT; i++)
            for (uint32_t span = (uint32_t)wf_load_relaxed(&wf_heap.partial[kind][i]); span; span = wf_heap.spans[span].next) {
                WF_CHECK(wf_heap.spans[span].kind == kind && wf_heap.spans[span].class_index == i);
                WF_CHECK(wf_load_relaxed(&wf_heap.spans[span].list) == WF_SPAN_PARTIAL);
                WF_CHECK(n_partial-- > 0);
            }
    WF_CHECK(n_partial == 0);
    for (size_t i = 0; i < WF_LINE; i++)
        WF_CHECK(wf_heap.states[i] == WF_FREE);
    wf_units_check();
}
