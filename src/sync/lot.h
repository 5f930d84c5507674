/* SPDX-License-Identifier: MIT */
/* lot.h - where those park that wait for an object of weft/sync.h.
 *
 * Each object has a state word, changed by atomic operations as long as nobody waits, and the head of each queue of its
 * waiters. What guards the queues is not in the object but in a fixed table of buckets found by the object's address:
 * memory that stays valid for ever. Two consequences:
 *
 *  - An object is small, and its queue costs O(1) per operation however many wait and however many objects there are.
 *  - Lifetime [L1]. The store or RMW that lets somebody go (makes the lock free, the count zero, the permits enough) is
 *    the last access to the object by the call that makes it. While somebody is queued, that store is made with the
 *    bucket locked, and after it only the bucket and waiters already unlinked are touched. While nobody is queued, it
 *    is the one RMW of the fast path, which succeeds only if the QUEUED bit is still clear. So an object may be
 *    freed by the waiter that was let go, though the call that did it has not returned yet.
 *
 * A queue is a ring of waiters, oldest first; the oldest, `head`, knows in its `elem` which queue it heads (the others
 * have NULL there). That makes it possible to unlink any waiter without knowing its queue, and to move a whole queue
 * out of an object in O(1) into the frame of the call that wakes all of them, which goes on to wake some at a time. A
 * waiter in such a moved queue may still be unlinked by an abort: it then returns the error although it was just about
 * to be let go. Where that would matter (barrier) the object tells the two apart.
 *
 * Invariants (bucket locked):  QUEUED is set in the state word exactly if a queue of the object is not empty (the
 * primitives keep it so);  a waiter has `queued` set exactly while it is in a ring.
 *
 * Locking: a bucket is a leaf: no other lock is taken under it, in particular not a second bucket.
 */
#ifndef WEFT_SYNC_LOT_H
#define WEFT_SYNC_LOT_H

#include "base/assert.h"
#include "sched/park.h"

struct wf_lot_bucket {
    WF_ALIGNED_LINE struct wf_spinlock lock;
};

enum { WF_LOT_BITS = 10 };
extern struct wf_lot_bucket wf_lot_buckets[1 << WF_LOT_BITS];

/* The same memory as the `void *waiters` of the public structs. Bucket lock; may be read without it as a hint. */
struct wf_lot_queue {
    _Atomic(struct wf_waiter *) head;
};
_Static_assert(sizeof(struct wf_lot_queue) == sizeof(void *), "lies over a void * of a public struct");

/* The queue and the state words of public structs: plain there because C++ has no _Atomic. */
#define wf_lot_queue_of(pointer_member) ((struct wf_lot_queue *)(void *)(pointer_member))
#define wf_lot_word32(member) ((_Atomic uint32_t *)(void *)(member))
#define wf_lot_word64(member) ((_Atomic uint64_t *)(void *)(member))
_Static_assert(sizeof(_Atomic uint32_t) == sizeof(uint32_t), "no lock inside");
_Static_assert(sizeof(_Atomic uint64_t) == sizeof(uint64_t), "no lock inside");

/* Locks the bucket of an object; the lock is what wf_park_unlock() releases. Blocks the thread, briefly. */
WF_INLINE struct wf_spinlock *wf_lot_lock(const void *object)
{
    uint64_t hash = ((uint64_t)(uintptr_t)object >> 3) * UINT64_C(0x9e3779b97f4a7c15);
    struct wf_spinlock *lock = &wf_lot_buckets[hash >> (64 - WF_LOT_BITS)].lock;
    wf_spinlock_lock(lock);
    return lock;
}

/* wf_wait_begin(), bucket locked. True: the wait must not begin.
 * [L2] `waits_on` names an object of this folder, seen with the object's bucket locked, exactly while the routine is
 * queued for it: it is set here, the caller queues at once, and who unlinks clears it. */
WF_INLINE bool wf_lot_begin(struct wf_routine *self, enum wf_wait_kind kind, void *object)
{
    if (WF_LIKELY(!wf_wait_begin(self, kind, object)))
        return false;
    wf_store_relaxed(&self->waits_on, 0); /* relaxed: the bucket orders it */
    return true;
}

/* ---- rings; the bucket is locked ---- */

WF_INLINE bool wf_lot_is_empty(struct wf_lot_queue *q)
{
    return wf_load_relaxed(&q->head) == NULL;
}

