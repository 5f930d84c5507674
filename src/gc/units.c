/* SPDX-License-Identifier: MIT */
/* units.c - reserves the heap's address space, makes it usable in steps, keeps the free runs of units.
 *
 * Owns:    the reservation, the arrays beside it (their elements belong to span.c and mark.c), free runs, free ranges of
 *          state bytes.
 * Callers: span.c (spans come and go), close.c (dead spans), the pacer (wf_heap_release).
 * Locking: `wf_heap.lock`; never held over a system call except the rare growth of the heap.
 *
 * A free run has its length at both ends, so a run that is given back meets its neighbours without a search. Runs are
 * kept by length: one bin for each up to 31 units, one per doubling above; a bin is a queue, and the closing pass gives
 * runs back by ascending address.
 */
#define _GNU_SOURCE
#include "gc/units.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/assert.h"
#include "gc/cellcheck.h"
#include "gc/memory.h"

#define TIB ((size_t)1 << 40)

enum {
    STEP_UNITS = 1024,      /* 64 MiB: one mprotect; less in a tiny reservation */
    LEAST_UNITS = 64,       /* a reservation below is refused */
    HUGE_UNITS = 32,        /* 2 MiB */
    HUGE_FROM_UNITS = 512,  /* 32 MiB in use: ask for huge pages */
    EXACT_BINS = 31,
    LINES_STEP = 32768,     /* 2 MiB of state bytes: one mprotect */
    RELEASE_MOST = 64 << 20,
};

struct wf_heap wf_heap;
struct wf_heap_stress wf_heap_stress;
bool wf_cells_watched;

/* What wf_heap_fini unmaps. */
static struct {
    char *address;
    size_t size;
} mappings[2];

/* ---- the reservation ---- */

static void *reserve_at(uintptr_t hint, size_t size)
{
    return wf_memory_reserve((void *)hint, size); /* NOLINT: an address of our choosing */
}

/* Near 2^46.5: millisecond and microsecond clocks, small integers, pairs of them and doubles lie elsewhere, and so do
 * programs (0x55..), their heap, libraries and stacks. ThreadSanitizer allows only what the kernel chooses. */
static void *reserve_heap(size_t size)
{
    const uint8_t *random = (const uint8_t *)getauxval(AT_RANDOM); /* NOLINT */
    unsigned draw = random ? random[5] : 0;
    for (unsigned i = 0; i < 8 && !WF_TSAN; i++) {
        void *p = reserve_at((0x58 + (draw + i) % 8) * TIB, size);
        if (p)
            return p;
    }
    char *p = reserve_at(0, size + WF_UNIT);
    if (!p)
        return NULL;
    size_t before = -(uintptr_t)p & (WF_UNIT - 1);
    if (before)
        wf_memory_unmap(p, before);
    if (WF_UNIT - before)
        wf_memory_unmap(p + before + size, WF_UNIT - before);
    return p + before;
}

static size_t align_up(size_t n, size_t to)
{
    return (n + to - 1) & -to;
}

/* Where each array begins in the second mapping. The state bytes come last, at whole 2 MiB. */
struct layout {
    size_t units, spans, queued, flags, dirty, zones, rings, states, end;
};

static size_t place(size_t *at, size_t size, size_t alignment)
{
    size_t begin = align_up(*at, alignment);
    *at = begin + size;
    return begin;
}

static struct layout lay_out(size_t n_units)
{
    enum { PAGE = 4096, HUGE_PAGE = 2 << 20 };
    struct layout at = {0};
    at.units = place(&at.end, n_units * sizeof(struct wf_unit), PAGE);
    at.spans = place(&at.end, n_units * sizeof(struct wf_span), PAGE);
    at.queued = place(&at.end, n_units * sizeof(struct wf_queued), PAGE);
    at.flags = place(&at.end, n_units, PAGE);
    at.dirty = place(&at.end, n_units * sizeof(bool), PAGE);
    at.zones = place(&at.end, n_units, PAGE);
    at.rings = place(&at.end, wf_ring_entries(n_units) * sizeof(uint32_t) * WF_MARKERS_MOST, PAGE);
    at.states = place(&at.end, n_units * WF_CELLS_MOST + (size_t)LINES_STEP * WF_LINE * 2, HUGE_PAGE);
    at.end = align_up(at.end, HUGE_PAGE);
    return at;
}

