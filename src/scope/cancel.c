/* SPDX-License-Identifier: MIT */
/* cancel.c - visits the routines inside of a block that has come to an end and ends their waits; and the pull of those
 * who are about to wait. The protocol is told in frame.h.
 *
 * A scope that is met on the way is ended too, with the same reason: whoever sets the reason visits it, so each scope is
 * visited once in its life, however many come from above.
 */
#include "scope/cancel.h"

#include <errno.h>

#include "base/membarrier.h"
#include "base/perturb.h"
#include "sched/park.h"
#include "time/clock.h"

enum { CHILDREN_AT_A_TIME = 64 };

struct visit {
    struct wf_thread *thread;
    struct wf_routine *root; /* wf_cancel_routine: whose, and felt by whom; else NULL */
    struct wf_scope *todo;   /* ended by us, to be visited; linked by `next` */
    int reason;
};

/* scope->lock is held. True: it is ours to visit, and held until we release it. */
static bool end_locked(struct wf_scope *scope, int reason, bool by_future)
{
    if (wf_load_relaxed(&scope->frame.reason) != 0)
        return false;
    wf_store_relaxed(&scope->by_future, by_future);
    wf_store_release(&scope->frame.reason, reason); /* [P3] the fence follows, or came with the outermost block */
    scope->n_held++;
    return true;
}

/* The wait of r, and r's scopes inside of a block with so many shields and of such a depth. r does not end meanwhile, and
 * does not leave that block. */
static void visit_routine(struct visit *v, struct wf_routine *r, uint32_t shields, uint32_t depth)
{
    wf_spinlock_lock(&r->cancel_lock);
    bool exposed = r->shields == shields;
    wf_perturb(); /* entering or leaving a shield */
    if (exposed && wf_wait_abort(v->thread, r, v->reason) && v->root != NULL)
        wf_store_relaxed(&v->root->cancel_felt, 1); /* relaxed: read after r, or what r belongs to, has ended */
    for (struct wf_scope *inner = r->scopes; inner != NULL && inner->frame.depth > depth; inner = inner->below) {
        if (inner->frame.shields != shields)
            continue;
        wf_spinlock_lock(&inner->lock);
        if (end_locked(inner, v->reason, v->root != NULL)) {
            inner->next = v->todo;
            v->todo = inner;
        }
        wf_spinlock_unlock(&inner->lock);
    }
    wf_spinlock_unlock(&r->cancel_lock);
}

/* Takes the oldest `n` children in turn, at most as many as go with one hold of the lock; each goes to the end of the
 * ring. New ones come to the end too; they need no visit, for they look for themselves. Returns how many are left. */
static uint32_t visit_some(struct visit *v, struct wf_scope *scope, uint32_t n)
{
    wf_spinlock_lock(&scope->lock);
    if (n > scope->n_children)
        n = scope->n_children;
    uint32_t now = n < CHILDREN_AT_A_TIME ? n : CHILDREN_AT_A_TIME;
    struct wf_link *ring = &scope->children;
    for (uint32_t i = 0; i < now; i++) {
        struct wf_link *link = ring->next;
        __builtin_prefetch(wf_container_of(link->next, struct wf_routine, sibling));
        visit_routine(v, wf_container_of(link, struct wf_routine, sibling), 0, scope->frame.depth);
        ring->next = link->next;
        link->next->prev = ring;
        link->prev = ring->prev;
        link->next = ring;
        ring->prev->next = link;
        ring->prev = link;
    }
    wf_spinlock_unlock(&scope->lock);
    return n - now;
}

static void visit_scopes(struct visit *v)
{
    while (v->todo != NULL) {
        struct wf_scope *scope = v->todo;
        v->todo = scope->next;
        uint32_t left = UINT32_MAX;
        wf_perturb(); /* leaving the scope, and using its cell for another */
        while (left > 0)
            left = visit_some(v, scope, left);
        wf_scope_release(v->thread, scope);
    }
}

void wf_cancel_scope(struct wf_thread *thread, struct wf_scope *scope, int reason)
{
    struct visit v = {.thread = thread, .reason = reason};
    wf_spinlock_lock(&scope->lock);
    bool ours = end_locked(scope, reason, false);
    wf_spinlock_unlock(&scope->lock);
    if (!ours)
        return;
    wf_fence_seq_cst(); /* [P3] pairs with the fence in wf_wait_is_over */
    wf_perturb();       /* leaving the scope */
    scope->next = NULL;
    v.todo = scope;
    visit_routine(&v, scope->frame.owner, scope->frame.shields, scope->frame.depth);
    visit_scopes(&v);
}

