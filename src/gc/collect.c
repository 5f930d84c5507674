/* SPDX-License-Identifier: MIT */
/* collect.c - the public allocation calls, and the collection that they may have to wait for.
 *
 * Owns:    the caches of workers and plain threads (made on first use, kept and used again), the statistics.
 * Locking: `caches.lock` guards the list of caches. Who collects has claimed the world (sched/world.h).
 *
 * A collection: enter dl_iterate_phdr(), whose lock keeps libraries from coming and going, and is waited for in a doze; claim
 * the world, so that there is one at a time; stop it; flush the caches; mark from the roots, helped by the threads that
 * were stopped; look at weak handles and cleanups; close; set the next goal; go on. Nothing is allocated meanwhile, and
 * no lock of the host is taken but that of dl_iterate_phdr.
 *
 * It runs on the stack of whoever needed memory, which is scanned like the others from where it stands.
 */
#define _GNU_SOURCE
#include "gc/collect.h"

#include <errno.h>
#include <link.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <weft/gc.h>

#include "base/assert.h"
#include "gc/background.h"
#include "gc/cleanup.h"
#include "gc/close.h"
#include "gc/mark.h"
#include "gc/memory.h"
#include "gc/pacer.h"
#include "gc/roots.h"
#include "gc/trace.h"
#include "gc/verify.h"
#include "sched/hooks.h"
#include "sched/sched.h"
#include "sched/worker.h"
#include "sched/world.h"
#include "stack/arena.h"
#include "time/clock.h"

enum { TINY_CELLS = 3, TINY_STEP_UNITS = 4 };
enum { N_PAUSES = 24, RETRY_NS = 500000, MOST_COLLECTIONS = 3, PAGE = 4096, WORTH_HELP_NS = 200000 };

struct cache {
    struct wf_cache cache;
    struct cache *next, *next_free; /* caches.lock */
    uint32_t number;                /* immutable */
};

static struct {
    struct wf_spinlock lock;
    struct cache *all, *free;
    uint32_t n;
    bool heap_ready;
} caches;

static struct wf_gc_config config = {.percent = 100};

/* Written with the world claimed. `n_cycles` changes while the world is stopped: who is inside the runtime and sees it change
 * knows that roots were looked at after its last look. */
static struct {
    weft_gc_info info;
    _Atomic uint64_t n_cycles;
    int64_t heap_made_ns;
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
    wf_pacer_configure(&(struct wf_pacer_config){config.percent, config.limit_bytes, config.hint_bytes});
    stats.heap_made_ns = wf_now_ns();
    caches.heap_ready = true;
    return true;
}

void wf_gc_configure(const struct wf_gc_config *wanted)
{
    config = *wanted;
    wf_store_relaxed(&wf_stress_attn, wanted->stress.switch_every != 0 ? WF_ATTN_STRESS : 0);
    wf_spinlock_lock(&caches.lock);
    if (caches.heap_ready)
        wf_pacer_configure(&(struct wf_pacer_config){config.percent, config.limit_bytes, config.hint_bytes});
    make_heap_locked(); /* before stacks take what address space there is; refused: tried again when it is needed */
    wf_spinlock_unlock(&caches.lock);
    wf_cleanups_restart();
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
            c->number = caches.n++;
        }
    }
    if (c != NULL) {
        wf_cache_init(&c->cache);
        c->cache.number = c->number;
    }
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

struct wf_cache *wf_gc_cache(struct wf_thread *thread)
{
    return cache_of(thread);
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
    void (*look)(void *arg);
    void *look_arg;
    uint64_t seen; /* how many collections there had been: another's will do */
    unsigned attempt;
    bool claimed, done;             /* claimed: at the latest attempt */
    size_t root_bytes, stack_bytes; /* searched; memory behind stacks of routines */
    size_t before_bytes;            /* in use when the world stood still */
    uint64_t given_up;              /* stops of others and ours before */
    struct wf_last_to_stop last;
    int64_t start, stopped, rooted, marked, closed;
};

/* One marker's, and the sums of all, for the pacer. */
struct search {
    struct wf_marker *marker;
    size_t root_bytes, stack_bytes;
};
static struct {
    _Atomic size_t root_bytes, stack_bytes;
} searched;

static void mark_range(void *arg, const void *low, const void *high)
{
    struct search *s = arg;
    uintptr_t from = ((uintptr_t)low + sizeof(void *) - 1) & ~(uintptr_t)(sizeof(void *) - 1);
    if (from >= (uintptr_t)high)
        return;
    wf_mark_range(s->marker, (const void *)from, high);
    s->root_bytes += (uintptr_t)high - from;
    if (from - (uintptr_t)wf_arena.base < (size_t)wf_arena.n_slots << wf_arena.slot_shift)
        s->stack_bytes += (((uintptr_t)high - from) / PAGE + 1) * PAGE;
}