/* Pages that hold any of [from, to) become usable. Those before were made so earlier. */
static bool make_usable(void *from, void *to)
{
    uintptr_t low = (uintptr_t)from & -(uintptr_t)4096, high = align_up((uintptr_t)to, 4096);
    return low >= high || wf_memory_enable((void *)low, high - low); /* NOLINT */
}

static bool reserve_all(size_t n_units)
{
    char *heap = reserve_heap(n_units << WF_UNIT_SHIFT);
    if (!heap)
        return false;
    struct layout layout = lay_out(n_units);
    size_t beside = layout.end + ((size_t)2 << 20);
    char *arrays = reserve_at(0, beside);
    if (!arrays) {
        wf_memory_unmap(heap, n_units << WF_UNIT_SHIFT);
        return false;
    }
    mappings[0].address = heap;
    mappings[0].size = n_units << WF_UNIT_SHIFT;
    mappings[1].address = arrays;
    mappings[1].size = beside;
    arrays = (char *)align_up((uintptr_t)arrays, (size_t)2 << 20); /* NOLINT */
    wf_heap.base = (uintptr_t)heap;
    wf_heap.reserved_units = n_units;
    wf_heap.units = (void *)(arrays + layout.units);
    wf_heap.spans = (void *)(arrays + layout.spans);
    wf_heap.queued = (void *)(arrays + layout.queued);
    wf_heap.flags = (void *)(arrays + layout.flags);
    wf_heap.dirty = (void *)(arrays + layout.dirty);
    wf_heap.zones = (void *)(arrays + layout.zones);
    wf_heap.rings = (void *)(arrays + layout.rings);
    wf_heap.states = (void *)(arrays + layout.states);
    return true;
}

static bool grow(size_t n, enum wf_zone zone); /* free runs */
static bool more_lines(void);                 /* state bytes */

/* Where address space is limited, stacks need some too. */
static size_t most_bytes(void)
{
    struct rlimit limit;
    size_t most = WF_TSAN ? TIB / 16 : wf_on_valgrind() ? TIB / 64 : TIB; /* Valgrind takes seconds for each TiB */
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        while (most > limit.rlim_cur / 4)
            most /= 2;
    return most;
}

int wf_heap_init(size_t limit_hint)
{
    if (wf_heap.base)
        return -EALREADY;
    int saved_errno = errno;
    wf_cells_watched = WF_ASAN || wf_on_valgrind();
    if (wf_on_valgrind())
        wf_heap_stress.cells_per_refill = 1;
    size_t n_units = most_bytes() >> WF_UNIT_SHIFT;
    if (wf_heap_stress.reserve_units)
        n_units = wf_heap_stress.reserve_units;
    while (n_units >= LEAST_UNITS && !reserve_all(n_units))
        n_units /= 2;
    bool ok = n_units >= LEAST_UNITS;
    if (ok) {
        wf_lsan_root(mappings[0].address, mappings[0].size);
        wf_heap.step_units = n_units < STEP_UNITS * 4 ? n_units / 4 : STEP_UNITS;
        if (wf_heap_stress.step_units)
            wf_heap.step_units = wf_heap_stress.step_units;
        wf_store_relaxed(&wf_heap.limit_bytes, limit_hint);
        wf_store_relaxed(&wf_heap.goal, INT64_MAX);
        wf_heap.n_lines = 1; /* line 0 is that of free units */
        ok = make_usable(wf_heap.zones, wf_heap.zones + n_units / wf_heap.step_units + 1) && more_lines() &&
             grow(1, WF_ZONE_DENSE);
        if (!ok)
            wf_heap_fini();
    }
    wf_compiler_barrier();
    errno = saved_errno;
    return ok ? 0 : -ENOMEM;
}

