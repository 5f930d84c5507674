/* SPDX-License-Identifier: MIT */
/* select.c - wait for whichever of several cases comes first.
 *
 * Owns:    the record of a waiting select, in the frame of the call.
 * Callers: users, through the macros of weft/select.h.
 * Locking: channel locks; several at once only here, in the order of their addresses.
 *
 * Problem. One routine waits in several queues, and the wait must be ended by exactly one of: a waker at any of the
 * channels, close, the timer, the end of the wait from outside. Each works under another lock, or none.
 *
 * Approach. At first, as if it were a single operation: look at all cases without locks, choose one that looks ready,
 * and try it under its own channel's lock. A select with `otherwise` that finds nothing ends there without any lock, see
 * [S1]. Else lock all channels, look again, and if still nothing is ready put one waiter per case into their queues, and
 * park; the commit unlocks. Who takes one of the waiters out of its queue, under that channel's lock, must win
 * routine->claim (claim.h) before it may touch the routine; so must the timer and wf_select_abort().
 *
 * Who may do what:
 *   the owner      writes the record and all waiters before the commit, holding all locks; after it has been woken,
 *                  takes those of its waiters that are still queued out, each under its channel's lock, cancels the
 *                  timer, and returns. Only then is the record gone.
 *   the commit     runs when the owner has left its stack, before its locks are released: opens the claim, arms the
 *                  timer, unlocks, and says `committed` with its last access to the record.
 *   a waker        finds a waiter in a queue under the channel's lock and takes it out. Claim won: the waiter and the
 *                  routine are its own, until wf_ready(). Lost: it forgets the waiter and does not touch it again after
 *                  the unlock.
 *   the timer      is called under the lock of its timer set while it is pending. Claim won: sets ret; its expire()
 *                  readies the routine, and needs nothing but the routine.
 *   the aborter    has a number, and does one CAS on the claim. Touches nothing else.
 *
 * Why that is right.
 *   One end: the claim goes from WAITING to CLOSED once per wait, and only its winner readies.
 *   Not too early: nobody can win before the commit, which runs when the context is saved. A waker or another select
 *     cannot even see a waiter before, the locks are held; the timer is armed by the commit; the aborter waits while
 *     the claim is SETTING, as it would for a lock.
 *   Not lost: the look under all locks and the queueing are one critical section per channel, so whatever makes a
 *     channel ready comes before it (and is seen) or after it (and finds the waiter).
 *   The record outlives its users: a waiter in a queue is touched under that channel's lock only, by a loser; the owner
 *     takes that lock before it returns (but for the waiter that won, which has been taken out). The timer: wf_timer_cancel
 *     returns after claim() has. The commit: the owner, who may be running on another thread already, waits for
 *     `committed`.
 *   No deadlock: only owners hold several channel locks and take them in ascending order; nobody takes a channel lock while
 *     holding a timer set's.
 *   Select against select: the second to get the locks both have in common finds the first one's waiters, and claims the
 *     first, whose claim is open by then; it never claims itself, for its own waiters are queued after it looked.
 *
 * Rejected: the waker unlinks the other waiters (it would pull the owner's frame to its own processor and take all the
 * locks while the owner could do so at leisure; timer and aborter would have to do the same); register, then look again,
 * as crossbeam does (two selects facing each other both retreat and retry).
 */
#include "chan/select.h"

#include <weft/gc.h>
#include <weft/select.h>

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>

#include "chan/chan.h"
#include "sched/claim.h"
#include "sched/hooks.h"
#include "sched/park.h"
#include "sched/sched.h"
#include "time/clock.h"

_Static_assert(sizeof(weft_case) == 32, "a case is passed by memory: keep it small");

enum {
    FEW = 8,      /* so many cases are waited for without allocating */
    ATTEMPTS = 3, /* at what looked ready, before all channels are locked */
};

/* One per channel case. */
struct place {
    struct wf_waiter waiter; /* owner before the commit, then the channel's lock, then (taken out) whoever won */
    struct weft__chan *chan;
};

struct record {
    struct wf_routine *self;
    struct place *places; /* in the order of the channels' addresses; owner */
    size_t n_places;
    uint32_t waiting; /* value of self->claim while the wait can be ended */
    bool timed;
    uint32_t after;         /* index of the earliest weft_after, if timed */
    struct wf_timer timer;  /* pending from the commit on, if timed */
    _Atomic bool committed; /* the commit does not touch the record any more: [C2] */
};

