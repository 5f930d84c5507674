/* SPDX-License-Identifier: MIT */
/* mark.c - conservative marking by several threads without an atomic operation per mark.
 *
 * Owns:    the states of cells, and wf_heap.queued, from wf_mark_start until the closing pass.
 * Callers: whoever stopped the world; trace functions (wf_mark_object).
 * Locking: none; idle markers sleep on a futex.
 *
 * A found word is resolved to a cell by the unit table. The cell's state is prefetched, and the cell waits among 32 others
 * until it has arrived. Then white becomes grey and the cell's span is queued, unless it is: marks accumulate in a span
 * while it waits, and one visit scans them all, with the bodies prefetched. Cells without pointers become black at once.
 *
 * Marks are plain stores of bytes. Two markers may find the same cell white, and scan it twice: harmless, the second finds
 * only black (measured: 0-30 in 16.7 million). A visit may not use wider stores than bytes on states, for it would undo
 * a mark beside the ones it means.
 *
 * A span's queue word says what a visit has to do:
 *
 *       a mark (0 -> 1, compare and swap)           another mark (1 -> 2, compare and swap)
 *   0 ----------------------------> 1: in one queue, ----------------------------> 2: in one queue,
 *   ^                                  scan `representative`                          scan all that is grey
 *   +---------------------------------+----------------------------------------------+
 *                         visit (exchange with 0, before the states are read)
 *
 * Invariant: a cell that is grey is named by a visit in progress, or its span's word is not 0, or a marker is about to
 * change that word, or it is a leftover.
 *
 * [M1] A mark: store grey, then look at the word. [M2] A visit: exchange the word with 0, then look at the states. If the
 * mark changes the word, both are read-modify-writes of it, and the later one sees what the earlier released: no mark is
 * lost. If the mark finds 2 it writes nothing, and its store may still be in the processor's buffer when the visit reads
 * the state. A fence per mark would cost more than everything else, so such a mark may be lost for the moment: a leftover.
 *
 * [M3] When every marker is idle all stores are visible (the word of `marking` is changed by read-modify-writes). If there
 * was more than one, all spans are looked through for grey, each marker its share, and marking resumes with what is found.
 * A mark is lost only if another marker was visiting, so the rounds end: each blackens at least one cell more.
 *
 * Large objects are claimed by compare-and-swap (white to black) and queued in chunks of two units, each unit by itself.
 */
#include "gc/mark.h"

#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/futex.h"

enum { NOT_QUEUED, ONE_CELL, ALL_GREY };
enum phase { PHASE_OVER, PHASE_MARK, PHASE_VERIFY };
enum {
    BODIES_AHEAD = 16,  /* prefetched while scanning */
    CHUNK_UNITS = 2,    /* of a large object */
    VERIFY_UNITS = 256, /* looked through at a time */
    SPINS = 300,        /* about 10 us, then sleep */
    SLEEP_NS = 2000000,
    WAKE_EVERY = 16, /* a sleeper is woken when a queue grows to 4, 20, 36, ... */
};

static struct wf_marker markers[WF_MARKERS_MOST];

/* Who takes part in what. The word is changed by compare-and-swap only: {turn:32, phase, idle:8, joined:8}. */
static struct {
    WF_ALIGNED_LINE _Atomic uint64_t word;
    unsigned limit;                     /* immutable while marking */
    WF_ALIGNED_LINE _Atomic uint32_t turn; /* futex: changes with the phase, and to wake somebody */
    _Atomic uint32_t n_sleeping;
    WF_ALIGNED_LINE _Atomic size_t verify_next; /* first unit that nobody has taken */
    _Atomic uint64_t n_leftovers;
    _Atomic uint64_t n_leftovers_before; /* in rounds before this one */
} marking;

static unsigned joined_of(uint64_t word)
{
    return word & 0xff;
}
static unsigned idle_of(uint64_t word)
{
    return word >> 8 & 0xff;
}
static enum phase phase_of(uint64_t word)
{
    return (enum phase)(word >> 16 & 3);
}
#define IDLE_ONE (UINT64_C(1) << 8)
#define TURN_ONE (UINT64_C(1) << 32)