void wf_heap_fini(void)
{
    if (!mappings[0].address)
        return;
    wf_lsan_unroot(mappings[0].address, mappings[0].size);
    wf_cell_allow(mappings[0].address, wf_load_relaxed(&wf_heap.n_units) << WF_UNIT_SHIFT);
    for (unsigned i = 0; i < WF_ARRAY_SIZE(mappings); i++) {
        if (mappings[i].address)
            wf_memory_unmap(mappings[i].address, mappings[i].size);
        mappings[i].address = NULL;
    }
    memset(&wf_heap, 0, sizeof wf_heap);
}

/* ---- free runs ---- */

static unsigned bin_of(size_t n)
{
    if (n <= EXACT_BINS)
        return (unsigned)n - 1;
    return EXACT_BINS - 5 + (63 - (unsigned)__builtin_clzl(n)); /* 32..63 units: bin 31 */
}

static enum wf_zone zone_of(size_t unit)
{
    return (enum wf_zone)wf_heap.zones[unit / wf_heap.step_units];
}

static void insert_run(uint32_t first, size_t n)
{
    enum wf_zone zone = zone_of(first);
    unsigned bin = bin_of(n);
    struct wf_span *run = &wf_heap.spans[first];
    run->n_units = (uint32_t)n;
    wf_heap.spans[first + n - 1].n_units = (uint32_t)n;
    run->next = 0;
    run->prev = wf_heap.bins_last[zone][bin];
    if (run->prev)
        wf_heap.spans[run->prev].next = first;
    else
        wf_heap.bins[zone][bin] = first;
    wf_heap.bins_last[zone][bin] = first;
    wf_heap.bins_used[zone] |= UINT64_C(1) << bin;
}

static void remove_run(uint32_t first)
{
    enum wf_zone zone = zone_of(first);
    struct wf_span *run = &wf_heap.spans[first];
    unsigned bin = bin_of(run->n_units);
    if (run->next)
        wf_heap.spans[run->next].prev = run->prev;
    else
        wf_heap.bins_last[zone][bin] = run->prev;
    if (run->prev)
        wf_heap.spans[run->prev].next = run->next;
    else
        wf_heap.bins[zone][bin] = run->next;
    if (!wf_heap.bins[zone][bin])
        wf_heap.bins_used[zone] &= ~(UINT64_C(1) << bin);
}

static bool is_free(size_t unit, enum wf_zone zone)
{
    return unit >= 1 && unit < wf_load_relaxed(&wf_heap.n_units) && !(wf_heap.flags[unit] & WF_UNIT_USED) &&
           zone_of(unit) == zone;
}

/* Joins the run with its free neighbours of the same zone. */
static void insert_joined(uint32_t first, size_t n)
{
    enum wf_zone zone = zone_of(first);
    if (is_free(first + n, zone)) {
        uint32_t behind = (uint32_t)(first + n);
        remove_run(behind);
        n += wf_heap.spans[behind].n_units;
    }
    if (is_free(first - 1, zone)) {
        uint32_t before = first - wf_heap.spans[first - 1].n_units;
        remove_run(before);
        n += first - before;
        first = before;
    }
    insert_run(first, n);
}

static uint32_t find_run(size_t n, enum wf_zone zone)
{
    unsigned bin = bin_of(n);
    if (n > EXACT_BINS) /* runs of this bin may be too short */
        for (uint32_t run = wf_heap.bins[zone][bin]; run; run = wf_heap.spans[run].next)
            if (wf_heap.spans[run].n_units >= n)
                return run;
    uint64_t larger = wf_heap.bins_used[zone] >> bin;
    if (n > EXACT_BINS)
        larger &= ~UINT64_C(1);
    return larger ? wf_heap.bins[zone][bin + (unsigned)__builtin_ctzl(larger)] : 0;
}

static void ask_for_huge_pages(size_t from, size_t to)
{
    if (to > from)
        wf_memory_advise(wf_unit_address((uint32_t)from), (to - from) << WF_UNIT_SHIFT, MADV_HUGEPAGE);
}

