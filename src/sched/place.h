/* SPDX-License-Identifier: MIT */
/* place.h - which worker a pinned routine is met by first: the thread that drives it then becomes its home. */
#ifndef WEFT_SCHED_PLACE_H
#define WEFT_SCHED_PLACE_H

#include "sched/worker.h"

/* A pinned routine without a home becomes runnable: it goes to the arrivals of the worker of its pool that has the least
 * of them. Any thread. */
void wf_place_pinned(struct wf_routine *r);

/* The oldest of the worker's arrivals, or NULL. Any thread that drives a worker of the pool. */
struct wf_routine *wf_arrivals_pop(struct wf_worker *worker);

/* [A2] No thread drives the worker any more, or yet: its arrivals go to whoever of the pool takes them first. After the state
 * was set and a full fence; the caller has somebody woken afterwards. */
void wf_arrivals_leave(struct wf_worker *worker);

#endif
