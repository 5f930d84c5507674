/* SPDX-License-Identifier: MIT */
/* cancel.h - the push: ending the waits inside of a block that has come to an end. */
#ifndef WEFT_SCOPE_CANCEL_H
#define WEFT_SCOPE_CANCEL_H

#include "scope/frame.h"
#include "scope/scope.h"

/* Ends the scope with `reason` unless it has come to an end before, and all waits inside. The caller is inside the runtime
 * and makes sure that the scope is not left meanwhile (it is a child, or holds it). */
void wf_cancel_scope(struct wf_thread *thread, struct wf_scope *scope, int reason);

/* Ends the waits inside of a deadline whose `reason` is set. Inside the runtime. */
void wf_cancel_deadline(struct wf_thread *thread, struct wf_frame *deadline);

/* Cancels one routine that is in no scope, and what is inside of it. The caller is outside the runtime and makes sure that r
 * does not end meanwhile. */
void wf_cancel_routine(struct wf_routine *r);
/* Some wait of r, or of a routine in a scope of r, was ended by that. */
bool wf_cancel_was_felt(struct wf_routine *r);

#endif
