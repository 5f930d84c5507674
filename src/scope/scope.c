/* SPDX-License-Identifier: MIT */
/* scope.c - the life of a scope, its children, and how it is left.
 *
 * Owns:    the cells of scopes: from sched/object.h, in workers' free lists and one common list; never given back.
 * Callers: the macros of weft/scope.h; spawn.c through hooks (a child starts, a child ends).
 * Locking: see scope.h and frame.h.
 *
 * A scope is left when nothing holds it: no child that has not ended, no visitor. The owner looks under the lock; if it has
 * to wait, whoever takes the last hold wakes it, and it looks again, for a visitor may have come meanwhile.
 */
#include "scope/scope.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/perturb.h"
#include "sched/hooks.h"
#include "sched/memory.h"
#include "sched/object.h"
#include "sched/park.h"
#include "sched/sched.h"
#include "scope/cancel.h"
#include "scope/future.h"
#include "scope/local.h"
#include "scope/panic.h"

_Static_assert(WEFT_EPANIC != 0, "tells a panic from no error");

/* ---- names ---- */

/* Bits of a user's address: those below are 0 by alignment, those above by the kernel's split. */
enum { LOW_BITS = 6, HIGH_BITS = 17, ADDRESS_BITS = 64 - HIGH_BITS };
#define LOW_MASK ((UINT64_C(1) << LOW_BITS) - 1)
#define ADDRESS_MASK (((UINT64_C(1) << ADDRESS_BITS) - 1) & ~LOW_MASK)
enum { LAST_GENERATION = (1 << (LOW_BITS + HIGH_BITS)) - 1 };

static weft_scope_ref name_of(const struct wf_scope *scope)
{
    uint64_t generation = scope->generation;
    return (weft_scope_ref)(uintptr_t)((uint64_t)(uintptr_t)scope | (generation & LOW_MASK) |
                                       generation >> LOW_BITS << ADDRESS_BITS);
}

static struct wf_scope *cell_of(const void *ref)
{
    return (struct wf_scope *)((uintptr_t)ref & ADDRESS_MASK);
}

/* The scope's lock is held. */
static bool is_named(const struct wf_scope *scope, const void *ref)
{
    uint64_t bits = (uint64_t)(uintptr_t)ref;
    return scope->generation == ((bits & LOW_MASK) | bits >> ADDRESS_BITS << LOW_BITS);
}

/* ---- cells ---- */

enum { CELLS_AT_A_TIME = 32 }; /* between a worker's list and the common one */

static struct {
    struct wf_spinlock lock;
    struct wf_scope *free; /* lock: of plain threads, and what workers have too many of */
} common;

static struct wf_scope *take_common(struct wf_worker *worker)
{
    wf_spinlock_lock(&common.lock);
    struct wf_scope *scope = common.free;
    if (scope != NULL)
        common.free = scope->below;
    for (int i = 1; worker != NULL && common.free != NULL && i < CELLS_AT_A_TIME; i++) {
        struct wf_scope *more = common.free;
        common.free = more->below;
        more->below = worker->free_scopes;
        worker->free_scopes = more;
        worker->n_free_scopes++;
    }
    wf_spinlock_unlock(&common.lock);
    return scope;
}

static struct wf_scope *take_cell(struct wf_worker *worker)
{
    struct wf_scope *scope = worker != NULL ? worker->free_scopes : NULL;
    if (WF_LIKELY(scope != NULL)) {
        worker->free_scopes = scope->below;
        worker->n_free_scopes--;
        return scope;
    }
    scope = take_common(worker);
    return scope != NULL ? scope : wf_object_alloc(sizeof(*scope));
}

/* Scopes may be entered on one worker and left on another, always. */
static WF_NOINLINE void share_cells(struct wf_worker *worker)
{
    wf_spinlock_lock(&common.lock);
    for (int i = 0; i < CELLS_AT_A_TIME; i++) {
        struct wf_scope *scope = worker->free_scopes;
        worker->free_scopes = scope->below;
        worker->n_free_scopes--;
        scope->below = common.free;
        common.free = scope;
    }
    wf_spinlock_unlock(&common.lock);
}

