/* SPDX-License-Identifier: MIT */
/* cleanup.c - weak handles, cleanups, external bytes. See cleanup.h.
 *
 * Owns:    the table: specials in slabs, chained by a hash of their object. Callers: users; free.c; collect.c with the world
 *          stopped.
 * Locking: `all.lock`; held inside the runtime only, so with the world stopped nobody does.
 *
 * An object has one special for all its external bytes, and one for each pointer into it that a weak handle was made of:
 * who asks again gets the same handle. Nothing is allocated while the world is stopped: a cleanup that is due moves from its
 * chain to another list.
 *
 * Order in wf_cleanups_look(): weak handles are cleared by what is marked now. A cleanup's argument was a root, so it is
 * alive; its object is not brought back.
 */
#define _GNU_SOURCE
#include "gc/cleanup.h"

#include <errno.h>
#include <weft/gc.h>

#include "base/assert.h"
#include "gc/collect.h"
#include "gc/mark.h"
#include "gc/memory.h"
#include "gc/pacer.h"
#include "sched/sched.h"
#include "sched/worker.h"

enum { SLAB_BYTES = 64 << 10, LEAST_CHAINS = 1 << 10 };

struct weft_weak {
    _Atomic uintptr_t hidden; /* complement of the pointer; 0: its object is gone */
};

enum kind { FREE, WEAK, CLEANUP, EXTERNAL, DUE };

struct special {
    struct special *next; /* chain, free list or list of those due */
    uintptr_t hidden;     /* complement of the object's beginning */
    enum kind kind;
    union {
        uintptr_t handle; /* WEAK: its complement */
        struct {          /* CLEANUP, DUE */
            void (*fn)(void *arg);
            void *arg;
        };
        int64_t bytes; /* EXTERNAL */
    };
};

struct slab {
    struct slab *next;
    struct special specials[(SLAB_BYTES - sizeof(struct slab *)) / sizeof(struct special)];
};
_Static_assert(sizeof(struct slab) <= SLAB_BYTES, "one mapping");

static struct {
    struct wf_spinlock lock;
    struct special **chains; /* lock, as the following */
    size_t n_chains;         /* a power of two, or 0 */
    size_t n;                /* in chains */
    struct special *free;
    struct slab *slabs;
    struct special *due; /* cleanups to be run; their objects are gone */
    bool running;        /* a routine runs them */
    _Atomic uint32_t wanted; /* a hint: `due` is not empty, and no routine runs them */
    _Atomic int64_t external_bytes;
} all;

static void *shown(uintptr_t hidden)
{
    return (void *)~hidden; /* NOLINT */
}

/* ---- the table ---- */