/* ---- looking without locks ---- */

WF_INLINE bool looks_blocked(const weft_case *k)
{
    switch (k->weft__kind) {
    case WEFT__CASE_RECV:
        return k->weft__chan == NULL || wf_chan_recv_blocked(k->weft__chan);
    case WEFT__CASE_SEND:
        return k->weft__chan == NULL || wf_chan_send_blocked(k->weft__chan);
    case WEFT__CASE_AFTER:
        return k->weft__arg.duration_ns > 0;
    default:
        return true;
    }
}

WF_INLINE bool is_channel_case(const weft_case *k)
{
    return k->weft__chan != NULL; /* the other kinds have none */
}

/* [S1] A select with `otherwise` that has found all channels blocked, one after the other, must be sure that there was a
 * moment at which all of them were. So it looks twice, and believes it if all were blocked both times and none was
 * locked in between. An operation counts itself in n_locked [S1], then changes what decides about readiness [S2], both
 * with release, in one critical section. We load, all with acquire: n_locked, the state; again the state, n_locked.
 * If n_locked is the same, at most one critical section of that channel, counted before we began, overlaps the time
 * between our two looks; a channel that became ready and blocked again in that time would have needed two. So each was
 * blocked all the time between its two looks, and the end of the first round is the moment. The sums are equal
 * only if all are, for none ever decreases. */
WF_INLINE bool still_blocked(const weft_case *cases, size_t n, uint64_t n_locked)
{
    for (size_t i = 0; i < n; i++) {
        if (!looks_blocked(&cases[i]))
            return false;
        if (is_channel_case(&cases[i]))
            n_locked -= wf_load_acquire(&cases[i].weft__chan->n_locked);
    }
    return n_locked == 0;
}

/* Chooses one of those that are not blocked, each with the same chance: the n-th of them takes the place of the choice so
 * far with probability 1/n. -1: all are blocked. */
WF_INLINE ptrdiff_t choose(struct wf_rand *rand, const weft_case *cases, size_t n, bool (*blocked)(const weft_case *))
{
    ptrdiff_t chosen = -1;
    uint32_t n_ready = 0;
    for (size_t i = 0; i < n; i++) {
        if (blocked(&cases[i]))
            continue;
        n_ready++;
        if (n_ready == 1 || wf_rand_below(rand, n_ready) == 0)
            chosen = (ptrdiff_t)i;
    }
    return chosen;
}

/* ---- running a case ---- */

/* The case's channel is locked. 0: it ran; -EAGAIN: it cannot, now; -ENOSPC: wf_chan_add_segment() first. */
static int step(const weft_case *k, struct wf_chan_rest *ret_rest)
{
    int result = k->weft__kind == WEFT__CASE_RECV ? wf_chan_recv_step(k->weft__chan, k->weft__arg.out, ret_rest)
                                                  : wf_chan_send_step(k->weft__chan, k->weft__arg.value, ret_rest);
    if (result != 0 && result != -EPIPE)
        return result;
    if (k->weft__status != NULL)
        *k->weft__status = result;
    return 0;
}

/* One case that looked ready, under its channel's lock only. As step(). */
static int attempt(struct wf_thread *thread, const weft_case *k)
{
    struct weft__chan *c = k->weft__chan;
    struct wf_chan_rest rest;
    if (k->weft__kind == WEFT__CASE_AFTER)
        return 0;
    wf_chan_lock(c);
    int result = step(k, &rest);
    wf_chan_unlock(c);
    wf_chan_finish(thread, c, &rest);
    return result;
}

/* ---- all channels locked ---- */

static void lock_all(const struct record *record)
{
    struct weft__chan *locked = NULL;
    for (size_t i = 0; i < record->n_places; i++) {
        if (record->places[i].chan != locked)
            wf_chan_lock(record->places[i].chan);
        locked = record->places[i].chan;
    }
}

static void unlock_all(const struct record *record)
{
    struct weft__chan *unlocked = NULL;
    for (size_t i = 0; i < record->n_places; i++) {
        if (record->places[i].chan != unlocked)
            wf_chan_unlock(record->places[i].chan);
        unlocked = record->places[i].chan;
    }
}