static uint64_t next_phase(uint64_t word, enum phase phase)
{
    return (((word >> 32) + 1) << 32) | (uint64_t)phase << 16 | joined_of(word);
}

/* ---- stress ---- */

static uint32_t draw(struct wf_marker *m)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 17;
    m->random ^= m->random << 5;
    return m->random;
}

static WF_NOINLINE void dawdle(struct wf_marker *m)
{
    if (wf_heap_stress.delay_every && draw(m) % wf_heap_stress.delay_every == 0)
        for (uint32_t i = draw(m) % 500; i > 0; i--)
            wf_cpu_relax();
}

/* ---- found words ---- */

static void wake_one(void)
{
    wf_add_relaxed(&marking.turn, 1);
    wf_futex_wake(&marking.turn, 1);
}

WF_INLINE void push(struct wf_marker *m, uint32_t unit)
{
    wf_spanqueue_push(&m->queue, unit);
    /* A sleeper that is missed here is met by a later push, or wakes by itself. */
    if (WF_UNLIKELY(wf_load_relaxed(&marking.n_sleeping) != 0) &&
        wf_spanqueue_length(&m->queue) % WAKE_EVERY == WAKE_EVERY / 4)
        wake_one();
}

/* The cell is grey: see to it that its span is visited. */
WF_INLINE void queue_span(struct wf_marker *m, uint32_t span, uint16_t index)
{
    struct wf_queued *queued = &wf_heap.queued[span];
    uint8_t state = wf_load_relaxed(&queued->state);
    while (state != ALL_GREY) {
        if (state == NOT_QUEUED) {
            if (!wf_cas_acq_rel(&queued->state, &state, ONE_CELL)) /* [M1] */
                continue;
            wf_store_relaxed(&queued->representative, index); /* read by who takes the unit from the queue: [Q1], [Q2] */
            push(m, span);
            return;
        }
        if (wf_cas_acq_rel(&queued->state, &state, ALL_GREY)) /* [M1] */
            return;
    }
}

static WF_NOINLINE void claim_large(struct wf_marker *m, const struct wf_found *found)
{
    uint8_t white = WF_WHITE;
    if (!wf_cas_relaxed((_Atomic uint8_t *)found->state, &white, WF_BLACK))
        return;
    if (found->kind == WF_KIND_TRACED) {
        push(m, found->span);
        return;
    }
    uint32_t n_units = wf_heap.spans[found->span].n_units;
    for (uint32_t i = 0; i < n_units; i += CHUNK_UNITS)
        push(m, found->span + i);
}

/* The cell leaves the waiting room. */
WF_INLINE void settle(struct wf_marker *m, const struct wf_found *found)
{
    if (wf_state_load(found->state) != WF_WHITE)
        return;
    if (found->kind == WF_KIND_DATA) {
        wf_state_store(found->state, WF_BLACK);
        return;
    }
    if (WF_UNLIKELY(found->class_index == WF_CLASS_LARGE)) {
        claim_large(m, found);
        return;
    }
    wf_state_store(found->state, WF_GREY); /* [M1] */
    if (WF_UNLIKELY(m->stressed)) {
        dawdle(m);
        if (wf_heap_stress.leftover_every && draw(m) % wf_heap_stress.leftover_every == 0)
            return;
    }
    queue_span(m, found->span, found->index);
}

/* `offset` lies in the heap. */
WF_INLINE void find(struct wf_marker *m, size_t offset)
{
    const struct wf_unit *unit = &m->units[offset >> WF_UNIT_SHIFT];
    uint32_t span = wf_load_relaxed(&unit->first);
    uint64_t grains = (offset >> 4) - ((uint64_t)span << (WF_UNIT_SHIFT - 4));
    uint64_t index = grains * unit->magic >> WF_MAGIC_SHIFT;
    uint8_t *state = m->states + (size_t)unit->line * WF_LINE + index;
    __builtin_prefetch(state, 1);
    if (WF_LIKELY(m->found_tail - m->found_head == WF_FOUND_MOST))
        settle(m, &m->found[m->found_head++ % WF_FOUND_MOST]);
    struct wf_found *found = &m->found[m->found_tail++ % WF_FOUND_MOST];
    found->state = state;
    found->span = span;
    found->index = (uint16_t)index;
    found->kind = unit->kind;
    found->class_index = unit->class_index;
}