static void give_cell(struct wf_worker *worker, struct wf_scope *scope)
{
    if (WF_UNLIKELY(scope->generation == LAST_GENERATION))
        return; /* nobody may ever be taken for it */
    if (WF_LIKELY(worker != NULL)) {
        scope->below = worker->free_scopes;
        worker->free_scopes = scope;
        if (WF_UNLIKELY(++worker->n_free_scopes == 2 * CELLS_AT_A_TIME))
            share_cells(worker);
        return;
    }
    wf_spinlock_lock(&common.lock);
    scope->below = common.free;
    common.free = scope;
    wf_spinlock_unlock(&common.lock);
}

/* ---- entering ---- */

WF_PUBLIC struct weft__scope_block *weft__scope_enter(struct weft__scope_block *block, int *err)
{
    struct wf_thread *thread = wf_enter();
    struct wf_routine *self = thread->current;
    struct wf_scope *scope = take_cell(thread->worker);
    if (WF_UNLIKELY(scope == NULL))
        wf_misuse("weft_scope: out of memory");
    scope->children.next = scope->children.prev = &scope->children;
    scope->n_children = 0;
    scope->n_held = 0;
    scope->joining = false;
    scope->panicked = false;
    wf_store_relaxed(&scope->by_future, false);
    scope->error = 0;
    scope->block = block;
    scope->departures = wf_panic_departures();
    scope->message = NULL;
    wf_frame_push(self, &scope->frame, WF_FRAME_SCOPE);
    wf_spinlock_lock(&self->cancel_lock);
    scope->below = self->scopes;
    self->scopes = scope;
    wf_spinlock_unlock(&self->cancel_lock);
    wf_leave(thread);
    *block = (struct weft__scope_block){.ref = name_of(scope), .err = err};
    return block;
}

/* ---- children ---- */

int wf_child_start(struct wf_thread *thread, struct wf_routine *child, void *ref, bool returns_error)
{
    struct wf_scope *scope = cell_of(ref);
    int error = scope != NULL ? wf_locals_inherit(thread->current, child) : -EBADF;
    if (error != 0)
        return error;
    wf_spinlock_lock(&scope->lock);
    if (WF_UNLIKELY(!is_named(scope, ref))) {
        wf_spinlock_unlock(&scope->lock);
        return -EBADF;
    }
    struct wf_link *ring = &scope->children, *link = &child->sibling;
    link->next = ring;
    link->prev = ring->prev;
    ring->prev->next = link;
    ring->prev = link;
    scope->n_children++;
    scope->n_held++;
    child->frame = &scope->frame;
    child->future = (struct wf_future *)((uintptr_t)scope | 1);
    child->flags |= WF_SCOPED | (returns_error ? (uint32_t)WF_CHILD_ERROR : 0);
    wf_spinlock_unlock(&scope->lock);
    return 0;
}

/* One hold less. The lock is held, and released. */
static void let_go(struct wf_thread *thread, struct wf_scope *scope)
{
    bool wake = --scope->n_held == 0 && scope->joining;
    struct wf_routine *owner = scope->frame.owner;
    if (wake)
        scope->joining = false;
    wf_spinlock_unlock(&scope->lock); /* from here on it may be left */
    if (wake) {
        owner->ret = 0;
        wf_ready(thread, owner);
    }
}

void wf_scope_release(struct wf_thread *thread, struct wf_scope *scope)
{
    wf_spinlock_lock(&scope->lock);
    let_go(thread, scope);
}

/* Keeps the first error, and the first panic though an error may have come before it, and cancels the others. The caller
 * holds the scope. `message`: wf_memory, or NULL. */
static void fail(struct wf_thread *thread, struct wf_scope *scope, int error, bool panicked, char *message)
{
    wf_spinlock_lock(&scope->lock);
    bool first = scope->error == 0;
    if (first)
        scope->error = error;
    char *dropped = message;
    if (panicked ? !scope->panicked : first) {
        dropped = scope->message;
        scope->message = message;
        scope->panicked = panicked;
    }
    wf_spinlock_unlock(&scope->lock);
    wf_memory_give(dropped);
    wf_cancel_scope(thread, scope, -ECANCELED);
}

