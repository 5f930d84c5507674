/* SPDX-License-Identifier: MIT */
/* timers.h - a set of pending timers: a wheel of 131 us ticks for far deadlines, a small heap for the near ones.
 *
 * One set per worker, one lock per set; a set is run by its worker, or by any other when that one is busy.
 *
 *             add  cancel  run  earliest
 *   add        L     L      L     ok         L: excluded by the set's lock, which each takes itself
 *   cancel           L      L     ok         (wf_timers_add_locked expects it to be held).
 *   run                     L     ok
 *
 * Arm and cancel cost O(1) at any population; nothing is ever allocated. Sources: Varghese and Lauck, "Hashed and
 * Hierarchical Timing Wheels"; Fredman, Sedgewick, Sleator and Tarjan, "The Pairing Heap".
 */
#ifndef WEFT_TIME_TIMERS_H
#define WEFT_TIME_TIMERS_H

#include "base/atomic.h"
#include "base/spinlock.h"

struct wf_timers;

/* A timer, embedded in what it wakes. It must stay in place and valid while pending. */
struct wf_timer {
    struct wf_timer *next, **prev;   /* set's lock: the list that holds it: a wheel slot, or siblings in the heap */
    struct wf_timer *child;          /* set's lock: first child in the heap */
    _Atomic(struct wf_timers *) set; /* the set it is pending in, or NULL; written under that set's lock */
    int64_t deadline_ns;             /* immutable while pending, but for a periodic timer's own expiry */
    int64_t period_ns;               /* > 0: pending again, deadline + k * period, k the least that lies ahead */
    /* Called under the set's lock at expiry, out of the lists already; short, takes no lock, touches no timer. False:
     * somebody else has already ended the wait; the timer is not touched once the lock is released. NULL: true. */
    bool (*claim)(struct wf_timer *timer);
    /* Called after the lock is released, with `arg` as it was at expiry; the timer itself may be gone by then. */
    void (*expire)(void *arg);
    void *arg;
    uint8_t level, slot; /* set's lock: where in the wheel; level WF_TIMER_IN_HEAP for the heap */
};

/* 8 digits of 6 bits hold the 46 bits of any tick, so INT64_MAX is a deadline like others. */
enum { WF_TICK_SHIFT = 17, WF_WHEEL_BITS = 6, WF_WHEEL_LEVELS = 8, WF_WHEEL_SLOTS = 64, WF_TIMER_IN_HEAP = 255 };

/* Write a tick (deadline >> WF_TICK_SHIFT) with digits of WF_WHEEL_BITS bits. Invariants, while `lock` is held:
 *   heap            exactly the placed timers whose tick <= base_tick;
 *   wheel[l][s]     tick > base_tick, and l is the highest digit in which the two differ: tick's digit l is
 *                   s > base_tick's digit l, the digits above are equal. So a lower level comes before a higher one,
 *                   and in a level a lower slot before a higher one;
 *   occupied[l]     bit s is set if and only if wheel[l][s] is not empty;
 *   moving          timers of one slot that still have to be placed; only between two calls of wf_timers_run that
 *                   belong together (the first has returned true);
 *   earliest_ns     <= the deadline of every pending timer.
 * Verified by wf_timers_check(). */
struct wf_timers {
    struct wf_spinlock lock;
    _Atomic int64_t earliest_ns; /* no timer of the set is due before it (INT64_MAX: none pending); written under the
                                     lock, a hint for readers without it; never late, early after a cancel or when
                                     the next slot is crowded */
    int64_t base_tick;           /* lock: the present tick as far as the wheel knows; never goes back */
    struct wf_timer *heap;       /* lock */
    struct wf_timer *moving;     /* lock */
    size_t n_pending;            /* lock */
    uint64_t occupied[WF_WHEEL_LEVELS];
    struct wf_timer *wheel[WF_WHEEL_LEVELS][WF_WHEEL_SLOTS];
};

/* What has expired in one pass. */
enum { WF_TIMER_BATCH = 64 };
struct wf_timer_batch {
    unsigned n;
    struct {
        void (*expire)(void *arg);
        void *arg;
    } items[WF_TIMER_BATCH];
};

void wf_timers_init(struct wf_timers *set, int64_t now_ns);

/* Makes the timer (deadline_ns, period_ns, claim, expire, arg filled in; not pending) pending. True when it became the
 * set's earliest, so that a sleeper who waits for the set must be told. */
bool wf_timers_add(struct wf_timers *set, struct wf_timer *timer);
bool wf_timers_add_locked(struct wf_timers *set, struct wf_timer *timer);

/* Takes the timer out of whatever set it is pending in. True: it was pending and will not expire because of this call
 * (a periodic one: not again; an expire() may be under way). False: it was not, or has expired: its claim() has then
 * returned, nothing touches the timer any more. */
bool wf_timer_cancel(struct wf_timer *timer);

/* The same when the caller holds the set's lock and has seen that the timer is pending in it. */
void wf_timers_remove_locked(struct wf_timers *set, struct wf_timer *timer);

/* Moves what is due at now_ns into the batch (as claim() allows), at most WF_TIMER_BATCH, in the order of the deadlines
 * unless hundreds become due at once. True: there is more to do at now_ns, call again. The lock is held for a bounded
 * time. The caller then calls each expire(arg). */
bool wf_timers_run(struct wf_timers *set, int64_t now_ns, struct wf_timer_batch *batch);

/* A time before which nothing is due, exact to the nanosecond unless the next slot is crowded; INT64_MAX when nothing
 * is pending. For a worker that goes to sleep. */
int64_t wf_timers_next_wake(struct wf_timers *set);

/* Moves every timer of `from` to `to`; they stay pending throughout: who cancels one finds it in either. True when `to`
 * has a new earliest one. No two threads move in opposite directions at once. */
bool wf_timers_move(struct wf_timers *from, struct wf_timers *to);

/* Takes out every timer; none expires. For the end of the runtime; the set can be used on. */
void wf_timers_clear(struct wf_timers *set);

/* Walks the whole set and checks its invariants; WF_ASSERT_SLOW and tests. The caller holds the lock. */
void wf_timers_check(const struct wf_timers *set);

#endif
