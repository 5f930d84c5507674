/* SPDX-License-Identifier: MIT */
/* retire.c - what becomes of all that a retired worker held.
 *
 * Runnable routines go to the pool's injection queue, those placed here but not met yet to whoever takes them, timers go to a
 * worker that has a thread, free descriptors and stacks to where they came from. The share of the object arena stays: the
 * slot may be used again. Pinned routines are not the worker's but its thread's, which becomes a spare that wants a worker
 * as long as it has some (thread.c).
 *
 * Callers: idle.c (the worker's own thread), pool.c (the pilot, which has seized it).
 */
#include "sched/retire.h"

#include "sched/hooks.h"
#include "sched/idle.h"
#include "sched/park.h"
#include "sched/place.h"

static void drain_fresh(struct wf_worker *worker, struct wf_fresh_list *list)
{
    if (list->head != NULL)
        wf_inject_push_batch(&worker->pool->inject, list);
    *list = (struct wf_fresh_list){.head = NULL};
}

static void drain_runnable(struct wf_worker *worker)
{
    struct wf_inject *inject = &worker->pool->inject;
    struct wf_routine *next = wf_load_relaxed(&worker->next), *out[64];
    if (next != NULL)
        wf_inject_push(inject, next, WF_PRIORITY_NORMAL);
    if (worker->stackless != NULL)
        wf_inject_push(inject, worker->stackless, WF_PRIORITY_NORMAL);
    if (worker->queue_head != NULL)
        wf_inject_push_list(inject, worker->queue_head, worker->queue_tail, wf_queue_length(worker), WF_PRIORITY_NORMAL);
    drain_fresh(worker, &worker->fresh_old);
    drain_fresh(worker, &worker->fresh_new);
    wf_store_relaxed(&worker->next, NULL);
    worker->stackless = NULL;
    worker->queue_head = NULL;
    wf_store_relaxed(&worker->queue_length, 0);
    wf_store_relaxed(&worker->fresh_length, 0);
    for (uint32_t n; (n = wf_ring_take_many(&worker->ring, out, 64, false)) > 0;)
        for (uint32_t i = 0; i < n; i++)
            wf_inject_push(inject, out[i], WF_PRIORITY_NORMAL);
}

static void drain_caches(struct wf_worker *worker)
{
    struct wf_routine *lists[] = {worker->free_routines, worker->full_batch};
    for (unsigned i = 0; i < WF_ARRAY_SIZE(lists); i++)
        for (struct wf_routine *r = lists[i], *after; r != NULL; r = after) {
            after = r->link;
            wf_routine_free(NULL, r);
        }
    worker->free_routines = worker->full_batch = NULL;
    worker->n_free_routines = 0;
    wf_arena_give(worker->free_stacks, worker->n_free_stacks);
    worker->n_free_stacks = 0;
    wf_hooks.cache_retire(worker->cache);
    worker->cache = NULL;
}

/* A worker of the same pool that has a thread; when the pool goes altogether, or has none, the default pool's first one,
 * which has a thread for as long as the runtime runs. */
static struct wf_worker *heir_of(struct wf_worker *worker)
{
    struct wf_pool *pool = worker->pool;
    for (uint32_t i = 0; i < wf_load_relaxed(&pool->size); i++) {
        if (wf_load_acquire(&pool->workers[i].is_driven) != 0)
            return &pool->workers[i];
    }
    return &wf_default_pool->workers[0];
}

void wf_worker_retire(struct wf_worker *worker, struct wf_thread *thread)
{
    struct wf_worker *heir = heir_of(worker);
    drain_runnable(worker);
    drain_caches(worker);
    worker->for_pinned = false;
    wf_store_release(&worker->is_driven, 0);
    wf_thread_set_worker(thread, NULL);
    wf_store_release(&worker->thread, NULL);
    wf_store_seq_cst(&worker->state, WF_WORKER_RETIRED);
    wf_fence_seq_cst();
    wf_arrivals_leave(worker); /* [A2] */
    if (wf_timers_move(&worker->timers, &heir->timers)) {
        wf_fence_seq_cst();
        wf_worker_wake(heir); /* asleep with a later deadline */
    }
    wf_idle_wake_inject(worker->pool);
}
