/* SPDX-License-Identifier: MIT */
/* once.c - what is done the first time only.
 *
 *        first call               fn returns, panics, or ends the routine
 *   NEW ------------> RUNNING ---------------------------------------------> DONE
 *
 * Locking: the bucket guards the queue and QUEUED, which is set only while RUNNING.
 */
#include <weft/sync.h>

#include "sync/lockdebug.h"
#include "sync/lot.h"

enum { NEW = 0, RUNNING = 1, DONE = 2, QUEUED = 4 };

#define word_of(o) wf_lot_word32(&(o)->state)
#define queue_of(o) wf_lot_queue_of(&(o)->waiters)

/* The cleanup of run(): called however fn was left. */
static void finish(weft_once **running)
{
    weft_once *o = *running;
    if (WF_UNLIKELY(wf_lockdebug))
        wf_lockdebug_unlocked(o);
    uint32_t state = RUNNING;
    if (wf_cas_release(word_of(o), &state, DONE))
        return; /* [L1] */
    struct wf_thread *thread = wf_enter();
    struct wf_spinlock *lock = wf_lot_lock(o);
    struct wf_lot_queue moved;
    wf_lot_move(queue_of(o), &moved);
    wf_store_release(word_of(o), DONE); /* [L1]; nobody else changes RUNNING | QUEUED while the bucket is locked */
    wf_lot_wake_all_leave(thread, lock, &moved);
}

static void run(weft_once *o, void (*fn)(void *arg), void *arg, void *site)
{
    weft_once *running __attribute__((cleanup(finish), unused)) = o;
    if (WF_UNLIKELY(wf_lockdebug))
        wf_lockdebug_locked(o, WF_LOCKDEBUG_ONCE, site);
    fn(arg);
}

static void wait_until_done(weft_once *o)
{
    struct wf_thread *thread = wf_enter();
    struct wf_routine *self = thread->current;
    struct wf_spinlock *lock = wf_lot_lock(o);
    uint32_t state = wf_load_acquire(word_of(o));
    do {
        if (state == DONE) {
            wf_spinlock_unlock(lock);
            wf_leave(thread);
            return;
        }
    } while ((state & QUEUED) == 0 && !wf_cas_acq_rel(word_of(o), &state, state | QUEUED));
    wf_lot_begin(self, WF_WAIT_ONCE, o); /* false: this kind of wait is never ended from outside */
    wf_lot_append(queue_of(o), self);
    (void)wf_park_unlock(thread, lock);
}

static WF_NOINLINE void do_slow(weft_once *o, void (*fn)(void *arg), void *arg, void *site)
{
    if (WF_UNLIKELY(wf_lockdebug))
        wf_lockdebug_before(o, WF_LOCKDEBUG_ONCE, site);
    uint32_t state = NEW;
    if (wf_cas_acq_rel(word_of(o), &state, RUNNING))
        run(o, fn, arg, site);
    else
        wait_until_done(o);
}

WF_PUBLIC void weft_once_do(weft_once *o, void (*fn)(void *arg), void *arg)
{
    if (WF_LIKELY(wf_load_acquire(word_of(o)) == DONE))
        return;
    do_slow(o, fn, arg, __builtin_return_address(0));
}
