/* SPDX-License-Identifier: MIT */
/* idle.h - what a worker does when it has nothing to run, and how it is called back. */
#ifndef WEFT_SCHED_IDLE_H
#define WEFT_SCHED_IDLE_H

#include "sched/thread.h"
#include "sched/worker.h"

/* A pool without workers; and `n` more of them, or fewer, that are UNUSED. */
void wf_idle_init(struct wf_pool *pool);
void wf_idle_count_unused(struct wf_pool *pool, int32_t n);

/* The next routine to run on the calling thread's worker; sleeps when there is none. NULL: `attn`, `stopping` or the
 * worker have changed: look again. Scheduler loop only. */
struct wf_routine *wf_find_work(struct wf_thread *thread);

/* After a push into the injection queue or a pinned list: see that a worker looks there. Touches the pool and its workers only,
 * which are there for ever: what was pushed may have run and ended by now. */
void wf_idle_wake_inject(struct wf_pool *pool);
/* A worker of the pool could not be started by the thread that needed it: the pilot does it, if it is still needed. */
void wf_idle_start_again(struct wf_pool *pool);

/* Calls `worker` back if it sleeps (parked or napping). True if it did. */
bool wf_worker_wake(struct wf_worker *worker);

/* Gives `worker`, which is UNUSED, a thread. False: there is none to be had; true also when somebody else was quicker. */
bool wf_worker_start(struct wf_worker *worker);

/* Wakes one parked worker of the pool, or starts an unused one. True if it did. For the pilot. */
bool wf_idle_wake_one(struct wf_pool *pool);

/* True when every worker of every pool that has a thread is parked. A hint unless it stays so. */
bool wf_idle_all_parked(void);

#endif
