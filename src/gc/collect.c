/* SPDX-License-Identifier: MIT */
/* collect.c - the public allocation calls, and the collection that they may have to wait for.
 *
 * Owns:    the caches of workers and plain threads (made on first use, kept and used again), the statistics.
 * Locking: `caches.lock` guards the list of caches. Who collects has claimed the world (sched/world.h).
 *
 * A collection: claim the world, so that there is one at a time; enter dl_iterate_phdr(), whose lock keeps libraries from
 * coming and going; stop the world; flush the caches; mark from the roots, helped by the threads that were stopped; look at
 * weak handles and cleanups; close; set the next goal; go on. Nothing is allocated meanwhile, and no lock of the host is
 * taken but that of dl_iterate_phdr.
 *
 * It runs on the stack of whoever needed memory, which is scanned like the others from where it stands.
 */
#define _GNU_SOURCE
#include "gc/collect.h"

#include <errno.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <weft/gc.h>

#include "base/assert.h"
#include "gc/cleanup.h"
#include "gc/close.h"
#include "gc/mark.h"
#include "gc/memory.h"
#include "gc/roots.h"
#include "gc/verify.h"
#include "sched/hooks.h"
#include "sched/sched.h"
#include "sched/worker.h"
#include "sched/world.h"
#include "time/clock.h"

enum { TINY_CELLS = 3, TINY_STEP_UNITS = 4 };
enum { LEAST_GOAL = 4 << 20, MARKERS = 8, N_PAUSES = 24, RETRY_NS = 500000 };

struct cache {
    struct wf_cache cache;
    struct cache *next, *next_free; /* caches.lock */
};

static struct {
    struct wf_spinlock lock;
    struct cache *all, *free;
    bool heap_ready;
} caches;

static struct wf_gc_config config = {.percent = 100};

/* Written with the world claimed. */
static struct {
    weft_gc_info info;
    _Atomic uint64_t n_cycles;
} stats;

/* ---- caches ---- */

static void set_stress(const struct wf_gc_stress *stress)
{
    wf_heap_stress.cells_per_refill = stress->alloc_every != 0 ? 1 : 0;
    wf_heap_stress.leftover_every = stress->leftover_every;
    wf_heap_stress.delay_every = stress->delay_every;
    wf_heap_stress.poison = stress->poison;
    wf_heap_stress.cells_per_span = stress->tiny ? TINY_CELLS : 0;
    wf_heap_stress.step_units = stress->tiny ? TINY_STEP_UNITS : 0;
}

static bool make_heap_locked(void)
{
    if (caches.heap_ready)
        return true;
    set_stress(&config.stress);
    if (wf_heap_init(config.limit_bytes) != 0)
        return false;
    wf_store_relaxed(&wf_heap.goal, config.percent < 0 ? INT64_MAX : LEAST_GOAL);
    caches.heap_ready = true;
    return true;
}

void wf_gc_configure(const struct wf_gc_config *wanted)
{
    config = *wanted;
    wf_store_relaxed(&wf_stress_attn, wanted->stress.switch_every != 0 ? WF_ATTN_STRESS : 0);
    wf_store_relaxed(&wf_heap.limit_bytes, config.limit_bytes);
    wf_spinlock_lock(&caches.lock);
    make_heap_locked(); /* before stacks take what address space there is; refused: tried again when it is needed */
    wf_spinlock_unlock(&caches.lock);
}

static WF_NOINLINE struct wf_cache *make_cache(struct wf_thread *thread)
{
    int saved = errno;
    wf_spinlock_lock(&caches.lock);
    struct cache *c = caches.free;
    if (!make_heap_locked()) {
        c = NULL;
    } else if (c != NULL) {
        caches.free = c->next_free;
    } else {
        c = wf_memory_map(sizeof(*c));
        if (c != NULL) {
            c->next = caches.all;
            caches.all = c;
        }
    }
    if (c != NULL)
        wf_cache_init(&c->cache);
    wf_spinlock_unlock(&caches.lock);
    errno = saved;
    if (c == NULL)
        return NULL;
    if (thread->worker != NULL)
        thread->worker->cache = c;
    else
        thread->cache = c;
    return &c->cache;
}

WF_INLINE struct wf_cache *cache_of(struct wf_thread *thread)
{
    struct cache *c = thread->worker != NULL ? thread->worker->cache : thread->cache;
    return WF_LIKELY(c != NULL) ? &c->cache : make_cache(thread);
}