/* Another step of address space for `zone`, or more if `n` units in a row ask for it. */
static bool grow(size_t n, enum wf_zone zone)
{
    size_t have = wf_load_relaxed(&wf_heap.n_units);
    if (n > wf_heap.reserved_units - have)
        return false;
    size_t more = (n + wf_heap.step_units - 1) / wf_heap.step_units * wf_heap.step_units;
    if (more > wf_heap.reserved_units - have)
        more = wf_heap.reserved_units - have;
    size_t will = have + more;
    if (!make_usable(wf_heap.units + have, wf_heap.units + will) || !make_usable(wf_heap.spans + have, wf_heap.spans + will) ||
        !make_usable(wf_heap.queued + have, wf_heap.queued + will) || !make_usable(wf_heap.flags + have, wf_heap.flags + will) ||
        !make_usable(wf_heap.dirty + have, wf_heap.dirty + will) ||
        !make_usable(wf_heap.rings, wf_heap.rings + (size_t)wf_ring_entries(will) * WF_MARKERS_MOST) ||
        !make_usable(wf_unit_address((uint32_t)have), wf_unit_address((uint32_t)will)))
        return false;
    for (size_t step = have / wf_heap.step_units; step <= (will - 1) / wf_heap.step_units; step++)
        wf_heap.zones[step] = (uint8_t)zone;
    if (wf_heap.huge_pages && zone == WF_ZONE_DENSE)
        ask_for_huge_pages(have, will);
    wf_store_release(&wf_heap.n_units, will);
    if (have == 0) /* unit 0 stays unused: 0 ends lists, and stands for "free" in the unit table */
        have++, wf_heap.flags[0] = WF_UNIT_USED;
    if (will > have)
        insert_joined((uint32_t)have, will - have);
    return true;
}

/* Once: the steps so far, and the state bytes; later steps as they come. */
static void begin_huge_pages(void)
{
    size_t n_units = wf_load_relaxed(&wf_heap.n_units);
    wf_heap.huge_pages = true;
    for (size_t unit = 0; unit < n_units; unit += wf_heap.step_units)
        if (zone_of(unit) == WF_ZONE_DENSE)
            ask_for_huge_pages(unit, unit + wf_heap.step_units < n_units ? unit + wf_heap.step_units : n_units);
    wf_memory_advise(wf_heap.states, wf_heap.reserved_units * WF_CELLS_MOST, MADV_HUGEPAGE);
}

static bool within_limit(size_t n)
{
    size_t limit = wf_load_relaxed(&wf_heap.limit_bytes);
    size_t used = wf_load_relaxed(&wf_heap.used_units);
    return n < wf_heap.reserved_units && (limit == 0 || (used + n) << WF_UNIT_SHIFT <= limit);
}

static uint32_t take_locked(size_t n, enum wf_zone zone)
{
    if (!within_limit(n))
        return 0;
    uint32_t first = find_run(n, zone);
    if (!first && grow(n, zone))
        first = find_run(n, zone);
    if (!first) /* no address space left: huge pages or not is only advice */
        first = find_run(n, (enum wf_zone)(WF_ZONE_COUNT - 1 - zone));
    if (!first)
        return 0;
    size_t length = wf_heap.spans[first].n_units;
    remove_run(first);
    if (length > n)
        insert_run((uint32_t)(first + n), length - n);
    size_t n_again = 0;
    for (size_t i = 0; i < n; i++) {
        uint8_t *flags = &wf_heap.flags[first + i];
        n_again += (*flags & WF_UNIT_RELEASED) && wf_heap.dirty[first + i];
        *flags = (uint8_t)((*flags & ~WF_UNIT_RELEASED) | WF_UNIT_USED);
    }
    wf_add_relaxed(&wf_heap.resident_units, n_again);
    size_t used = wf_add_relaxed(&wf_heap.used_units, n) + n;
    if (WF_UNLIKELY(used >= HUGE_FROM_UNITS && !wf_heap.huge_pages))
        begin_huge_pages();
    return first;
}

uint32_t wf_units_take(size_t n, enum wf_zone zone)
{
    int saved_errno = errno;
    wf_spinlock_lock(&wf_heap.lock);
    uint32_t first = take_locked(n, zone);
    wf_spinlock_unlock(&wf_heap.lock);
    wf_compiler_barrier();
    errno = saved_errno;
    return first;
}

