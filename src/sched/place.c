/* SPDX-License-Identifier: MIT */
/* place.c - pinned routines that have not run yet.
 *
 * A pinned routine is bound to a thread, but not to one that may be stuck in a call that never returns: so it is placed
 * on a worker, and the thread that drives that worker when it takes the routine becomes its home (thread.c). A worker that
 * is handed on takes its arrivals along; of one that computes and is not handed on, a searcher of the pool takes them
 * (idle.c, steal_from); of a retired one they are placed again.
 *
 * [A1] The placer adds, fences, then looks at the state. [A2] Who retires the worker, or has claimed it and finds no thread
 * for it, sets the state, fences, then looks at the arrivals. One of them sees the other, so nothing stays with a worker
 * that no thread drives.
 */
#include "sched/place.h"

#include "sched/idle.h"
#include "sched/pool.h"
#include "sched/runq.h"
#include "sched/thread.h"

/* How many pinned routines would share the thread; in the low bits how much else there is. */
static uint64_t load_of(struct wf_worker *worker)
{
    struct wf_thread *thread = wf_load_acquire(&worker->thread);
    uint64_t pinned = wf_load_relaxed(&worker->n_arrivals);
    if (thread != NULL)
        pinned += wf_load_relaxed(&thread->n_homed);
    uint64_t other = wf_private_length(worker) + wf_ring_length(&worker->ring);
    other += wf_load_relaxed(&worker->state) == WF_WORKER_RUNNING;
    return pinned << 32 | other;
}

/* Starts at a place that changes, so that equals share. */
static struct wf_worker *least_loaded(struct wf_pool *pool, bool started_only)
{
    static _Atomic uint32_t turn;
    uint32_t n = wf_load_acquire(&pool->size), first = wf_add_relaxed(&turn, 1);
    struct wf_worker *best = NULL;
    uint64_t least = UINT64_MAX;
    for (uint32_t k = 0; k < n; k++) {
        struct wf_worker *worker = &pool->workers[(first + k) % n];
        uint32_t state = wf_load_relaxed(&worker->state);
        if (state == WF_WORKER_RETIRED || (started_only && state == WF_WORKER_UNUSED))
            continue;
        uint64_t load = load_of(worker);
        if (load < least) {
            least = load;
            best = worker;
        }
    }
    return best;
}

static void add_arrival(struct wf_worker *worker, struct wf_routine *r)
{
    r->link = NULL;
    wf_spinlock_lock(&worker->arrivals_lock);
    if (worker->arrivals_head == NULL)
        worker->arrivals_head = r;
    else
        worker->arrivals_tail->link = r;
    worker->arrivals_tail = r;
    wf_store_relaxed(&worker->n_arrivals, wf_load_relaxed(&worker->n_arrivals) + 1);
    wf_spinlock_unlock(&worker->arrivals_lock);
}

struct wf_routine *wf_arrivals_pop(struct wf_worker *worker)
{
    if (wf_load_relaxed(&worker->n_arrivals) == 0)
        return NULL;
    wf_spinlock_lock(&worker->arrivals_lock);
    struct wf_routine *r = worker->arrivals_head;
    if (r != NULL) {
        worker->arrivals_head = r->link;
        wf_store_relaxed(&worker->n_arrivals, wf_load_relaxed(&worker->n_arrivals) - 1);
    }
    wf_spinlock_unlock(&worker->arrivals_lock);
    return r;
}

void wf_place_pinned(struct wf_routine *r)
{
    struct wf_pool *pool = wf_pool_of(r);
    struct wf_worker *worker = least_loaded(pool, false);
    if (worker != NULL && wf_load_relaxed(&worker->state) == WF_WORKER_UNUSED && !wf_worker_start(worker))
        worker = least_loaded(pool, true); /* no thread to be had */
    if (worker == NULL) {
        wf_inject_push(&pool->inject, r, WF_PRIORITY_HIGH);
        wf_idle_wake_inject(pool);
        return;
    }
    add_arrival(worker, r);
    wf_fence_seq_cst(); /* [A1], and [I1]: the last look of [I2] includes the arrivals */
    if (wf_worker_has_thread(worker)) {
        wf_worker_wake(worker);
    } else {
        wf_arrivals_leave(worker);
        wf_idle_wake_inject(pool);
    }
}

/* Whoever comes first takes them: the scheduler loops pop those of high priority one by one. */
void wf_arrivals_leave(struct wf_worker *worker)
{
    for (struct wf_routine *r; (r = wf_arrivals_pop(worker)) != NULL;)
        wf_inject_push(&worker->pool->inject, r, WF_PRIORITY_HIGH);
}
