/* SPDX-License-Identifier: MIT */
/* inject.c - the injection queue.
 *
 * Owns:    routines that are RUNNABLE and belong to no worker.
 * Callers: park.c (wake-ups by plain threads, pinned and prioritised routines), runq.c (overflow), thread.c (refill).
 */
#include "sched/inject.h"

struct wf_inject wf_inject;

void wf_inject_push_list(struct wf_routine *first, struct wf_routine *last, uint32_t n, enum wf_priority priority)
{
    struct wf_inject *q = &wf_inject;
    last->link = NULL;
    wf_spinlock_lock(&q->lock);
    wf_inject_append_locked(first, last, n, priority);
    wf_spinlock_unlock(&q->lock);
}

void wf_inject_push(struct wf_routine *r, enum wf_priority priority)
{
    wf_inject_push_list(r, r, 1, priority);
}

uint32_t wf_inject_pop_many(struct wf_routine **out, uint32_t most, enum wf_priority priority)
{
    struct wf_inject *q = &wf_inject;
    if (wf_load_relaxed(&q->length[priority]) == 0)
        return 0;
    uint32_t n = 0;
    wf_spinlock_lock(&q->lock);
    while (n < most && q->head[priority] != NULL) {
        out[n++] = q->head[priority];
        q->head[priority] = q->head[priority]->link;
    }
    wf_store_relaxed(&q->length[priority], wf_load_relaxed(&q->length[priority]) - n);
    wf_spinlock_unlock(&q->lock);
    return n;
}

struct wf_routine *wf_inject_pop(enum wf_priority priority)
{
    struct wf_routine *r;
    return wf_inject_pop_many(&r, 1, priority) == 1 ? r : NULL;
}
