/* SPDX-License-Identifier: MIT */
/* claim.h - routine->claim: who ends a wait that has no queue of its own: a select, the sleep of a plain thread.
 *
 *              prepare            commit               wf_claim (waker, timer), wf_claim_at (end of the wait)
 *  0: CLOSED ----------> SETTING ---------> OPEN  ---------------------------------------------------------> CLOSED
 *                owner             owner's commit, after it has left its stack      whoever wins the CAS
 *
 * Above the state, the word counts the selects that its routine or thread has begun, so a value names one wait of
 * one descriptor: that is the `object` of WF_WAIT_SELECT, and a latecomer cannot end a wait it does not mean (short of
 * 2^30 selects later). The word lives in the descriptor, outlives the routine and is never reset.
 *
 * Who wins owns the routine: it alone sets ret and readies it.
 */
#ifndef WEFT_SCHED_CLAIM_H
#define WEFT_SCHED_CLAIM_H

#include <sched.h>

#include "sched/routine.h"

enum { WF_CLAIM_CLOSED = 0, WF_CLAIM_SETTING = 1, WF_CLAIM_WAITING = 2, WF_CLAIM_STATE = 3, WF_CLAIM_NEXT = 4 };

/* Begins a wait that nobody can end yet. Returns the value that `claim` has while it can be ended. */
WF_INLINE uint32_t wf_claim_prepare(struct wf_routine *self)
{
    uint32_t wait = (wf_load_relaxed(&self->claim) & ~(uint32_t)WF_CLAIM_STATE) + WF_CLAIM_NEXT;
    wf_store_relaxed(&self->claim, wait | WF_CLAIM_SETTING); /* relaxed: waits_on publishes it */
    return wait | WF_CLAIM_WAITING;
}

/* The wait that was prepared does not take place. */
WF_INLINE void wf_claim_abandon(struct wf_routine *self, uint32_t waiting)
{
    wf_store_relaxed(&self->claim, waiting & ~(uint32_t)WF_CLAIM_STATE);
}

/* Relaxed: a hint, or the channel's lock is held and orders it after the commit. */
WF_INLINE bool wf_claim_is_open(struct wf_routine *r)
{
    return (wf_load_relaxed(&r->claim) & WF_CLAIM_STATE) == WF_CLAIM_WAITING;
}

/* Ends the wait `waiting` of r, if it can still be ended. [C1] acquire: pairs with the commit's release. */
WF_INLINE bool wf_claim_at(struct wf_routine *r, uint32_t waiting)
{
    return wf_cas_acq_rel(&r->claim, &waiting, waiting & ~(uint32_t)WF_CLAIM_STATE);
}

/* The same when the wait may be just beginning. As for a lock: between SETTING and the commit are only the owner's switch
 * and its commit. */
WF_INLINE bool wf_claim_end(struct wf_routine *r, uint32_t waiting)
{
    uint32_t setting = waiting - WF_CLAIM_WAITING + WF_CLAIM_SETTING;
    for (unsigned round = 0; wf_load_acquire(&r->claim) == setting; round++) {
        if (round % 64 == 63)
            sched_yield();
        wf_cpu_relax();
    }
    return wf_claim_at(r, waiting);
}

/* Ends the wait of r that the caller found r in, under a lock that keeps r from beginning another. */
WF_INLINE bool wf_claim(struct wf_routine *r)
{
    uint32_t now = wf_load_relaxed(&r->claim);
    return (now & WF_CLAIM_STATE) == WF_CLAIM_WAITING && wf_claim_at(r, now);
}

#endif
