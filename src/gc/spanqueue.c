/* SPDX-License-Identifier: MIT */
/* spanqueue.c - the queue's set-up and the way thieves take from it.
 *
 * Callers: mark.c.
 */
#include "gc/spanqueue.h"

void wf_spanqueue_init(struct wf_spanqueue *queue, _Atomic uint32_t *slots, uint32_t entries)
{
    wf_store_relaxed(&queue->head, 0);
    wf_store_relaxed(&queue->tail, 0);
    queue->slots = slots;
    queue->mask = entries - 1;
}

bool wf_spanqueue_steal(struct wf_spanqueue *victim, struct wf_spanqueue *thief)
{
    uint32_t head = wf_load_acquire(&victim->head); /* orders the two loads: the length is never negative */
    for (;;) {
        uint32_t n = wf_load_acquire(&victim->tail) - head; /* [Q2] */
        if (n < 2)
            return false;
        if (n > victim->mask + 1) { /* the head is long outdated */
            head = wf_load_acquire(&victim->head);
            continue;
        }
        n /= 2;
        /* Slots are overwritten only after the head has passed them: then the exchange fails. */
        uint32_t tail = wf_load_relaxed(&thief->tail);
        for (uint32_t i = 0; i < n; i++)
            wf_store_relaxed(&thief->slots[(tail + i) & thief->mask],
                             wf_load_relaxed(&victim->slots[(head + i) & victim->mask]));
        /* [Q3] Taken. What the victim published by [Q1] is passed on to thieves of this queue by the release below. */
        if (wf_cas_acq_rel(&victim->head, &head, head + n)) {
            wf_store_release(&thief->tail, tail + n);
            return true;
        }
    }
}