WF_READS_ANYTHING WF_INLINE void scan(struct wf_marker *m, const char *low, const char *high)
{
    uintptr_t base = m->base;
    size_t heap_bytes = m->heap_bytes;
    for (const uintptr_t *p = (const uintptr_t *)(const void *)low; p < (const uintptr_t *)(const void *)high; p++) {
        size_t offset = *p - base;
        if (offset < heap_bytes)
            find(m, offset);
    }
}

void wf_mark_object(struct wf_marker *m, const void *p)
{
    if (WF_UNLIKELY(m->instead != NULL)) {
        m->instead(m->instead_arg, p);
        return;
    }
    size_t offset = (uintptr_t)p - m->base;
    if (offset < m->heap_bytes)
        find(m, offset);
}

WF_READS_ANYTHING void wf_mark_words(struct wf_marker *m, const void *low, const void *high)
{
    const uintptr_t *p = (const uintptr_t *)(((uintptr_t)low + sizeof *p - 1) & -sizeof *p); /* NOLINT */
    if (WF_LIKELY(m->instead == NULL)) {
        scan(m, (const char *)p, (const char *)((uintptr_t)high & -sizeof *p)); /* NOLINT */
        return;
    }
    for (; p + 1 <= (const uintptr_t *)high; p++)
        m->instead(m->instead_arg, (const void *)*p); /* NOLINT */
}

/* The program may hold only one past the end: a root at a cell's first byte, or behind a span's last cell, may mean the
 * cell before. Both are marked then. */
void wf_mark_word(struct wf_marker *m, uintptr_t word)
{
    size_t offset = word - m->base;
    if (offset < m->heap_bytes)
        find(m, offset);
    if (offset % WF_GRAIN == 0 && offset - 1 < m->heap_bytes)
        find(m, offset - 1);
}

WF_READS_ANYTHING void wf_mark_range(struct wf_marker *m, const void *low, const void *high)
{
    const uintptr_t *p = (const uintptr_t *)(((uintptr_t)low + sizeof *p - 1) & -sizeof *p); /* NOLINT */
    wf_begin_reading_anything();
    for (; p + 1 <= (const uintptr_t *)high; p++)
        if (*p - m->base <= m->heap_bytes)
            wf_mark_word(m, *p);
    wf_end_reading_anything();
}

/* ---- visits ---- */

WF_READS_ANYTHING WF_INLINE void scan_cell(struct wf_marker *m, char *cell, size_t size, enum wf_kind kind)
{
    if (WF_LIKELY(kind == WF_KIND_SCANNED)) {
        scan(m, cell, cell + size);
        return;
    }
    if (kind == WF_KIND_CHANNEL) {
        wf_channel_trace(cell, (struct weft_visitor *)m);
        return;
    }
    wf_trace_fn trace = *(const wf_trace_fn *)(const void *)cell;
    if (trace)
        trace(cell + WF_TRACED_HEAD, (struct weft_visitor *)m);
}

/* The grey cells of a span become black; their numbers go to m->cells. */
static unsigned gather(struct wf_marker *m, uint8_t *states, unsigned n_lines)
{
    unsigned n = 0;
    for (unsigned line = 0; line < n_lines; line++) {
        uint64_t grey = wf_line_equal(states + (size_t)line * WF_LINE, WF_GREY);
        for (; grey; grey &= grey - 1) {
            unsigned index = line * WF_LINE + (unsigned)__builtin_ctzl(grey);
            wf_state_store(states + index, WF_BLACK);
            m->cells[n++] = (uint16_t)index;
        }
    }
    return n;
}

