/* SPDX-License-Identifier: MIT */
/* mutex.c - the mutex: barging, with a hand-over to who has lost too often.
 *
 * Approach. A mutex that is unlocked while others wait becomes free; the oldest waiter is woken and tries for it like
 * anybody. So a routine that locks again at once finds it free and runs on, and the cost of waking is paid once per
 * schedule, not once per unlock. Only one waiter is on its way at a time (WOKEN). It goes back to the front of the
 * queue when it finds the mutex taken; having lost LOST_ROUNDS times, it sets HANDOFF, and the next unlock leaves the
 * mutex locked and gives it to that waiter. Every waiter comes to the front, so every one gets the lock after a bounded
 * number of unlocks.
 *
 * Rejected: handing over at every contended unlock (the mutex is then owned by somebody who is not running yet, for the
 * ~50 us of a futex wake-up if that is a plain thread, and nobody gets it meanwhile); time instead of rounds (needs a
 * clock read per wait and does not work in virtual time); spinning while others are queued already (the line moves
 * between cores at every look, ~300 ns for the holder; instead the contenders park, and are woken on the worker of the
 * holder, where the line is).
 *
 * Who changes the state word: LOCKED is set by anybody who finds it clear and cleared by the holder; the other bits are
 * changed with the bucket locked, except that the woken waiter clears WOKEN when it takes the mutex. So with the bucket
 * locked the holder finds the word stable and may use plain stores.
 *
 * Locking: the mutex's bucket guards `waiters`.
 */
#include "sched/sched.h"
#include "sync/lockdebug.h"
#include "sync/lot.h"
#include "sync/mutex_priv.h"

#include <errno.h>

enum {
    LOCKED = 1,
    QUEUED = 2,  /* somebody is parked */
    WOKEN = 4,   /* somebody was woken and has not come to a decision yet */
    HANDOFF = 8, /* LOCKED and QUEUED are set too: the next unlock hands over to the oldest */
};

/* Reasoned, not tuned: bench/mutex.c on an idle machine is the judge. */
enum { LOST_ROUNDS = 4, FIRST_PAUSES = 8, LAST_PAUSES = 64 };

/* What a parked locker is woken with. */
enum { FREE = 0, HANDED = 1 };

_Static_assert(sizeof(weft_mutex) <= 16, "promised by the public contract");

#define word_of(m) wf_lot_word32(&(m)->state)
#define queue_of(m) wf_lot_queue_of(&(m)->waiters)

/* Tries for a while, without parking. */
static bool acquire_spinning(weft_mutex *m, bool woken)
{
    for (unsigned pauses = FIRST_PAUSES; pauses <= LAST_PAUSES; pauses *= 2) {
        uint32_t state = wf_load_relaxed(word_of(m));
        while ((state & LOCKED) == 0) {
            uint32_t taken = (state | LOCKED) & ~(woken ? (uint32_t)WOKEN : 0);
            if (wf_cas_acquire(word_of(m), &state, taken))
                return true;
        }
        if ((state & HANDOFF) != 0 || (!woken && (state & QUEUED) != 0))
            return false;
        if (pauses == FIRST_PAUSES && !wf_lot_may_spin())
            return false;
        for (unsigned i = 0; i < pauses; i++)
            wf_cpu_relax();
    }
    return false;
}

/* Bucket locked. True: took the mutex. False: it is held, and its holder knows that somebody will be queued. */
static bool acquire_or_announce(weft_mutex *m, bool woken, bool lost_too_often)
{
    uint32_t state = wf_load_relaxed(word_of(m));
    for (;;) {
        uint32_t cleared = woken ? state & ~(uint32_t)WOKEN : state;
        if ((state & LOCKED) == 0) {
            if (wf_cas_acquire(word_of(m), &state, cleared | LOCKED))
                return true;
        } else {
            if (wf_cas_acquire(word_of(m), &state, cleared | QUEUED | (lost_too_often ? HANDOFF : 0)))
                return false;
        }
    }
}

static WF_NOINLINE void lock_contended(weft_mutex *m)
{
    bool woken = false;
    for (unsigned rounds = 0; !acquire_spinning(m, woken); rounds++) {
        struct wf_thread *thread = wf_enter();
        struct wf_routine *self = thread->current;
        struct wf_spinlock *lock = wf_lot_lock(m);
        if (acquire_or_announce(m, woken, rounds >= LOST_ROUNDS)) {
            wf_spinlock_unlock(lock);
            wf_leave(thread);
            return;
        }
        wf_lot_begin(self, WF_WAIT_MUTEX, m); /* false: this kind of wait is never ended from outside */
        if (woken)
            wf_lot_prepend(queue_of(m), self);
        else
            wf_lot_append(queue_of(m), self);
        if (wf_park_unlock(thread, lock) == HANDED)
            return;
        woken = true;
    }
}

