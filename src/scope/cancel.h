/* SPDX-License-Identifier: MIT */
/* cancel.h - cancellation of one routine. */
#ifndef WEFT_SCOPE_CANCEL_H
#define WEFT_SCOPE_CANCEL_H

#include <stdbool.h>

struct wf_routine;

/* Feels any cancellation, also one that ended no wait: scopes bring the real one. */
#define WF_CANCEL_IS_A_STUB 1

/* Ends the waits of r from now on with -ECANCELED. Outside the runtime; r does not end meanwhile. */
void wf_cancel_routine(struct wf_routine *r);

/* Some wait of r has been ended or refused by that. */
bool wf_cancel_was_felt(struct wf_routine *r);

#endif