static WF_NOINLINE void visit_large(struct wf_marker *m, uint32_t unit, uint32_t span)
{
    const struct wf_span *record = &wf_heap.spans[span];
    char *start = wf_unit_address(span), *end = start + record->bytes;
    if (record->kind == WF_KIND_TRACED) {
        scan_cell(m, start, record->bytes, WF_KIND_TRACED);
        return;
    }
    char *low = wf_unit_address(unit), *high = low + CHUNK_UNITS * WF_UNIT;
    scan(m, low, high < end ? high : end);
}

static void visit(struct wf_marker *m, uint32_t unit)
{
    uint32_t span = wf_load_relaxed(&m->units[unit].first);
    unsigned class_index = m->units[unit].class_index;
    enum wf_kind kind = (enum wf_kind)m->units[unit].kind;
    m->n_visits++;
    if (WF_UNLIKELY(class_index == WF_CLASS_LARGE)) {
        visit_large(m, unit, span);
        return;
    }
    if (WF_UNLIKELY(m->stressed))
        dawdle(m);
    struct wf_queued *queued = &wf_heap.queued[span];
    unsigned one = wf_load_relaxed(&queued->representative); /* before others may queue the span again */
    unsigned what = wf_swap_acq_rel(&queued->state, NOT_QUEUED); /* [M2] */
    if (WF_UNLIKELY(m->stressed))
        dawdle(m);
    uint8_t *states = m->states + (size_t)m->units[span].line * WF_LINE;
    size_t size = wf_sizeclasses[class_index].size;
    char *start = (char *)m->base + ((size_t)span << WF_UNIT_SHIFT);
    unsigned n = 0;
    if (what == ALL_GREY) {
        n = gather(m, states, wf_sizeclasses[class_index].n_lines);
    } else if (wf_state_load(states + one) == WF_GREY) {
        wf_state_store(states + one, WF_BLACK);
        m->cells[n++] = (uint16_t)one;
    }
    m->n_scanned += n;
    for (unsigned i = 0; i < n && i < BODIES_AHEAD; i++)
        __builtin_prefetch(start + m->cells[i] * size);
    for (unsigned i = 0; i < n; i++) {
        if (i + BODIES_AHEAD < n)
            __builtin_prefetch(start + m->cells[i + BODIES_AHEAD] * size);
        scan_cell(m, start + m->cells[i] * size, size, kind);
    }
}

/* Until this marker has nothing left. */
static void work(struct wf_marker *m)
{
    for (;;) {
        uint32_t unit = wf_spanqueue_pop(&m->queue);
        if (unit)
            visit(m, unit);
        else if (m->found_head != m->found_tail)
            settle(m, &m->found[m->found_head++ % WF_FOUND_MOST]);
        else
            return;
    }
}

/* ---- leftovers ---- */

static void verify_span(struct wf_marker *m, uint32_t span)
{
    const struct wf_unit *unit = &m->units[span];
    if (unit->kind == WF_KIND_DATA || unit->class_index >= WF_CLASS_COUNT)
        return;
    const uint8_t *states = m->states + (size_t)unit->line * WF_LINE;
    unsigned n_grey = 0;
    for (unsigned line = 0; line < wf_sizeclasses[unit->class_index].n_lines; line++) {
        uint64_t grey = wf_line_equal(states + (size_t)line * WF_LINE, WF_GREY);
        if (WF_UNLIKELY(grey != 0))
            n_grey += (unsigned)__builtin_popcountl(grey);
    }
    if (n_grey == 0)
        return;
    wf_add_relaxed(&marking.n_leftovers, n_grey);
    WF_ASSERT(wf_load_relaxed(&wf_heap.queued[span].state) == NOT_QUEUED); /* every queue is empty */
    wf_store_relaxed(&wf_heap.queued[span].state, ALL_GREY);
    wf_spanqueue_push(&m->queue, span);
}

