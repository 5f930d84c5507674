/* SPDX-License-Identifier: MIT */
/* scope.h - scopes and their children. See weft/scope.h for the contract, frame.h for cancellation.
 *
 * A scope's record is a cell of memory that is never unmapped and is used again. Its name, what users hold, is
 * the cell's address with a generation in the bits that addresses leave free; a cell whose generations are used up is not
 * used again. So a name is never taken for another scope, however late.
 *
 * A child's `future` holds the scope it belongs to, told apart by the lowest bit.
 */
#ifndef WEFT_SCOPE_SCOPE_H
#define WEFT_SCOPE_SCOPE_H

#include <weft/scope.h>

#include "arch/context.h"
#include "scope/frame.h"

struct wf_scope {
    struct wf_frame frame;
    struct wf_spinlock lock;
    uint32_t generation;     /* lock: goes up when it is left */
    struct wf_link children; /* lock: ring of the siblings */
    uint32_t n_children;     /* lock: length of the ring */
    uint32_t n_held;         /* lock: children that have not ended, and visitors: it cannot be left */
    bool joining;            /* lock: the owner waits for n_held to become 0 */
    bool panicked;           /* lock: a child has panicked, perhaps after the one whose error is kept */
    _Atomic bool by_future;  /* lock: wf_cancel_routine has ended it. Set before frame.reason */
    int32_t error;           /* lock: the first one of a child */
    const void *block;       /* owner: the user's block, on the owner's stack */
    unsigned departures;     /* owner: wf_panic_departures() at its beginning */
    char *message;           /* lock: wf_memory, of the first panic; NULL: none, or no memory for it */
    struct wf_scope *below;  /* owner's cancel_lock: the next outer scope of the same routine. Free: the next free one */
    struct wf_scope *next;   /* the list of the visitor that has ended it: set once */
};

/* hooks.child_start. */
int wf_child_start(struct wf_thread *thread, struct wf_routine *child, void *ref, bool returns_error);
/* The end of the calling routine, which is a child of a scope: with a result (NULL: none; hooks.child_end), or by a
 * departure that carries an error (WEFT_EPANIC, with a message, or a negative errno). Inside the runtime. */
void wf_child_end(struct wf_thread *thread, struct wf_routine *self, const struct wf_result *result);
void wf_child_end_early(struct wf_thread *thread, struct wf_routine *self, int error, const char *message);

/* hooks.child_refused: a child could not be started. Inside the runtime. */
void wf_child_refused(struct wf_thread *thread, const void *ref, int error);

/* A visitor leaves; inside the runtime. */
void wf_scope_release(struct wf_thread *thread, struct wf_scope *scope);
/* frame.h, wf_frames_leave: cancels and waits for the children. Outside the runtime. */
void wf_scope_abandon(struct wf_scope *scope);

WF_INLINE struct wf_scope *wf_scope_of_child(const struct wf_routine *r)
{
    return wf_routine_is_child(r) ? (struct wf_scope *)((uintptr_t)r->future - 1) : NULL;
}

#endif
