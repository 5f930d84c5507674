/* SPDX-License-Identifier: MIT */
/* tracker.h - the inside of weft/tracker.h. */
#ifndef WEFT_SCOPE_TRACKER_H
#define WEFT_SCOPE_TRACKER_H

#include <stdbool.h>

struct wf_routine;

/* wf_wait_ops.abort of WF_WAIT_TRACKER. */
bool wf_tracker_abort(struct wf_routine *r, void *object);

#endif