void wf_units_give_locked(uint32_t first, size_t n)
{
    for (size_t i = 0; i < n; i++)
        wf_heap.flags[first + i] &= (uint8_t)~WF_UNIT_USED;
    insert_joined(first, n);
    wf_sub_relaxed(&wf_heap.used_units, n);
}

bool wf_unit_touch(uint32_t unit)
{
    if (wf_heap.dirty[unit])
        return false;
    wf_heap.dirty[unit] = true;
    wf_add_relaxed(&wf_heap.resident_units, 1);
    return true;
}

/* ---- state bytes ---- */

static bool more_lines(void)
{
    uint8_t *usable = wf_heap.states + wf_heap.n_lines_usable * WF_LINE;
    if (!make_usable(usable, usable + LINES_STEP * WF_LINE))
        return false;
    wf_heap.n_lines_usable += LINES_STEP;
    return true;
}

/* A lookup that overlaps with a change of its unit (free.c) may look up to a span's cells past the last line. */
static uint32_t lines_take_locked(unsigned n_lines)
{
    uint32_t line = wf_heap.free_lines[n_lines];
    if (line) {
        uint32_t *link = (uint32_t *)(void *)(wf_heap.states + (size_t)line * WF_LINE);
        wf_heap.free_lines[n_lines] = *link;
        *link = 0;
        return line;
    }
    if (wf_heap.n_lines + n_lines + WF_SPAN_UNITS_MOST * WF_CELLS_MOST / WF_LINE > wf_heap.n_lines_usable && !more_lines())
        return 0;
    line = (uint32_t)wf_heap.n_lines;
    wf_heap.n_lines += n_lines;
    return line;
}

uint32_t wf_lines_take(unsigned n_lines)
{
    int saved_errno = errno;
    wf_spinlock_lock(&wf_heap.lock);
    uint32_t line = lines_take_locked(n_lines);
    wf_spinlock_unlock(&wf_heap.lock);
    wf_compiler_barrier();
    errno = saved_errno;
    return line;
}

void wf_lines_give_locked(uint32_t line, unsigned n_lines)
{
    *(uint32_t *)(void *)(wf_heap.states + (size_t)line * WF_LINE) = wf_heap.free_lines[n_lines];
    wf_heap.free_lines[n_lines] = line;
}

/* ---- giving memory back ---- */

/* The first stretch of whole 2 MiB in the run at `first` of which some unit is not released yet, at most `most` units. */
static size_t releasable(uint32_t first, size_t most, uint32_t *ret_from)
{
    size_t end = first + wf_heap.spans[first].n_units;
    for (size_t from = align_up(first, HUGE_UNITS); from + HUGE_UNITS <= end; from += HUGE_UNITS) {
        size_t n = 0;
        while (from + n + HUGE_UNITS <= end && n + HUGE_UNITS <= most) {
            size_t wanted = 0;
            for (size_t i = 0; i < HUGE_UNITS; i++)
                wanted += wf_heap.dirty[from + n + i] && !(wf_heap.flags[from + n + i] & WF_UNIT_RELEASED);
            if (!wanted)
                break;
            n += HUGE_UNITS;
        }
        if (n) {
            *ret_from = (uint32_t)from;
            return n;
        }
    }
    return 0;
}

/* Takes a stretch out of the free runs as if for a span, so that the lock need not be held over the system call. */
static size_t take_releasable(size_t most, uint32_t *ret_from)
{
    for (unsigned zone = 0; zone < WF_ZONE_COUNT; zone++)
        for (unsigned bin = bin_of(HUGE_UNITS); bin < 64; bin++)
            for (uint32_t run = wf_heap.bins[zone][bin]; run; run = wf_heap.spans[run].next) {
                size_t n = releasable(run, most, ret_from);
                if (!n)
                    continue;
                size_t length = wf_heap.spans[run].n_units, from = *ret_from;
                remove_run(run);
                if (from > run)
                    insert_run(run, from - run);
                if (run + length > from + n)
                    insert_run((uint32_t)(from + n), run + length - from - n);
                for (size_t i = 0; i < n; i++)
                    wf_heap.flags[from + i] |= WF_UNIT_USED;
                return n;
            }
    return 0;
}

