/* SPDX-License-Identifier: MIT */
/* lot.c - the table of buckets, waking of many, and what all waits for objects of weft/sync.h have in common. */
#include "sync/lot.h"

enum { WAKE_AT_A_TIME = 64 };

struct wf_lot_bucket wf_lot_buckets[1 << WF_LOT_BITS];
_Atomic uint32_t wf_lot_n_waking;

/* Takes up to WAKE_AT_A_TIME out of q, linked by `next`, NULL at the end. */
static struct wf_waiter *take_some(struct wf_lot_queue *q)
{
    struct wf_waiter *first = NULL, **end = &first;
    for (unsigned i = 0; i < WAKE_AT_A_TIME; i++) {
        struct wf_routine *r = wf_lot_pop(q);
        if (r == NULL)
            break;
        *end = &r->wait.waiter;
        end = &r->wait.waiter.next;
    }
    *end = NULL;
    return first;
}

/* On a worker, wf_ready() lets the one readied last run first and the others in order behind what is runnable. So the
 * oldest is held back to the end. What a plain thread makes runnable runs in order. */
void wf_lot_wake_all_leave(struct wf_thread *thread, struct wf_spinlock *lock, struct wf_lot_queue *moved)
{
    bool counted = false;
    struct wf_routine *oldest = thread->worker != NULL ? wf_lot_pop(moved) : NULL;
    for (;;) {
        struct wf_waiter *w = take_some(moved);
        bool more = !wf_lot_is_empty(moved);
        wf_spinlock_unlock(lock);
        while (w != NULL) {
            struct wf_waiter *next = w->next; /* w may run, and wait again, at once */
            wf_lot_wake(thread, w->routine, 0);
            w = next;
        }
        if (!more)
            break;
        if (!counted)
            wf_add_relaxed(&wf_lot_n_waking, 1); /* relaxed: read with the world stopped */
        counted = true;
        /* A million of them take a while: let whoever wants the worker have it in between. */
        wf_leave(thread);
        thread = wf_enter();
        wf_spinlock_lock(lock);
    }
    if (oldest != NULL)
        wf_lot_wake(thread, oldest, 0);
    if (counted)
        wf_sub_relaxed(&wf_lot_n_waking, 1);
    wf_leave(thread);
}

void wf_lot_leave_to(struct wf_thread *thread, const struct wf_routine *woken)
{
    bool yield = thread->worker != NULL && wf_load_relaxed(&thread->worker->next) == woken;
    wf_leave(thread);
    if (yield)
        weft_yield();
}

bool wf_lot_may_spin(void)
{
    struct wf_thread *thread = wf_enter();
    struct wf_worker *worker = thread->worker;
    /* A plain thread: parking it costs more than any spinning here. */
    bool may = true;
    if (worker != NULL)
        may = wf_load_relaxed(&worker->pool->size) > 1 && !wf_worker_has_runnable(worker);
    wf_leave(thread);
    return may;
}

bool wf_lot_lock_waiting(struct wf_routine *r, enum wf_wait_kind kind, void *object, struct wf_spinlock **ret_lock)
{
    struct wf_spinlock *lock = wf_lot_lock(object);
    if (wf_load_relaxed(&r->waits_on) != wf_wait_pack(kind, object)) { /* [L2] */
        wf_spinlock_unlock(lock);
        return false;
    }
    WF_ASSERT(r->wait.waiter.queued);
    *ret_lock = lock;
    return true;
}

void wf_lot_check(const struct wf_lot_queue *q)
{
    const struct wf_waiter *head = wf_load_relaxed(&q->head);
    if (head == NULL)
        return;
    const struct wf_waiter *w = head;
    do {
        WF_CHECK(w->queued);
        WF_CHECK(w->next->prev == w);
        WF_CHECK(w->elem == (w == head ? (const void *)q : NULL));
        w = w->next;
    } while (w != head);
}