/* Its channel is locked. */
static bool is_blocked(const weft_case *k)
{
    struct weft__chan *c = k->weft__chan;
    if (!is_channel_case(k))
        return looks_blocked(k);
    uint64_t count = wf_load_relaxed(&c->count);
    uint32_t flags = wf_load_relaxed(&c->flags);
    if (k->weft__kind == WEFT__CASE_RECV)
        return count == 0 && (flags & WF_CHAN_CLOSED) == 0 && !wf_waitq_waits(&c->senders);
    return flags == 0 && count >= wf_load_relaxed(&c->limit) && !wf_waitq_waits(&c->receivers);
}

/* Runs one case; all channels are locked, and are not when it has. Its index; -EAGAIN with the locks held; -ENOSPC without
 * them: *ret_full needs a segment first. */
static ptrdiff_t run_locked(struct wf_thread *thread, const struct record *record, const weft_case *cases, size_t n,
                            struct weft__chan **ret_full)
{
    for (;;) {
        struct wf_chan_rest rest = {0};
        int result = 0;
        ptrdiff_t i = choose(&thread->rand, cases, n, is_blocked);
        if (i < 0)
            return -EAGAIN;
        struct weft__chan *c = cases[i].weft__chan;
        if (is_channel_case(&cases[i]))
            result = step(&cases[i], &rest);
        if (result == -EAGAIN)
            continue; /* the peer's wait has been ended by others since we looked; its waiter is out of the queue now */
        unlock_all(record);
        if (WF_UNLIKELY(result != 0)) {
            *ret_full = c;
            return result;
        }
        if (c != NULL)
            wf_chan_finish(thread, c, &rest);
        return i;
    }
}

/* ---- the end of the wait ---- */

bool wf_select_abort(struct wf_routine *r, void *object)
{
    return wf_claim_end(r, (uint32_t)(uintptr_t)object);
}

/* Its scratch[0] says so. */
bool wf_select_has_limit(const struct wf_routine *r)
{
    return r->wait.scratch[0] != 0;
}

static bool claim_for_timer(struct wf_timer *timer)
{
    struct record *record = wf_container_of(timer, struct record, timer);
    struct wf_routine *r = record->self;
    if (!wf_claim_at(r, record->waiting))
        return false;
    r->ret = (int32_t)record->after;
    return true;
}

static void time_is_up(void *arg)
{
    wf_ready(wf_thread_self(), arg);
}

/* ---- waiting ---- */

static int by_channel(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct place *)a)->chan, y = (uintptr_t)((const struct place *)b)->chan;
    return (x > y) - (x < y);
}

static void set_place(struct place *place, struct weft__chan *c, uint32_t index)
{
    place->chan = c;
    place->waiter.index = index;
}

static void sort_places(struct place *places, size_t n)
{
    size_t sorted = 1; /* channels made one after the other mostly are */
    while (sorted < n && (uintptr_t)places[sorted - 1].chan <= (uintptr_t)places[sorted].chan)
        sorted++;
    if (sorted >= n)
        return;
    if (n > FEW) {
        qsort(places, n, sizeof(*places), by_channel);
        return;
    }
    for (size_t i = sorted; i < n; i++) {
        struct weft__chan *c = places[i].chan;
        uint32_t index = places[i].waiter.index;
        size_t at = i;
        for (; at > 0 && (uintptr_t)places[at - 1].chan > (uintptr_t)c; at--)
            set_place(&places[at], places[at - 1].chan, places[at - 1].waiter.index);
        set_place(&places[at], c, index);
    }
}

/* A plain thread keeps the time itself: wf_park_foreign_until. */
static bool time_is_up_for_foreign(void *arg)
{
    struct record *record = arg;
    return claim_for_timer(&record->timer);
}

/* The channels, in their order, and the time limit. */
static void arrange(struct record *record, const weft_case *cases, size_t n)
{
    int64_t least = INT64_MAX;
    size_t n_places = 0;
    for (size_t i = 0; i < n; i++) {
        const weft_case *k = &cases[i];
        if (is_channel_case(k))
            set_place(&record->places[n_places++], k->weft__chan, (uint32_t)i);
        if (k->weft__kind != WEFT__CASE_AFTER || (record->timed && k->weft__arg.duration_ns >= least))
            continue;
        record->timed = true;
        record->after = (uint32_t)i;
        least = k->weft__arg.duration_ns;
    }
    sort_places(record->places, n_places);
    if (record->timed)
        record->timer = (struct wf_timer){
            .deadline_ns = wf_deadline_after(wf_now_ns(), least), .claim = claim_for_timer, .expire = time_is_up};
}

