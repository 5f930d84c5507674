/* SPDX-License-Identifier: MIT */
/* resize.h - making pools and changing their sizes; wf_pools.lock is held. */
#ifndef WEFT_SCHED_RESIZE_H
#define WEFT_SCHED_RESIZE_H

#include "sched/pool.h"

/* A pool without workers; NULL: there are WF_POOLS_MAX already, or no memory. `name` is cut. */
struct wf_pool *wf_pool_make(const char *name, int nice);

/* From now on the pool is to have `n` workers: 0 (only when no routine lives in it) to WF_WORKERS_MAX. Does not wait for
 * the surplus ones to be retired; when all are, `reach` is `n`. 0, or -ENOMEM with nothing changed. */
int wf_pool_resize(struct wf_pool *pool, uint32_t n);

#endif
