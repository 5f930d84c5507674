/* SPDX-License-Identifier: MIT */
/* spanqueue.h - a marker's queue of units that have something to scan: first in, first out, so that marks accumulate in a
 * span while it waits. Others steal half of it from the oldest end. It cannot overflow: a unit is in at most one queue,
 * once, and each queue holds them all.
 *
 *            push   pop   steal
 *   push      X      X     ok       X: the owner, cannot overlap
 *   pop       X      X     ok
 *   steal     ok     ok    ok       a thief writes only to its own, empty queue
 */
#ifndef WEFT_GC_SPANQUEUE_H
#define WEFT_GC_SPANQUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/compiler.h"

struct wf_spanqueue {
    WF_ALIGNED_LINE _Atomic uint32_t head; /* written by whoever takes */
    WF_ALIGNED_LINE _Atomic uint32_t tail; /* written by the owner */
    _Atomic uint32_t *slots;               /* immutable during a collection */
    uint32_t mask;
};

/* Empty, with `entries` slots, a power of two. */
void wf_spanqueue_init(struct wf_spanqueue *queue, _Atomic uint32_t *slots, uint32_t entries);

/* Half of `victim`, but not its last entry (its owner is about to take that), moves to `thief`, which is empty and the
 * caller's own. */
bool wf_spanqueue_steal(struct wf_spanqueue *victim, struct wf_spanqueue *thief);

WF_INLINE uint32_t wf_spanqueue_length(const struct wf_spanqueue *queue)
{
    uint32_t head = wf_load_relaxed(&queue->head); /* a hint for all but the owner */
    return wf_load_relaxed(&queue->tail) - head;
}

WF_INLINE void wf_spanqueue_push(struct wf_spanqueue *queue, uint32_t unit)
{
    uint32_t tail = wf_load_relaxed(&queue->tail);
    wf_store_relaxed(&queue->slots[tail & queue->mask], unit);
    /* [Q1] Publishes the slot and the unit's representative. Pairs with [Q2]. */
    wf_store_release(&queue->tail, tail + 1);
}

/* 0: empty. */
WF_INLINE uint32_t wf_spanqueue_pop(struct wf_spanqueue *queue)
{
    uint32_t head = wf_load_relaxed(&queue->head);
    for (;;) {
        if (head == wf_load_relaxed(&queue->tail))
            return 0;
        uint32_t unit = wf_load_relaxed(&queue->slots[head & queue->mask]);
        if (wf_cas_relaxed(&queue->head, &head, head + 1)) /* the owner wrote the slot itself */
            return unit;
    }
}

#endif
