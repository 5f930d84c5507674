/* SPDX-License-Identifier: MIT */
/* waitq.h - the routines that wait at one end of a channel, in the order in which they came.
 *
 * A ring of struct wf_waiter without a sentinel: the queue is one pointer, so that a channel's hot fields fit one cache
 * line. Everything is protected by the channel's lock but `first`, which may be compared with NULL without it.
 *
 * A plain waiter is in the queue for as long as its routine waits: being unlinked is what ends the wait. A select's
 * waiter may be stale: another case, its timer or its end came first, and the routine has not got to unlinking it. So
 * only wf_waitq_take() says whether somebody waits; it drops stale ones.
 */
#ifndef WEFT_CHAN_WAITQ_H
#define WEFT_CHAN_WAITQ_H

#include "base/assert.h"
#include "sched/claim.h"
#include "sched/routine.h"

struct wf_waitq {
    /* The one that waits longest, NULL: nobody. first->prev is the last. Stored with release: [S2] in select.c. */
    _Atomic(struct wf_waiter *) first;
};

/* Relaxed: under the lock. */
WF_INLINE struct wf_waiter *wf_waitq_first(struct wf_waitq *q)
{
    return wf_load_relaxed(&q->first);
}

WF_INLINE void wf_waitq_push(struct wf_waitq *q, struct wf_waiter *w)
{
    struct wf_waiter *first = wf_waitq_first(q);
    w->queued = true;
    if (first != NULL) {
        struct wf_waiter *last = first->prev;
        w->next = first;
        w->prev = last;
        last->next = w;
        first->prev = w;
        return;
    }
    w->next = w;
    w->prev = w;
    wf_store_release(&q->first, w);
}

WF_INLINE void wf_waitq_remove(struct wf_waitq *q, struct wf_waiter *w)
{
    WF_ASSERT(w->queued);
    struct wf_waiter *next = w->next;
    w->queued = false;
    if (next == w) {
        wf_store_release(&q->first, NULL);
        return;
    }
    w->prev->next = next;
    next->prev = w->prev;
    if (wf_waitq_first(q) == w)
        wf_store_release(&q->first, next);
}

/* Takes out the waiter that waits longest; its routine belongs to the caller, who completes it and readies it after the
 * lock is released. NULL: nobody waits. */
WF_INLINE struct wf_waiter *wf_waitq_take(struct wf_waitq *q)
{
    struct wf_waiter *w;
    while ((w = wf_waitq_first(q)) != NULL) {
        wf_waitq_remove(q, w);
        if (WF_LIKELY(!w->is_select)) {
            /* Under the lock, so that who ends waits and finds this wait here knows that it is queued. */
            wf_store_relaxed(&w->routine->waits_on, 0);
            return w;
        }
        if (wf_claim(w->routine))
            return w;
    }
    return NULL;
}

/* Whether somebody waits, right now: who does not claim it at once may find that it stopped waiting. */
WF_INLINE bool wf_waitq_waits(struct wf_waitq *q)
{
    struct wf_waiter *w;
    while ((w = wf_waitq_first(q)) != NULL) {
        if (!w->is_select || wf_claim_is_open(w->routine))
            return true;
        wf_waitq_remove(q, w);
    }
    return false;
}

#endif