void wf_gc_cache_retire(void *cache)
{
    struct cache *c = cache;
    if (c == NULL)
        return;
    wf_cache_retire(&c->cache);
    wf_spinlock_lock(&caches.lock);
    c->next_free = caches.free;
    caches.free = c;
    wf_spinlock_unlock(&caches.lock);
}

/* ---- a collection ---- */

struct cycle {
    struct wf_thread *thread;
    struct wf_marker *marker;
    unsigned attempt;
    bool done;
    int64_t start, stopped, rooted, marked, closed;
};

static void mark_range(void *arg, const void *low, const void *high)
{
    uintptr_t from = ((uintptr_t)low + sizeof(void *) - 1) & ~(uintptr_t)(sizeof(void *) - 1);
    if (from < (uintptr_t)high)
        wf_mark_range(((struct cycle *)arg)->marker, (const void *)from, high);
}

static void verify_range(void *arg, const void *low, const void *high)
{
    uintptr_t from = ((uintptr_t)low + sizeof(void *) - 1) & ~(uintptr_t)(sizeof(void *) - 1);
    if (from < (uintptr_t)high)
        wf_verify_range(arg, (const void *)from, high);
}

static void verify_roots(struct wf_verifier *v, void *arg)
{
    (void)arg;
    wf_roots_each(verify_range, v);
}

/* What a stopped thread does: there is nothing for it but what others have found. */
static void help(void)
{
    struct wf_marker *m = wf_mark_join();
    if (m != NULL)
        wf_mark_drain(m);
}

static void flush_caches(void)
{
    for (struct cache *c = caches.all; c != NULL; c = c->next)
        wf_cache_flush(&c->cache);
}

static void set_goal(void)
{
    struct wf_heap_stats heap;
    wf_heap_stats(&heap);
    int64_t live = (int64_t)heap.live_bytes + wf_external_bytes();
    int64_t goal = INT64_MAX;
    if (config.percent >= 0) {
        int64_t least = (int64_t)LEAST_GOAL * config.percent / 100;
        goal = live / 100 * config.percent;
        goal = goal > least ? goal : least;
    }
    if (config.limit_bytes != 0) {
        int64_t room = (int64_t)config.limit_bytes - live, least = (int64_t)config.limit_bytes / 16;
        room = room > least ? room : least; /* near the limit: not a collection for every object */
        goal = goal < room ? goal : room;
    }
    wf_store_relaxed(&wf_heap.goal, goal);
}

static WF_NOINLINE void collect_stopped(struct cycle *c)
{
    c->stopped = wf_now_ns();
    flush_caches();
    wf_mark_start(MARKERS);
    c->marker = wf_mark_join();
    wf_store_release(&wf_world_help, help);
    wf_world_call_helpers();
    wf_roots_each(mark_range, c);
    c->rooted = wf_now_ns();
    wf_mark_drain(c->marker);
    c->marked = wf_now_ns();
    if (config.verify && wf_heap_verify(verify_roots, NULL) > 0) /* negative: it had no memory */
        wf_fatal("the collector and its verifier do not agree");
    wf_cleanups_look();
    wf_close_start();
    while (!wf_close_part())
        ;
    set_goal();
    c->closed = wf_now_ns();
}

/* dl_iterate_phdr() holds its lock while it calls this. */
static int collect_locked(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct cycle *c = arg;
    (void)info, (void)size;
    __builtin_unwind_init();
    c->done = wf_world_stop(c->thread, c->attempt++);
    if (c->done) {
        c->thread->current->sp = wf_stack_pointer(); /* frames of the collection itself are not searched: they change */
        collect_stopped(c);
        wf_world_resume();
    }
    return 1;
}

static void note(const struct cycle *c, int64_t now)
{
    struct wf_heap_stats heap;
    struct wf_mark_counts counts;
    weft_gc_info *info = &stats.info;
    wf_heap_stats(&heap);
    wf_mark_count(&counts);
    int64_t pause = now - c->start;
    info->cycles++;
    info->live_bytes = heap.live_bytes;
    info->live_objects = heap.live_objects;
    info->pause_ns = pause;
    info->stop_ns = c->stopped - c->start;
    info->roots_ns = c->rooted - c->stopped;
    info->mark_ns = c->marked - c->rooted;
    info->close_ns = c->closed - c->marked;
    info->pause_total_ns += pause;
    info->pause_most_ns = pause > info->pause_most_ns ? pause : info->pause_most_ns;
    unsigned bin = 0;
    while (bin < N_PAUSES - 1 && pause >= (int64_t)1000 << bin)
        bin++;
    info->pauses[bin]++;
    wf_add_relaxed(&stats.n_cycles, 1);
    if (config.trace)
        wf_message("gc %llu: stop %lld roots %lld mark %lld close %lld pause %lld us, live %zu KiB in %zu objects, "
                   "%u markers, last to stop: thread %d",
                   (unsigned long long)info->cycles, (long long)info->stop_ns / 1000, (long long)info->roots_ns / 1000,
                   (long long)info->mark_ns / 1000, (long long)info->close_ns / 1000, (long long)pause / 1000,
                   info->live_bytes >> 10, info->live_objects, counts.n_markers, wf_world_stats.last_tid);
}

