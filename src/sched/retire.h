/* SPDX-License-Identifier: MIT */
/* retire.h - the end of a worker that its pool is to have no longer. */
#ifndef WEFT_SCHED_RETIRE_H
#define WEFT_SCHED_RETIRE_H

#include "sched/pool.h"
#include "sched/worker.h"

/* Its pool is to have fewer workers than that. A hint unless wf_pools.lock is held. */
static inline bool wf_worker_is_surplus(struct wf_worker *worker)
{
    return WF_UNLIKELY(worker->index >= wf_load_acquire(&worker->pool->size));
}

/* Gives away all that the worker holds and makes it RETIRED; `thread`, which drives it, has no worker then. The caller
 * has the worker's private access (it is that thread, or has seized it) and wf_pools.lock, and the worker is RUNNING. */
void wf_worker_retire(struct wf_worker *worker, struct wf_thread *thread);

#endif
