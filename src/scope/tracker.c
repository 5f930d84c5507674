/* SPDX-License-Identifier: MIT */
/* tracker.c - the tracker: one word, count << 2 | CLOSED | QUEUED, and a queue in the parking lot.
 *
 * Over is a closed tracker with a count of zero; it stays so, for nobody enters a closed one. The store that makes it
 * over is the last access to the object ([L1] in sync/lot.h), so it is made with the bucket locked if somebody waits.
 *
 * A routine started by weft_tracker_go() has a future that is detached from the beginning and knows the tracker: settling
 * it is what every end of a routine goes through.
 */
#include "scope/tracker.h"

#include <weft/tracker.h>

#include "sched/sched.h"
#include "sync/lot.h"

enum { QUEUED = 1, CLOSED = 2, ONE = 4, FLAGS = QUEUED | CLOSED };

#define word_of(t) wf_lot_word64(&(t)->state)
#define queue_of(t) wf_lot_queue_of(&(t)->waiters)

static bool is_over(uint64_t state)
{
    return (state & ~(uint64_t)QUEUED) == CLOSED;
}

WF_PUBLIC int weft_tracker_enter(weft_tracker *t)
{
    uint64_t state = wf_load_relaxed(word_of(t));
    do {
        if ((state & CLOSED) != 0)
            return -EPIPE;
    } while (!wf_cas_acq_rel(word_of(t), &state, state + ONE));
    return 0;
}

/* The tracker becomes over and somebody may wait: from `state`. False when things have changed: try again. */
static WF_NOINLINE bool become_over(weft_tracker *t, uint64_t state)
{
    struct wf_thread *thread = wf_enter();
    struct wf_spinlock *lock = wf_lot_lock(t);
    struct wf_lot_queue moved;
    /* Before the store that others can see. If it fails, the waiters are still where they were. */
    wf_lot_move(queue_of(t), &moved);
    if (!wf_cas_acq_rel(word_of(t), &state, (uint64_t)CLOSED)) {
        wf_lot_move(&moved, queue_of(t));
        wf_spinlock_unlock(lock);
        wf_leave(thread);
        return false;
    }
    wf_lot_wake_all_leave(thread, lock, &moved);
    return true;
}

/* `state` to `next`, but for QUEUED. */
static bool change(weft_tracker *t, uint64_t state, uint64_t next)
{
    if (is_over(next) && (state & QUEUED) != 0)
        return become_over(t, state);
    return wf_cas_acq_rel(word_of(t), &state, next);
}

WF_PUBLIC void weft_tracker_leave(weft_tracker *t)
{
    uint64_t state;
    do {
        state = wf_load_relaxed(word_of(t));
        if (WF_UNLIKELY(state < ONE))
            wf_misuse("weft_tracker_leave(%p): nobody is in it", (void *)t);
    } while (!change(t, state, state - ONE));
}

WF_PUBLIC void weft_tracker_close(weft_tracker *t)
{
    uint64_t state;
    do {
        state = wf_load_relaxed(word_of(t));
        if ((state & CLOSED) != 0)
            return;
    } while (!change(t, state, state | CLOSED));
}

WF_PUBLIC int weft_tracker_wait(weft_tracker *t)
{
    struct wf_thread *thread = wf_enter();
    struct wf_routine *self = thread->current;
    struct wf_spinlock *lock = wf_lot_lock(t);
    uint64_t state = wf_load_acquire(word_of(t));
    do {
        if (is_over(state)) {
            wf_spinlock_unlock(lock);
            wf_leave(thread);
            return 0;
        }
    } while ((state & QUEUED) == 0 && !wf_cas_acq_rel(word_of(t), &state, state | QUEUED));
    if (wf_lot_begin(self, WF_WAIT_TRACKER, t)) {
        if (wf_lot_is_empty(queue_of(t)))
            wf_and_acq_rel(word_of(t), ~(uint64_t)QUEUED);
        wf_spinlock_unlock(lock);
        return wf_wait_refused(thread, self);
    }
    wf_lot_append(queue_of(t), self);
    return wf_park_unlock(thread, lock);
}

bool wf_tracker_abort(struct wf_routine *r, void *object)
{
    weft_tracker *t = object;
    struct wf_spinlock *lock;
    if (!wf_lot_lock_waiting(r, WF_WAIT_TRACKER, object, &lock))
        return false;
    wf_lot_unlink(&r->wait.waiter); /* from the object, or from the frame of become_over() */
    if (wf_lot_is_empty(queue_of(t)))
        wf_and_acq_rel(word_of(t), ~(uint64_t)QUEUED);
    wf_spinlock_unlock(lock);
    return true;
}

WF_PUBLIC size_t weft_tracker_count(const weft_tracker *t)
{
    return (size_t)(wf_load_acquire((const _Atomic uint64_t *)(const void *)&t->state) / ONE);
}

/* ---- weft_tracker_go ---- */

/* What is called in place of the capture thunk when the tracker is closed. */
static void start_nothing(void) {}
void (*const weft__tracker_refuse)(void) __attribute__((visibility("default"))) = start_nothing;

WF_PUBLIC int weft__tracker_started(weft_tracker *t, int refused, int error)
{
    if (refused != 0)
        return refused;
    if (error != 0)
        weft_tracker_leave(t);
    return error;
}
