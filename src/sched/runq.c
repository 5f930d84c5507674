/* SPDX-License-Identifier: MIT */
/* runq.c - the uncommon ways through a worker's queues: somebody is idle, a thief. */
#include "sched/runq.h"

#include "base/assert.h"

#include "sched/inject.h"
#include "sched/park.h"

WF_NOINLINE struct wf_routine *wf_ring_take_one(struct wf_ring *ring, struct wf_routine *otherwise)
{
    struct wf_routine *r;
    return wf_ring_take_many(ring, &r, 1, false) == 1 ? r : otherwise;
}

void wf_fresh_flush_old(struct wf_worker *worker)
{
    struct wf_fresh_list *old = &worker->fresh_old;
    if (old->head == NULL)
        return;
    wf_inject_push_batch(&worker->pool->inject, old);
    wf_store_relaxed(&worker->fresh_length, wf_load_relaxed(&worker->fresh_length) - old->length);
    *old = (struct wf_fresh_list){.head = NULL};
}

WF_NOINLINE void wf_fresh_overflow(struct wf_worker *worker)
{
    wf_fresh_flush_old(worker);
    wf_idle_wake(worker->pool);
    worker->fresh_old = worker->fresh_new;
    worker->fresh_new = (struct wf_fresh_list){.head = NULL};
}

WF_NOINLINE void wf_push_slow(struct wf_worker *worker, struct wf_routine *r)
{
    if (!wf_ring_put(&worker->ring, r))
        wf_local_put(worker, r);
    wf_idle_wake(worker->pool);
}

void wf_share(struct wf_worker *worker, bool all)
{
    uint32_t n = wf_private_length(worker);
    if (!all)
        n /= 2;
    for (; n > 0 && wf_ring_length(&worker->ring) < WF_RING_SIZE; n--) {
        struct wf_routine *r = wf_fresh_take(worker);
        if (r == NULL)
            r = wf_queue_take(worker);
        WF_CHECK(wf_ring_put(&worker->ring, r)); /* only its owner fills it */
    }
    struct wf_routine *next = wf_load_relaxed(&worker->next);
    if (all && next != NULL && wf_ring_put(&worker->ring, next))
        wf_store_relaxed(&worker->next, NULL);
}

struct wf_routine *wf_ring_steal(struct wf_worker *thief, struct wf_worker *victim)
{
    struct wf_routine *out[WF_RING_SIZE / 2];
    uint32_t n = wf_ring_take_many(&victim->ring, out, WF_RING_SIZE / 2, true);
    if (n == 0)
        return NULL;
    for (uint32_t i = 1; i < n; i++)
        wf_local_put(thief, out[i]);
    return out[0];
}
