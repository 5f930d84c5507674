/* SPDX-License-Identifier: MIT */
/* objectpool.c - weft_pool: objects kept for reuse, emptied by the collector. Declared in weft/sync.h.
 *
 * Owns:    the depot behind each pool and what it holds, all of it collected memory.
 * Callers: users, inside the runtime for as long as they touch a depot; the collector by trace_depot().
 *
 * Magazines (Bonwick and Adams, "Magazines and vmem", 2001): each worker and plain thread has a part with two stacks of 30
 * objects, `loaded` and `previous`, that nobody else touches. When both are full one goes to the depot's list, when both
 * are empty one comes from there, so the depot's lock is taken once in 30 operations at most.
 *
 * A depot is a traced object. It is reached by marking once a collection, if its pool can be reached; then its trace
 * function, the world being stopped, makes victims of everything and drops the former victims, which are garbage unless
 * somebody holds them. An object so survives one collection unused and not two, as in Go's sync.Pool. There is no register
 * of pools: one that cannot be reached is garbage with all it holds.
 *
 * Two markers may trace a depot at once; the first alone does it (`aged`). The verifier sees what is left.
 */
#include <weft/gc.h>
#include <weft/sync.h>

#include "base/spinlock.h"
#include "gc/collect.h"
#include "gc/mark.h"
#include "sched/worker.h"

enum { MAGAZINE_OBJECTS = 30, GROUP_PARTS = 16, GROUPS = 64 };

struct magazine {
    struct magazine *next;
    size_t n;
    void *objects[MAGAZINE_OBJECTS]; /* NULL from n on, or a taken object would be kept */
};
_Static_assert(sizeof(struct magazine) == 256, "a size class");

/* Of one cache, hence one thread at a time. NULL, or a magazine of its own. */
struct part {
    WF_ALIGNED_LINE struct magazine *loaded;
    struct magazine *previous;
};

/* Not searched: while objects are being marked the parts are empty. */
struct group {
    struct part parts[GROUP_PARTS];
};

struct depot {
    struct wf_spinlock lock;
    struct magazine *full, *victims; /* lock */
    _Atomic uint64_t aged;           /* 1 + number of the collection that last did */
    _Atomic(struct group *) groups[GROUPS]; /* by number of cache */
};

/* ---- the collector ---- */

static void push(struct magazine **list, struct magazine *m)
{
    m->next = *list;
    *list = m;
}

static void take_as_victim(struct depot *d, struct magazine **m)
{
    if (*m != NULL && (*m)->n > 0)
        push(&d->victims, *m);
    *m = NULL;
}

static void age(struct depot *d)
{
    d->victims = d->full;
    d->full = NULL;
    for (unsigned i = 0; i < GROUPS; i++) {
        struct group *group = wf_load_relaxed(&d->groups[i]);
        for (unsigned k = 0; group != NULL && k < GROUP_PARTS; k++) {
            take_as_victim(d, &group->parts[k].loaded);
            take_as_victim(d, &group->parts[k].previous);
        }
    }
}

/* For those who look without collecting (the verifier, after the aging; the search for leaks, before it): what can be had from
 * the pool now. */
static void visit_all(struct depot *d, struct wf_marker *m)
{
    for (const struct magazine *full = d->full; full != NULL; full = full->next)
        wf_mark_object(m, full);
    for (unsigned i = 0; i < GROUPS; i++) {
        struct group *group = wf_load_relaxed(&d->groups[i]);
        for (unsigned k = 0; group != NULL && k < GROUP_PARTS; k++) {
            wf_mark_object(m, group->parts[k].loaded);
            wf_mark_object(m, group->parts[k].previous);
        }
    }
}

static void trace_depot(void *object, struct weft_visitor *v)
{
    struct depot *d = object;
    struct wf_marker *m = (struct wf_marker *)(void *)v;
    if (m->instead != NULL) {
        visit_all(d, m);
    } else {
        uint64_t seen = wf_load_relaxed(&d->aged), now = wf_gc_cycles() + 1;
        if (seen == now || !wf_cas_acq_rel(&d->aged, &seen, now))
            return; /* by another marker */
        age(d);
    }
    /* Each: one that another marker has been through already may have been without its `next` then. */
    for (const struct magazine *victim = d->victims; victim != NULL; victim = victim->next)
        wf_mark_object(m, victim);
    for (unsigned i = 0; i < GROUPS; i++)
        wf_mark_object(m, wf_load_relaxed(&d->groups[i]));
}

/* ---- depots and parts; inside the runtime, as all that follows ---- */

static _Atomic(void *) *depot_of(weft_pool *p)
{
    return (_Atomic(void *) *)&p->depot;
}

static struct depot *make_depot(weft_pool *p, struct wf_cache *cache)
{
    void *none = NULL, *made = wf_cache_alloc_traced(cache, sizeof(struct depot), trace_depot);
    if (made == NULL)
        return NULL;
    return wf_cas_acq_rel(depot_of(p), &none, made) ? made : none;
}