void wf_cancel_deadline(struct wf_thread *thread, struct wf_frame *deadline)
{
    struct visit v = {.thread = thread, .reason = wf_load_relaxed(&deadline->reason)};
    wf_fence_seq_cst(); /* [P3] */
    wf_perturb();       /* leaving the deadline */
    visit_routine(&v, deadline->owner, deadline->shields, deadline->depth);
    visit_scopes(&v);
}

void wf_cancel_routine(struct wf_routine *r)
{
    struct wf_thread *thread = wf_enter();
    struct visit v = {.thread = thread, .root = r, .reason = -ECANCELED};
    int32_t none = 0;
    wf_store_relaxed(&r->cancel_felt, 0);
    if (wf_cas_acq_rel(&r->pending, &none, WF_PENDING_CANCEL)) {
        wf_heavy_fence(); /* [P2] it may have no frame */
        visit_routine(&v, r, 0, 0);
        visit_scopes(&v);
    }
    wf_leave(thread);
}

bool wf_cancel_was_felt(struct wf_routine *r)
{
    return wf_load_relaxed(&r->pending) != 0 && wf_load_relaxed(&r->cancel_felt) != 0;
}

/* ---- the pull ---- */

/* A wait inside of f, which has come to an end, is not begun. The routine behind it that was cancelled, if that is why, has
 * felt it. */
static WF_COLD void feel(struct wf_frame *f)
{
    if (f->kind != WF_FRAME_SCOPE || !wf_load_relaxed(&wf_container_of(f, struct wf_scope, frame)->by_future))
        return;
    while (f->outer != NULL)
        f = f->outer;
    wf_store_relaxed(&f->owner->cancel_felt, 1); /* relaxed: as in visit_routine */
}

int wf_frames_check(struct wf_thread *thread, struct wf_routine *self)
{
    struct wf_routine *root = self;
    for (struct wf_frame *f = self->frame; f != NULL; f = f->outer) {
        int reason = wf_load_acquire(&f->reason); /* [P3] the fence has come before; acquire: by_future */
        if (f->kind == WF_FRAME_SHIELD)
            return 0;
        if (reason != 0) {
            feel(f);
            return reason;
        }
        if (f->kind == WF_FRAME_DEADLINE && wf_deadline_arm(thread, f))
            return -ETIMEDOUT;
        root = f->owner;
    }
    if (wf_load_relaxed(&root->pending) != WF_PENDING_CANCEL)
        return 0;
    wf_store_relaxed(&root->cancel_felt, 1);
    return -ECANCELED;
}

int64_t wf_frames_deadline(struct wf_routine *self)
{
    int64_t earliest = INT64_MAX;
    for (struct wf_frame *f = self->frame; f != NULL && f->kind != WF_FRAME_SHIELD; f = f->outer) {
        int64_t time = f->kind == WF_FRAME_DEADLINE ? wf_deadline_time(f) : INT64_MAX;
        earliest = time < earliest ? time : earliest;
    }
    return earliest;
}

/* The timers will find the reason set to what they set; their visits tell the others inside. */
void wf_frames_pass(struct wf_routine *self)
{
    int64_t now = wf_now_ns();
    for (struct wf_frame *f = self->frame; f != NULL && f->kind != WF_FRAME_SHIELD; f = f->outer)
        if (f->kind == WF_FRAME_DEADLINE && wf_deadline_time(f) <= now)
            wf_store_relaxed(&f->reason, -ETIMEDOUT);
}

int wf_frames_reason(struct wf_routine *self)
{
    struct wf_routine *root = self;
    for (struct wf_frame *f = self->frame; f != NULL; f = f->outer) {
        if (f->kind == WF_FRAME_SHIELD)
            return 0;
        if (wf_load_relaxed(&f->reason) != 0)
            return wf_load_relaxed(&f->reason);
        root = f->owner;
    }
    return wf_load_relaxed(&root->pending) == WF_PENDING_CANCEL ? -ECANCELED : 0;
}

WF_PUBLIC bool weft_cancelled(void)
{
    struct wf_thread *thread = wf_thread_self();
    if (thread == NULL)
        return false;
    struct wf_routine *root = thread->current;
    if (wf_load_relaxed(&root->pending) < 0)
        return true;
    for (struct wf_frame *f = root->frame; f != NULL; f = f->outer) {
        if (f->kind == WF_FRAME_SHIELD)
            return false;
        if (wf_load_relaxed(&f->reason) != 0)
            return true;
        if (f->kind == WF_FRAME_DEADLINE && wf_deadline_passed(f))
            return true;
        root = f->owner;
    }
    return wf_load_relaxed(&root->pending) != 0;
}
