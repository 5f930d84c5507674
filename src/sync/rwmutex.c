/* SPDX-License-Identifier: MIT */
/* rwmutex.c - the readers-writer lock: phase-fair, with direct hand-over.
 *
 * Approach. Two queues. While nobody is queued, both sides enter by one CAS. Once somebody is, whoever leaves last
 * admits the next: a writer admits all readers that wait, or, if there are none, the oldest writer; the last reader
 * admits the oldest writer. New readers queue as soon as a writer does. So a reader waits for at most one writer, and a
 * writer for those before it and one batch of readers after each.
 *
 * Who is admitted owns the lock before it runs. If that is a writer, everybody waits for it to run, so the one that
 * admitted it yields to it. Readers do not hold up readers: no yield.
 *
 * Rejected: an inner mutex for the writers, as Go has it: a writer that leaves would have to touch the object once more
 * after it has let readers in, one of which may free it ([L1] in lot.h). Barging as in mutex.c: a rwmutex is for
 * sections that are long or mostly read; there the switch does not matter, and the order does.
 *
 * The word: WRITER, WRITERS_QUEUED, READERS_QUEUED, and the number of readers inside. Invariants (bucket locked):
 *   WRITER and readers inside exclude each other;
 *   READERS_QUEUED implies WRITER or WRITERS_QUEUED;  WRITERS_QUEUED implies WRITER or readers inside;
 *   *_QUEUED tells exactly whether that queue is not empty;  readers_waiting == length of `readers`.
 * While a *_QUEUED bit is set, the last to leave changes the word with the bucket locked only.
 */
#include <weft/sync.h>

#include "sched/sched.h"
#include "sync/lockdebug.h"
#include "sync/lot.h"

#include <errno.h>

enum { WRITER = 1, WRITERS_QUEUED = 2, READERS_QUEUED = 4, READER = 8 /* one of them */ };
enum { SPIN_PAUSES = 8, SPIN_LAST_PAUSES = 64 };

#define word_of(rw) wf_lot_word32(&(rw)->state)
#define readers_of(rw) wf_lot_queue_of(&(rw)->readers)
#define writers_of(rw) wf_lot_queue_of(&(rw)->writers)

/* ---- entering ---- */

/* Enters by adding `entry` if none of `blockers` (and for the writer: nothing at all) is in the word. */
WF_INLINE bool enter_at_once(weft_rwmutex *rw, uint32_t blockers, uint32_t entry)
{
    uint32_t state = wf_load_relaxed(word_of(rw));
    while ((state & blockers) == 0) {
        if (wf_cas_acquire(word_of(rw), &state, state + entry))
            return true;
    }
    return false;
}

enum {
    READERS_BLOCKERS = WRITER | WRITERS_QUEUED,
    QUEUED = WRITERS_QUEUED | READERS_QUEUED,
};
static const uint32_t writers_blockers = UINT32_MAX;

/* The holder may be about to leave on another worker. Not past others that are parked. */
static bool enter_spinning(weft_rwmutex *rw, uint32_t blockers, uint32_t entry)
{
    if ((wf_load_relaxed(word_of(rw)) & QUEUED) != 0 || !wf_lot_may_spin())
        return false;
    for (unsigned pauses = SPIN_PAUSES; pauses <= SPIN_LAST_PAUSES; pauses *= 2) {
        for (unsigned i = 0; i < pauses; i++)
            wf_cpu_relax();
        if (enter_at_once(rw, blockers, entry))
            return true;
        if ((wf_load_relaxed(word_of(rw)) & QUEUED) != 0)
            return false;
    }
    return false;
}

/* Bucket locked. True: entered. False: `announcement` is in the word. */
static bool enter_or_announce(weft_rwmutex *rw, uint32_t blockers, uint32_t entry, uint32_t announcement)
{
    uint32_t state = wf_load_relaxed(word_of(rw));
    for (;;) {
        bool enters = (state & blockers) == 0;
        if (wf_cas_acquire(word_of(rw), &state, enters ? state + entry : state | announcement))
            return enters;
    }
}

static WF_NOINLINE void rlock_contended(weft_rwmutex *rw)
{
    if (enter_spinning(rw, READERS_BLOCKERS, READER))
        return;
    struct wf_thread *thread = wf_enter();
    struct wf_routine *self = thread->current;
    struct wf_spinlock *lock = wf_lot_lock(rw);
    if (enter_or_announce(rw, READERS_BLOCKERS, READER, READERS_QUEUED)) {
        wf_spinlock_unlock(lock);
        wf_leave(thread);
        return;
    }
    wf_lot_begin(self, WF_WAIT_RWMUTEX_READ, rw); /* false: this kind of wait is never ended from outside */
    rw->readers_waiting++;
    wf_lot_append(readers_of(rw), self);
    (void)wf_park_unlock(thread, lock);
}

static WF_NOINLINE void lock_contended(weft_rwmutex *rw)
{
    if (enter_spinning(rw, writers_blockers, WRITER))
        return;
    struct wf_thread *thread = wf_enter();
    struct wf_routine *self = thread->current;
    struct wf_spinlock *lock = wf_lot_lock(rw);
    if (enter_or_announce(rw, writers_blockers, WRITER, WRITERS_QUEUED)) {
        wf_spinlock_unlock(lock);
        wf_leave(thread);
        return;
    }
    wf_lot_begin(self, WF_WAIT_RWMUTEX_WRITE, rw); /* false: as above */
    wf_lot_append(writers_of(rw), self);
    (void)wf_park_unlock(thread, lock);
}