static void end_child(struct wf_thread *thread, struct wf_routine *self, struct wf_scope *scope)
{
    WF_ASSERT(self->frame == &scope->frame);
    WF_ASSERT(self->shields == 0);
    self->frame = NULL; /* as the next routine with this descriptor must find it */
    wf_spinlock_lock(&scope->lock);
    self->sibling.prev->next = self->sibling.next;
    self->sibling.next->prev = self->sibling.prev;
    scope->n_children--;
    let_go(thread, scope);
}

void wf_child_end(struct wf_thread *thread, struct wf_routine *self, const struct wf_result *result)
{
    struct wf_scope *scope = wf_scope_of_child(self);
    int error = result != NULL && (self->flags & WF_CHILD_ERROR) != 0 ? (int)result->integer[0] : 0;
    if (WF_UNLIKELY(error != 0)) {
        /* It may hand on the panic of a child of its own: as an error, but with the message. */
        const char *kept = error == WEFT_EPANIC && self->extra != NULL ? self->extra->panic_message : NULL;
        fail(thread, scope, error, false, kept != NULL ? wf_memory_text(kept) : NULL);
    }
    end_child(thread, self, scope);
}

void wf_child_end_early(struct wf_thread *thread, struct wf_routine *self, int error, const char *message)
{
    struct wf_scope *scope = wf_scope_of_child(self);
    bool panicked = error == WEFT_EPANIC;
    fail(thread, scope, error, panicked, panicked ? wf_memory_text(message) : NULL);
    end_child(thread, self, scope);
}

/* ---- leaving ---- */

static WF_NOINLINE int wait_until_free(struct wf_scope *scope)
{
    struct wf_thread *thread = wf_enter();
    struct wf_routine *self = thread->current;
    wf_spinlock_lock(&scope->lock);
    if (scope->n_held == 0) {
        wf_spinlock_unlock(&scope->lock);
        wf_leave(thread);
        return 0;
    }
    scope->joining = true;
    wf_wait_begin(self, WF_WAIT_SCOPE, scope); /* never refused: nothing ends this wait but the children */
    return wf_park_unlock(thread, &scope->lock);
}

/* Nothing holds it: its name is no name any more, and no visitor of what is around it finds it. */
static bool try_leave(struct wf_scope *scope)
{
    struct wf_thread *thread = wf_enter();
    struct wf_routine *self = thread->current;
    wf_spinlock_lock(&self->cancel_lock);
    wf_spinlock_lock(&scope->lock);
    bool left = scope->n_held == 0;
    if (left) {
        scope->generation++;
        self->scopes = scope->below;
    }
    wf_spinlock_unlock(&scope->lock);
    wf_spinlock_unlock(&self->cancel_lock);
    wf_leave(thread);
    return left;
}

/* How a scope has ended. */
struct outcome {
    int error;
    bool panicked;
    char *message; /* wf_memory */
};

/* Waits for the children, leaves, gives the cell back. */
static struct outcome leave(struct wf_scope *scope)
{
    while (!try_leave(scope))
        wait_until_free(scope);
    struct wf_thread *thread = wf_enter();
    struct wf_routine *self = thread->current;
    struct outcome outcome = {.error = scope->error, .panicked = scope->panicked, .message = scope->message};
    WF_ASSERT(self->frame == &scope->frame);
    WF_ASSERT(scope->n_children == 0);
    if (outcome.error == 0 && wf_frames_reason(self) == -ECANCELED)
        outcome.error = -ECANCELED;
    wf_frame_pop(self, &scope->frame);
    give_cell(thread->worker, scope);
    wf_leave(thread);
    return outcome;
}

static _Noreturn WF_COLD void raise_again(char *message)
{
    char copy[256] = "(no message)";
    if (message != NULL) {
        strncpy(copy, message, sizeof(copy) - 1);
        copy[sizeof(copy) - 1] = 0;
        wf_memory_give(message);
    }
    weft_panic("%s", copy);
}

