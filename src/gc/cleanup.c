/* SPDX-License-Identifier: MIT */
/* cleanup.c - weak handles, cleanups, external bytes. See cleanup.h.
 *
 * Owns:    the tables. Callers: users; collect.c with the world stopped.
 * Locking: `lock` for adding; users hold it inside the runtime only, so with the world stopped nobody does.
 *
 * Order in wf_cleanups_look(): weak handles are cleared by what is marked now. A cleanup's argument was a root, so it is
 * alive; its object is not brought back.
 */
#define _GNU_SOURCE
#include "gc/cleanup.h"

#include <string.h>
#include <weft/gc.h>

#include "gc/collect.h"
#include "gc/mark.h"
#include "gc/memory.h"
#include "sched/sched.h"
#include "sched/worker.h"

struct weft_weak {
    uintptr_t hidden; /* complement of the object's address; 0: it is gone */
};

struct entry {
    uintptr_t hidden; /* complement of the object, or of the weak handle */
    union {
        struct {
            void (*fn)(void *arg);
            void *arg;
        };
        int64_t bytes;
    };
};

struct table {
    struct entry *entries;
    size_t n, size;
};

static struct {
    struct wf_spinlock lock;
    struct table weaks, cleanups, externals; /* lock */
    struct table due;                        /* lock: cleanups to be run; their objects are gone */
    bool running;                            /* lock: a routine runs them */
    _Atomic int64_t external_bytes;
} all;

static bool make_room_locked(struct table *t, size_t n)
{
    size_t size = t->size != 0 ? t->size : 4096 / sizeof(struct entry);
    while (size < n)
        size *= 2;
    if (size == t->size)
        return true;
    struct entry *entries = wf_memory_map(size * sizeof(*entries));
    if (entries == NULL)
        return false;
    if (t->n != 0)
        memcpy(entries, t->entries, t->n * sizeof(*entries));
    if (t->size != 0)
        wf_memory_unmap(t->entries, t->size * sizeof(*entries));
    t->entries = entries;
    t->size = size;
    return true;
}

/* All cleanups may be due at once, and then is no time to ask for memory. */
static bool append_locked(struct table *t, struct entry e)
{
    if (t == &all.cleanups && !make_room_locked(&all.due, all.due.n + t->n + 1))
        return false;
    if (!make_room_locked(t, t->n + 1))
        return false;
    t->entries[t->n++] = e;
    return true;
}

static bool append(struct table *t, struct entry e)
{
    struct wf_thread *thread = wf_enter_without_start();
    wf_spinlock_lock(&all.lock);
    bool added = append_locked(t, e);
    wf_spinlock_unlock(&all.lock);
    wf_leave(thread);
    return added;
}

static void require_object(const char *call, void *p)
{
    if (weft_base(p) == NULL)
        wf_misuse("%s(%p): no collected memory", call, p);
}

static void *shown(uintptr_t hidden)
{
    return (void *)~hidden;
}

/* ---- for users ---- */

WF_PUBLIC weft_weak *weft_weak_make(void *p)
{
    require_object("weft_weak_make", p);
    weft_weak *w = weft_alloc_data(sizeof(*w));
    if (w == NULL)
        return NULL;
    w->hidden = ~(uintptr_t)p;
    bool added = append(&all.weaks, (struct entry){.hidden = ~(uintptr_t)w});
    weft_keep(p);
    return added ? w : NULL;
}

/* Inside the runtime no collection can come between the look and the return. */
WF_PUBLIC void *weft_weak_get(weft_weak *w)
{
    struct wf_thread *thread = wf_enter_without_start();
    uintptr_t hidden = w->hidden;
    void *p = hidden != 0 ? shown(hidden) : NULL;
    weft_keep(p);
    wf_leave(thread);
    return p;
}

