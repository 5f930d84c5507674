/* SPDX-License-Identifier: MIT */
/* park.h - leave the CPU, and make somebody runnable. The only way anything in weft waits.
 *
 * A waiting call looks like this (one flat C function, ending in a tail call, so that nothing of the runtime stays on
 * the stack and no thread-local is kept over the switch):
 *
 *     struct wf_thread *thread = wf_enter();
 *     struct wf_routine *self = thread->current;
 *     lock the object
 *     if it can be done at once: do it, unlock, wf_leave(thread), return
 *     if (wf_wait_begin(self, WF_WAIT_<kind>, object)) {unlock; return wf_wait_refused(thread, self);}   [P1]
 *     queue self->wait.waiter
 *     return wf_park_unlock(thread, &object->lock);
 *
 * and a waker like this:
 *
 *     lock the object; unlink the waiter; unlock          (unlinking it is what makes the routine the waker's)
 *     copy the value, set routine->ret
 *     wf_ready(thread, routine)
 *
 * Plain threads go the same way; they sleep on a futex inside wf_park_unlock.
 *
 * [P1] wf_wait_begin publishes what is waited on, then looks at `pending` and, in scopes and deadlines, at the blocks
 * that it is in (scope/frame.h). [P2] whoever ends waits (weft_stop, cancellation, a deadline's timer) marks the routine
 * or the block, calls wf_heavy_fence(), then wf_wait_abort() reads what is waited on. One of the two sees the other.
 * wf_wait_begin is called with the object's lock held and the waiter not yet queued; the aborter takes that lock, so it
 * sees the waiter queued or does not see this wait at all and looks again.
 */
#ifndef WEFT_SCHED_PARK_H
#define WEFT_SCHED_PARK_H

#include "arch/context.h"
#include "base/membarrier.h"
#include "base/spinlock.h"
#include "sched/inject.h"
#include "sched/runq.h"
#include "sched/switch.h"
#include "sched/thread.h"
#include "sched/worker.h"

/* spawn.c: gives a fresh routine a stack; without one at hand leaves it to the scheduler loop, which is returned. */
struct wf_routine *wf_stack_bind(struct wf_thread *thread, struct wf_worker *worker, struct wf_routine *r);
/* park.c: the uncommon ways. */
void wf_ready_slow(struct wf_thread *thread, struct wf_routine *r);
void wf_idle_wake_slow(struct wf_pool *pool);
int wf_park_foreign(struct wf_thread *thread, struct wf_spinlock *lock);
int wf_park_foreign_call(struct wf_thread *thread, void (*commit)(void *), void *arg);
/* A plain thread's wait with a time limit: it keeps the time itself. expire(arg) claims the wait as any waker would, and
 * sets ret; false: it was too late. */
int wf_park_foreign_until(struct wf_thread *thread, void (*commit)(void *), void *arg, int64_t deadline_ns,
                          bool (*expire)(void *));
int wf_wait_refused(struct wf_thread *thread, struct wf_routine *self);
/* Whether a wait of self, which is published, must end before it begins; self->ret is then the error. May arm timers. */
bool wf_wait_is_over(struct wf_routine *self);

/* pool->idle_word; idle.c. */
enum { WF_IDLE_ASLEEP_ONE = 1, WF_IDLE_ASLEEP_MASK = 0xffff, WF_IDLE_SEARCHING_ONE = 0x10000 };

/* [I1] Called after a push that others can see. Somebody asleep and nobody searching: wake one. The load may run ahead
 * of the push; [I2] in idle.c makes up for that with a heavy fence between going to sleep and the last look. Work, counts and workers
 * are those of one pool. */
WF_INLINE void wf_idle_wake(struct wf_pool *pool)
{
    uint32_t word = wf_load_relaxed(&pool->idle_word);
    if (WF_UNLIKELY(word - 1 < WF_IDLE_ASLEEP_MASK))
        wf_idle_wake_slow(pool);
}

/* Makes r the last of this worker's runnable routines. A worker that has just become idle may be overlooked here: then
 * the scheduler loop shares the private queue at its next look around. */
