/* SPDX-License-Identifier: MIT */
/* pilot.h - the one monitor thread. */
#ifndef WEFT_SCHED_PILOT_H
#define WEFT_SCHED_PILOT_H

/* 0 or -EAGAIN. */
int wf_pilot_start(void);
void wf_pilot_stop(void);

/* A worker leaves its sleep, or a thread goes to sleep in weft: the pilot must not sleep through it. One fence and one
 * load unless it does. */
void wf_pilot_wake(void);

/* While the sum of `by` is positive nothing is taken for a deadlock: somebody is about to act (weft_stop). */
void wf_pilot_hold_deadlock(int by);

#endif