static WF_COLD void hand_on_message(struct weft__scope_block *block, struct outcome *outcome)
{
    if (outcome->panicked && block->err == NULL)
        raise_again(outcome->message);
    if (outcome->error == WEFT_EPANIC)
        wf_panic_keep_message(outcome->message);
    wf_memory_give(outcome->message);
}

WF_PUBLIC void weft__scope_end(struct weft__scope_block *block)
{
    struct outcome outcome = leave(cell_of(block->ref));
    block->ref = NULL; /* the cleanup that follows, perhaps by the panic raised here, finds it done */
    if (block->err != NULL)
        *block->err = outcome.error;
    if (WF_UNLIKELY(outcome.panicked || outcome.message != NULL))
        hand_on_message(block, &outcome);
}

void wf_scope_abandon(struct wf_scope *scope)
{
    struct wf_thread *thread = wf_enter();
    wf_cancel_scope(thread, scope, -ECANCELED); /* its owner, which we are, does not leave it meanwhile */
    wf_leave(thread);
    wf_memory_give(leave(scope).message);
}

WF_PUBLIC void weft__scope_leave(struct weft__scope_block *block)
{
    if (block->ref == NULL)
        return;
    struct wf_scope *scope = cell_of(block->ref);
    if (wf_panic_departures() == scope->departures) {
        weft__scope_end(block);
        return;
    }
    block->ref = NULL; /* a panic or weft_exit passes */
    wf_scope_abandon(scope);
}

/* ---- cancelling ---- */

/* The scope of that name, held; NULL when it has been left or, if `not_over`, has come to an end: those who cancel it again
 * and again must not keep its owner from leaving. */
static struct wf_scope *hold(const void *ref, bool not_over)
{
    struct wf_scope *scope = cell_of(ref);
    if (scope == NULL)
        return NULL;
    wf_spinlock_lock(&scope->lock);
    bool there = is_named(scope, ref) && !(not_over && wf_load_relaxed(&scope->frame.reason) != 0);
    if (there)
        scope->n_held++;
    wf_spinlock_unlock(&scope->lock);
    if (there)
        wf_perturb(); /* leaving the scope */
    return there ? scope : NULL;
}

WF_PUBLIC void weft_cancel(weft_scope_ref s)
{
    struct wf_thread *thread = wf_enter();
    struct wf_scope *scope = hold(s, true);
    if (scope != NULL) {
        wf_cancel_scope(thread, scope, -ECANCELED);
        wf_scope_release(thread, scope);
    }
    wf_leave(thread);
}

WF_COLD void wf_child_refused(struct wf_thread *thread, const void *ref, int error)
{
    struct wf_scope *scope = hold(ref, false);
    if (scope == NULL)
        wf_misuse("weft_scope_go: the scope has ended");
    fail(thread, scope, error, false, NULL);
    wf_scope_release(thread, scope);
}

/* ---- blocks whose cleanup did not run ---- */

static void leave_any(struct wf_frame *frame)
{
    if (frame->kind == WF_FRAME_SCOPE)
        wf_scope_abandon(wf_container_of(frame, struct wf_scope, frame));
    else if (frame->kind == WF_FRAME_DEADLINE)
        wf_deadline_leave(frame);
    else
        wf_shield_leave(frame);
}

void wf_frames_leave(struct wf_frame *outer)
{
    struct wf_frame *frame;
    while ((frame = wf_current()->frame) != outer)
        leave_any(frame);
}

/* Where the block lies that the user sees. */
static uintptr_t place_of(const struct wf_frame *frame)
{
    return frame->kind == WF_FRAME_SCOPE ? (uintptr_t)wf_container_of(frame, struct wf_scope, frame)->block
                                         : (uintptr_t)frame;
}

void wf_frames_leave_below(uintptr_t top)
{
    uintptr_t bottom = (uintptr_t)__builtin_frame_address(0); /* a sanitizer may have put blocks elsewhere */
    for (;;) {
        struct wf_routine *self = wf_current();
        struct wf_frame *frame = self->frame;
        if (frame == NULL || frame->owner != self || place_of(frame) < bottom || place_of(frame) >= top)
            return;
        leave_any(frame);
    }
}
