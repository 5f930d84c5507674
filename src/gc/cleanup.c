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

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <weft/gc.h>

#include "gc/collect.h"
#include "gc/mark.h"
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

static bool append_locked(struct table *t, struct entry e)
{
    if (t->n == t->size) {
        size_t size = t->size != 0 ? t->size * 2 : 4096 / sizeof(e);
        int saved = errno;
        struct entry *entries =
            mmap(NULL, size * sizeof(e), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        errno = saved;
        if (entries == MAP_FAILED)
            return false;
        if (t->n != 0) {
            memcpy(entries, t->entries, t->n * sizeof(e));
            munmap(t->entries, t->size * sizeof(e));
        }
        t->entries = entries;
        t->size = size;
    }
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

void wf_cleanups_each_weak(void (*fn)(void *arg, const void *handle, const void *object), void *arg)
{
    for (size_t i = 0; i < all.weaks.n; i++) {
        const weft_weak *w = shown(all.weaks.entries[i].hidden);
        if (w->hidden != 0)
            fn(arg, w, shown(w->hidden));
    }
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

/* There is room for all that is due: wf_cleanups_each_root() was called with the tables as they are, and `due` was made as
 * large as `cleanups` before the world was stopped. */
static void look_at_cleanups(void)
{
    struct table *t = &all.cleanups;
    size_t kept = 0;
    for (size_t i = 0; i < t->n; i++) {
        if (wf_mark_is_marked(shown(t->entries[i].hidden)) || !append_locked(&all.due, t->entries[i]))
            t->entries[kept++] = t->entries[i];
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
