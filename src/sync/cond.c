/* SPDX-License-Identifier: MIT */
/* cond.c - the condition variable: nothing but a queue.
 *
 * Problem. wait() must be queued before it unlocks the mutex, or a signal is lost; it must have left its stack before
 * a signaller can find it; and unlocking may need the bucket of the mutex, which may be the one of the cond. So
 * it queues itself, leaves its stack with the bucket still locked, and a commit function on the next stack unlocks
 * first the bucket, then the mutex. A signaller may get hold of it between the two; it then finds the mutex locked, and
 * waits.
 *
 * Locking: the cond's bucket guards the queue.
 */
#include <weft/sync.h>

#include "sched/sched.h"
#include "sync/lockdebug.h"
#include "sync/lot.h"
#include "sync/mutex_priv.h"

#define queue_of(c) wf_lot_queue_of(&(c)->waiters)

/* In the frame of the waiting call. */
struct leaving {
    struct wf_spinlock *lock;
    weft_mutex *mutex;
};

static void unlock_both(void *arg)
{
    struct leaving leaving = *(struct leaving *)arg; /* the frame lives only until the bucket is unlocked */
    wf_spinlock_unlock(leaving.lock);
    wf_mutex_unlock_inside(wf_thread_self(), leaving.mutex);
}

/* Not a tail call: the mutex is locked after the wait. Nothing of the thread is kept over it. */
static WF_NOINLINE int wait_and_lock(weft_cond *c, weft_mutex *m)
{
    struct wf_thread *thread = wf_enter();
    struct wf_routine *self = thread->current;
    struct leaving leaving = {.lock = wf_lot_lock(c), .mutex = m};
    if (wf_lot_begin(self, WF_WAIT_COND, c)) {
        wf_spinlock_unlock(leaving.lock);
        return wf_wait_refused(thread, self);
    }
    wf_lot_append(queue_of(c), self);
    int ret = wf_park_call(thread, unlock_both, &leaving);
    wf_mutex_lock_unwatched(m);
    return ret;
}

static WF_COLD int wait_watched(weft_cond *c, weft_mutex *m, void *site)
{
    wf_lockdebug_unlocked(m);
    wf_lockdebug_before(m, WF_LOCKDEBUG_MUTEX, site); /* locking it again comes after all else that is held now */
    int ret = wait_and_lock(c, m);
    wf_lockdebug_locked(m, WF_LOCKDEBUG_MUTEX, site);
    return ret;
}

WF_PUBLIC int weft_cond_wait(weft_cond *c, weft_mutex *m)
{
    if (!wf_mutex_is_locked(m))
        wf_misuse("weft_cond_wait(%p, %p): the mutex is not locked", (void *)c, (void *)m);
    if (WF_UNLIKELY(wf_lockdebug))
        return wait_watched(c, m, __builtin_return_address(0));
    return wait_and_lock(c, m);
}

/* A caller that has changed, under the mutex, what is waited for sees here whoever was queued before that: by the
 * order of the mutex. So an empty queue can be told without the bucket. */
WF_PUBLIC void weft_cond_signal(weft_cond *c)
{
    if (wf_lot_is_empty(queue_of(c)))
        return;
    struct wf_thread *thread = wf_enter();
    struct wf_spinlock *lock = wf_lot_lock(c);
    struct wf_routine *oldest = wf_lot_pop(queue_of(c));
    wf_spinlock_unlock(lock); /* [L1] */
    if (oldest != NULL)
        wf_lot_wake(thread, oldest, 0);
    wf_leave(thread);
}

WF_PUBLIC void weft_cond_broadcast(weft_cond *c)
{
    if (wf_lot_is_empty(queue_of(c)))
        return;
    struct wf_thread *thread = wf_enter();
    struct wf_spinlock *lock = wf_lot_lock(c);
    struct wf_lot_queue moved;
    wf_lot_move(queue_of(c), &moved);
    wf_lot_wake_all_leave(thread, lock, &moved); /* [L1] */
}

/* A waiter is either unlinked by a signal or by this: a signal is never given to one that returns an error. */
bool wf_lot_abort_cond(struct wf_routine *r, void *object)
{
    struct wf_spinlock *lock;
    if (!wf_lot_lock_waiting(r, WF_WAIT_COND, object, &lock))
        return false;
    wf_lot_unlink(&r->wait.waiter);
    wf_spinlock_unlock(lock);
    return true;
}