WF_INLINE void wf_lot_append(struct wf_lot_queue *q, struct wf_routine *self)
{
    struct wf_waiter *w = &self->wait.waiter, *head = wf_load_relaxed(&q->head);
    w->routine = self;
    w->queued = true;
    if (head == NULL) {
        w->next = w->prev = w;
        w->elem = q;
        wf_store_relaxed(&q->head, w);
        return;
    }
    w->elem = NULL;
    w->next = head;
    w->prev = head->prev;
    w->prev->next = w;
    head->prev = w;
}

WF_INLINE void wf_lot_prepend(struct wf_lot_queue *q, struct wf_routine *self)
{
    struct wf_waiter *w = &self->wait.waiter, *head = wf_load_relaxed(&q->head);
    wf_lot_append(q, self);
    if (head == NULL)
        return;
    head->elem = NULL;
    w->elem = q;
    wf_store_relaxed(&q->head, w);
}

/* Takes a waiter out of whatever queue it is in: it then belongs to the caller. */
WF_INLINE void wf_lot_unlink(struct wf_waiter *w)
{
    struct wf_lot_queue *headed = (struct wf_lot_queue *)w->elem;
    struct wf_waiter *next = w->next;
    WF_ASSERT(w->queued);
    w->queued = false;
    wf_store_relaxed(&w->routine->waits_on, 0); /* [L2] */
    if (next == w) {
        wf_store_relaxed(&headed->head, NULL);
        return;
    }
    next->prev = w->prev;
    w->prev->next = next;
    if (headed != NULL) {
        next->elem = headed;
        wf_store_relaxed(&headed->head, next);
    }
}

/* The oldest, taken out; NULL when there is none. */
WF_INLINE struct wf_routine *wf_lot_pop(struct wf_lot_queue *q)
{
    struct wf_waiter *head = wf_load_relaxed(&q->head);
    if (head == NULL)
        return NULL;
    wf_lot_unlink(head);
    return head->routine;
}

/* Moves all of q to *ret_moved, which must stay in place until it is empty. */
WF_INLINE void wf_lot_move(struct wf_lot_queue *q, struct wf_lot_queue *ret_moved)
{
    struct wf_waiter *head = wf_load_relaxed(&q->head);
    wf_store_relaxed(&ret_moved->head, head);
    if (head != NULL)
        head->elem = ret_moved;
    wf_store_relaxed(&q->head, NULL);
}

void wf_lot_check(const struct wf_lot_queue *q);

/* ---- waking; inside the runtime ---- */

/* Lets an unlinked waiter go: its call continues with `ret`. */
WF_INLINE void wf_lot_wake(struct wf_thread *thread, struct wf_routine *r, int ret)
{
    r->ret = ret;
    wf_ready(thread, r);
}

/* How many calls are letting many go, a few at a time: those that wait in `moved` queues are not what they seem. */
extern _Atomic uint32_t wf_lot_n_waking;

/* Lets all in `moved` go with 0, a few at a time, in order; releases `lock`, which the caller holds, and leaves the
 * runtime. `moved` lies in the caller's frame. As far as the scheduler keeps to its queues, they also run in order. */
void wf_lot_wake_all_leave(struct wf_thread *thread, struct wf_spinlock *lock, struct wf_lot_queue *moved);

/* Leaves the runtime after an object was handed to `woken`. Ownership of something by a routine that does not run yet
 * makes all others wait for nothing, so a routine that has made such a hand-over yields to it. To be tail-called. */
void wf_lot_leave_to(struct wf_thread *thread, const struct wf_routine *woken);

/* ---- waiting ---- */

/* Whether it is better to look again in a moment than to park: others run in parallel and may be about to let go, and
 * nothing else is to be run here. */
bool wf_lot_may_spin(void);

/* Ends of waits from outside, for wf_wait_kinds[].abort (rt/init.c); wait.h says what they promise. The other kinds of
 * this folder (mutex, rwmutex, once) have none. Called inside the runtime. */
bool wf_lot_abort_cond(struct wf_routine *r, void *object);
bool wf_lot_abort_waitgroup(struct wf_routine *r, void *object);
bool wf_lot_abort_sem(struct wf_routine *r, void *object);
bool wf_lot_abort_barrier(struct wf_routine *r, void *object);
bool wf_lot_abort_latch(struct wf_routine *r, void *object);

/* For these: locks the bucket of `object` and says whether r is queued in this wait. If so `object` is alive until r is
 * let go, because r is in a call on it. If not, *ret_lock is unlocked again. */
bool wf_lot_lock_waiting(struct wf_routine *r, enum wf_wait_kind kind, void *object, struct wf_spinlock **ret_lock);

#endif
