/* SPDX-License-Identifier: MIT */
/* sem.c - the weighted semaphore: strict first come, first served.
 *
 * The word is the number of free permits, QUEUED in the sign bit. While QUEUED is set nothing but a call that has the
 * bucket locked changes the word: the fast paths see a negative number. So under the bucket a word with QUEUED is
 * stable. A request that waits has the number it asks for in scratch[0]; release() and abort take those permits on its
 * behalf.
 *
 * Invariant (bucket locked, queue not empty): the oldest request asks for more than there is.
 */
#include <weft/sync.h>

#include "sched/sched.h"
#include "sync/lot.h"

#include <errno.h>

#define QUEUED (UINT64_C(1) << 63)

#define word_of(s) wf_lot_word64(&(s)->state)
#define queue_of(s) wf_lot_queue_of(&(s)->waiters)

WF_PUBLIC void weft_sem_init(weft_sem *s, int64_t n)
{
    if (n < 0)
        wf_misuse("weft_sem_init(%p, %lld): negative", (void *)s, (long long)n);
    wf_store_relaxed(word_of(s), (uint64_t)n);
    s->waiters = NULL;
}

/* Takes n permits if they are there and nobody waits. *ret_state is then, or otherwise, the word last seen. */
WF_INLINE bool take(weft_sem *s, int64_t n, uint64_t *ret_state)
{
    uint64_t state = wf_load_relaxed(word_of(s));
    bool taken = false;
    while (!taken && (int64_t)state >= n)
        taken = wf_cas_acquire(word_of(s), &state, state - (uint64_t)n);
    *ret_state = state;
    return taken;
}

/* Bucket locked. True: taken. False: QUEUED is set. */
static bool take_or_announce(weft_sem *s, int64_t n)
{
    uint64_t state;
    while (!take(s, n, &state)) {
        if ((state & QUEUED) != 0 || wf_cas_acquire(word_of(s), &state, state | QUEUED))
            return false;
    }
    return true;
}

static WF_NOINLINE int acquire_waiting(weft_sem *s, int64_t n)
{
    struct wf_thread *thread = wf_enter();
    struct wf_routine *self = thread->current;
    struct wf_spinlock *lock = wf_lot_lock(s);
    if (take_or_announce(s, n)) {
        wf_spinlock_unlock(lock);
        wf_leave(thread);
        return 0;
    }
    if (wf_lot_begin(self, WF_WAIT_SEM, s)) {
        if (wf_lot_is_empty(queue_of(s)))
            wf_and_release(word_of(s), ~QUEUED);
        wf_spinlock_unlock(lock);
        return wf_wait_refused(thread, self);
    }
    self->wait.scratch[0] = (uint64_t)n;
    wf_lot_append(queue_of(s), self);
    return wf_park_unlock(thread, lock);
}

static _Noreturn WF_COLD void negative(const char *call, weft_sem *s, int64_t n)
{
    wf_misuse("%s(%p, %lld): negative", call, (void *)s, (long long)n);
}

WF_PUBLIC int weft_sem_acquire(weft_sem *s, int64_t n)
{
    if (WF_UNLIKELY(n <= 0)) {
        if (n < 0)
            negative("weft_sem_acquire", s, n);
        return 0;
    }
    uint64_t state;
    if (WF_LIKELY(take(s, n, &state)))
        return 0;
    return acquire_waiting(s, n);
}

WF_PUBLIC int weft_sem_try_acquire(weft_sem *s, int64_t n)
{
    if (WF_UNLIKELY(n <= 0)) {
        if (n < 0)
            negative("weft_sem_try_acquire", s, n);
        return 0;
    }
    uint64_t state;
    return take(s, n, &state) ? 0 : -EAGAIN;
}

/* Bucket locked, QUEUED set in the word. Gives `permits` to the oldest requests as far as they go and stores the word.
 * Returns those served, linked by `next`; they are the caller's. */
static struct wf_waiter *serve(weft_sem *s, uint64_t permits)
{
    struct wf_waiter *served = NULL, **end = &served;
    for (;;) {
        struct wf_waiter *oldest = wf_load_relaxed(&queue_of(s)->head);
        if (oldest == NULL || oldest->routine->wait.scratch[0] > permits)
            break;
        permits -= oldest->routine->wait.scratch[0];
        wf_lot_unlink(oldest);
        *end = oldest;
        end = &oldest->next;
    }
    *end = NULL;
    wf_store_release(word_of(s), permits | (wf_lot_is_empty(queue_of(s)) ? 0 : QUEUED)); /* [L1] */
    return served;
}

static void wake_served(struct wf_thread *thread, struct wf_waiter *served)
{
    while (served != NULL) {
        struct wf_waiter *next = served->next; /* it may run, and wait again, at once */
        wf_lot_wake(thread, served->routine, 0);
        served = next;
    }
}

/* False when nobody waits any more: try again without the bucket. */
static WF_NOINLINE bool release_queued(weft_sem *s, int64_t n, bool *ret_overflow)
{
    struct wf_thread *thread = wf_enter();
    struct wf_spinlock *lock = wf_lot_lock(s);
    uint64_t state = wf_load_acquire(word_of(s));
    struct wf_waiter *served = NULL;
    bool queued = (state & QUEUED) != 0;
    *ret_overflow = n > INT64_MAX - (int64_t)(state & ~QUEUED);
    if (queued && !*ret_overflow)
        served = serve(s, (state & ~QUEUED) + (uint64_t)n);
    wf_spinlock_unlock(lock);
    wake_served(thread, served);
    wf_leave(thread);
    return queued;
}

static _Noreturn WF_COLD void too_many(weft_sem *s, int64_t n)
{
    wf_misuse("weft_sem_release(%p, %lld): more than INT64_MAX permits", (void *)s, (long long)n);
}

WF_PUBLIC void weft_sem_release(weft_sem *s, int64_t n)
{
    if (WF_UNLIKELY(n < 0))
        negative("weft_sem_release", s, n);
    uint64_t state = wf_load_relaxed(word_of(s));
    for (;;) {
        bool overflow = false;
        if (WF_UNLIKELY((state & QUEUED) != 0)) {
            bool done = release_queued(s, n, &overflow);
            if (overflow)
                too_many(s, n);
            if (done)
                return;
            state = wf_load_relaxed(word_of(s));
            continue;
        }
        if (WF_UNLIKELY(n > INT64_MAX - (int64_t)state))
            too_many(s, n);
        if (wf_cas_release(word_of(s), &state, state + (uint64_t)n))
            return; /* [L1] */
    }
}

/* The one that gives up may have held up smaller requests behind it. */
bool wf_lot_abort_sem(struct wf_routine *r, void *object)
{
    weft_sem *s = object;
    struct wf_spinlock *lock;
    if (!wf_lot_lock_waiting(r, WF_WAIT_SEM, s, &lock))
        return false;
    wf_lot_unlink(&r->wait.waiter);
    struct wf_waiter *served = serve(s, wf_load_acquire(word_of(s)) & ~QUEUED);
    wf_spinlock_unlock(lock);
    wake_served(wf_thread_self(), served);
    return true;
}