/* This marker's part of the roots that are shared. */
static void search_shared(struct search *s)
{
    while (wf_roots_take_job(mark_range, s))
        ;
    wf_add_relaxed(&searched.root_bytes, s->root_bytes); /* read when all have drained */
    wf_add_relaxed(&searched.stack_bytes, s->stack_bytes);
}

static void mark_argument(void *marker, const void *p)
{
    wf_mark_object(marker, p);
}

static void verify_argument(void *verifier, const void *p)
{
    wf_verify_object(verifier, p);
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
    wf_cleanups_each_argument(verify_argument, v);
}

/* What a stopped thread does. */
static void help(void)
{
    struct wf_marker *m = wf_mark_join();
    if (m == NULL)
        return;
    search_shared(&(struct search){.marker = m});
    wf_mark_drain(m);
}

/* As many as may run routines; plain threads alone: as many as there are CPUs. */
static unsigned most_markers(void)
{
    cpu_set_t cpus;
    unsigned n = wf_n_workers;
    if (n == 0 && sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
        n = (unsigned)CPU_COUNT(&cpus);
    return n == 0 ? 1 : n < WF_MARKERS_MOST ? n : WF_MARKERS_MOST;
}

static void flush_caches(void)
{
    for (struct cache *c = caches.all; c != NULL; c = c->next)
        wf_cache_flush(&c->cache);
}

static void pace(const struct cycle *c)
{
    struct wf_heap_stats heap;
    wf_heap_stats(&heap);
    wf_pacer_cycle(&(struct wf_pacer_cycle){.live_bytes = heap.live_bytes,
                                            .root_bytes = c->root_bytes,
                                            .stack_bytes = c->stack_bytes,
                                            .metadata_bytes = heap.metadata_bytes,
                                            .external_bytes = wf_external_bytes()});
}

static size_t bytes_in_use(void)
{
    struct wf_heap_stats heap;
    wf_heap_stats(&heap);
    int64_t bytes = (int64_t)heap.live_bytes + wf_load_relaxed(&wf_heap.allocated_since);
    return bytes > 0 ? (size_t)bytes : 0;
}

static WF_NOINLINE void collect_stopped(struct cycle *c)
{
    c->stopped = wf_now_ns();
    unsigned n_markers = most_markers();
    c->last = wf_world_stats.last;
    flush_caches();
    c->before_bytes = bytes_in_use();
    if (WF_UNLIKELY(c->look != NULL))
        c->look(c->look_arg);
    wf_store_relaxed(&searched.root_bytes, 0);
    wf_store_relaxed(&searched.stack_bytes, 0);
    wf_roots_begin();
    wf_mark_start(n_markers);
    struct search search = {.marker = wf_mark_join()};
    wf_store_release(&wf_world_help, help);
    if (stats.info.roots_ns + stats.info.mark_ns > WORTH_HELP_NS) /* last time; to wake a thread takes 50 us */
        wf_world_call_helpers(n_markers - 1);
    wf_roots_each_unshared(mark_range, &search);
    wf_cleanups_each_argument(mark_argument, search.marker);
    search_shared(&search);
    c->rooted = wf_now_ns();
    wf_mark_drain(search.marker);
    c->root_bytes = wf_load_relaxed(&searched.root_bytes);
    c->stack_bytes = wf_load_relaxed(&searched.stack_bytes);
    c->marked = wf_now_ns();
    if (config.verify && wf_heap_verify(verify_roots, NULL) > 0) /* negative: it had no memory */
        wf_fatal("the collector and its verifier do not agree");
    wf_cleanups_look();
    wf_close_start();
    while (!wf_close_part())
        ;
    pace(c);
    wf_add_relaxed(&stats.n_cycles, 1);
    c->closed = wf_now_ns();
}

/* dl_iterate_phdr() holds its lock while it calls this. The world is claimed only here, and given back before the lock is:
 * a callback of the user's that allocates holds the lock, too, and may have to wait for whoever has claimed the world. */
static int collect_locked(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct cycle *c = arg;
    (void)info, (void)size;
    c->claimed = wf_world_try_claim();
    if (!c->claimed)
        return 1; /* and no poll with the lock held */
    wf_doze_end(c->thread);
    if (wf_load_relaxed(&stats.n_cycles) != c->seen) {
        wf_world_unclaim();
        return 1;
    }
    __builtin_unwind_init();
    c->done = wf_world_stop(c->thread, c->attempt++);
    if (c->done) {
        c->thread->current->sp = wf_stack_pointer(); /* frames of the collection itself are not searched: they change */
        collect_stopped(c);
        wf_world_resume();
    } else {
        wf_world_unclaim();
    }
    return 1;
}

static size_t goal_bytes(void)
{
    int64_t goal = wf_load_relaxed(&wf_heap.goal);
    return goal == INT64_MAX ? SIZE_MAX : stats.info.live_bytes + (size_t)goal;
}

static void print_trace(const struct cycle *c, int64_t now)
{
    struct wf_mark_counts counts;
    wf_mark_count(&counts);
    wf_gc_trace_print(&(struct wf_gc_trace){.info = &stats.info,
                                            .before_bytes = c->before_bytes,
                                            .goal_bytes = goal_bytes(),
                                            .n_markers = counts.n_markers,
                                            .lifetime_ns = now - stats.heap_made_ns,
                                            .given_up = wf_world_stats.given_up - c->given_up,
                                            .last = c->last});
}

static void note(const struct cycle *c, int64_t now)
{
    struct wf_heap_stats heap;
    weft_gc_info *info = &stats.info;
    wf_heap_stats(&heap);
    int64_t pause = now - c->start;
    info->cycles = wf_gc_cycles();
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
    wf_pacer_ended(c->start, now);
    wf_background_after_cycle(now, info->live_bytes);
    if (config.trace)
        print_trace(c, now);
}

/* A stop was given up: those that hold locks are to release them. */
static struct wf_thread *let_others_go_on(struct wf_thread *thread)
{
    wf_leave(thread);
    nanosleep(&(struct timespec){.tv_nsec = RETRY_NS}, NULL);
    return wf_enter();
}

/* Inside the runtime. c->done: the world is claimed, end_cycle() follows. Else there was a collection after c->seen, or it
 * was given up, or (not c->claimed) another is at it. */
static WF_NOINLINE void attempt_cycle(struct wf_thread *thread, struct cycle *c)
{
    __builtin_unwind_init();
    c->thread = thread;
    thread->current->sp = wf_stack_pointer();
    wf_world_loader_begin();
    wf_doze_begin(thread); /* until it has the loader's lock: another may be collecting with it */
    dl_iterate_phdr(collect_locked, c);
    wf_world_loader_end();
    if (!c->claimed)
        wf_doze_end(thread);
}

/* The same, and then others get their turn if it is to be tried again. */
static struct wf_thread *try_cycle(struct wf_thread *thread, struct cycle *c)
{
    attempt_cycle(thread, c);
    if (!c->claimed)
        thread = wf_world_wait_unclaimed(thread);
    else if (!c->done && wf_load_relaxed(&stats.n_cycles) == c->seen)
        thread = let_others_go_on(thread);
    return thread;
}

/* Inside the runtime, after a collection of the caller's own: what is to be done while the world goes on. */
static struct wf_thread *end_cycle(struct wf_thread *thread, const struct cycle *c)
{
    note(c, wf_now_ns());
    wf_world_unclaim();
    if (WF_UNLIKELY(config.looked != NULL))
        thread = config.looked(thread);
    wf_cleanups_start(thread);
    return thread;
}

static struct cycle new_cycle(void)
{
    return (struct cycle){.start = wf_now_ns(), .given_up = wf_world_stats.given_up};
}

/* Inside the runtime; returns the thread that the caller is on afterwards. `seen`: how many collections there had been when
 * the caller found that it needs one; another's will do. */
static WF_NOINLINE struct wf_thread *collect(struct wf_thread *thread, uint64_t seen)
{
    int saved = errno;
    struct cycle c = new_cycle();
    c.look = config.look;
    c.seen = seen;
    while (wf_load_relaxed(&stats.n_cycles) == seen && !c.done)
        thread = try_cycle(thread, &c);
    if (c.done)
        thread = end_cycle(thread, &c);
    wf_compiler_barrier();
    errno = saved;
    return thread;
}

uint64_t wf_gc_cycles(void)
{
    return wf_load_relaxed(&stats.n_cycles);
}

struct wf_thread *wf_gc_collect_if_due(struct wf_thread *thread)
{
    if (wf_load_relaxed(&wf_heap.allocated_since) < wf_load_relaxed(&wf_heap.goal))
        return thread;
    return collect(thread, wf_gc_cycles());
}

void wf_gc_collect_idle(void)
{
    struct wf_thread *thread = wf_enter_without_start();
    wf_leave(collect(thread, wf_gc_cycles()));
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
    if (every == 0 || !count_for_stress(every))
        return;
    int saved = errno;
    struct cycle c = new_cycle(); /* no look for leaks: what follows one may leave the runtime */
    c.seen = wf_gc_cycles();
    attempt_cycle(thread, &c);
    if (c.done) {
        note(&c, wf_now_ns());
        wf_world_unclaim();
        wf_cleanups_start(thread);
    }
    wf_compiler_barrier();
    errno = saved;
}

/* ---- allocation ---- */

/* Collections near the limit take too much of the time: so that others get theirs, this thread waits. */
static struct wf_thread *wait_at_limit(struct wf_thread *thread)
{
    int64_t ns = wf_pacer_wait_ns(wf_now_ns());
    if (ns == 0)
        return thread;
    int saved = errno;
    wf_leave(thread);
    nanosleep(&(struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000}, NULL);
    wf_compiler_barrier();
    errno = saved;
    return wf_enter_without_start();
}

/* The last collection has left room for it, so if there is none others were quicker. */
static bool had_room(size_t size)
{
    size_t need = size <= WF_SMALL_MOST ? (size_t)WF_SPAN_UNITS_MOST << WF_UNIT_SHIFT : size;
    return need <= wf_pacer_room();
}

static void *alloc_from(struct wf_cache *cache, size_t size, enum wf_kind kind, wf_trace_fn trace)
{
    return kind == WF_KIND_TRACED ? wf_cache_alloc_traced(cache, size, trace) : wf_cache_alloc(cache, size, kind);
}

/* What is left to be said about a request is said by collections: none, if it could never be granted. */
static WF_NOINLINE void *alloc_collecting(struct wf_thread **thread, size_t size, enum wf_kind kind, wf_trace_fn trace)
{
    for (unsigned n_collections = 0;; n_collections++) {
        struct wf_cache *cache = cache_of(*thread);
        if (cache == NULL || size > wf_heap.reserved_units << WF_UNIT_SHIFT)
            return NULL;
        uint64_t seen = wf_gc_cycles();
        void *p = alloc_from(cache, size, kind, trace);
        bool due = cache->goal_passed || WF_UNLIKELY(stress_is_due(config.stress.alloc_every));
        cache->goal_passed = false;
        if (p != NULL) {
            if (due)
                *thread = collect(*thread, seen);
            else
                wf_background_notice();
            weft_keep(p); /* it was on this stack while others were marked */
            return p;
        }
        if (n_collections == MOST_COLLECTIONS || (n_collections > 0 && !had_room(size)))
            return NULL;
        *thread = collect(wait_at_limit(*thread), seen);
    }
}

static WF_NOINLINE void *alloc_slow(struct wf_thread *thread, size_t size, enum wf_kind kind, wf_trace_fn trace)
{
    void *p = alloc_collecting(&thread, size, kind, trace);
    wf_leave(thread);
    return p;
}

static WF_NOINLINE void *allocate_slow(size_t size, enum wf_kind kind)
{
    return alloc_slow(wf_enter_without_start(), size, kind, NULL);
}

/* The frequent case needs no stack frame: everything else begins again in a tail call. */
WF_INLINE void *allocate(size_t size, enum wf_kind kind)
{
    struct wf_thread *thread = wf_thread_self();
    if (WF_UNLIKELY(thread == NULL || size > WF_GRAINS_MOST))
        return allocate_slow(size, kind);
    wf_store_relaxed(&thread->in_rt, 1); /* [G1] */
    wf_compiler_barrier();
    if (WF_UNLIKELY(wf_load_acquire(&thread->attn) != 0)) /* [G2] */
        return allocate_slow(size, kind);
    struct cache *c = thread->worker != NULL ? thread->worker->cache : thread->cache;
    if (WF_UNLIKELY(c == NULL))
        return allocate_slow(size, kind);
    struct wf_cache_slot *slot = &c->cache.slots[kind][wf_class_of_grains[(size + WF_GRAIN - 1) / WF_GRAIN]];
    if (WF_UNLIKELY(slot->bits == 0))
        return allocate_slow(size, kind);
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

static void free_inside(struct wf_thread *thread, void *p)
{
    switch (wf_heap_free(p)) {
    case -EALREADY:
        wf_misuse("weft_free(%p): it is free already", p);
    case -EINVAL:
        wf_misuse("weft_free(%p): not the beginning of a collected object", p);
    case -EBUSY:
        wf_misuse("weft_free(%p): a weak handle, which others may have too", p);
    }
    wf_cleanups_start(thread);
}

WF_PUBLIC void weft_free(void *p)
{
    if (p == NULL)
        return;
    struct wf_thread *thread = wf_enter_without_start();
    free_inside(thread, p);
    wf_leave(thread);
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

/* The cell of the object that begins at p, which weft_realloc() may be asked about. Inside the runtime. */
static struct wf_cell cell_to_resize(void *p, size_t size)
{
    struct wf_cell cell;
    if (!wf_heap_find((uintptr_t)p, &cell) || cell.start != p)
        wf_misuse("weft_realloc(%p, %zu): not the beginning of a collected object", p, size);
    if (cell.kind > WF_KIND_DATA)
        wf_misuse("weft_realloc(%p, %zu): a traced object", p, size);
    return cell;
}

/* The object may stay: it holds `size`, and is not more than twice what a new one would be. What lies behind `size` is to be
 * zero when the object grows again. */
static bool resize_in_place(const struct wf_cell *cell, size_t size)
{
    size_t fresh = size <= WF_SMALL_MOST ? wf_sizeclasses[wf_class_of(size)].size : size;
    if (size > cell->size || cell->size / 2 > fresh)
        return false;
    if (cell->kind == WF_KIND_SCANNED)
        memset(cell->start + size, 0, cell->size - size);
    return true;
}

WF_PUBLIC void *weft_realloc(void *p, size_t size)
{
    if (p == NULL)
        return weft_alloc(size);
    struct wf_thread *thread = wf_enter_without_start();
    struct wf_cell cell = cell_to_resize(p, size);
    if (resize_in_place(&cell, size)) {
        wf_leave(thread);
        return p;
    }
    void *q = alloc_collecting(&thread, size, (enum wf_kind)cell.kind, NULL);
    if (q != NULL) {
        memcpy(q, p, cell.size < size ? cell.size : size);
        if (wf_load_relaxed(&wf_heap.spans[cell.span].has_specials))
            wf_cleanups_move(p, q, size);
        free_inside(thread, p);
    }
    wf_leave(thread);
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
    int saved = errno;
    va_start(ap, format);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, ap); /* < 0: longer than INT_MAX, or no text in this locale */
    char *p = n >= 0 ? weft_alloc_data((size_t)n + 1) : NULL;
    errno = saved; /* for %m */
    if (p != NULL)
        vsnprintf(p, (size_t)n + 1, format, again);
    va_end(again);
    va_end(ap);
    wf_compiler_barrier();
    errno = saved;
    return p;
}

/* ---- asking for a collection, and about them ---- */

/* No object: nothing to find. Those in caches count, for their spans do. */
static bool is_empty(void)
{
    return wf_load_relaxed(&wf_heap.used_units) == 0;
}

/* A pointer that was dropped leaves no trace, and stacks and static data change without notice: so if there are objects, no
 * cycle can be left out on the ground that nothing has happened. But one that looked at the roots after the beginning of this
 * call will do: whoever is inside the runtime, as this thread is since `n_cycles` was read, holds the world up. */
WF_PUBLIC void weft_gc(void)
{
    struct wf_thread *thread = wf_enter_without_start();
    if (!is_empty())
        thread = collect(thread, wf_gc_cycles());
    else if (caches.heap_ready && wf_n_workers == 0)
        wf_background_release(wf_now_ns()); /* what former collections have found is still going back */
    wf_cleanups_start(thread);
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
    int64_t allocated = wf_load_relaxed(&wf_heap.allocated_since);
    out->allocated_bytes = allocated > 0 ? (size_t)allocated : 0;
    int64_t external = wf_external_bytes();
    out->external_bytes = external > 0 ? (size_t)external : 0;
    out->goal_bytes = caches.heap_ready ? goal_bytes() : SIZE_MAX;
    out->limit_bytes = config.limit_bytes;
    wf_world_unclaim();
    wf_leave(thread);
}

/* ---- for other rooms ---- */

void wf_gc_collect_looking(void (*look)(void *arg), void *arg)
{
    int saved = errno;
    struct wf_thread *thread = wf_enter_without_start();
    if (cache_of(thread) != NULL) {
        struct cycle c = new_cycle();
        c.look = look;
        c.look_arg = arg;
        while (!c.done) {
            c.seen = wf_gc_cycles();
            thread = try_cycle(thread, &c);
        }
        thread = end_cycle(thread, &c);
    }
    wf_leave(thread);
    errno = saved;
}

void *wf_gc_new(size_t size, enum wf_kind kind)
{
    return allocate(size, kind);
}
