/* SPDX-License-Identifier: MIT */
/* count.c - a counter that lets its waiters go at zero.
 *
 * The word is the counter shifted left by one, QUEUED in the lowest bit. The change to zero is made without the bucket
 * only if QUEUED is clear, by a CAS: an unconditional subtraction would make it zero first and find out about waiters
 * afterwards, when one of them may have been cancelled, looked again, found zero, and freed the object ([L1] in lot.h).
 *
 * Locking: the bucket of the object guards the queue and QUEUED.
 */
#include "sync/count_priv.h"

enum { QUEUED = 1 };

/* The count reaches zero and somebody may wait. False when it turns out that things have changed: try again. */
static WF_NOINLINE bool become_zero(_Atomic uint64_t *word, struct wf_lot_queue *waiters, void *object, uint64_t state)
{
    struct wf_thread *thread = wf_enter();
    struct wf_spinlock *lock = wf_lot_lock(object);
    struct wf_lot_queue moved;
    /* Before the store that others can see: they may take zero for the end of the object. If it fails, the waiters are
     * still where they were. */
    wf_lot_move(waiters, &moved);
    if (!wf_cas_acq_rel(word, &state, 0)) {
        wf_lot_move(&moved, waiters);
        wf_spinlock_unlock(lock);
        wf_leave(thread);
        return false;
    }
    wf_lot_wake_all_leave(thread, lock, &moved);
    return true;
}

bool wf_count_add(_Atomic uint64_t *word, struct wf_lot_queue *waiters, void *object, int64_t delta)
{
    for (;;) {
        uint64_t state = wf_load_relaxed(word);
        int64_t count = (int64_t)(state >> 1) + delta;
        if (WF_UNLIKELY(count < 0))
            return false;
        if (WF_UNLIKELY(count == 0 && (state & QUEUED) != 0)) {
            if (become_zero(word, waiters, object, state))
                return true;
        } else if (wf_cas_acq_rel(word, &state, (uint64_t)count << 1 | (state & QUEUED))) {
            return true; /* [L1] */
        }
    }
}

int wf_count_wait(_Atomic uint64_t *word, struct wf_lot_queue *waiters, void *object, enum wf_wait_kind kind)
{
    struct wf_thread *thread = wf_enter();
    struct wf_routine *self = thread->current;
    struct wf_spinlock *lock = wf_lot_lock(object);
    uint64_t state = wf_load_acquire(word);
    do {
        if (state >> 1 == 0) {
            wf_spinlock_unlock(lock);
            wf_leave(thread);
            return 0;
        }
    } while ((state & QUEUED) == 0 && !wf_cas_acq_rel(word, &state, state | QUEUED));
    if (wf_lot_begin(self, kind, object)) {
        if (wf_lot_is_empty(waiters))
            wf_and_acq_rel(word, ~(uint64_t)QUEUED);
        wf_spinlock_unlock(lock);
        return wf_wait_refused(thread, self);
    }
    wf_lot_append(waiters, self);
    return wf_park_unlock(thread, lock);
}

bool wf_count_abort(struct wf_routine *r, _Atomic uint64_t *word, struct wf_lot_queue *waiters, void *object,
                    enum wf_wait_kind kind)
{
    struct wf_spinlock *lock;
    if (!wf_lot_lock_waiting(r, kind, object, &lock))
        return false;
    wf_lot_unlink(&r->wait.waiter); /* from the object, or from the frame of become_zero() */
    if (wf_lot_is_empty(waiters))
        wf_and_acq_rel(word, ~(uint64_t)QUEUED);
    wf_spinlock_unlock(lock);
    return true;
}
