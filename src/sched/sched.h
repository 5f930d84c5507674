/* SPDX-License-Identifier: MIT */
/* sched.h - what the higher rooms ask of the scheduler besides park.h. */
#ifndef WEFT_SCHED_SCHED_H
#define WEFT_SCHED_SCHED_H

#include "sched/thread.h"

/* Arms a timer (deadline_ns, period_ns, claim, expire, arg filled in) in the calling worker's set, or in some worker's
 * set when called by a plain thread, and tells a sleeping worker about it. Inside the runtime. expire(arg) is called by
 * a worker's scheduler loop (wf_enter() there is not needed and not allowed: use wf_thread_self()), must not park. */
void wf_timer_arm(struct wf_thread *thread, struct wf_timer *timer);

/* Starts fn(arg) in a routine of its own. Inside the runtime. 0, -ENOMEM. */
int wf_spawn_call(struct wf_thread *thread, const struct weft__site *site, void (*fn)(void *), void *arg);

/* Misuse of the public interface: weft_panic with this line. Leaves the runtime first if inside; no lock may be held. */
_Noreturn void wf_misuse(const char *format, ...) WF_PRINTF(1, 2);

/* Ends the calling routine now; its future is settled already. Inside the runtime. */
_Noreturn void wf_routine_end(struct wf_thread *thread);

/* wf_wait_ops.abort of WF_WAIT_SLEEP. */
bool wf_sleep_abort(struct wf_routine *r, void *object);
/* The same of WF_WAIT_SLEEP_THREAD. */
bool wf_sleep_thread_abort(struct wf_routine *r, void *object);

/* What `pending` of a new routine is: -ECANCELED once weft_stop has begun. */
extern _Atomic int32_t wf_born_pending;
/* 1: weft_stop has seen all routines end, and only they could start more: those who are none get -ECANCELED. [K1] set before
 * a heavy fence and a look at who is inside the runtime; [K2] read inside. */
extern _Atomic uint32_t wf_spawn_closed;

#endif