static void drop_pages(uint32_t from, size_t n)
{
    bool zero = wf_memory_advise(wf_unit_address(from), n << WF_UNIT_SHIFT, MADV_DONTNEED);
    wf_spinlock_lock(&wf_heap.lock);
    size_t n_resident = 0;
    for (size_t i = 0; i < n; i++) {
        n_resident += wf_heap.dirty[from + i] && !(wf_heap.flags[from + i] & WF_UNIT_RELEASED);
        wf_heap.flags[from + i] = WF_UNIT_RELEASED;
        wf_heap.dirty[from + i] &= !zero;
    }
    wf_sub_relaxed(&wf_heap.resident_units, n_resident);
    insert_joined(from, n);
    wf_spinlock_unlock(&wf_heap.lock);
}

size_t wf_heap_release(int64_t now_ns, size_t keep_bytes)
{
    int saved_errno = errno;
    size_t released = 0;
    wf_spinlock_lock(&wf_heap.lock);
    int64_t elapsed = wf_heap.released_at_ns ? now_ns - wf_heap.released_at_ns : INT64_MAX;
    size_t budget = elapsed > 400000000 ? RELEASE_MOST : (size_t)(elapsed / 1000 * (160 << 20) / 1000000);
    if (budget >= (size_t)HUGE_UNITS << WF_UNIT_SHIFT)
        wf_heap.released_at_ns = now_ns;
    wf_spinlock_unlock(&wf_heap.lock);
    while (released + ((size_t)HUGE_UNITS << WF_UNIT_SHIFT) <= budget) {
        uint32_t from;
        wf_spinlock_lock(&wf_heap.lock);
        size_t resident = wf_load_relaxed(&wf_heap.resident_units) << WF_UNIT_SHIFT;
        size_t excess = resident > keep_bytes ? resident - keep_bytes : 0;
        size_t most = (excess < budget - released ? excess : budget - released) >> WF_UNIT_SHIFT;
        size_t n = take_releasable(most, &from);
        wf_spinlock_unlock(&wf_heap.lock);
        if (!n)
            break;
        drop_pages(from, n);
        released += n << WF_UNIT_SHIFT;
    }
    wf_compiler_barrier();
    errno = saved_errno;
    return released;
}

/* ---- check ---- */

void wf_units_check(void)
{
    size_t n_units = wf_load_relaxed(&wf_heap.n_units), n_used = 0;
    for (size_t unit = 1; unit < n_units;) {
        if (wf_heap.flags[unit] & WF_UNIT_USED) {
            n_used++;
            unit++;
            continue;
        }
        size_t n = wf_heap.spans[unit].n_units;
        WF_CHECK(n > 0 && unit + n <= n_units);
        WF_CHECK(wf_heap.spans[unit + n - 1].n_units == n);
        WF_CHECK(!is_free(unit + n, zone_of(unit)));
        for (size_t i = 0; i < n; i++) {
            WF_CHECK(!(wf_heap.flags[unit + i] & WF_UNIT_USED));
            WF_CHECK(wf_heap.units[unit + i].magic == 0 && wf_heap.units[unit + i].line == 0);
            WF_CHECK(wf_load_relaxed(&wf_heap.units[unit + i].first) == 0);
        }
        unit += n;
    }
    WF_CHECK(n_used == wf_load_relaxed(&wf_heap.used_units));
    for (unsigned zone = 0; zone < WF_ZONE_COUNT; zone++)
        for (unsigned bin = 0; bin < 64; bin++) {
            WF_CHECK((wf_heap.bins[zone][bin] != 0) == (wf_heap.bins_used[zone] >> bin & 1));
            for (uint32_t run = wf_heap.bins[zone][bin], before = 0; run; before = run, run = wf_heap.spans[run].next) {
                WF_CHECK(!(wf_heap.flags[run] & WF_UNIT_USED) && bin_of(wf_heap.spans[run].n_units) == bin);
                WF_CHECK(wf_heap.spans[run].prev == before && zone_of(run) == zone);
            }
        }
}