/* Several cases of one channel get their places in its queues in random order: each shall have the same chance. */
static void shuffle_equals(struct wf_rand *rand, struct place *places, size_t n)
{
    size_t first = 0;
    for (size_t i = 1; i < n; i++) {
        if (places[i].chan != places[first].chan) {
            first = i;
            continue;
        }
        size_t other = first + wf_rand_below(rand, (uint32_t)(i - first + 1));
        uint32_t index = places[i].waiter.index;
        places[i].waiter.index = places[other].waiter.index;
        places[other].waiter.index = index;
    }
}

/* All channels are locked. */
static void queue_all(struct record *record, const weft_case *cases)
{
    for (size_t i = 0; i < record->n_places; i++) {
        struct place *place = &record->places[i];
        const weft_case *k = &cases[place->waiter.index];
        bool receives = k->weft__kind == WEFT__CASE_RECV;
        place->waiter.routine = record->self;
        place->waiter.elem = receives ? k->weft__arg.out : (void *)(uintptr_t)k->weft__arg.value;
        place->waiter.status = k->weft__status;
        place->waiter.is_select = true;
        wf_waitq_push(receives ? &place->chan->receivers : &place->chan->senders, &place->waiter);
    }
}

static void commit(void *arg)
{
    struct record *record = arg;
    struct wf_routine *self = record->self;
    wf_store_release(&self->claim, record->waiting); /* [C1] pairs with the acquire in wf_claim_at */
    unlock_all(record);
    if (record->timed && (self->flags & WF_FOREIGN) == 0 && wf_claim_is_open(self))
        wf_timer_arm(wf_thread_self(), &record->timer);
    wf_store_release(&record->committed, true); /* [C2] pairs with the acquire in clean_up */
}

/* Ours, and the channel is locked. */
static void dequeue(struct place *place, const weft_case *cases)
{
    bool receives = cases[place->waiter.index].weft__kind == WEFT__CASE_RECV;
    if (place->waiter.queued)
        wf_waitq_remove(receives ? &place->chan->receivers : &place->chan->senders, &place->waiter);
}

/* After the wait: nobody knows the record any more when it returns. The case that won, if any, is out of its queue. */
static void clean_up(struct record *record, const weft_case *cases, int won)
{
    struct place *places = record->places;
    size_t n = record->n_places, next;
    for (unsigned round = 1; !wf_load_acquire(&record->committed); round++) { /* [C2] */
        wf_cpu_relax();
        if (round % 64 == 0)
            sched_yield();
    }
    struct wf_thread *thread = wf_enter();
    if (record->timed)
        wf_timer_cancel(&record->timer);
    for (size_t i = 0; i < n; i = next) {
        struct weft__chan *c = places[i].chan;
        for (next = i + 1; next < n && places[next].chan == c; next++)
            ;
        if (next == i + 1 && (int)places[i].waiter.index == won)
            continue;
        wf_chan_lock(c);
        for (size_t j = i; j < next; j++)
            dequeue(&places[j], cases);
        wf_chan_unlock(c);
    }
    wf_leave(thread);
}

/* All channels are locked and all cases blocked. What the waiting came to. Inlined, like its caller: every frame between
 * the switch and the user's code is a return that the processor mispredicts. */
WF_INLINE int wait_for_any(struct wf_thread *thread, struct record *record, const weft_case *cases)
{
    struct wf_routine *self = thread->current;
    record->self = self;
    record->timer.arg = self;
    self->wait.scratch[0] = record->timed;
    record->waiting = wf_claim_prepare(self);
    if (WF_UNLIKELY(wf_wait_begin(self, WF_WAIT_SELECT, (void *)(uintptr_t)record->waiting))) {
        wf_claim_abandon(self, record->waiting);
        unlock_all(record);
        return wf_wait_refused(thread, self);
    }
    shuffle_equals(&thread->rand, record->places, record->n_places);
    queue_all(record, cases);
    int result = WF_UNLIKELY(record->timed && (self->flags & WF_FOREIGN) != 0)
                     ? wf_park_foreign_until(thread, commit, record, record->timer.deadline_ns, time_is_up_for_foreign)
                     : wf_park_call(thread, commit, record);
    clean_up(record, cases, result);
    return result;
}

