/* SPDX-License-Identifier: MIT */
/* runq.h - a worker's private queue, and its ring: the owner takes one by one, thieves by half. */
#ifndef WEFT_SCHED_RUNQ_H
#define WEFT_SCHED_RUNQ_H

#include "base/assert.h"
#include "sched/idle.h"
#include "sched/worker.h"

/* Takes up to `most` from the head into out[], oldest first. [R2] the acquire load of tail pairs with [R1]; the CAS on
 * head decides between takers: slots read before a CAS that succeeds were not reused, for the owner reuses a slot only
 * after it has seen a head beyond it. */
WF_INLINE uint32_t wf_ring_take_many(struct wf_ring *ring, struct wf_routine **out, uint32_t most, bool half)
{
    uint32_t head = wf_load_acquire(&ring->head);
    for (;;) {
        uint32_t n = wf_load_acquire(&ring->tail) - head;
        if (n == 0)
            return 0;
        if (n > WF_RING_SIZE) { /* head is older than tail by more than a turn */
            head = wf_load_acquire(&ring->head);
            continue;
        }
        if (half)
            n -= n / 2;
        if (n > most)
            n = most;
        for (uint32_t i = 0; i < n; i++)
            out[i] = wf_load_relaxed(&ring->slots[(head + i) % WF_RING_SIZE]);
        if (wf_cas_acq_rel(&ring->head, &head, head + n))
            return n;
    }
}

WF_INLINE uint32_t wf_ring_length(struct wf_ring *ring)
{
    uint32_t n = wf_load_relaxed(&ring->tail) - wf_load_relaxed(&ring->head);
    return n <= WF_RING_SIZE ? n : 0;
}

/* Owner: the oldest entry of the ring, or `otherwise`. */
struct wf_routine *wf_ring_take_one(struct wf_ring *ring, struct wf_routine *otherwise);
WF_INLINE struct wf_routine *wf_ring_take(struct wf_worker *worker, struct wf_routine *otherwise)
{
    struct wf_ring *ring = &worker->ring;
    if (WF_LIKELY(wf_load_relaxed(&ring->head) == wf_load_relaxed(&ring->tail)))
        return otherwise;
    return wf_ring_take_one(ring, otherwise);
}

/* Owner. True: there was room. */
WF_INLINE bool wf_ring_put(struct wf_ring *ring, struct wf_routine *r)
{
    uint32_t tail = wf_load_relaxed(&ring->tail);
    if (WF_UNLIKELY(tail - wf_load_acquire(&ring->head) >= WF_RING_SIZE))
        return false;
    wf_store_relaxed(&ring->slots[tail % WF_RING_SIZE], r);
    wf_store_release(&ring->tail, tail + 1); /* [R1] pairs with [R2] */
    return true;
}

WF_INLINE uint32_t wf_queue_length(struct wf_worker *worker)
{
    return wf_load_relaxed(&worker->queue_length);
}

/* Runnable routines that only the owner, or a seizer, can take, without `next`. */
WF_INLINE uint32_t wf_private_length(struct wf_worker *worker)
{
    return wf_queue_length(worker) + wf_load_relaxed(&worker->fresh_length);
}

/* The newer list of fresh ones is full: it becomes the older one, which leaves for the injection queue. */
void wf_fresh_overflow(struct wf_worker *worker);
/* The older list, if it is not empty, leaves. */
void wf_fresh_flush_old(struct wf_worker *worker);

WF_INLINE void wf_queue_put(struct wf_worker *worker, struct wf_routine *r)
{
    r->link = NULL;
    if (worker->queue_head == NULL)
        worker->queue_head = r;
    else
        worker->queue_tail->link = r;
    worker->queue_tail = r;
    wf_store_relaxed(&worker->queue_length, wf_queue_length(worker) + 1);
}

WF_INLINE struct wf_routine *wf_queue_take(struct wf_worker *worker)
{
    struct wf_routine *r = worker->queue_head;
    if (r == NULL)
        return NULL;
    struct wf_routine *after = r->link;
    worker->queue_head = after;
    /* Many routines do not fit the caches: fetch the stack of the next one and the descriptor of the one behind it. */
    if (after != NULL) {
        __builtin_prefetch(after->sp);
        __builtin_prefetch(after->link);
    }
    wf_store_relaxed(&worker->queue_length, wf_queue_length(worker) - 1);
    return r;
}

WF_INLINE void wf_fresh_put(struct wf_worker *worker, struct wf_routine *r)
{
    struct wf_fresh_list *list = &worker->fresh_new;
    r->link = NULL;
    if (list->head == NULL)
        list->head = r;
    else
        list->tail->link = r;
    list->tail = r;
    wf_store_relaxed(&worker->fresh_length, wf_load_relaxed(&worker->fresh_length) + 1);
    if (WF_UNLIKELY(++list->length >= WF_FRESH_LIST))
        wf_fresh_overflow(worker);
}

WF_INLINE struct wf_routine *wf_fresh_take(struct wf_worker *worker)
{
    struct wf_fresh_list *list = &worker->fresh_old;
    if (list->head == NULL) {
        if (worker->fresh_new.head == NULL)
            return NULL;
        *list = worker->fresh_new;
        worker->fresh_new = (struct wf_fresh_list){.head = NULL};
    }
    struct wf_routine *r = list->head;
    struct wf_routine *after = r->link;
    list->head = after;
    list->length--;
    if (after != NULL) {
        __builtin_prefetch(after->start.integers);
        __builtin_prefetch(after->start.words);
        __builtin_prefetch(after->start.vectors);
        __builtin_prefetch(after->link);
    }
    wf_store_relaxed(&worker->fresh_length, wf_load_relaxed(&worker->fresh_length) - 1);
    return r;
}

/* A batch of the injection queue becomes the older list, which is empty. */
WF_INLINE struct wf_routine *wf_fresh_refill(struct wf_worker *worker, const struct wf_fresh_list *batch)
{
    WF_ASSERT(worker->fresh_old.head == NULL);
    worker->fresh_old = *batch;
    wf_store_relaxed(&worker->fresh_length, wf_load_relaxed(&worker->fresh_length) + batch->length);
    return wf_fresh_take(worker);
}

/* Into whichever private queue it belongs to. */
WF_INLINE void wf_local_put(struct wf_worker *worker, struct wf_routine *r)
{
    if ((r->flags & WF_STARTED) != 0)
        wf_queue_put(worker, r);
    else
        wf_fresh_put(worker, r);
}

/* Something waits in the worker's own places. A hint for others, exact for the owner. */
WF_INLINE bool wf_worker_has_runnable(struct wf_worker *worker)
{
    return wf_load_relaxed(&worker->next) != NULL || wf_private_length(worker) > 0 || wf_ring_length(&worker->ring) > 0;
}

/* Somebody is idle: into the ring, and wake. */
void wf_push_slow(struct wf_worker *worker, struct wf_routine *r);

/* Moves half of the private queues to the ring, fresh ones first (all: everything, `next` too). Private access. */
void wf_share(struct wf_worker *worker, bool all);

/* Thief: moves up to half of the victim's ring into the thief's own and returns one of them, or NULL. The thief's ring
 * is empty. */
struct wf_routine *wf_ring_steal(struct wf_worker *thief, struct wf_worker *victim);

#endif