/* This marker's share of [M3]. */
static void verify_part(struct wf_marker *m)
{
    size_t n_units = m->heap_bytes >> WF_UNIT_SHIFT;
    for (;;) {
        size_t unit = wf_add_relaxed(&marking.verify_next, VERIFY_UNITS);
        if (unit >= n_units)
            return;
        size_t end = unit + VERIFY_UNITS < n_units ? unit + VERIFY_UNITS : n_units;
        for (; unit < end; unit++)
            if (unit && wf_load_relaxed(&m->units[unit].first) == unit)
                verify_span(m, (uint32_t)unit);
    }
}

/* ---- idleness and the end ---- */

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Enters `phase` from `*seen`; every sleeper looks again. False: *seen was outdated and is renewed. */
static bool enter_phase(uint64_t *seen, enum phase phase)
{
    if (!wf_cas_seq_cst(&marking.word, seen, next_phase(*seen, phase))) /* [M3] */
        return false;
    wf_add_acq_rel(&marking.turn, 1);
    wf_futex_wake(&marking.turn, INT32_MAX);
    return true;
}

static bool steal_from_somebody(struct wf_marker *m, unsigned n_joined)
{
    unsigned first = draw(m) % n_joined;
    for (unsigned i = 0; i < n_joined; i++) {
        struct wf_marker *victim = &markers[(first + i) % n_joined];
        if (victim != m && wf_spanqueue_steal(&victim->queue, &m->queue))
            return true;
    }
    return false;
}

static bool somebody_has_work(const struct wf_marker *m, unsigned n_joined)
{
    for (unsigned i = 0; i < n_joined; i++)
        if (&markers[i] != m && wf_spanqueue_length(&markers[i].queue) >= 2)
            return true;
    return false;
}

/* The last one to become idle decides what comes next. */
static enum phase after(uint64_t word)
{
    if (phase_of(word) == PHASE_MARK)
        return joined_of(word) > 1 || wf_heap_stress.leftover_every ? PHASE_VERIFY : PHASE_OVER;
    return wf_load_relaxed(&marking.n_leftovers) != wf_load_relaxed(&marking.n_leftovers_before) ? PHASE_MARK : PHASE_OVER;
}

static void prepare(enum phase phase)
{
    if (phase == PHASE_VERIFY)
        wf_store_relaxed(&marking.verify_next, 0);
    else
        wf_store_relaxed(&marking.n_leftovers_before, wf_load_relaxed(&marking.n_leftovers));
}

/* Counts this marker as idle in the phase of *seen. True: it was the last, and the phase is over. */
static bool become_idle(uint64_t *seen)
{
    for (;;) {
        if (idle_of(*seen) + 1 == joined_of(*seen)) {
            /* All others are idle and only wait, except that somebody may still join: then the exchange fails, and
             * preparing was for nothing. */
            enum phase phase = after(*seen);
            prepare(phase);
            if (enter_phase(seen, phase))
                return true;
        } else if (wf_cas_seq_cst(&marking.word, seen, *seen + IDLE_ONE)) { /* [M3] */
            *seen += IDLE_ONE;
            return false;
        }
    }
}

/* No longer idle, if the phase has not changed. */
static bool become_busy(uint64_t word)
{
    uint64_t seen = wf_load_relaxed(&marking.word);
    while (seen >> 16 == word >> 16)
        if (wf_cas_seq_cst(&marking.word, &seen, seen - IDLE_ONE))
            return true;
    return false;
}

static void sleep_a_while(uint64_t word, const struct wf_marker *m)
{
    wf_add_seq_cst(&marking.n_sleeping, 1);
    uint32_t turn = wf_load_acquire(&marking.turn);
    uint64_t seen = wf_load_seq_cst(&marking.word);
    bool calm = seen >> 16 == word >> 16 && !(phase_of(word) == PHASE_MARK && somebody_has_work(m, joined_of(seen)));
    if (calm)
        wf_futex_wait(&marking.turn, turn, now_ns() + SLEEP_NS);
    wf_sub_relaxed(&marking.n_sleeping, 1);
}

