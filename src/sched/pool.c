/* SPDX-License-Identifier: MIT */
/* pool.c - the pools there are, and the sizes they have; the protocol is in pool.h.
 *
 * Owns:    wf_pools and the memory of all workers: WF_WORKERS_MAX slots a pool, reserved when the pool is first used and
 *          touched as far as they are.
 * Callers: workers.c (the public functions), pilot.c (settle), rt/init.c (open, close, clear).
 */
#include "sched/pool.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "sched/idle.h"
#include "sched/park.h"
#include "sched/resize.h"
#include "sched/retire.h"
#include "time/clock.h"

struct wf_pools wf_pools = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int map_workers(struct wf_pool *pool)
{
    size_t bytes = WF_WORKERS_MAX * sizeof(struct wf_worker);
    if (pool->workers != NULL)
        return 0;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return -ENOMEM;
    pool->workers = p;
    return 0;
}

static void make_worker(struct wf_pool *pool, uint32_t index, int64_t now)
{
    struct wf_worker *w = &pool->workers[index];
    char *cells = w->cells, *cells_end = w->cells_end;
    void *free_cells = w->free_cells;
    struct wf_scope *free_scopes = w->free_scopes;
    uint32_t n_free_scopes = w->n_free_scopes;
    memset(w, 0, sizeof(*w)); /* as the last run left it, which may have been looked at until now */
    w->cells = cells; /* memory of the process, not of the run */
    w->cells_end = cells_end;
    w->free_cells = free_cells;
    w->free_scopes = free_scopes;
    w->n_free_scopes = n_free_scopes;
    w->pool = pool;
    w->index = index;
    w->budget = w->budget_full = WF_BUDGET_MAX;
    w->looked_ns = now;
    wf_rand_seed(&w->rand, (uint64_t)now + index);
    wf_timers_init(&w->timers, now);
    wf_store_relaxed(&w->state, WF_WORKER_RETIRED);
}

/* Workers up to `n` exist. */
static int extend(struct wf_pool *pool, uint32_t n)
{
    uint32_t have = wf_load_relaxed(&pool->n_slots);
    int64_t now = wf_now_ns();
    int error = map_workers(pool);
    if (error != 0)
        return error;
    for (uint32_t i = have; i < n; i++)
        make_worker(pool, i, now);
    if (n > have)
        wf_store_release(&pool->n_slots, n);
    return 0;
}

/* ---- size ---- */

/* Also one that is just being retired stays after all: it finds that it is not surplus. */
static void revive(struct wf_worker *worker)
{
    if (wf_load_acquire(&worker->state) != WF_WORKER_RETIRED)
        return;
    wf_idle_count_unused(worker->pool, 1); /* first: more asleep than there are does no harm */
    wf_store_seq_cst(&worker->state, WF_WORKER_UNUSED);
}

static void apply_size(struct wf_pool *pool, uint32_t n)
{
    if (n > wf_load_relaxed(&pool->reach))
        wf_store_release(&pool->reach, n);
    wf_store_seq_cst(&pool->size, n); /* [Y1] */
    for (uint32_t i = 0; i < n; i++)
        revive(&pool->workers[i]);
    wf_pool_settle(pool, false);
}

int wf_pool_resize(struct wf_pool *pool, uint32_t n)
{
    uint32_t was = wf_load_relaxed(&pool->size), have = wf_load_relaxed(&pool->n_slots);
    int error = n > have ? wf_routines_reserve((n - have) * (wf_stack_cache + 1)) : 0;
    if (error == 0)
        error = extend(pool, n);
    if (error != 0)
        return error;
    apply_size(pool, n);
    if (n > was)
        wf_idle_wake_slow(pool); /* to look at what nobody could be woken for */
    return 0;
}

/* Its thread is outside of the runtime: it computes or sits in a call. It goes on without the worker, and its routine is
 * queued when it next calls weft, as after a hand-off. */
static void seize_and_retire(struct wf_worker *worker)
{
    struct wf_thread *thread = wf_load_acquire(&worker->thread);
    if (thread == NULL || !wf_guard_seize(thread))
        return;
    bool drives = thread->worker == worker && thread->current != thread->scheduler; /* it dozes there: it goes by itself */
    if (drives)
        wf_worker_retire(worker, thread);
    wf_guard_release(thread, drives);
}

static void settle_worker(struct wf_worker *worker, bool seize)
{
    uint32_t state = wf_load_acquire(&worker->state);
    if (state == WF_WORKER_UNUSED) {
        if (wf_cas_acq_rel(&worker->state, &state, WF_WORKER_RETIRED))
            wf_idle_count_unused(worker->pool, -1);
    } else if (state == WF_WORKER_RUNNING) {
        if (seize)
            seize_and_retire(worker);
    } else {
        wf_worker_wake(worker);
    }
}

