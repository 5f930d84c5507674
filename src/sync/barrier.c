/* SPDX-License-Identifier: MIT */
/* barrier.c - the cyclic barrier.
 *
 * All but the last of each round park, so there is no fast path without the bucket, and everything is plain data under
 * it. Whoever waits in round k has k in scratch[0]: an abort that finds that the round is over (the waiter is in the
 * queue that the last one moved out and is waking) leaves it alone, because the others have passed on its account.
 *
 * Invariants (bucket locked):  arrived == length of the queue;  arrived < size.
 */
#include <weft/sync.h>

#include "sched/sched.h"
#include "sync/lot.h"

#define queue_of(b) wf_lot_queue_of(&(b)->waiters)

WF_PUBLIC void weft_barrier_init(weft_barrier *b, unsigned n)
{
    if (n == 0)
        wf_misuse("weft_barrier_init(%p, 0): a barrier needs a participant", (void *)b);
    *b = (weft_barrier){.size = n};
}

WF_PUBLIC int weft_barrier_wait(weft_barrier *b)
{
    struct wf_thread *thread = wf_enter();
    struct wf_routine *self = thread->current;
    struct wf_spinlock *lock = wf_lot_lock(b);
    if (WF_UNLIKELY(b->size == 0)) {
        wf_spinlock_unlock(lock);
        wf_misuse("weft_barrier_wait(%p): not initialised", (void *)b);
    }
    if (b->arrived + 1 == b->size) {
        struct wf_lot_queue moved;
        wf_lot_move(queue_of(b), &moved);
        b->arrived = 0;
        b->round++;
        wf_lot_wake_all_leave(thread, lock, &moved); /* [L1] */
        return 0;
    }
    if (wf_lot_begin(self, WF_WAIT_BARRIER, b)) {
        wf_spinlock_unlock(lock);
        return wf_wait_refused(thread, self);
    }
    b->arrived++;
    self->wait.scratch[0] = b->round;
    wf_lot_append(queue_of(b), self);
    return wf_park_unlock(thread, lock);
}

bool wf_lot_abort_barrier(struct wf_routine *r, void *object)
{
    weft_barrier *b = object;
    struct wf_spinlock *lock;
    if (!wf_lot_lock_waiting(r, WF_WAIT_BARRIER, b, &lock))
        return false;
    bool round_is_open = r->wait.scratch[0] == b->round;
    if (round_is_open) {
        wf_lot_unlink(&r->wait.waiter);
        b->arrived--;
    }
    wf_spinlock_unlock(lock);
    return round_is_open;
}