/* Decides with all channels locked; waits if need be. */
WF_INLINE int select_locked(struct record *record, const weft_case *cases, size_t n, ptrdiff_t otherwise)
{
    struct wf_thread *thread;
    struct weft__chan *full;
    ptrdiff_t result;
    while (thread = wf_enter(), lock_all(record), result = run_locked(thread, record, cases, n, &full),
           WF_UNLIKELY(result == -ENOSPC)) {
        wf_leave(thread);
        if (wf_chan_add_segment(full) != 0)
            return -ENOMEM;
    }
    if (WF_LIKELY(result == -EAGAIN && otherwise < 0))
        return wait_for_any(thread, record, cases);
    if (result == -EAGAIN) {
        unlock_all(record);
        result = otherwise;
    }
    wf_leave(thread);
    return (int)result;
}

/* How many channel cases there are. */
static size_t survey(const weft_case *cases, size_t n, ptrdiff_t *ret_otherwise)
{
    size_t n_channels = 0;
    *ret_otherwise = -1;
    for (size_t i = 0; i < n; i++) {
        n_channels += is_channel_case(&cases[i]);
        if (cases[i].weft__kind == WEFT__CASE_OTHERWISE)
            *ret_otherwise = (ptrdiff_t)i;
    }
    return n_channels;
}

static WF_NOINLINE int select_slowly(const weft_case *cases, size_t n)
{
    struct place few[FEW], *many = NULL;
    struct record record;
    ptrdiff_t otherwise;
    record.n_places = survey(cases, n, &otherwise);
    /* Collected: it keeps the channels while the caller's cases may lie where nobody looks. */
    if (record.n_places > FEW && (many = weft_alloc(record.n_places * sizeof(*many))) == NULL)
        return -ENOMEM;
    record.places = many != NULL ? many : few;
    record.timed = false;
    wf_store_relaxed(&record.committed, false);
    arrange(&record, cases, n);
    int result = select_locked(&record, cases, n, otherwise);
    if (WF_UNLIKELY(many != NULL))
        weft_free(many);
    return result;
}

/* Something looked ready. */
static WF_NOINLINE int select_ready(const weft_case *cases, size_t n)
{
    for (int attempts = 0; attempts < ATTEMPTS; attempts++) {
        struct wf_thread *thread = wf_enter();
        ptrdiff_t i = choose(&thread->rand, cases, n, looks_blocked);
        int result = i >= 0 ? attempt(thread, &cases[i]) : -EAGAIN;
        wf_leave(thread);
        if (WF_LIKELY(result == 0))
            return (int)i;
        if (result == -ENOSPC)
            result = wf_chan_add_segment(cases[i].weft__chan) != 0 ? -ENOMEM : -EAGAIN;
        if (result != -EAGAIN)
            return result;
    }
    return select_slowly(cases, n);
}

WF_PUBLIC int weft_select_n(const weft_case *cases, size_t n)
{
    ptrdiff_t otherwise;
    size_t n_channels;
    uint64_t n_locked;
    if (WF_UNLIKELY(n > INT_MAX))
        return -EINVAL;
    do {
        otherwise = -1;
        n_channels = n_locked = 0;
        for (size_t i = 0; i < n; i++) {
            struct weft__chan *c = cases[i].weft__chan;
            if (c != NULL) {
                n_channels++;
                n_locked += wf_load_acquire(&c->n_locked);
            } else if (cases[i].weft__kind == WEFT__CASE_OTHERWISE) {
                otherwise = (ptrdiff_t)i;
            }
            if (!looks_blocked(&cases[i]))
                return select_ready(cases, n);
        }
        if (otherwise < 0)
            return select_slowly(cases, n);
    } while (WF_UNLIKELY(!wf_chan_settled()));
    /* One channel needs no second look. */
    if (WF_LIKELY(n_channels < 2 || still_blocked(cases, n, n_locked)) && WF_LIKELY(!wf_chan_disturbed()))
        return (int)otherwise;
    return select_slowly(cases, n);
}