static WF_COLD void enter_watched(weft_rwmutex *rw, enum wf_lockdebug_mode mode, void *site)
{
    bool reads = mode == WF_LOCKDEBUG_READ;
    wf_lockdebug_before(rw, mode, site);
    if (reads && !enter_at_once(rw, READERS_BLOCKERS, READER))
        rlock_contended(rw);
    if (!reads && !enter_at_once(rw, writers_blockers, WRITER))
        lock_contended(rw);
    wf_lockdebug_locked(rw, mode, site);
}

WF_PUBLIC void weft_rwmutex_rlock(weft_rwmutex *rw)
{
    if (WF_UNLIKELY(wf_lockdebug))
        enter_watched(rw, WF_LOCKDEBUG_READ, __builtin_return_address(0));
    else if (WF_UNLIKELY(!enter_at_once(rw, READERS_BLOCKERS, READER)))
        rlock_contended(rw);
}

WF_PUBLIC void weft_rwmutex_lock(weft_rwmutex *rw)
{
    if (WF_UNLIKELY(wf_lockdebug))
        enter_watched(rw, WF_LOCKDEBUG_WRITE, __builtin_return_address(0));
    else if (WF_UNLIKELY(!enter_at_once(rw, writers_blockers, WRITER)))
        lock_contended(rw);
}

WF_PUBLIC int weft_rwmutex_try_rlock(weft_rwmutex *rw)
{
    if (!enter_at_once(rw, READERS_BLOCKERS, READER))
        return -EAGAIN;
    if (WF_UNLIKELY(wf_lockdebug))
        wf_lockdebug_locked(rw, WF_LOCKDEBUG_READ, __builtin_return_address(0));
    return 0;
}

WF_PUBLIC int weft_rwmutex_try_lock(weft_rwmutex *rw)
{
    if (!enter_at_once(rw, writers_blockers, WRITER))
        return -EAGAIN;
    if (WF_UNLIKELY(wf_lockdebug))
        wf_lockdebug_locked(rw, WF_LOCKDEBUG_WRITE, __builtin_return_address(0));
    return 0;
}

/* ---- leaving ---- */

/* Bucket locked, nobody inside any more, nothing in the word but *_QUEUED. Makes the oldest writer the holder. */
static struct wf_routine *admit_writer(weft_rwmutex *rw, uint32_t readers_queued)
{
    struct wf_routine *writer = wf_lot_pop(writers_of(rw));
    uint32_t writers_queued = wf_lot_is_empty(writers_of(rw)) ? 0 : WRITERS_QUEUED;
    wf_store_release(word_of(rw), WRITER | writers_queued | readers_queued); /* [L1] */
    return writer;
}

/* The last reader leaves and a writer waits. The word is stable under the bucket: new readers queue, and no other is
 * inside. */
static WF_NOINLINE void runlock_queued(weft_rwmutex *rw)
{
    struct wf_thread *thread = wf_enter();
    struct wf_spinlock *lock = wf_lot_lock(rw);
    struct wf_routine *writer = admit_writer(rw, wf_load_acquire(word_of(rw)) & READERS_QUEUED);
    wf_spinlock_unlock(lock);
    wf_lot_wake(thread, writer, 0);
    wf_lot_leave_to(thread, writer);
}

/* The writer leaves and somebody waits. The word can only gain *_QUEUED bits, and that under the bucket. */
static WF_NOINLINE void unlock_queued(weft_rwmutex *rw)
{
    struct wf_thread *thread = wf_enter();
    struct wf_spinlock *lock = wf_lot_lock(rw);
    uint32_t state = wf_load_acquire(word_of(rw));
    if ((state & READERS_QUEUED) != 0) {
        struct wf_lot_queue moved;
        wf_lot_move(readers_of(rw), &moved);
        uint32_t n = rw->readers_waiting;
        rw->readers_waiting = 0;
        wf_store_release(word_of(rw), n * READER | (state & WRITERS_QUEUED)); /* [L1] */
        wf_lot_wake_all_leave(thread, lock, &moved);
        return;
    }
    struct wf_routine *writer = admit_writer(rw, 0);
    wf_spinlock_unlock(lock);
    wf_lot_wake(thread, writer, 0);
    wf_lot_leave_to(thread, writer);
}

WF_PUBLIC void weft_rwmutex_runlock(weft_rwmutex *rw)
{
    uint32_t state = wf_load_relaxed(word_of(rw));
    if (WF_UNLIKELY(wf_lockdebug) && state >= READER)
        wf_lockdebug_unlocked(rw);
    for (;;) {
        if (WF_UNLIKELY(state < READER))
            wf_misuse("weft_rwmutex_runlock(%p): no reader holds it", (void *)rw);
        if (WF_UNLIKELY(state / READER == 1 && (state & WRITERS_QUEUED) != 0)) {
            runlock_queued(rw);
            return;
        }
        if (wf_cas_acq_rel(word_of(rw), &state, state - READER))
            return; /* [L1] */
    }
}

WF_PUBLIC void weft_rwmutex_unlock(weft_rwmutex *rw)
{
    uint32_t state = WRITER;
    if (WF_UNLIKELY(wf_lockdebug))
        wf_lockdebug_unlocked(rw);
    if (WF_LIKELY(wf_cas_release(word_of(rw), &state, 0)))
        return; /* [L1] */
    if ((state & WRITER) == 0)
        wf_misuse("weft_rwmutex_unlock(%p): no writer holds it", (void *)rw);
    unlock_queued(rw);
}
