/* SPDX-License-Identifier: MIT */
/* cancel.c - cancellation of one routine. */
#include "scope/cancel.h"

#include <errno.h>

#include "sched/park.h"

void wf_cancel_routine(struct wf_routine *r)
{
    struct wf_thread *thread = wf_enter();
    wf_store_relaxed(&r->pending, -ECANCELED);
    wf_heavy_fence(); /* [P2] */
    wf_wait_abort(thread, r, -ECANCELED);
    wf_leave(thread);
}

bool wf_cancel_was_felt(struct wf_routine *r)
{
    return wf_load_relaxed(&r->pending) != 0;
}