static struct part *make_part(struct depot *d, struct wf_cache *cache)
{
    if (cache->number >= GROUPS * GROUP_PARTS)
        return NULL;
    _Atomic(struct group *) *at = &d->groups[cache->number / GROUP_PARTS];
    struct group *group = wf_load_acquire(at);
    if (group == NULL) {
        struct group *made = wf_cache_alloc(cache, sizeof(*made), WF_KIND_DATA);
        if (made == NULL)
            return NULL;
        memset(made, 0, sizeof(*made));
        group = wf_cas_acq_rel(at, &group, made) ? made : group;
    }
    return &group->parts[cache->number % GROUP_PARTS];
}

WF_INLINE struct part *part_of(weft_pool *p, struct wf_thread *thread)
{
    struct depot *d = wf_load_acquire(depot_of(p));
    struct wf_cache *cache = thread->worker != NULL ? thread->worker->cache : thread->cache;
    if (WF_UNLIKELY(d == NULL || cache == NULL || cache->number >= GROUPS * GROUP_PARTS))
        return NULL;
    struct group *group = wf_load_acquire(&d->groups[cache->number / GROUP_PARTS]);
    return WF_LIKELY(group != NULL) ? &group->parts[cache->number % GROUP_PARTS] : NULL;
}

WF_INLINE void *pop_object(struct magazine *m)
{
    void *object = m->objects[--m->n];
    m->objects[m->n] = NULL;
    return object;
}

static struct magazine *take_magazine(struct depot *d)
{
    wf_spinlock_lock(&d->lock);
    struct magazine **list = d->full != NULL ? &d->full : &d->victims, *m = *list;
    if (m != NULL)
        *list = m->next;
    wf_spinlock_unlock(&d->lock);
    if (m != NULL)
        m->next = NULL;
    return m;
}

static void put_magazine(struct depot *d, struct magazine *m)
{
    wf_spinlock_lock(&d->lock);
    push(&d->full, m);
    wf_spinlock_unlock(&d->lock);
}

/* ---- get ---- */

/* There are more threads than parts: by way of the depot alone. */
static void *get_without_part(struct depot *d)
{
    struct magazine *m = take_magazine(d);
    if (m == NULL)
        return NULL;
    void *object = pop_object(m);
    if (m->n > 0)
        put_magazine(d, m);
    return object;
}

static WF_NOINLINE void *get_slow(weft_pool *p, struct wf_thread *thread)
{
    struct depot *d = wf_load_acquire(depot_of(p));
    struct wf_cache *cache = d != NULL ? wf_gc_cache(thread) : NULL;
    if (cache == NULL)
        return NULL; /* nothing was ever put */
    struct part *part = make_part(d, cache);
    if (part == NULL)
        return get_without_part(d);
    struct magazine *m = part->previous;
    if (m == NULL || m->n == 0)
        m = take_magazine(d);
    if (m == NULL)
        return NULL;
    part->previous = part->loaded; /* empty or NULL; the former one was empty, too, or is `m` */
    part->loaded = m;
    return pop_object(m);
}

WF_PUBLIC void *weft_pool_get(weft_pool *p)
{
    struct wf_thread *thread = wf_enter_without_start();
    struct part *part = part_of(p, thread);
    void *object;
    if (WF_LIKELY(part != NULL && part->loaded != NULL && part->loaded->n > 0))
        object = pop_object(part->loaded);
    else
        object = get_slow(p, thread);
    wf_leave(thread);
    if (WF_UNLIKELY(object == NULL && p->make != NULL))
        object = p->make(p->arg);
    return object;
}

/* ---- put ---- */

static WF_NOINLINE void put_slow(weft_pool *p, struct wf_thread *thread, void *object)
{
    struct wf_cache *cache = wf_gc_cache(thread);
    struct depot *d = cache != NULL ? wf_load_acquire(depot_of(p)) : NULL;
    if (cache != NULL && d == NULL)
        d = make_depot(p, cache);
    struct part *part = d != NULL ? make_part(d, cache) : NULL;
    if (part == NULL)
        return;
    struct magazine *m = part->previous;
    if (m == NULL || m->n == MAGAZINE_OBJECTS) {
        struct magazine *fresh = wf_cache_alloc(cache, sizeof(*fresh), WF_KIND_SCANNED);
        if (fresh == NULL)
            return;
        if (m != NULL)
            put_magazine(d, m);
        m = fresh;
    }
    part->previous = part->loaded; /* full or NULL */
    part->loaded = m;
    m->objects[m->n++] = object;
}

WF_PUBLIC void weft_pool_put(weft_pool *p, void *object)
{
    if (object == NULL)
        return;
    struct wf_thread *thread = wf_enter_without_start();
    struct part *part = part_of(p, thread);
    if (WF_LIKELY(part != NULL && part->loaded != NULL && part->loaded->n < MAGAZINE_OBJECTS))
        part->loaded->objects[part->loaded->n++] = object;
    else
        put_slow(p, thread, object);
    wf_leave(thread);
}
