/* SPDX-License-Identifier: MIT */
/* frame.h - the blocks that a routine is in: scopes, deadlines, shields, and how their end reaches those who wait.
 *
 * A routine's `frame` is its innermost block. Each block knows the next outer one; the outermost block of a child is the
 * scope it was started in, so the chain leads on into the parent's blocks. It ends at a shield, or at nothing. It may be
 * walked without a lock: a child never outlives its scope, so all blocks around it stay where they are for as long as it
 * runs, and a routine pushes and pops only its own.
 *
 * Two ways to learn that a block has come to an end (its `reason` is not 0, for ever):
 *   pull  who is about to wait walks the chain ([P1], park.h), and arms the timers of deadlines on the way;
 *   push  who ends a block (weft_cancel, a deadline's timer, a child's error) marks it, fences, and visits the routines
 *         inside of it to end the waits that have begun ([P2]): cancel.c.
 * A routine with a frame fences for itself between publishing its wait and the walk, so that the push needs only a fence
 * of its own and no membarrier (8 us, too much for every deadline that passes). [P3] the pair of the two.
 *
 * What keeps a push from ending a wait that is no longer, or not, inside of the block:
 *   - the block is not left while it is being visited: a scope counts its visitor like a child (`n_held`), a
 *     deadline that has fired is left only once its visit is over (`visit`);
 *   - a child is visited under its scope's lock, which it needs to end;
 *   - shields are entered and left, and scopes linked and unlinked, under the routine's cancel_lock, which the visitor
 *     holds; the visitor ends the wait only if there is no shield between it and the block: both have the same number
 *     of `shields`.
 *
 * Locks, outer to inner: a scope's lock, its child's cancel_lock, a scope of that child, and so on down the tree; then the
 * lock of whatever is waited on. The visitor holds one scope's lock, one cancel_lock and one lock of a scope below it at
 * a time; deeper scopes it puts on a list. */
#ifndef WEFT_SCOPE_FRAME_H
#define WEFT_SCOPE_FRAME_H

#include "sched/thread.h"

enum wf_frame_kind { WF_FRAME_SCOPE, WF_FRAME_DEADLINE, WF_FRAME_SHIELD };

struct wf_frame {
    struct wf_frame *outer;    /* this and the following, but `reason`: immutable */
    struct wf_routine *owner;  /* who is in it, in person */
    _Atomic int32_t reason;    /* 0, or why waits inside end; set once */
    uint32_t depth;            /* more than outer->depth */
    uint32_t shields;          /* how many shields its owner was in when it began */
    enum wf_frame_kind kind;
};

/* Makes `frame` the innermost block of the calling routine. The rest of the block must be filled in before. */
WF_INLINE void wf_frame_push(struct wf_routine *self, struct wf_frame *frame, enum wf_frame_kind kind)
{
    struct wf_frame *outer = self->frame;
    frame->outer = outer;
    frame->owner = self;
    wf_store_relaxed(&frame->reason, 0);
    frame->depth = outer != NULL ? outer->depth + 1 : 1;
    frame->shields = self->shields;
    frame->kind = kind;
    self->frame = frame;
    self->flags |= WF_SCOPED;
}

WF_INLINE void wf_frame_pop(struct wf_routine *self, struct wf_frame *frame)
{
    self->frame = frame->outer;
    if (frame->outer == NULL)
        self->flags &= ~(uint32_t)WF_SCOPED;
}

/* Leaves the blocks that are inside of `outer` (NULL: all but the scope that a child was started in), of frames that
 * have been left without running their cleanups. Outside the runtime; waits for children. */
void wf_frames_leave(struct wf_frame *outer);
/* The same of those on the calling stack below `top`: the frames they were in have been left, and are about to be
 * overwritten by the cleanups of frames further up. */
void wf_frames_leave_below(uintptr_t top);

/* hooks.frames_check. */
int wf_frames_check(struct wf_thread *thread, struct wf_routine *self);

/* Why the blocks that the calling routine is in have ended, as far as it is known without looking at a clock: 0, -ECANCELED,
 * -ETIMEDOUT. */
int wf_frames_reason(struct wf_routine *self);

/* hooks.frames_deadline. */
int64_t wf_frames_deadline(struct wf_routine *self);
/* hooks.frames_pass: the deadlines that have passed say so from now on. */
void wf_frames_pass(struct wf_routine *self);
/* When an armed deadline passes; INT64_MAX if it is not armed. */
int64_t wf_deadline_time(struct wf_frame *frame);

/* The two blocks on the user's stack. */
void wf_deadline_leave(struct wf_frame *frame);
void wf_shield_leave(struct wf_frame *frame);
/* Arms the deadline's timer unless it is armed. True if its time has passed already. Inside the runtime. */
bool wf_deadline_arm(struct wf_thread *thread, struct wf_frame *frame);
/* Whether its time has passed, armed or not. */
bool wf_deadline_passed(struct wf_frame *frame);

#endif