/* The caller has claimed the world. */
static WF_NOINLINE void collect_claimed(struct wf_thread *thread)
{
    int saved = errno;
    struct cycle c = {.thread = thread, .start = wf_now_ns()};
    while (dl_iterate_phdr(collect_locked, &c), !c.done)
        nanosleep(&(struct timespec){.tv_nsec = RETRY_NS}, NULL); /* let those go on that hold locks */
    note(&c, wf_now_ns());
    wf_compiler_barrier();
    errno = saved;
}

/* Inside the runtime; returns the thread that the caller is on afterwards. `seen`: how many collections there had been when
 * the caller found that it needs one; another's will do. */
static WF_NOINLINE struct wf_thread *collect(struct wf_thread *thread, uint64_t seen)
{
    int saved = errno;
    bool ours = false;
    while (wf_load_relaxed(&stats.n_cycles) == seen && !(ours = wf_world_claim(&thread)))
        ;
    if (ours) {
        if (wf_load_relaxed(&stats.n_cycles) == seen)
            collect_claimed(thread);
        wf_world_unclaim();
        wf_cleanups_start(thread);
    }
    wf_compiler_barrier();
    errno = saved;
    return thread;
}

/* ---- stress ---- */

/* One call in `every`. */
static WF_NOINLINE bool count_for_stress(unsigned every)
{
    static _Atomic uint64_t n_calls;
    return wf_add_relaxed(&n_calls, 1) % every == every - 1;
}

WF_INLINE bool stress_is_due(unsigned every)
{
    return every != 0 && count_for_stress(every);
}

/* In the scheduler loop, on the thread's own stack, which must not leave the runtime: no wait for another initiator. */
void wf_gc_after_switch(struct wf_thread *thread)
{
    unsigned every = config.stress.switch_every;
    if (every == 0 || !count_for_stress(every) || !wf_world_try_claim())
        return;
    collect_claimed(thread);
    wf_world_unclaim();
    wf_cleanups_start(thread);
}

/* ---- allocation ---- */

static WF_NOINLINE void *alloc_slow(struct wf_thread *thread, size_t size, enum wf_kind kind, wf_trace_fn trace)
{
    for (unsigned attempt = 0;; attempt++) {
        struct wf_cache *cache = cache_of(thread);
        uint64_t seen = wf_load_relaxed(&stats.n_cycles);
        void *p = NULL;
        if (cache != NULL)
            p = trace != NULL ? wf_cache_alloc_traced(cache, size, trace) : wf_cache_alloc(cache, size, kind);
        bool due = cache != NULL && (cache->goal_passed || WF_UNLIKELY(stress_is_due(config.stress.alloc_every)));
        if (due)
            cache->goal_passed = false;
        if (p != NULL && !due) {
            wf_leave(thread);
            return p;
        }
        if (p != NULL) {
            thread = collect(thread, seen);
            weft_keep(p); /* it was on this stack while others were marked */
            wf_leave(thread);
            return p;
        }
        if (attempt == 2 || cache == NULL) {
            wf_leave(thread);
            return NULL;
        }
        thread = collect(thread, seen);
    }
}

WF_INLINE void *allocate(size_t size, enum wf_kind kind)
{
    struct wf_thread *thread = wf_enter_without_start();
    struct cache *c = thread->worker != NULL ? thread->worker->cache : thread->cache;
    if (WF_UNLIKELY(c == NULL || size > WF_SMALL_MOST))
        return alloc_slow(thread, size, kind, NULL);
    struct wf_cache_slot *slot = &c->cache.slots[kind][wf_class_of(size)];
    if (WF_UNLIKELY(slot->bits == 0))
        return alloc_slow(thread, size, kind, NULL);
    void *p = wf_slot_pop(slot, kind);
    wf_leave(thread);
    return p;
}

WF_PUBLIC void *weft_alloc(size_t size)
{
    return allocate(size, WF_KIND_SCANNED);
}

