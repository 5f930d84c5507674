/* SPDX-License-Identifier: MIT */
/* runq.c - what happens at the two ends of a worker's ring that are not the common case: full, and stolen from. */
#include "sched/runq.h"

#include "sched/inject.h"
#include "sched/park.h"

/* The ring is full: half of it and `r` go to the injection queue, oldest first, so that order is kept. */
WF_COLD void wf_ring_overflow(struct wf_worker *worker, struct wf_routine *r)
{
    struct wf_routine *out[WF_RING_SIZE / 2];
    uint32_t n = wf_ring_take_many(&worker->ring, out, WF_RING_SIZE / 2, false);
    if (n == 0) { /* thieves were faster: there is room now */
        wf_ring_push(worker, r);
        return;
    }
    for (uint32_t i = 0; i + 1 < n; i++)
        out[i]->link = out[i + 1];
    out[n - 1]->link = r;
    wf_inject_push_list(out[0], r, n + 1, WF_PRIORITY_NORMAL);
}

struct wf_routine *wf_ring_steal(struct wf_worker *thief, struct wf_worker *victim)
{
    struct wf_routine *out[WF_RING_SIZE / 2];
    uint32_t n = wf_ring_take_many(&victim->ring, out, WF_RING_SIZE / 2, true);
    if (n == 0)
        return NULL;
    for (uint32_t i = 1; i < n; i++)
        wf_ring_push(thief, out[i]);
    return out[0];
}
