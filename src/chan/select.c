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

#include <weft/select.h>

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "chan/chan.h"
#include "chan/claim.h"
#include "sched/park.h"
#include "sched/sched.h"
#include "time/clock.h"

_Static_assert(sizeof(weft_case) == 32, "a case is passed by memory: keep it small");

/* Attempts on what looked ready, before all channels are locked. */
enum { ATTEMPTS = 3 };

/* ---- looking without locks ---- */

static bool is_channel_case(const weft_case *k)
{
    return (k->weft__kind == WEFT__CASE_RECV || k->weft__kind == WEFT__CASE_SEND) && k->weft__chan != NULL;
}

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

/* Chooses one of those that seem ready, each with the same chance: the n-th of them replaces the choice so far with
 * probability 1/n. -1: none. */
static ptrdiff_t choose(struct wf_rand *rand, const weft_case *cases, size_t n, bool (*blocked)(const weft_case *))
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