void wf_pool_settle(struct wf_pool *pool, bool seize)
{
    uint32_t size = wf_load_relaxed(&pool->size), reach = wf_load_relaxed(&pool->reach);
    wf_fence_seq_cst(); /* [Y1] */
    for (uint32_t i = size; i < reach; i++)
        settle_worker(&pool->workers[i], seize);
    while (reach > size && wf_load_acquire(&pool->workers[reach - 1].state) == WF_WORKER_RETIRED)
        reach--;
    wf_store_release(&pool->reach, reach);
}

/* ---- counts ---- */

uint64_t wf_pool_ended(struct wf_pool *pool)
{
    uint64_t ended = 0;
    for (uint32_t i = 0; i < wf_load_acquire(&pool->n_slots); i++)
        ended += wf_load_acquire(&pool->workers[i].n_ended);
    return ended;
}

uint64_t wf_pool_started(struct wf_pool *pool)
{
    uint64_t started = wf_load_acquire(&pool->n_started_outside);
    for (uint32_t i = 0; i < wf_load_acquire(&pool->n_slots); i++)
        started += wf_load_acquire(&pool->workers[i].n_started);
    return started;
}

/* ---- pools ---- */

struct wf_pool *wf_pool_named(const struct weft_workers *workers)
{
    for (struct wf_pool *pool = NULL; (pool = wf_pool_next(pool)) != NULL;)
        if ((const void *)pool == (const void *)workers)
            return wf_load_acquire(&pool->size) > 0 ? pool : NULL;
    return NULL;
}

static void init_pool(struct wf_pool *pool, const char *name, int nice)
{
    pool->index = (uint32_t)(pool - wf_pools.all);
    pool->used = true;
    pool->nice = nice;
    memset(pool->name, 0, sizeof(pool->name));
    strncpy(pool->name, name, sizeof(pool->name) - 1);
    if (wf_load_relaxed(&pool->n_slots) == 0)
        wf_idle_init(pool); /* else its workers, all retired, are counted right: not at all */
}

struct wf_pool *wf_pool_make(const char *name, int nice)
{
    for (uint32_t i = 1; i < WF_POOLS_MAX; i++) {
        struct wf_pool *pool = &wf_pools.all[i];
        if (pool->used)
            continue;
        if (map_workers(pool) != 0)
            return NULL;
        init_pool(pool, name, nice);
        if (i >= wf_load_relaxed(&wf_pools.n))
            wf_store_release(&wf_pools.n, i + 1);
        return pool;
    }
    return NULL;
}

void wf_pools_enter(void)
{
    struct wf_thread *thread = wf_enter();
    while (pthread_mutex_trylock(&wf_pools.lock) != 0) {
        wf_leave(thread);
        sched_yield();
        thread = wf_enter();
    }
}

void wf_pools_leave(void)
{
    pthread_mutex_unlock(&wf_pools.lock);
    wf_leave(wf_thread_self());
}

void wf_pools_lock_inside(struct wf_thread *thread)
{
    while (pthread_mutex_trylock(&wf_pools.lock) != 0) {
        wf_doze_begin(thread);
        sched_yield();
        wf_doze_end(thread);
    }
}

int wf_pools_open(uint32_t n)
{
    struct wf_pool *pool = wf_default_pool;
    int error = map_workers(pool);
    if (error != 0)
        return error;
    pthread_mutex_lock(&wf_pools.lock);
    init_pool(pool, "default", 0);
    wf_store_release(&wf_pools.n, 1);
    error = extend(pool, n); /* their stack slots are set aside already */
    apply_size(pool, n);
    wf_pools.run++;
    wf_pools.open = true;
    pthread_mutex_unlock(&wf_pools.lock);
    return error;
}

void wf_pools_close(void)
{
    pthread_mutex_lock(&wf_pools.lock);
    wf_pools.open = false;
    pthread_mutex_unlock(&wf_pools.lock);
}

/* The workers' memory is kept for the next run: a plain thread may be about to stop a timer that it finds cleared. */
void wf_pools_clear(void)
{
    for (uint32_t i = 0; i < WF_POOLS_MAX; i++) {
        struct wf_pool *pool = &wf_pools.all[i];
        pool->used = false;
        wf_store_relaxed(&pool->size, 0);
        wf_store_relaxed(&pool->reach, 0);
        wf_store_relaxed(&pool->n_slots, 0);
        wf_store_relaxed(&pool->n_pinned, 0);
        wf_store_relaxed(&pool->start_wanted, 0);
        wf_store_relaxed(&pool->n_started_outside, 0);
    }
    wf_store_release(&wf_pools.n, 0);
}
