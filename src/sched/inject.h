/* SPDX-License-Identifier: MIT */
/* inject.h - a pool's queue of runnable routines that belong to no worker, in three priorities. */
#ifndef WEFT_SCHED_INJECT_H
#define WEFT_SCHED_INJECT_H

#include "base/spinlock.h"
#include "sched/routine.h"

enum wf_priority { WF_PRIORITY_HIGH, WF_PRIORITY_NORMAL, WF_PRIORITY_LOW, WF_N_PRIORITIES };

/* Fresh routines, oldest first, linked by `link`. */
struct wf_fresh_list {
    struct wf_routine *head, *tail; /* tail is valid if head is not NULL */
    uint32_t length;
    int64_t since_ns; /* a batch: when it came into the injection queue */
};

struct wf_inject {
    struct wf_spinlock lock;
    _Atomic uint32_t length[WF_N_PRIORITIES]; /* written under the lock; readable without it as a hint */
    /* Batches of fresh routines that overflowed a worker, in order of arrival: a growing ring. */
    struct wf_fresh_list *batches;                                    /* lock */
    uint32_t first_batch, batches_size;                               /* lock; size a power of two or 0 */
    _Atomic uint32_t n_batches;                                       /* written under the lock */
    struct wf_routine *head[WF_N_PRIORITIES], *tail[WF_N_PRIORITIES]; /* lock; linked by routine->link */
};

/* The lock is held; `last->link` is NULL. For those who release it in a switch's commit. */
static inline void wf_inject_append_locked(struct wf_inject *q, struct wf_routine *first, struct wf_routine *last,
                                           uint32_t n, enum wf_priority priority)
{
    if (q->head[priority] == NULL)
        q->head[priority] = first;
    else
        q->tail[priority]->link = first;
    q->tail[priority] = last;
    wf_store_relaxed(&q->length[priority], wf_load_relaxed(&q->length[priority]) + n);
}

/* Appends one. Does not wake anybody. */
void wf_inject_push(struct wf_inject *q, struct wf_routine *r, enum wf_priority priority);
/* Appends a list of n linked by `link`. */
void wf_inject_push_list(struct wf_inject *q, struct wf_routine *first, struct wf_routine *last, uint32_t n,
                         enum wf_priority priority);
/* A list of fresh routines that is not empty; and back the newest of those lists, or the oldest if it came before
 * `before_ns`. False: there is none. */
void wf_inject_push_batch(struct wf_inject *q, const struct wf_fresh_list *batch);
bool wf_inject_pop_newest_batch(struct wf_inject *q, struct wf_fresh_list *ret_batch);
bool wf_inject_pop_oldest_batch(struct wf_inject *q, struct wf_fresh_list *ret_batch, int64_t before_ns);

static inline bool wf_inject_any(struct wf_inject *q)
{
    return wf_load_relaxed(&q->length[WF_PRIORITY_HIGH]) + wf_load_relaxed(&q->length[WF_PRIORITY_NORMAL]) +
               wf_load_relaxed(&q->length[WF_PRIORITY_LOW]) + wf_load_relaxed(&q->n_batches) >
           0;
}

/* Takes the oldest, or NULL. */
struct wf_routine *wf_inject_pop(struct wf_inject *q, enum wf_priority priority);
/* Takes up to `most` into out[], oldest first. */
uint32_t wf_inject_pop_many(struct wf_inject *q, struct wf_routine **out, uint32_t most, enum wf_priority priority);

#endif
