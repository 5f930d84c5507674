/* SPDX-License-Identifier: MIT */
/* idle.h - what a worker does when it has nothing to run, and how it is called back. */
#ifndef WEFT_SCHED_IDLE_H
#define WEFT_SCHED_IDLE_H

#include "sched/thread.h"
#include "sched/worker.h"

/* Before the first worker runs: `n` workers, none of which has a thread. */
void wf_idle_init(uint32_t n);

/* The next routine to run on the calling thread's worker; sleeps when there is none. NULL: `attn`, `stopping` or the
 * worker have changed: look again. Scheduler loop only. */
struct wf_routine *wf_find_work(struct wf_thread *thread);

/* After a push into the injection queue or a pinned list: see that a worker looks there. */
void wf_idle_wake_inject(void);

/* Calls `worker` back if it sleeps (parked or napping). True if it did. */
bool wf_worker_wake(struct wf_worker *worker);

/* Wakes one parked worker, or starts one that was never used. True if it did. For the pilot. */
bool wf_idle_wake_one(void);

/* True when every worker that has a thread is parked. A hint unless it stays so. */
bool wf_idle_all_parked(void);

#endif
