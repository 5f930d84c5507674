/* SPDX-License-Identifier: MIT */
/* local.h - routine-local values: how they are handed on, and their end. */
#ifndef WEFT_SCOPE_LOCAL_H
#define WEFT_SCOPE_LOCAL_H

struct wf_routine;

/* Gives a routine that is about to start its parent's values that are marked inheritable. 0, -ENOMEM. */
int wf_locals_inherit(struct wf_routine *parent, struct wf_routine *child);

/* hooks.each_local: its array, if it has any. */
void wf_locals_each_range(const struct wf_routine *r, void (*fn)(void *arg, const void *low, const void *high), void *arg);

/* Runs the destructors of the calling routine's or thread's values. Outside the runtime. */
void wf_locals_end(void);

#endif