WF_PUBLIC void *weft_alloc_data(size_t size)
{
    return allocate(size, WF_KIND_DATA);
}

WF_PUBLIC void *weft__alloc_traced(size_t size, weft_trace_fn trace)
{
    return alloc_slow(wf_enter_without_start(), size, WF_KIND_TRACED, trace);
}

WF_PUBLIC void *weft__alloc_array(size_t size, size_t n)
{
    size_t bytes;
    return __builtin_mul_overflow(size, n, &bytes) || bytes > PTRDIFF_MAX ? NULL : weft_alloc(bytes);
}

WF_PUBLIC void weft_visit(weft_visitor *v, const void *p)
{
    wf_mark_object((struct wf_marker *)(void *)v, p);
}

WF_PUBLIC void weft_free(void *p)
{
    if (p == NULL)
        return;
    struct wf_thread *thread = wf_enter_without_start();
    int error = wf_heap_free(p);
    wf_leave(thread);
    if (error == -EALREADY)
        wf_misuse("weft_free(%p): it is free already", p);
    if (error != 0)
        wf_misuse("weft_free(%p): not the beginning of a collected object", p);
}

WF_PUBLIC size_t weft_size(const void *p)
{
    struct wf_thread *thread = wf_enter_without_start();
    size_t size = wf_heap_size_of(p);
    wf_leave(thread);
    return size;
}

WF_PUBLIC void *weft_base(const void *p)
{
    struct wf_thread *thread = wf_enter_without_start();
    void *base = wf_heap_base_of(p);
    wf_leave(thread);
    return base;
}

static enum wf_kind kind_of(const void *p)
{
    struct wf_cell cell;
    struct wf_thread *thread = wf_enter_without_start();
    bool found = wf_heap_find_object(p, &cell);
    wf_leave(thread);
    return found ? (enum wf_kind)cell.kind : WF_KIND_SCANNED;
}

WF_PUBLIC void *weft_realloc(void *p, size_t size)
{
    if (p == NULL)
        return weft_alloc(size);
    size_t old = weft_size(p);
    if (weft_base(p) != p)
        wf_misuse("weft_realloc(%p, %zu): not the beginning of a collected object", p, size);
    enum wf_kind kind = kind_of(p);
    if (kind == WF_KIND_TRACED)
        wf_misuse("weft_realloc(%p, %zu): a traced object", p, size);
    void *q = allocate(size, kind);
    if (q == NULL)
        return NULL;
    memcpy(q, p, old < size ? old : size);
    weft_free(p);
    return q;
}

WF_PUBLIC char *weft_strdup(const char *s)
{
    size_t size = strlen(s) + 1;
    char *p = weft_alloc_data(size);
    return p != NULL ? memcpy(p, s, size) : NULL;
}

WF_PUBLIC char *weft_sprintf(const char *format, ...)
{
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, ap);
    char *p = n >= 0 ? weft_alloc_data((size_t)n + 1) : NULL;
    if (p != NULL)
        vsnprintf(p, (size_t)n + 1, format, again);
    va_end(again);
    va_end(ap);
    return p;
}

/* ---- asking for a collection, and about them ---- */

WF_PUBLIC void weft_gc(void)
{
    struct wf_thread *thread = wf_enter_without_start();
    if (cache_of(thread) != NULL)
        thread = collect(thread, wf_load_relaxed(&stats.n_cycles));
    wf_leave(thread);
}

WF_PUBLIC void weft_gc_stats(weft_gc_info *out)
{
    struct wf_thread *thread = wf_enter_without_start();
    while (!wf_world_claim(&thread))
        ;
    struct wf_heap_stats heap = {0};
    if (caches.heap_ready)
        wf_heap_stats(&heap);
    *out = stats.info;
    out->heap_bytes = heap.used_bytes;
    int64_t allocated = wf_load_relaxed(&wf_heap.allocated_since), goal = wf_load_relaxed(&wf_heap.goal);
    out->allocated_bytes = allocated > 0 ? (size_t)allocated : 0;
    out->external_bytes = (size_t)wf_external_bytes();
    out->goal_bytes = goal == INT64_MAX ? SIZE_MAX : out->live_bytes + (size_t)goal;
    out->limit_bytes = config.limit_bytes;
    wf_world_unclaim();
    wf_leave(thread);
}

/* ---- for other rooms ---- */

void *wf_gc_alloc(struct wf_thread *thread, size_t size, enum wf_kind kind)
{
    struct wf_cache *cache = cache_of(thread);
    return cache != NULL ? wf_cache_alloc(cache, size, kind) : NULL;
}