void wf_mutex_lock_unwatched(weft_mutex *m)
{
    if ((wf_or_acq_rel(word_of(m), LOCKED) & LOCKED) != 0)
        lock_contended(m);
}

static WF_COLD void lock_watched(weft_mutex *m, void *site)
{
    wf_lockdebug_before(m, WF_LOCKDEBUG_MUTEX, site);
    wf_mutex_lock_unwatched(m);
    wf_lockdebug_locked(m, WF_LOCKDEBUG_MUTEX, site);
}

WF_PUBLIC void weft_mutex_lock(weft_mutex *m)
{
    if (WF_UNLIKELY(wf_lockdebug))
        lock_watched(m, __builtin_return_address(0));
    else if (WF_UNLIKELY((wf_or_acq_rel(word_of(m), LOCKED) & LOCKED) != 0))
        lock_contended(m);
}

WF_PUBLIC int weft_mutex_try_lock(weft_mutex *m)
{
    if ((wf_load_relaxed(word_of(m)) & LOCKED) != 0 || (wf_or_acq_rel(word_of(m), LOCKED) & LOCKED) != 0)
        return -EAGAIN;
    if (WF_UNLIKELY(wf_lockdebug))
        wf_lockdebug_locked(m, WF_LOCKDEBUG_MUTEX, __builtin_return_address(0));
    return 0;
}

bool wf_mutex_is_locked(weft_mutex *m)
{
    return (wf_load_relaxed(word_of(m)) & LOCKED) != 0;
}

/* Unlocks without the bucket, if nobody has to be woken. [L1] the CAS is the last access. */
WF_INLINE bool release_at_once(weft_mutex *m, uint32_t state)
{
    while ((state & HANDOFF) == 0 && (state & (QUEUED | WOKEN)) != QUEUED) {
        if (wf_cas_release(word_of(m), &state, state & ~(uint32_t)LOCKED))
            return true;
    }
    return false;
}

/* Unlocks with the bucket. Returns who was unlinked and has to be woken, NULL if nobody. */
static struct wf_routine *release_queued(weft_mutex *m, int *ret_ret)
{
    struct wf_spinlock *lock = wf_lot_lock(m);
    uint32_t state = wf_load_acquire(word_of(m));
    struct wf_routine *oldest = NULL;
    WF_ASSERT((state & (HANDOFF | WOKEN)) != (HANDOFF | WOKEN)); /* whoever sets HANDOFF was the woken one */
    if ((state & WOKEN) == 0)
        oldest = wf_lot_pop(queue_of(m));
    WF_ASSERT((state & HANDOFF) == 0 || oldest != NULL);
    if (wf_lot_is_empty(queue_of(m)))
        state &= ~(uint32_t)QUEUED;
    if ((state & HANDOFF) != 0) {
        *ret_ret = HANDED;
        state &= ~(uint32_t)HANDOFF;
    } else {
        *ret_ret = FREE;
        state = (state & ~(uint32_t)LOCKED) | (oldest != NULL ? WOKEN : 0);
    }
    wf_store_release(word_of(m), state); /* [L1] */
    wf_spinlock_unlock(lock);
    return oldest;
}

static WF_NOINLINE void unlock_contended(weft_mutex *m)
{
    struct wf_thread *thread = wf_enter();
    int ret = FREE;
    struct wf_routine *oldest = release_queued(m, &ret);
    if (oldest != NULL)
        wf_lot_wake(thread, oldest, ret);
    if (oldest != NULL && ret == HANDED) {
        wf_lot_leave_to(thread, oldest);
        return;
    }
    wf_leave(thread);
}

static WF_COLD void unlock_unusual(weft_mutex *m, uint32_t state)
{
    if ((state & LOCKED) == 0)
        wf_misuse("weft_mutex_unlock(%p): the mutex is not locked", (void *)m);
    if (wf_lockdebug)
        wf_lockdebug_unlocked(m);
    if (!release_at_once(m, state))
        unlock_contended(m);
}

WF_PUBLIC void weft_mutex_unlock(weft_mutex *m)
{
    uint32_t state = wf_load_relaxed(word_of(m)); /* the line is ours: we hold the lock */
    if (WF_UNLIKELY((state & LOCKED) == 0 || wf_lockdebug)) {
        unlock_unusual(m, state);
        return;
    }
    if (WF_UNLIKELY(!release_at_once(m, state)))
        unlock_contended(m);
}

void wf_mutex_unlock_inside(struct wf_thread *thread, weft_mutex *m)
{
    if (release_at_once(m, wf_load_relaxed(word_of(m))))
        return;
    int ret = FREE;
    struct wf_routine *oldest = release_queued(m, &ret);
    if (oldest != NULL)
        wf_lot_wake(thread, oldest, ret);
}
