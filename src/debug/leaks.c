/* SPDX-License-Identifier: MIT */
/* leaks.c - which routines wait for what can never come.
 *
 * Owns:    the memory of one search, mapped while the world is stopped, and what the latest found.
 * Callers: users (weft_leaks), collect.c (WEFT_DEBUG=leak=1).
 * Locking: one search at a time: who searches has claimed the world.
 *
 * Problem. A routine is leaked if nobody who may ever run again can get at what it waits on. Take the waiting routines out
 * of the roots and see what can be reached: who waits on something reached may be woken, then its stack counts too, and
 * so on. Done in rounds that takes as many passes as the longest chain.
 *
 * Approach. One search over a graph whose nodes are collected objects, routines, and *keys*: addresses of other things that
 * matter (futures, scopes, objects that hold a mutex or the like). What leads where:
 *   object    -> what its words (or its trace function) point to; a channel -> who waits on it; a weak handle -> its object
 *   routine   -> what its stack, arguments, routine-local values and wait point to; who awaits it; its scope; the scopes that it
 *                is in and may cancel; who waits for something that lies on its stack
 *   a word that points into the used part of a waiting routine's stack -> that routine
 *   key       -> the routines, objects and keys that were linked to it
 * Every node and edge is followed once, so the time is linear in what is alive. It is a search of its own, not the marking
 * of the collection: by one thread, and slower. The collection that follows takes all routines for roots, as always, so
 * what is leaked stays alive.
 *
 * Never to name a routine that can still be woken is worth more than to name all that cannot. So these are roots: whoever
 * runs, is runnable, sleeps or has a deadline; plain threads; who waits in a coroutine, on a stack of a size of its own, for
 * several futures, or for a thing in static memory, malloc's, or a plain thread's stack; and every kind of wait that is not
 * named here. Words are taken for pointers conservatively, also one past the end.
 *
 * All writable memory of the process is a root here, unlike in a collection: a promise, the name of a scope, or the address of
 * something on a stack may be kept in malloc's memory, and used. The price is that a leftover in freed memory hides a leak.
 *
 * Cancellation is a way of being woken: whoever reaches the handle of a routine's future, or the name of a scope, may use
 * it; so may the owner of a scope that does not wait at its end, and a child that runs may fail and so end its siblings.
 */
#define _GNU_SOURCE
#include "debug/leaks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <weft/gc.h>

#include "base/assert.h"
#include "chan/chan.h"
#include "chan/select.h"
#include "debug/dump.h"
#include "debug/memory.h"
#include "gc/cleanup.h"
#include "gc/collect.h"
#include "gc/mark.h"
#include "gc/roots.h"
#include "sched/hooks.h"
#include "sched/object.h"
#include "sched/park.h"
#include "sched/ranges.h"
#include "sched/threads.h"
#include "sched/world.h"
#include "scope/future.h"
#include "scope/scope.h"
#include "stack/arena.h"
#include "sync/lot.h"

enum wf_leak_mode wf_leak_mode;
uint64_t wf_leaks_steps;

/* ---- memory of the search ---- */

struct array {
    void *at;
    size_t n, most;
};

/* What a word may lead to besides objects and stacks. */
struct key {
    uintptr_t address; /* a line of sched/object.h's memory; the beginning of a collected object; a routine's descriptor */
    uint32_t edges;    /* the first, counted from 1; 0: none */
    bool active;
    bool judged, ends; /* a scope's: whether a deadline lies around it, or it has ended */
};

enum edge_kind { EDGE_ROUTINE, EDGE_WORD, EDGE_KEY };
struct edge {
    uint32_t next; /* of the same key, counted from 1 */
    enum edge_kind kind;
    uintptr_t to; /* the routine's or key's index; the word */
};

enum routine_state { ROOT, WAITS, REACHED };

