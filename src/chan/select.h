/* SPDX-License-Identifier: MIT */
/* select.h - what the rest of the library knows of select: how its wait is ended from outside. */
#ifndef WEFT_CHAN_SELECT_H
#define WEFT_CHAN_SELECT_H

#include <stdbool.h>

struct wf_routine;

/* For rt/init.c: wf_wait_kinds[WF_WAIT_SELECT].abort. `object` is the value of r->claim that this wait can be ended at
 * (sched/claim.h), not an address. Takes no lock. */
bool wf_select_abort(struct wf_routine *r, void *object);

/* Whether r, which waits in a select, will also be woken by the clock. */
bool wf_select_has_limit(const struct wf_routine *r);

#endif
