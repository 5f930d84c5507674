/* SPDX-License-Identifier: MIT */
/* group.h - one routine waits for many futures.
 *
 * Every future of a group has a waiter of the group in its queue, and reports to the group when it settles. The group
 * knows how many reports are still to come, and whether one of them has decided what the call will return.
 *
 * Lifetime. Group and waiters lie in the frame (or a block of memory) of the call that waits. It returns only when no
 * report is to come any more, whatever it returns. A report's last access to the group is the unlock of its bucket.
 *
 * Locking: the bucket of the group's address (sync/lot.h), as for objects in the user's memory: that is what lets the
 * end of the wait from outside reach the group though it may be gone. It is a leaf, also under no future's lock.
 */
#ifndef WEFT_SCOPE_GROUP_H
#define WEFT_SCOPE_GROUP_H

#include "sched/routine.h"

enum wf_group_deciders { WF_DECIDES_SUCCESS = 1, WF_DECIDES_FAILURE = 2 };

/* All under the bucket's lock, once a report may come. Invariant: sleeper is set only while the group is not over. */
struct wf_group {
    struct wf_routine *sleeper; /* who waits for it to be over; NULL: nobody, now */
    size_t n_open;              /* reports that have not come yet; those for NULL never will */
    size_t last;                /* index of the latest report */
    size_t decider;             /* index of the one that decided */
    unsigned deciders;          /* enum wf_group_deciders: what decides */
    bool decided;
    bool timed_out;
    bool draining; /* only all reports end the wait now */
};

/* A future has settled and taken w, a waiter without routine, out of its queue. Inside the runtime, no lock held. */
void wf_group_report(struct wf_thread *thread, struct wf_waiter *w, bool succeeded);

/* wf_wait_ops.abort of WF_WAIT_GROUP. */
bool wf_group_abort(struct wf_routine *r, void *object);

#endif
