/* SPDX-License-Identifier: MIT */
/* inject.c - the injection queue of a pool.
 *
 * Owns:    routines that are RUNNABLE and belong to no worker.
 * Callers: park.c (wake-ups by plain threads, pinned and prioritised routines), runq.c (batches of fresh routines),
 *          thread.c (refill), retire.c (what a worker that goes leaves behind).
 */
#include "sched/inject.h"

#include <errno.h>

#include "sched/memory.h"
#include "time/clock.h"

void wf_inject_push_list(struct wf_inject *q, struct wf_routine *first, struct wf_routine *last, uint32_t n,
                         enum wf_priority priority)
{
    last->link = NULL;
    wf_spinlock_lock(&q->lock);
    wf_inject_append_locked(q, first, last, n, priority);
    wf_spinlock_unlock(&q->lock);
}

void wf_inject_push(struct wf_inject *q, struct wf_routine *r, enum wf_priority priority)
{
    wf_inject_push_list(q, r, r, 1, priority);
}

uint32_t wf_inject_pop_many(struct wf_inject *q, struct wf_routine **out, uint32_t most, enum wf_priority priority)
{
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

struct wf_routine *wf_inject_pop(struct wf_inject *q, enum wf_priority priority)
{
    struct wf_routine *r;
    return wf_inject_pop_many(q, &r, 1, priority) == 1 ? r : NULL;
}

/* Doubles the ring of batches. False: out of memory. */
static bool grow_batches_locked(struct wf_inject *q)
{
    uint32_t size = q->batches_size == 0 ? 16 : q->batches_size * 2;
    struct wf_fresh_list *more = wf_memory_take(size * sizeof(*more));
    if (more == NULL)
        return false;
    for (uint32_t i = 0; i < q->batches_size; i++)
        more[i] = q->batches[(q->first_batch + i) % q->batches_size];
    wf_memory_give(q->batches);
    q->batches = more;
    q->batches_size = size;
    q->first_batch = 0;
    return true;
}

void wf_inject_push_batch(struct wf_inject *q, const struct wf_fresh_list *batch)
{
    int saved = errno;
    wf_spinlock_lock(&q->lock);
    uint32_t n_batches = wf_load_relaxed(&q->n_batches);
    if (n_batches < q->batches_size || grow_batches_locked(q)) {
        struct wf_fresh_list *last = &q->batches[(q->first_batch + n_batches) % q->batches_size];
        *last = *batch;
        last->since_ns = wf_now_ns();
        wf_store_relaxed(&q->n_batches, n_batches + 1);
    } else {
        wf_inject_append_locked(q, batch->head, batch->tail, batch->length, WF_PRIORITY_NORMAL);
    }
    wf_spinlock_unlock(&q->lock);
    errno = saved;
}

bool wf_inject_pop_newest_batch(struct wf_inject *q, struct wf_fresh_list *ret_batch)
{
    if (wf_load_relaxed(&q->n_batches) == 0)
        return false;
    wf_spinlock_lock(&q->lock);
    uint32_t n = wf_load_relaxed(&q->n_batches);
    if (n > 0) {
        *ret_batch = q->batches[(q->first_batch + n - 1) % q->batches_size];
        wf_store_relaxed(&q->n_batches, n - 1);
    }
    wf_spinlock_unlock(&q->lock);
    return n > 0;
}

bool wf_inject_pop_oldest_batch(struct wf_inject *q, struct wf_fresh_list *ret_batch, int64_t before_ns)
{
    if (wf_load_relaxed(&q->n_batches) == 0)
        return false;
    wf_spinlock_lock(&q->lock);
    uint32_t n = wf_load_relaxed(&q->n_batches);
    bool found = n > 0 && q->batches[q->first_batch].since_ns < before_ns;
    if (found) {
        *ret_batch = q->batches[q->first_batch];
        q->first_batch = (q->first_batch + 1) % q->batches_size;
        wf_store_relaxed(&q->n_batches, n - 1);
    }
    wf_spinlock_unlock(&q->lock);
    return found;
}