struct finder {
    uint32_t n_routines;
    uint8_t *states;       /* by routine; a free descriptor is ROOT, too */
    uint32_t *slot_owners; /* by stack slot: the waiting routine on it, counted from 1 */
    uint8_t *marks;        /* beside wf_heap.states */
    size_t marks_size;
    struct array keys, edges;
    struct array index;       /* of keys, counted from 1: open addressing by address */
    struct array work;        /* items to be followed: see push() */
    struct array excluded;    /* from what of the process's memory is searched */
    uintptr_t handles_low, handles_high; /* where futures and scopes lie */
    struct wf_marker tracer;  /* stands in for a marker in calls of trace functions */
    uint64_t n_steps;
    bool out_of_memory;
};

/* Shared: so it is none of the private memory that is searched. */
static void *map(size_t size)
{
    void *p = mmap(NULL, size + 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p != MAP_FAILED ? p : NULL;
}

static void unmap(void *p, size_t size)
{
    if (p != NULL)
        munmap(p, size + 1);
}

/* Room for one more element. */
static bool grow(struct finder *f, struct array *a, size_t element)
{
    enum { FIRST = 4096 };
    if (a->n < a->most)
        return true;
    size_t most = a->most != 0 ? a->most * 2 : FIRST;
    void *p = map(most * element);
    if (p == NULL) {
        f->out_of_memory = true;
        return false;
    }
    if (a->at != NULL)
        memcpy(p, a->at, a->n * element);
    unmap(a->at, a->most * element);
    a->at = p;
    a->most = most;
    return true;
}

/* ---- keys and edges ---- */

static struct key *key_at(struct finder *f, uint32_t i)
{
    return (struct key *)f->keys.at + i;
}

static uint32_t *index_place(struct array *index, const struct key *keys, uintptr_t address)
{
    uint32_t *places = index->at;
    for (size_t i = (address * UINT64_C(0x9e3779b97f4a7c15)) >> 20;; i++) {
        uint32_t *place = &places[i & (index->most - 1)];
        if (*place == 0 || keys[*place - 1].address == address)
            return place;
    }
}

static bool double_index(struct finder *f)
{
    size_t most = f->index.most != 0 ? f->index.most * 2 : 4096;
    struct array larger = {.at = map(most * sizeof(uint32_t)), .most = most};
    if (larger.at == NULL) {
        f->out_of_memory = true;
        return false;
    }
    for (uint32_t i = 0; i < f->keys.n; i++)
        *index_place(&larger, f->keys.at, key_at(f, i)->address) = i + 1;
    unmap(f->index.at, f->index.most * sizeof(uint32_t));
    f->index = larger;
    return true;
}

/* Counted from 1; 0: there is none. */
static uint32_t find_key(struct finder *f, uintptr_t address)
{
    return f->keys.n != 0 ? *index_place(&f->index, f->keys.at, address) : 0;
}

/* The same, made if need be; 0: out of memory. */
static uint32_t make_key(struct finder *f, uintptr_t address)
{
    uint32_t found = find_key(f, address);
    if (found != 0)
        return found;
    if (f->keys.n * 2 >= f->index.most && !double_index(f))
        return 0;
    if (!grow(f, &f->keys, sizeof(struct key)))
        return 0;
    uint32_t i = (uint32_t)f->keys.n++;
    *key_at(f, i) = (struct key){.address = address};
    *index_place(&f->index, f->keys.at, address) = i + 1;
    return i + 1;
}

static void link_key(struct finder *f, uintptr_t from, enum edge_kind kind, uintptr_t to)
{
    uint32_t key = make_key(f, from);
    if (key == 0 || !grow(f, &f->edges, sizeof(struct edge)))
        return;
    struct key *k = key_at(f, key - 1);
    ((struct edge *)f->edges.at)[f->edges.n++] = (struct edge){.next = k->edges, .kind = kind, .to = to};
    k->edges = (uint32_t)f->edges.n;
}

/* ---- nodes ---- */

/* An item is an object's address, or the number of a routine or key with its kind in the lowest bits. */
enum item_kind { ITEM_OBJECT, ITEM_ROUTINE, ITEM_KEY, ITEM_KIND = 7, ITEM_SHIFT = 3 };

static void push(struct finder *f, uintptr_t item)
{
    if (grow(f, &f->work, sizeof(uintptr_t)))
        ((uintptr_t *)f->work.at)[f->work.n++] = item;
}

static void reach_routine(struct finder *f, uint32_t i)
{
    if (f->states[i] != WAITS)
        return;
    f->states[i] = REACHED;
    push(f, (uintptr_t)i << ITEM_SHIFT | ITEM_ROUTINE);
}

/* Plain threads have descriptors too, elsewhere: they are roots. */
static uint32_t number_of(const struct finder *f, const struct wf_routine *r)
{
    size_t i = ((uintptr_t)r - (uintptr_t)wf_routine_at(0)) / sizeof(struct wf_routine);
    return i < f->n_routines ? (uint32_t)i : UINT32_MAX;
}

static void reach_waiter(struct finder *f, const struct wf_routine *r)
{
    uint32_t i = number_of(f, r);
    f->n_steps++;
    if (i != UINT32_MAX)
        reach_routine(f, i);
}

static void reach_key(struct finder *f, uintptr_t address)
{
    uint32_t key = find_key(f, address);
    if (key == 0 || key_at(f, key - 1)->active)
        return;
    key_at(f, key - 1)->active = true;
    push(f, (uintptr_t)(key - 1) << ITEM_SHIFT | ITEM_KEY);
}

/* `word` lies in the collected heap. `behind`: it is the last byte before what the program's word points to, which may mean
 * one past the end. Not of a channel, though: its users do not know how large it is, and its neighbour is a channel, too. */
static void reach_object(struct finder *f, uintptr_t word, bool behind)
{
    struct wf_cell cell;
    if (!wf_heap_find(word, &cell) || (behind && cell.kind == WF_KIND_CHANNEL))
        return;
    uint8_t *mark = &f->marks[cell.state - wf_heap.states];
    if (*mark != 0)
        return;
    *mark = 1;
    push(f, (uintptr_t)cell.start | ITEM_OBJECT);
}

/* Into the used part of a waiting routine's stack: whoever holds such a pointer may look at, and be waited for at, whatever
 * lies there. */
static void reach_stack(struct finder *f, uintptr_t word)
{
    size_t slot = (word - (uintptr_t)wf_arena.base) >> wf_arena.slot_shift;
    uint32_t owner = f->slot_owners[slot];
    if (owner != 0 && word >= (uintptr_t)wf_routine_at(owner - 1)->sp)
        reach_routine(f, owner - 1);
}

/* The name of a scope has its generation above and below the address; other handles are addresses. */
#define HANDLE_MASK (((UINT64_C(1) << 47) - 1) & ~(uintptr_t)(WF_CACHELINE - 1))

static void reach_word(struct finder *f, uintptr_t word)
{
    f->n_steps++;
    if (word < 4096)
        return;
    if (wf_heap_contains(word) || wf_heap_contains(word - 1)) {
        reach_object(f, word, false);
        if (word % WF_GRAIN == 0)
            reach_object(f, word - 1, true);
        return;
    }
    if (word - (uintptr_t)wf_arena.base < (uintptr_t)wf_arena.n_slots << wf_arena.slot_shift) {
        reach_stack(f, word);
        return;
    }
    uintptr_t line = word & HANDLE_MASK;
    if (line >= f->handles_low && line < f->handles_high)
        reach_key(f, line);
}

WF_READS_ANYTHING static void reach_range(void *arg, const void *low, const void *high)
{
    const uintptr_t *p = (const uintptr_t *)(((uintptr_t)low + sizeof *p - 1) & -sizeof *p); /* NOLINT */
    for (; p + 1 <= (const uintptr_t *)high; p++)
        reach_word(arg, *p);
}

static void reach_pointer(void *arg, const void *p)
{
    reach_word(arg, (uintptr_t)p);
}

/* ---- following ---- */

static void follow_queue(struct finder *f, struct wf_waitq *q)
{
    struct wf_waiter *first = wf_waitq_first(q), *w = first;
    if (first == NULL)
        return;
    do {
        reach_waiter(f, w->routine); /* a stale one's routine is not among those that wait */
        w = w->next;
    } while (w != first);
}

WF_READS_ANYTHING static void follow_object(struct finder *f, uintptr_t address)
{
    struct wf_cell cell;
    if (!wf_heap_find(address, &cell))
        return;
    switch ((enum wf_kind)cell.kind) {
    case WF_KIND_SCANNED:
        reach_range(f, cell.start, cell.start + cell.size);
        break;
    case WF_KIND_TRACED: {
        wf_trace_fn trace = *(const wf_trace_fn *)(const void *)(cell.start - WF_TRACED_HEAD);
        if (trace)
            trace(cell.start, (struct weft_visitor *)&f->tracer);
        break;
    }
    case WF_KIND_CHANNEL: {
        struct weft__chan *c = (struct weft__chan *)(void *)cell.start;
        wf_chan_trace(c, (struct weft_visitor *)&f->tracer);
        follow_queue(f, &c->receivers);
        follow_queue(f, &c->senders);
        break;
    }
    case WF_KIND_DATA:
    case WF_KIND_COUNT:
        break;
    }
    reach_key(f, (uintptr_t)cell.start);
}

/* What settling the future of a routine that can run on will do. */
static void follow_future(struct finder *f, const struct wf_future *future)
{
    if (wf_load_relaxed(&future->state) != WF_FUTURE_PENDING)
        return;
    reach_word(f, (uintptr_t)future->pending.done);
    if ((future->marks & WF_FUTURE_TRACKED) != 0)
        reach_word(f, (uintptr_t)future->pending.tracker);
    for (const struct wf_waiter *w = future->waiters; w != NULL; w = w->next)
        if (w->routine != NULL)
            reach_waiter(f, w->routine);
}

/* What a routine, or plain thread, that can run on may do besides what its stack tells. */
static void follow_relations(struct finder *f, const struct wf_routine *r)
{
    uint64_t waits_on = wf_load_relaxed(&r->waits_on);
    if (wf_routine_is_child(r))
        reach_key(f, (uintptr_t)wf_scope_of_child(r));
    else if (r->future != NULL)
        follow_future(f, r->future);
    for (struct wf_scope *s = r->scopes; s != NULL; s = s->below) {
        f->n_steps++;
        if (waits_on != wf_wait_pack(WF_WAIT_SCOPE, s)) /* there it can do nothing to it */
            reach_key(f, (uintptr_t)s);
    }
    reach_key(f, (uintptr_t)r); /* what lies on its stack */
}

static void follow_routine(struct finder *f, uint32_t i)
{
    struct wf_routine *r = wf_routine_at(i);
    wf_world_each_range_of(r, reach_range, f);
    follow_relations(f, r);
}

static void follow_key(struct finder *f, uint32_t key)
{
    uint32_t i = key_at(f, key)->edges;
    while (i != 0) {
        const struct edge e = ((const struct edge *)f->edges.at)[i - 1];
        f->n_steps++;
        if (e.kind == EDGE_ROUTINE)
            reach_routine(f, (uint32_t)e.to);
        else if (e.kind == EDGE_WORD)
            reach_word(f, e.to);
        else
            reach_key(f, key_at(f, (uint32_t)e.to)->address);
        i = e.next;
    }
}

static void follow_all(struct finder *f)
{
    while (f->work.n != 0 && !f->out_of_memory) {
        uintptr_t item = ((uintptr_t *)f->work.at)[--f->work.n];
        f->n_steps++;
        switch ((enum item_kind)(item & ITEM_KIND)) {
        case ITEM_ROUTINE:
            follow_routine(f, (uint32_t)(item >> ITEM_SHIFT));
            break;
        case ITEM_KEY:
            follow_key(f, (uint32_t)(item >> ITEM_SHIFT));
            break;
        default:
            follow_object(f, item);
            break;
        }
    }
}

/* ---- who waits, and on what ---- */

/* A deadline around the block, which will wake whoever waits inside; or the block has ended already. What is found is noted at the
 * scopes on the way, so that no block is looked at twice. */
static bool ends_by_itself(struct finder *f, struct wf_frame *innermost)
{
    bool ends = false;
    struct wf_frame *frame = innermost;
    for (; frame != NULL; frame = frame->outer) {
        const struct key *k = NULL;
        uint32_t key = frame->kind == WF_FRAME_SCOPE ? find_key(f, (uintptr_t)frame) : 0;
        if (key != 0 && (k = key_at(f, key - 1))->judged)
            ends = k->ends;
        else
            ends = frame->kind == WF_FRAME_DEADLINE || wf_load_relaxed(&frame->reason) != 0;
        f->n_steps++;
        if (ends || (k != NULL && k->judged))
            break;
    }
    uint32_t inner = 0;
    for (struct wf_frame *at = innermost; at != NULL; at = at->outer) {
        bool last = at == frame;
        if (at->kind == WF_FRAME_SCOPE) {
            uint32_t key = make_key(f, (uintptr_t)at);
            make_key(f, (uintptr_t)at + WF_CACHELINE); /* its other lines: known, so that they are no roots */
            if (key == 0)
                break;
            key_at(f, key - 1)->judged = true;
            key_at(f, key - 1)->ends = ends;
            if (inner != 0)
                link_key(f, (uintptr_t)at, EDGE_KEY, inner - 1); /* its end is the end of what is in it */
            inner = key;
        }
        if (last)
            break;
    }
    return ends;
}
_Static_assert(offsetof(struct wf_scope, frame) == 0, "a scope is found by its frame");
_Static_assert(sizeof(struct wf_scope) > WF_CACHELINE && sizeof(struct wf_scope) <= 2 * WF_CACHELINE, "two lines");

/* Whether nothing but what this search can see will end the wait of r. */
static bool waits_for_others(struct finder *f, struct wf_routine *r)
{
    uint64_t waits_on = wf_load_relaxed(&r->waits_on);
    const void *object = wf_wait_object_of(waits_on);
    if ((r->flags & (WF_STARTED | WF_OWN_STACK)) != WF_STARTED || r->wait.coro != NULL || wf_load_relaxed(&r->pending) != 0)
        return false;
    switch (wf_wait_kind_of(waits_on)) {
    case WF_WAIT_CHAN_SEND:
    case WF_WAIT_CHAN_RECV:
    case WF_WAIT_CHAN_NIL:
    case WF_WAIT_SCOPE:
    case WF_WAIT_FUTURE:
        break;
    case WF_WAIT_SELECT:
        if (!wf_claim_is_open(r) || wf_select_has_limit(r))
            return false;
        break;
    case WF_WAIT_MUTEX:
    case WF_WAIT_RWMUTEX_READ:
    case WF_WAIT_RWMUTEX_WRITE:
    case WF_WAIT_COND:
    case WF_WAIT_WAITGROUP:
    case WF_WAIT_ONCE:
    case WF_WAIT_SEM:
    case WF_WAIT_BARRIER:
    case WF_WAIT_LATCH:
    case WF_WAIT_TRACKER:
        if (wf_load_relaxed(&wf_lot_n_waking) != 0) /* in somebody's hands, perhaps, about to be woken */
            return false;
        if (!wf_heap_contains((uintptr_t)object) &&
            (uintptr_t)object - (uintptr_t)wf_arena.base >= (uintptr_t)wf_arena.n_slots << wf_arena.slot_shift)
            return false;
        break;
    default:
        return false;
    }
    return !ends_by_itself(f, r->frame);
}

/* A thing in the user's memory. False: where it lies nobody looks. */
static bool link_user_object(struct finder *f, uint32_t i, uintptr_t object)
{
    struct wf_cell cell;
    if (wf_heap_contains(object)) {
        if (!wf_heap_find(object, &cell))
            return false;
        link_key(f, (uintptr_t)cell.start, EDGE_ROUTINE, i);
        return true;
    }
    uint32_t owner = f->slot_owners[(object - (uintptr_t)wf_arena.base) >> wf_arena.slot_shift];
    if (owner == 0)
        return false; /* of one who can run, or a coroutine's */
    link_key(f, (uintptr_t)wf_routine_at(owner - 1), EDGE_ROUTINE, i);
    return true;
}

/* What may cancel it. */
static void link_cancellation(struct finder *f, uint32_t i)
{
    const struct wf_routine *r = wf_routine_at(i);
    for (struct wf_frame *frame = r->frame; frame != NULL; frame = frame->outer) {
        f->n_steps++;
        if (frame->kind == WF_FRAME_SCOPE) {
            link_key(f, (uintptr_t)frame, EDGE_ROUTINE, i);
            break; /* it is linked to those around it */
        }
    }
    const struct wf_future *future = !wf_routine_is_child(r) ? r->future : NULL;
    if (future == NULL)
        return;
    make_key(f, (uintptr_t)future); /* no root: what it holds is what this routine will do at its end */
    if ((future->marks & WF_FUTURE_DETACHED) != 0)
        return; /* nobody has its handle */
    link_key(f, (uintptr_t)future, EDGE_ROUTINE, i);
    link_key(f, (uintptr_t)future, EDGE_WORD, (uintptr_t)future->pending.done);
}

static bool link_wait(struct finder *f, uint32_t i)
{
    uint64_t waits_on = wf_load_relaxed(&wf_routine_at(i)->waits_on);
    uintptr_t object = (uintptr_t)wf_wait_object_of(waits_on);
    switch (wf_wait_kind_of(waits_on)) {
    case WF_WAIT_CHAN_SEND: /* a channel knows who waits on it */
    case WF_WAIT_CHAN_RECV:
    case WF_WAIT_SELECT:
    case WF_WAIT_CHAN_NIL:
        return true;
    case WF_WAIT_FUTURE:
    case WF_WAIT_SCOPE:
        if (object != 0)
            link_key(f, object, EDGE_ROUTINE, i);
        return true;
    default:
        return link_user_object(f, i, object);
    }
}

static void find_those_who_wait(struct finder *f)
{
    for (uint32_t i = 0; i < f->n_routines; i++) {
        struct wf_routine *r = wf_routine_at(i);
        f->n_steps++;
        if (wf_load_relaxed(&r->id) == 0 || !waits_for_others(f, r))
            continue;
        f->states[i] = WAITS;
        f->slot_owners[r->stack_slot] = i + 1;
    }
    for (uint32_t i = 0; i < f->n_routines; i++) {
        if (f->states[i] != WAITS)
            continue;
        link_cancellation(f, i);
        if (!link_wait(f, i))
            reach_routine(f, i);
    }
}

/* ---- roots ---- */

static void link_weak(void *arg, const void *handle, const void *object)
{
    link_key(arg, (uintptr_t)handle, EDGE_WORD, (uintptr_t)object);
}

/* The futures and scopes of those who wait are no roots: whether they are reached is the question. */
WF_READS_ANYTHING static void reach_chunk(struct finder *f, const char *low, const char *high)
{
    for (; low < high; low += WF_CACHELINE)
        if (find_key(f, (uintptr_t)low) == 0)
            reach_range(f, low, low + WF_CACHELINE);
}

static void exclude(struct finder *f, const void *low, const void *high)
{
    if (grow(f, &f->excluded, sizeof(struct wf_excluded)))
        ((struct wf_excluded *)f->excluded.at)[f->excluded.n++] = (struct wf_excluded){(uintptr_t)low, (uintptr_t)high};
}

static void exclude_stacks(struct finder *f, const struct wf_thread *first)
{
    for (const struct wf_thread *t = first; t != NULL; t = t->next_all)
        exclude(f, t->stack_low, t->stack_high);
}

/* All other memory, malloc's before all. A channel may not be kept only there, but the handle of a future or a promise, the
 * name of a scope, or the address of something on a routine's stack may. What the library keeps for itself says nothing of what the
 * program can reach. */
static void reach_memory(struct finder *f, const struct wf_object_chunk *chunks, uint32_t n_chunks)
{
    exclude(f, (const void *)wf_heap.base, (const char *)wf_heap.base + (wf_heap.reserved_units << WF_UNIT_SHIFT)); /* NOLINT */
    exclude(f, wf_arena.base, wf_arena.base + ((size_t)wf_arena.n_slots << wf_arena.slot_shift));
    exclude(f, wf_routine_at(0), wf_routine_at(f->n_routines));
    for (uint32_t i = 0; i < n_chunks; i++)
        exclude(f, chunks[i].low, chunks[i].high);
    exclude_stacks(f, wf_threads.all);
    exclude_stacks(f, wf_threads.foreign);
    if (!f->out_of_memory && !wf_memory_each(f->excluded.at, f->excluded.n, reach_range, f))
        f->out_of_memory = true;
    follow_all(f);
}

static void reach_roots(struct finder *f, const struct wf_object_chunk *chunks, uint32_t n_chunks)
{
    wf_roots_each_lasting(reach_range, f);
    wf_cleanups_each_argument(reach_pointer, f);
    follow_all(f);
    reach_memory(f, chunks, n_chunks);
    for (uint32_t i = 0; i < n_chunks; i++) {
        reach_chunk(f, chunks[i].low, chunks[i].high);
        follow_all(f);
    }
    for (struct wf_thread *t = wf_threads.foreign; t != NULL; t = t->next_all)
        follow_relations(f, t->current);
    for (uint32_t i = 0; i < f->n_routines && !f->out_of_memory; i++) {
        if (f->states[i] != ROOT || wf_load_relaxed(&wf_routine_at(i)->id) == 0)
            continue;
        follow_routine(f, i);
        follow_all(f);
    }
}

/* ---- a search ---- */

struct leak {
    struct wf_routine *routine;
    uint64_t id, waits_on;
    const struct weft__site *site;
    char name[32];
    bool is_new;
};

struct found {
    struct leak *leaks;
    size_t n;
};

static void unmap_found(struct found *found)
{
    unmap(found->leaks, found->n * sizeof(struct leak));
    *found = (struct found){0};
}

static void note_leaks(struct finder *f, struct found *ret_found)
{
    size_t n = 0;
    for (uint32_t i = 0; i < f->n_routines; i++)
        n += f->states[i] == WAITS;
    struct leak *leaks = n != 0 ? map(n * sizeof(*leaks)) : NULL;
    if (leaks == NULL)
        return;
    *ret_found = (struct found){leaks, n};
    for (uint32_t i = 0; i < f->n_routines; i++) {
        struct wf_routine *r = wf_routine_at(i);
        if (f->states[i] != WAITS)
            continue;
        *leaks = (struct leak){.routine = r, .id = wf_load_relaxed(&r->id), .waits_on = wf_load_relaxed(&r->waits_on), .site = r->site};
        if (r->extra != NULL)
            memcpy(leaks->name, r->extra->name, sizeof(leaks->name));
        leaks++;
    }
}

static bool begin(struct finder *f, const struct wf_object_chunk *chunks, uint32_t n_chunks)
{
    f->n_routines = wf_n_workers != 0 ? wf_routines_count() : 0;
    f->marks_size = (wf_heap.n_lines + 1) * WF_LINE;
    f->states = map(f->n_routines);
    f->slot_owners = map(wf_arena.n_slots * sizeof(uint32_t));
    f->marks = map(f->marks_size);
    f->tracer.instead = reach_pointer;
    f->tracer.instead_arg = f;
    f->handles_low = UINTPTR_MAX;
    for (uint32_t i = 0; i < n_chunks; i++) {
        f->handles_low = (uintptr_t)chunks[i].low < f->handles_low ? (uintptr_t)chunks[i].low : f->handles_low;
        f->handles_high = (uintptr_t)chunks[i].high > f->handles_high ? (uintptr_t)chunks[i].high : f->handles_high;
    }
    return f->states != NULL && f->slot_owners != NULL && f->marks != NULL;
}

static void end(struct finder *f)
{
    unmap(f->states, f->n_routines);
    unmap(f->slot_owners, wf_arena.n_slots * sizeof(uint32_t));
    unmap(f->marks, f->marks_size);
    unmap(f->keys.at, f->keys.most * sizeof(struct key));
    unmap(f->edges.at, f->edges.most * sizeof(struct edge));
    unmap(f->index.at, f->index.most * sizeof(uint32_t));
    unmap(f->work.at, f->work.most * sizeof(uintptr_t));
    unmap(f->excluded.at, f->excluded.most * sizeof(struct wf_excluded));
}

/* The world is stopped, all caches are flushed. Nothing is found when there is no memory to search with. */
static void search(struct found *ret_found)
{
    static struct finder finder; /* too large for a routine's stack */
    struct finder *f = &finder;
    const struct wf_object_chunk *chunks;
    uint32_t n_chunks = wf_object_chunks(&chunks);
    *f = (struct finder){0};
    *ret_found = (struct found){0};
    wf_begin_reading_anything();
    if (begin(f, chunks, n_chunks) && f->n_routines != 0) {
        find_those_who_wait(f);
        wf_cleanups_each_weak(link_weak, f);
        reach_roots(f, chunks, n_chunks);
        if (!f->out_of_memory)
            note_leaks(f, ret_found);
    }
    wf_end_reading_anything();
    wf_leaks_steps = f->n_steps;
    end(f);
}

/* ---- on request ---- */

static void look(void *arg)
{
    search(arg);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static const void *object_of(uint64_t waits_on)
{
    return wf_wait_kind_of(waits_on) == WF_WAIT_SELECT ? NULL : wf_wait_object_of(waits_on);
}

WF_PUBLIC size_t weft_leaks(weft_leak_fn report, void *arg)
{
    struct found found = {0};
    wf_gc_collect_looking(look, &found);
    for (size_t i = 0; report != NULL && i < found.n; i++) {
        const struct leak *l = &found.leaks[i];
        report(&(weft_leak){.routine_id = l->id,
                            .name = l->name,
                            .waits = wf_wait_kinds[wf_wait_kind_of(l->waits_on)].text,
                            .object = object_of(l->waits_on),
                            .file = l->site != NULL ? base_name(l->site->file) : "?",
                            .line = l->site != NULL ? l->site->line : 0,
                            .function = l->site != NULL ? l->site->function : "?"},
               arg);
    }
    size_t n = found.n;
    unmap_found(&found);
    return n;
}

/* ---- in every collection ---- */

static struct found latest; /* written with the world stopped; whoever stopped it takes it before going outside */

void wf_leaks_look(void *unused)
{
    (void)unused;
    unmap_found(&latest); /* nobody has come for it */
    search(&latest);
    for (size_t i = 0; i < latest.n; i++) {
        struct leak *l = &latest.leaks[i];
        l->is_new = (l->routine->flags & WF_LEAK_TOLD) == 0; /* the routine's own, which stands still */
        l->routine->flags |= WF_LEAK_TOLD;
    }
}

static void end_wait(struct wf_thread *thread, const struct leak *l)
{
    if (wf_load_acquire(&l->routine->id) == l->id && wf_load_acquire(&l->routine->waits_on) == l->waits_on)
        wf_wait_abort(thread, l->routine, -EDEADLK);
}

static void print_new(const struct found *found)
{
    char text[WF_DUMP_LINE];
    for (size_t i = 0; i < found->n; i++) {
        const struct leak *l = &found->leaks[i];
        if (!l->is_new)
            continue;
        wf_dump_describe(text, sizeof(text), l->id, l->name, l->waits_on, l->site);
        wf_message("leak: %s; nothing can wake it", text);
    }
}

struct wf_thread *wf_leaks_tell(struct wf_thread *thread)
{
    struct found found = latest;
    latest = (struct found){0};
    for (size_t i = 0; i < found.n && wf_leak_mode == WF_LEAK_WAKE; i++)
        end_wait(thread, &found.leaks[i]);
    if (found.n != 0) {
        wf_leave(thread); /* writing may take a while */
        print_new(&found);
        thread = wf_enter_without_start();
    }
    unmap_found(&found);
    return thread;
}

void wf_leaks_look_now(void)
{
    wf_gc_collect_looking(wf_leaks_look, NULL);
}