static struct special **chain_of(uintptr_t hidden)
{
    return &all.chains[((hidden >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (all.n_chains - 1)];
}

static bool more_chains_locked(void)
{
    size_t n_before = all.n_chains, n = n_before != 0 ? n_before * 2 : LEAST_CHAINS;
    struct special **before = all.chains, **chains = wf_memory_map(n * sizeof(*chains));
    if (chains == NULL)
        return n_before != 0; /* longer ones will do */
    all.chains = chains;
    all.n_chains = n;
    for (size_t i = 0; i < n_before; i++)
        for (struct special *s = before[i], *next; s != NULL; s = next) {
            next = s->next;
            struct special **chain = chain_of(s->hidden);
            s->next = *chain;
            *chain = s;
        }
    if (n_before != 0)
        wf_memory_unmap(before, n_before * sizeof(*before));
    return true;
}

static bool more_specials_locked(void)
{
    struct slab *slab = wf_memory_map(sizeof(*slab));
    if (slab == NULL)
        return false;
    slab->next = all.slabs;
    all.slabs = slab;
    for (size_t i = WF_ARRAY_SIZE(slab->specials); i-- > 0;) {
        slab->specials[i].next = all.free;
        all.free = &slab->specials[i];
    }
    return true;
}

static struct special *add_locked(uintptr_t hidden, enum kind kind)
{
    if (all.n >= all.n_chains && !more_chains_locked())
        return NULL;
    if (all.free == NULL && !more_specials_locked())
        return NULL;
    struct special *s = all.free, **chain = chain_of(hidden);
    all.free = s->next;
    *s = (struct special){.next = *chain, .hidden = hidden, .kind = kind};
    *chain = s;
    all.n++;
    return s;
}

static void unchain_locked(struct special *s)
{
    struct special **at = chain_of(s->hidden);
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    all.n--;
}

/* Of no chain any more. */
static void discard_locked(struct special *s)
{
    s->kind = FREE;
    s->next = all.free;
    all.free = s;
}

/* Of no chain any more, and its object is gone. `handle_lives`: its handle's memory is a handle's still. */
static void settle_locked(struct special *s, bool handle_lives)
{
    if (s->kind == CLEANUP) {
        s->kind = DUE;
        s->next = all.due;
        all.due = s;
        wf_store_relaxed(&all.wanted, !all.running);
        return;
    }
    if (s->kind == EXTERNAL)
        wf_sub_relaxed(&all.external_bytes, s->bytes);
    else if (handle_lives)
        wf_store_relaxed(&((weft_weak *)shown(s->handle))->hidden, 0);
    discard_locked(s);
}

static struct special *first_of(uintptr_t hidden, enum kind kind)
{
    struct special *s = all.n_chains != 0 ? *chain_of(hidden) : NULL;
    while (s != NULL && (s->hidden != hidden || s->kind != kind))
        s = s->next;
    return s;
}

/* ---- for users ---- */

static struct wf_thread *enter_with(const char *call, const void *p, struct wf_cell *ret_cell)
{
    struct wf_thread *thread = wf_enter_without_start();
    if (!wf_heap_find_object(p, ret_cell))
        wf_misuse("%s(%p): no collected memory", call, p);
    return thread;
}

static uintptr_t key_of(const struct wf_cell *cell)
{
    wf_store_relaxed(&wf_heap.spans[cell->span].has_specials, true);
    return ~(uintptr_t)cell->start;
}

static weft_weak *handle_of_locked(const struct wf_cell *cell, const void *p)
{
    uintptr_t hidden = ~(uintptr_t)cell->start;
    for (struct special *s = first_of(hidden, WEAK); s != NULL; s = s->next) {
        weft_weak *w = s->hidden == hidden && s->kind == WEAK ? shown(s->handle) : NULL;
        if (w != NULL && wf_load_relaxed(&w->hidden) == ~(uintptr_t)p)
            return w;
    }
    return NULL;
}

/* The handle of p that there is; or `fresh`, made to be it; or NULL. The caller is inside the runtime, so that no
 * collection takes away what is found. */
static weft_weak *find_or_make(const struct wf_cell *cell, void *p, weft_weak *fresh)
{
    struct wf_cell own;
    wf_spinlock_lock(&all.lock);
    weft_weak *w = handle_of_locked(cell, p);
    struct special *s = w == NULL && fresh != NULL ? add_locked(key_of(cell), WEAK) : NULL;
    if (s != NULL) {
        w = fresh;
        s->handle = ~(uintptr_t)w;
        wf_store_relaxed(&w->hidden, ~(uintptr_t)p);
        if (wf_heap_find((uintptr_t)w, &own)) /* an early free of the handle is noticed */
            key_of(&own);
    }
    wf_spinlock_unlock(&all.lock);
    return w;
}

WF_PUBLIC weft_weak *weft_weak_make(void *p)
{
    struct wf_cell cell;
    struct wf_thread *thread = enter_with("weft_weak_make", p, &cell);
    weft_weak *w = find_or_make(&cell, p, NULL);
    wf_leave(thread);
    if (w != NULL)
        return w;
    weft_weak *fresh = weft_alloc_data(sizeof(*fresh));
    if (fresh == NULL)
        return NULL;
    thread = wf_enter_without_start();
    w = find_or_make(&cell, p, fresh);
    wf_leave(thread);
    weft_keep(p);
    return w;
}

/* Inside the runtime no collection can come between the look and the return. */
WF_PUBLIC void *weft_weak_get(weft_weak *w)
{
    struct wf_thread *thread = wf_enter_without_start();
    uintptr_t hidden = wf_load_relaxed(&w->hidden);
    void *p = hidden != 0 ? shown(hidden) : NULL;
    weft_keep(p);
    wf_leave(thread);
    return p;
}

WF_PUBLIC void weft_cleanup(void *p, void (*fn)(void *arg), void *arg)
{
    struct wf_cell cell;
    struct wf_thread *thread = enter_with("weft_cleanup", p, &cell);
    wf_spinlock_lock(&all.lock);
    struct special *s = add_locked(key_of(&cell), CLEANUP);
    if (s != NULL) {
        s->fn = fn;
        s->arg = arg;
    }
    wf_spinlock_unlock(&all.lock);
    if (s == NULL)
        wf_misuse("weft_cleanup(%p): out of memory", p);
    wf_leave(thread);
    weft_keep(p);
    weft_keep(arg);
}

static bool add_bytes_locked(const struct wf_cell *cell, ptrdiff_t bytes)
{
    uintptr_t hidden = key_of(cell);
    struct special *s = first_of(hidden, EXTERNAL);
    if (s == NULL)
        s = add_locked(hidden, EXTERNAL);
    if (s == NULL)
        return false;
    s->bytes += bytes;
    if (s->bytes == 0) {
        unchain_locked(s);
        discard_locked(s);
    }
    return true;
}

WF_PUBLIC void weft_external(void *p, ptrdiff_t bytes)
{
    struct wf_cell cell;
    struct wf_thread *thread = enter_with("weft_external", p, &cell);
    wf_spinlock_lock(&all.lock);
    bool added = add_bytes_locked(&cell, bytes);
    wf_spinlock_unlock(&all.lock);
    if (!added)
        wf_misuse("weft_external(%p): out of memory", p);
    wf_pacer_external(wf_add_relaxed(&all.external_bytes, bytes) + bytes);
    wf_add_relaxed(&wf_heap.allocated_since, bytes);
    thread = wf_gc_collect_if_due(thread);
    wf_leave(thread);
    weft_keep(p);
}

int64_t wf_external_bytes(void)
{
    return wf_load_relaxed(&all.external_bytes);
}

size_t wf_cleanups_count(void)
{
    wf_spinlock_lock(&all.lock);
    size_t n = all.n;
    wf_spinlock_unlock(&all.lock);
    return n;
}

/* ---- early frees ---- */

/* A weak handle holds a pointer into the object that it is chained to. */
static bool is_handle_locked(void *p)
{
    struct wf_cell own, cell;
    if (!wf_heap_find((uintptr_t)p, &own) || own.kind != WF_KIND_DATA || own.size < sizeof(weft_weak))
        return false;
    uintptr_t hidden = wf_load_relaxed(&((weft_weak *)p)->hidden);
    if (!wf_heap_find_object(shown(hidden), &cell))
        return false;
    struct special *s = first_of(~(uintptr_t)cell.start, WEAK);
    while (s != NULL && (s->kind != WEAK || s->handle != ~(uintptr_t)p))
        s = s->next;
    return s != NULL;
}

/* Those of the object, off their chain. */
static struct special *take_all_locked(uintptr_t hidden)
{
    struct special *taken = NULL;
    for (struct special **at = chain_of(hidden), *s; (s = *at) != NULL;) {
        if (s->hidden != hidden) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        s->next = taken;
        taken = s;
        all.n--;
    }
    return taken;
}

bool wf_cleanups_freed(void *p)
{
    wf_spinlock_lock(&all.lock);
    bool is_handle = is_handle_locked(p);
    if (!is_handle && all.n_chains != 0)
        for (struct special *s = take_all_locked(~(uintptr_t)p), *next; s != NULL; s = next) {
            next = s->next;
            settle_locked(s, true);
        }
    wf_spinlock_unlock(&all.lock);
    return !is_handle;
}

static void move_handle_locked(struct special *s, const char *from, char *to, size_t size)
{
    weft_weak *w = shown(s->handle);
    size_t offset = (size_t)((const char *)shown(wf_load_relaxed(&w->hidden)) - from);
    if (offset <= size) {
        wf_store_relaxed(&w->hidden, ~(uintptr_t)(to + offset));
        return;
    }
    unchain_locked(s);
    settle_locked(s, true);
}

void wf_cleanups_move(void *from, void *to, size_t size)
{
    struct wf_cell cell;
    WF_CHECK(wf_heap_find((uintptr_t)to, &cell));
    wf_spinlock_lock(&all.lock);
    uintptr_t hidden = key_of(&cell);
    struct special *s = all.n_chains != 0 ? take_all_locked(~(uintptr_t)from) : NULL;
    for (struct special *next; s != NULL; s = next) {
        next = s->next;
        struct special **chain = chain_of(hidden);
        s->hidden = hidden;
        s->next = *chain;
        *chain = s;
        all.n++;
        if (s->kind == WEAK)
            move_handle_locked(s, from, to, size);
    }
    wf_spinlock_unlock(&all.lock);
}

/* ---- for the collector, the world stopped ---- */

void wf_cleanups_each_argument(void (*fn)(void *visitor, const void *p), void *visitor)
{
    for (struct slab *slab = all.slabs; slab != NULL; slab = slab->next)
        for (size_t i = 0; i < WF_ARRAY_SIZE(slab->specials); i++)
            if (slab->specials[i].kind == CLEANUP || slab->specials[i].kind == DUE)
                fn(visitor, slab->specials[i].arg);
}

void wf_cleanups_each_weak(void (*fn)(void *arg, const void *handle, const void *object), void *arg)
{
    for (struct slab *slab = all.slabs; slab != NULL; slab = slab->next)
        for (size_t i = 0; i < WF_ARRAY_SIZE(slab->specials); i++) {
            if (slab->specials[i].kind != WEAK)
                continue;
            const weft_weak *w = shown(slab->specials[i].handle);
            uintptr_t hidden = wf_load_relaxed(&w->hidden);
            if (hidden != 0)
                fn(arg, w, shown(hidden));
        }
}

static void look_at(struct special *s)
{
    bool lives = wf_mark_is_marked(shown(s->hidden));
    bool handle_lives = s->kind == WEAK && wf_mark_is_marked(shown(s->handle));
    if (lives && (s->kind != WEAK || handle_lives))
        return;
    unchain_locked(s);
    settle_locked(s, handle_lives);
}

void wf_cleanups_look(void)
{
    for (struct slab *slab = all.slabs; slab != NULL; slab = slab->next)
        for (size_t i = 0; i < WF_ARRAY_SIZE(slab->specials); i++)
            if (slab->specials[i].kind != FREE && slab->specials[i].kind != DUE)
                look_at(&slab->specials[i]);
}

/* ---- running them ---- */

static bool take_due(struct special *ret_special)
{
    struct wf_thread *thread = wf_enter_without_start();
    wf_spinlock_lock(&all.lock);
    struct special *s = all.due;
    if (s != NULL) {
        *ret_special = *s;
        all.due = s->next;
        discard_locked(s);
    } else {
        all.running = false;
    }
    wf_spinlock_unlock(&all.lock);
    wf_leave(thread);
    return s != NULL;
}

static void run_due(void *unused)
{
    struct special s;
    (void)unused;
    while (take_due(&s))
        s.fn(s.arg);
}

static WF_NOINLINE void start(struct wf_thread *thread)
{
    static const struct weft__site site = {__FILE__, "cleanups", __LINE__};
    if (wf_n_workers == 0)
        return; /* after the runtime has been started */
    wf_spinlock_lock(&all.lock);
    bool wanted = all.due != NULL && !all.running;
    all.running |= wanted;
    wf_store_relaxed(&all.wanted, 0);
    wf_spinlock_unlock(&all.lock);
    if (wanted && wf_spawn_call(thread, &site, run_due, NULL) != 0) {
        wf_spinlock_lock(&all.lock);
        all.running = false;
        wf_store_relaxed(&all.wanted, 1); /* at the next opportunity */
        wf_spinlock_unlock(&all.lock);
    }
}

void wf_cleanups_start(struct wf_thread *thread)
{
    if (WF_UNLIKELY(wf_load_relaxed(&all.wanted) != 0))
        start(thread);
}