WF_PUBLIC void weft_cleanup(void *p, void (*fn)(void *arg), void *arg)
{
    require_object("weft_cleanup", p);
    if (!append(&all.cleanups, (struct entry){.hidden = ~(uintptr_t)p, .fn = fn, .arg = arg}))
        wf_misuse("weft_cleanup(%p): out of memory", p);
    weft_keep(p);
}

WF_PUBLIC void weft_external(void *p, ptrdiff_t bytes)
{
    require_object("weft_external", p);
    if (!append(&all.externals, (struct entry){.hidden = ~(uintptr_t)p, .bytes = bytes}))
        wf_misuse("weft_external(%p): out of memory", p);
    wf_add_relaxed(&all.external_bytes, bytes);
    if (bytes > 0)
        wf_add_relaxed(&wf_heap.allocated_since, bytes);
    weft_keep(p);
}

int64_t wf_external_bytes(void)
{
    return wf_load_relaxed(&all.external_bytes);
}

/* ---- for the collector, the world stopped ---- */

void wf_cleanups_each_root(wf_range_fn *fn, void *arg)
{
    if (all.cleanups.n != 0)
        fn(arg, all.cleanups.entries, all.cleanups.entries + all.cleanups.n);
    if (all.due.n != 0)
        fn(arg, all.due.entries, all.due.entries + all.due.n);
}

static void look_at_weaks(void)
{
    struct table *t = &all.weaks;
    size_t kept = 0;
    for (size_t i = 0; i < t->n; i++) {
        weft_weak *w = shown(t->entries[i].hidden);
        if (!wf_mark_is_marked(w))
            continue; /* the handle is gone itself */
        if (w->hidden != 0 && !wf_mark_is_marked(shown(w->hidden)))
            w->hidden = 0;
        if (w->hidden != 0)
            t->entries[kept++] = t->entries[i];
    }
    t->n = kept;
}

/* There is room for all that is due: append_locked(). */
static void look_at_cleanups(void)
{
    struct table *t = &all.cleanups;
    size_t kept = 0;
    for (size_t i = 0; i < t->n; i++) {
        if (wf_mark_is_marked(shown(t->entries[i].hidden)))
            t->entries[kept++] = t->entries[i];
        else
            all.due.entries[all.due.n++] = t->entries[i];
    }
    t->n = kept;
}

static void look_at_externals(void)
{
    struct table *t = &all.externals;
    size_t kept = 0;
    for (size_t i = 0; i < t->n; i++) {
        if (wf_mark_is_marked(shown(t->entries[i].hidden)))
            t->entries[kept++] = t->entries[i];
        else
            wf_sub_relaxed(&all.external_bytes, t->entries[i].bytes);
    }
    t->n = kept;
}

void wf_cleanups_look(void)
{
    look_at_weaks();
    look_at_cleanups();
    look_at_externals();
}

/* ---- running them ---- */

static bool take_due(struct entry *ret_entry)
{
    struct wf_thread *thread = wf_enter_without_start();
    wf_spinlock_lock(&all.lock);
    bool found = all.due.n != 0;
    if (found)
        *ret_entry = all.due.entries[--all.due.n];
    else
        all.running = false;
    wf_spinlock_unlock(&all.lock);
    wf_leave(thread);
    return found;
}

static void run_due(void *unused)
{
    struct entry e;
    (void)unused;
    while (take_due(&e))
        e.fn(e.arg);
}

void wf_cleanups_start(struct wf_thread *thread)
{
    static const struct weft__site site = {__FILE__, "cleanups", __LINE__};
    wf_spinlock_lock(&all.lock);
    bool start = all.due.n != 0 && !all.running;
    all.running |= start;
    wf_spinlock_unlock(&all.lock);
    if (start && (wf_n_workers == 0 || wf_spawn_call(thread, &site, run_due, NULL) != 0)) {
        wf_spinlock_lock(&all.lock);
        all.running = false; /* after the next collection */
        wf_spinlock_unlock(&all.lock);
    }
}
