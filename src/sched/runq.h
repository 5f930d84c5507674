/* SPDX-License-Identifier: MIT */
/* runq.h - taking from a worker's ring: the owner in small batches, thieves by half. */
#ifndef WEFT_SCHED_RUNQ_H
#define WEFT_SCHED_RUNQ_H

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

/* Owner: the oldest entry, or `otherwise`; refills the private batch behind it. Only when the batch is empty. */
WF_INLINE struct wf_routine *wf_ring_take(struct wf_worker *worker, struct wf_routine *otherwise)
{
    struct wf_routine *taken[WF_BATCH_SIZE];
    uint32_t n = wf_ring_take_many(&worker->ring, taken, WF_BATCH_SIZE, false);
    if (n == 0)
        return otherwise;
    for (uint32_t i = 1; i < n; i++)
        worker->batch[n - 1 - i] = taken[i];
    wf_store_relaxed(&worker->n_batch, n - 1);
    return taken[0];
}

/* Thief: moves up to half of the victim's ring into the thief's own and returns one of them, or NULL. The thief's ring
 * is empty. */
struct wf_routine *wf_ring_steal(struct wf_worker *thief, struct wf_worker *victim);

#endif