/* Until there is a new phase, or something to steal (then the marker is busy again). */
static void wait_for_work(struct wf_marker *m, uint64_t word)
{
    for (unsigned spins = 0;;) {
        uint64_t seen = wf_load_acquire(&marking.word);
        if (seen >> 16 != word >> 16)
            return;
        if (phase_of(word) == PHASE_MARK && somebody_has_work(m, joined_of(seen))) {
            if (!become_busy(word))
                return;
            if (steal_from_somebody(m, joined_of(seen)))
                return;
            uint64_t now = wf_load_acquire(&marking.word);
            if (become_idle(&now))
                return;
            word = now;
        } else if (spins++ < SPINS) {
            wf_cpu_relax();
        } else {
            sleep_a_while(word, m);
        }
    }
}

/* Phase after phase, until marking is over. */
static void take_part(struct wf_marker *m)
{
    for (;;) {
        uint64_t word = wf_load_acquire(&marking.word);
        switch (phase_of(word)) {
        case PHASE_OVER:
            return;
        case PHASE_MARK:
            work(m);
            if (steal_from_somebody(m, joined_of(word)))
                continue;
            break;
        case PHASE_VERIFY:
            verify_part(m);
            break;
        }
        /* The phase cannot have changed: this marker was not idle in it. */
        word = wf_load_acquire(&marking.word);
        if (!become_idle(&word))
            wait_for_work(m, word);
    }
}

void wf_mark_drain(struct wf_marker *m)
{
    wf_begin_reading_anything();
    take_part(m);
    wf_end_reading_anything();
}

/* ---- start and join ---- */

void wf_mark_start(unsigned n_markers)
{
    WF_CHECK(n_markers >= 1 && n_markers <= WF_MARKERS_MOST);
    size_t n_units = wf_load_acquire(&wf_heap.n_units);
    uint32_t entries = wf_ring_entries(n_units);
    for (unsigned i = 0; i < n_markers; i++) { /* all of them now: others look at a queue as soon as its owner has joined */
        struct wf_marker *m = &markers[i];
        m->base = wf_heap.base;
        m->heap_bytes = n_units << WF_UNIT_SHIFT;
        m->units = wf_heap.units;
        m->states = wf_heap.states;
        m->stressed = wf_heap_stress.delay_every || wf_heap_stress.leftover_every;
        m->found_head = m->found_tail = 0;
        m->n_visits = m->n_scanned = 0;
        m->random = m->random ? m->random : 0x9e3779b9u * (i + 1);
        wf_spanqueue_init(&m->queue, wf_heap.rings + (size_t)i * entries, entries);
    }
    marking.limit = n_markers;
    wf_store_relaxed(&marking.n_leftovers, 0);
    wf_store_relaxed(&marking.n_leftovers_before, 0);
    uint64_t word = wf_load_relaxed(&marking.word);
    /* [M4] Publishes the markers. Pairs with [M5]. */
    wf_store_release(&marking.word, ((word >> 32) + 1) << 32 | (uint64_t)PHASE_MARK << 16);
}

struct wf_marker *wf_mark_join(void)
{
    uint64_t seen = wf_load_acquire(&marking.word); /* [M5] */
    do {
        if (phase_of(seen) != PHASE_MARK || joined_of(seen) == marking.limit)
            return NULL;
    } while (!wf_cas_seq_cst(&marking.word, &seen, seen + 1));
    return &markers[joined_of(seen)];
}

bool wf_mark_is_marked(const void *p)
{
    struct wf_cell cell;
    return wf_heap_find((uintptr_t)p, &cell) && wf_state_load(cell.state) == WF_BLACK;
}

void wf_mark_own_memory(const void **ret_low, const void **ret_high)
{
    *ret_low = markers;
    *ret_high = markers + WF_MARKERS_MOST;
}

void wf_mark_count(struct wf_mark_counts *ret_counts)
{
    uint64_t word = wf_load_acquire(&marking.word);
    *ret_counts = (struct wf_mark_counts){.n_markers = joined_of(word), .n_leftovers = wf_load_relaxed(&marking.n_leftovers)};
    for (unsigned i = 0; i < ret_counts->n_markers; i++) {
        ret_counts->n_visits += markers[i].n_visits;
        ret_counts->n_scanned += markers[i].n_scanned;
    }
}