WF_INLINE void wf_push(struct wf_worker *worker, struct wf_routine *r)
{
    if (WF_LIKELY(wf_load_relaxed(&worker->pool->idle_word) == 0))
        wf_local_put(worker, r);
    else
        wf_push_slow(worker, r);
}

/* Makes r, which waited (or is fresh) and belongs to the caller, runnable. Inside the runtime, no object lock held that
 * r's own wake-up path would need. One mask sends the slow way whatever does not belong into this worker's queues:
 * everything when there is no worker, a routine of another pool, a plain thread, a pinned or prioritised routine. */
WF_INLINE void wf_ready(struct wf_thread *thread, struct wf_routine *r)
{
    struct wf_worker *worker = thread->worker;
    wf_store_release(&r->waits_on, 0);
    if (WF_UNLIKELY(WF_PERTURB || (r->flags & thread->slow_flags) != 0)) {
        wf_ready_slow(thread, r);
        return;
    }
    struct wf_routine *displaced = wf_load_relaxed(&worker->next);
    wf_store_relaxed(&worker->next, r);
    if (displaced != NULL)
        wf_push(worker, displaced);
}

/* [P1] True: the wait must not begin; unlock and return wf_wait_refused(). */
WF_INLINE bool wf_wait_begin(struct wf_routine *self, enum wf_wait_kind kind, void *object)
{
    wf_store_release(&self->waits_on, wf_wait_pack(kind, object));
    wf_light_fence(); /* pairs with wf_heavy_fence() of [P2] */
    if (WF_LIKELY(wf_load_relaxed(&self->pending) == 0 && (self->flags & WF_SCOPED) == 0))
        return false;
    return wf_wait_kinds[kind].abort != NULL && wf_wait_is_over(self);
}

/* Who runs next on this worker: a routine (maybe fresh), or the scheduler loop. */
WF_INLINE struct wf_routine *wf_pick_any(struct wf_thread *thread, struct wf_worker *worker)
{
    struct wf_routine *r = wf_load_relaxed(&worker->next);
    wf_store_relaxed(&worker->tick, wf_load_relaxed(&worker->tick) + 1);
    if (WF_UNLIKELY(--worker->budget == 0))
        return thread->scheduler;
    if (r != NULL) {
        wf_store_relaxed(&worker->next, NULL);
        return r;
    }
    r = wf_queue_take(worker);
    if (r != NULL)
        return r;
    r = wf_fresh_take(worker);
    if (r != NULL)
        return r;
    return wf_ring_take(worker, thread->scheduler);
}

/* The same, ready to be switched to, and made the thread's current one. */
WF_INLINE struct wf_routine *wf_pick(struct wf_thread *thread, struct wf_worker *worker)
{
    struct wf_routine *r = wf_pick_any(thread, worker);
    if (WF_UNLIKELY((r->flags & WF_STARTED) == 0))
        r = wf_stack_bind(thread, worker, r);
    thread->current = r;
    return r;
}

/* Parks the calling routine or thread; `lock` is released once its context is saved. Returns the waker's ret. */
WF_INLINE int wf_park_unlock(struct wf_thread *thread, struct wf_spinlock *lock)
{
    struct wf_worker *worker = thread->worker;
    if (WF_UNLIKELY(worker == NULL))
        return wf_park_foreign(thread, lock);
    struct wf_routine *self = thread->current;
    struct wf_routine *to = wf_pick(thread, worker);
    return WF_SWITCH(self, to, thread, &lock->word, 0);
}

/* The same with a function that makes the wait visible, for waits under several locks. commit runs on another stack,
 * inside the runtime, and must not park. */
WF_INLINE int wf_park_call(struct wf_thread *thread, void (*commit)(void *), void *arg)
{
    struct wf_worker *worker = thread->worker;
    if (WF_UNLIKELY(worker == NULL))
        return wf_park_foreign_call(thread, commit, arg);
    struct wf_routine *self = thread->current;
    struct wf_routine *to = wf_pick(thread, worker);
    return WF_SWITCH_CALL(self, to, thread, commit, arg);
}

/* [P2] Ends r's wait, whatever it is, with `error`, if it can be ended. The caller has marked r or a block and called
 * wf_heavy_fence(). True if this call ended it. */
bool wf_wait_abort(struct wf_thread *thread, struct wf_routine *r, int error);

#endif
