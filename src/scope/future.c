/* SPDX-License-Identifier: MIT */
/* future.c - settling, awaiting, cancelling.
 *
 * Owns:    future cells: from sched/object.h, reused once detached and settled.
 * Callers: spawn.c through hooks (create, settle), promise.c, the await thunks.
 *
 * Cancelling a routine's future needs the routine, which may be ending just then. Nobody can hold the future's lock
 * meanwhile, for the routine may be waiting for this very future, or the canceller be long at it. So the canceller sets
 * CANCELLING under the lock, and settling, which is the routine's last act, waits until it is cleared. It waits by
 * yielding: the canceller may have lost its worker to the routine. A second canceller leaves it to the first.
 */
#include "scope/future.h"

#include <errno.h>
#include <string.h>
#include <weft/tracker.h>

#include "arch/context.h"
#include "arch/x86_64/offsets.h"
#include "chan/chan.h"
#include "sched/object.h"
#include "sched/park.h"
#include "sched/sched.h"
#include "scope/cancel.h"
#include "scope/group.h"
#include "scope/panic.h"

_Static_assert(sizeof(struct wf_future) == WF_CACHELINE, "a future is one line");
_Static_assert(offsetof(struct wf_future, state) == WF_FUTURE_STATE, "arch/x86_64/offsets.h");
_Static_assert(offsetof(struct wf_future, x87) == WF_FUTURE_X87, "arch/x86_64/offsets.h");
_Static_assert(offsetof(struct wf_future, value) == WF_FUTURE_VALUE, "arch/x86_64/offsets.h");
_Static_assert(WF_FUTURE_PENDING == 0 && WF_FUTURE_PANICKED == WF_FUTURE_STATE_PANICKED, "arch/x86_64/offsets.h");
_Static_assert(WF_FUTURE_DONE < WF_FUTURE_PANICKED && WF_FUTURE_FAILED > WF_FUTURE_PANICKED, "the await thunk compares");

void (*const weft__await)(void) __attribute__((visibility("default"))) = wf_await_thunk;
void (*const weft__future_value)(void) __attribute__((visibility("default"))) = wf_value_thunk;

WF_INLINE struct wf_future *prepare(struct wf_future *f, struct wf_routine *routine, void *tracker)
{
    f->waiters = NULL;
    f->marks = tracker != NULL ? WF_FUTURE_DETACHED | WF_FUTURE_TRACKED : 0;
    wf_store_relaxed(&f->seen, false);
    f->pending.done = NULL;
    f->pending.routine = routine;
    if (WF_UNLIKELY(tracker != NULL))
        f->pending.tracker = tracker;
    wf_store_relaxed(&f->state, WF_FUTURE_PENDING);
    return f;
}

/* Cells that plain threads have given back. */
static struct {
    struct wf_spinlock lock;
    _Atomic(struct wf_future *) free; /* lock; linked by `waiters` */
} common;

static struct wf_future *take_common(void)
{
    if (wf_load_relaxed(&common.free) == NULL)
        return NULL;
    wf_spinlock_lock(&common.lock);
    struct wf_future *f = wf_load_relaxed(&common.free);
    if (f != NULL)
        wf_store_relaxed(&common.free, (struct wf_future *)(void *)f->waiters);
    wf_spinlock_unlock(&common.lock);
    return f;
}

static WF_NOINLINE struct wf_future *create_new(struct wf_worker *worker, struct wf_routine *routine, void *tracker)
{
    struct wf_future *f = take_common();
    if (f == NULL)
        f = wf_object_cell(worker);
    return f != NULL ? prepare(f, routine, tracker) : NULL;
}

struct wf_future *wf_future_create(struct wf_worker *worker, struct wf_routine *routine, void *tracker)
{
    struct wf_future *f = worker != NULL ? worker->free_cells : NULL;
    if (WF_UNLIKELY(f == NULL))
        return create_new(worker, routine, tracker);
    worker->free_cells = (void *)f->waiters;
    return prepare(f, routine, tracker);
}

/* To the worker that is at hand. */
void wf_future_free(struct wf_worker *worker, struct wf_future *f)
{
    if (WF_LIKELY(worker != NULL)) {
        f->waiters = worker->free_cells;
        worker->free_cells = f;
        return;
    }
    wf_spinlock_lock(&common.lock);
    f->waiters = (void *)wf_load_relaxed(&common.free);
    wf_store_relaxed(&common.free, f);
    wf_spinlock_unlock(&common.lock);
}

/* ---- settling ---- */

static struct wf_waiter *oldest_first(struct wf_waiter *newest)
{
    struct wf_waiter *oldest = NULL;
    while (newest != NULL) {
        struct wf_waiter *older = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = older;
    }
    return oldest;
}

static WF_NOINLINE struct wf_thread *tell_all(struct wf_thread *thread, struct wf_waiter *w, bool has_value,
                                              struct weft__chan *done)
{
    if (done != NULL)
        wf_chan_close_inside(thread, done);
    if (w != NULL && w->next != NULL)
        w = oldest_first(w);
    while (w != NULL) {
        struct wf_waiter *next = w->next; /* w may be gone once its owner knows */
        struct wf_routine *r = w->routine;
        if (r == NULL) {
            wf_group_report(thread, w, has_value);
        } else {
            r->ret = 0;
            wf_ready(thread, r);
        }
        w = next;
    }
    return thread;
}

static WF_NOINLINE struct wf_thread *publish_detached(struct wf_thread *thread, struct wf_future *f,
                                                      enum wf_future_state state, struct weft__chan *done)
{
    struct wf_waiter *w = f->waiters;
    wf_store_release(&f->state, (uint8_t)state); /* [F1] */
    wf_spinlock_unlock(&f->lock);
    tell_all(thread, w, state == WF_FUTURE_DONE, done);
    wf_future_free(thread->worker, f);
    return thread;
}

/* The payload is written, the lock held; wakes all who wait, in the order in which they came. Returns `thread`: so that the
 * call in wf_future_settle() is a tail call. */
static struct wf_thread *publish(struct wf_thread *thread, struct wf_future *f, enum wf_future_state state,
                                 struct weft__chan *done)
{
    if (WF_UNLIKELY((f->marks & WF_FUTURE_DETACHED) != 0))
        return publish_detached(thread, f, state, done);
    struct wf_waiter *w = f->waiters;
    f->waiters = NULL;
    wf_store_release(&f->state, (uint8_t)state); /* [F1] */
    wf_spinlock_unlock(&f->lock); /* it may be gone now */
    if (WF_UNLIKELY(done != NULL || (w != NULL && (w->next != NULL || w->routine == NULL))))
        return tell_all(thread, w, state == WF_FUTURE_DONE, done);
    if (w != NULL) {
        w->routine->ret = 0;
        wf_ready(thread, w->routine);
    }
    return thread;
}

/* The lock is held. Writes the value of a routine (result NULL: zero) or a promise. */
WF_INLINE void write_value(struct wf_future *f, bool x87, const struct wf_result *result)
{
    f->x87 = x87;
    if (x87)
        f->x87_value = result != NULL ? result->x87 : 0;
    else if (result != NULL)
        memcpy(&f->value, result, sizeof(f->value));
    else
        memset(&f->value, 0, sizeof(f->value));
}

/* The lock is held. The routine is about to end; waits for who is cancelling it. Returns the thread it is on then. */
static WF_COLD struct wf_thread *let_canceller_finish(struct wf_thread *thread, struct wf_future *f)
{
    while ((f->marks & WF_FUTURE_CANCELLING) != 0) {
        wf_spinlock_unlock(&f->lock);
        wf_leave(thread);
        weft_yield();
        thread = wf_enter();
        wf_spinlock_lock(&f->lock);
    }
    return thread;
}

static WF_COLD struct wf_thread *settle_marked(struct wf_thread *thread, struct wf_future *f, bool x87,
                                               const struct wf_result *result)
{
    thread = let_canceller_finish(thread, f);
    struct weft__chan *done = f->pending.done;
    weft_tracker *tracker = (f->marks & WF_FUTURE_TRACKED) != 0 ? f->pending.tracker : NULL;
    if ((f->marks & WF_FUTURE_CANCELLED) != 0 && wf_cancel_was_felt(thread->current)) {
        f->error = -ECANCELED;
        publish(thread, f, WF_FUTURE_FAILED, done);
    } else {
        write_value(f, x87, result);
        publish(thread, f, WF_FUTURE_DONE, done);
    }
    if (tracker == NULL)
        return thread;
    wf_leave(thread);
    weft_tracker_leave(tracker);
    return wf_enter();
}

static WF_NOINLINE struct wf_thread *settle_any(struct wf_thread *thread, struct wf_future *f,
                                                const struct wf_result *result)
{
    bool x87 = result != NULL ? result->has_x87 != 0 : (thread->current->flags & WF_RESULT_IN_X87) != 0;
    wf_spinlock_lock(&f->lock);
    if (WF_UNLIKELY(f->marks != 0))
        return settle_marked(thread, f, x87, result);
    struct weft__chan *done = f->pending.done;
    write_value(f, x87, result);
    return publish(thread, f, WF_FUTURE_DONE, done);
}

/* Without a stack frame for what is most frequent. */
struct wf_thread *wf_future_settle(struct wf_thread *thread, struct wf_future *f, const struct wf_result *result)
{
    if (WF_UNLIKELY(result == NULL || result->has_x87 != 0 || !wf_spinlock_try_lock(&f->lock)))
        return settle_any(thread, f, result);
    if (WF_UNLIKELY(f->marks != 0))
        return settle_marked(thread, f, false, result);
    struct weft__chan *done = f->pending.done;
    f->x87 = false;
    memcpy(&f->value, result, sizeof(f->value));
    return publish(thread, f, WF_FUTURE_DONE, done);
}

bool wf_future_settle_panic(struct wf_thread *thread, struct wf_future *f, const char *message)
{
    char *note = wf_panic_note(thread->current, message); /* stays, as the future does */
    wf_spinlock_lock(&f->lock);
    thread = let_canceller_finish(thread, f);
    if ((f->marks & WF_FUTURE_DETACHED) != 0) {
        wf_spinlock_unlock(&f->lock);
        return false;
    }
    struct weft__chan *done = f->pending.done;
    f->message = note;
    publish(thread, f, WF_FUTURE_PANICKED, done);
    return true;
}

bool wf_future_settle_error(struct wf_thread *thread, struct wf_future *f, int error)
{
    wf_spinlock_lock(&f->lock);
    thread = let_canceller_finish(thread, f);
    if ((f->marks & (WF_FUTURE_DETACHED | WF_FUTURE_CANCELLED)) == WF_FUTURE_DETACHED) {
        wf_spinlock_unlock(&f->lock);
        return false;
    }
    struct weft__chan *done = f->pending.done;
    f->error = error;
    publish(thread, f, WF_FUTURE_FAILED, done);
    return true;
}

bool wf_future_resolve(struct wf_thread *thread, struct wf_future *f, const struct wf_result *value)
{
    wf_spinlock_lock(&f->lock);
    if (wf_load_relaxed(&f->state) != WF_FUTURE_PENDING) {
        wf_spinlock_unlock(&f->lock);
        return false;
    }
    struct weft__chan *done = f->pending.done;
    write_value(f, value->has_x87 != 0, value);
    publish(thread, f, WF_FUTURE_DONE, done);
    return true;
}

bool wf_future_reject(struct wf_thread *thread, struct wf_future *f, int error)
{
    wf_spinlock_lock(&f->lock);
    if (wf_load_relaxed(&f->state) != WF_FUTURE_PENDING) {
        wf_spinlock_unlock(&f->lock);
        return false;
    }
    struct weft__chan *done = f->pending.done;
    f->error = error;
    publish(thread, f, WF_FUTURE_FAILED, done);
    return true;
}

/* ---- cancelling ---- */

/* The routine that the caller is to cancel, which will not end until it calls end_cancelling(); NULL: none. */
static struct wf_routine *begin_cancelling(struct wf_future *f)
{
    struct wf_routine *r = NULL;
    struct wf_thread *thread = wf_enter();
    wf_spinlock_lock(&f->lock);
    bool pending = wf_load_relaxed(&f->state) == WF_FUTURE_PENDING;
    bool promise = pending && f->pending.routine == NULL;
    if (pending && !promise && (f->marks & (WF_FUTURE_CANCELLING | WF_FUTURE_CANCELLED)) == 0) {
        f->marks |= WF_FUTURE_CANCELLING;
        r = f->pending.routine;
    }
    wf_spinlock_unlock(&f->lock);
    if (promise)
        wf_future_reject(thread, f, -ECANCELED); /* unless somebody was faster */
    wf_leave(thread);
    return r;
}

static void end_cancelling(struct wf_future *f)
{
    struct wf_thread *thread = wf_enter();
    wf_spinlock_lock(&f->lock);
    f->marks = (uint8_t)((f->marks & ~WF_FUTURE_CANCELLING) | WF_FUTURE_CANCELLED);
    wf_spinlock_unlock(&f->lock);
    wf_leave(thread);
}

WF_PUBLIC void weft__future_cancel(struct weft__future *handle)
{
    struct wf_future *f = (struct wf_future *)handle;
    if (f == NULL || wf_future_has_settled(f))
        return;
    struct wf_routine *r = begin_cancelling(f);
    if (r == NULL)
        return;
    wf_cancel_routine(r);
    end_cancelling(f);
}

/* ---- waiting ---- */

static struct wf_spinlock never; /* where those wait who wait for NULL */

WF_NOINLINE int wf_future_join(struct wf_future *f)
{
    struct wf_thread *thread = wf_enter();
    struct wf_routine *self = thread->current;
    struct wf_spinlock *lock = f != NULL ? &f->lock : &never;
    wf_spinlock_lock(lock);
    if (f != NULL && wf_load_relaxed(&f->state) != WF_FUTURE_PENDING) {
        wf_spinlock_unlock(lock);
        wf_leave(thread);
        return 0;
    }
    if (wf_wait_begin(self, WF_WAIT_FUTURE, f)) {
        wf_store_relaxed(&self->waits_on, 0); /* before the unlock: for NULL it is what wf_future_abort goes by */
        wf_spinlock_unlock(lock);
        return wf_wait_refused(thread, self);
    }
    if (f != NULL) {
        self->wait.waiter.routine = self;
        self->wait.waiter.next = f->waiters;
        f->waiters = &self->wait.waiter;
    }
    return wf_park_unlock(thread, lock);
}

bool wf_future_abort(struct wf_routine *r, void *object)
{
    struct wf_future *f = object; /* a cell stays readable for ever */
    struct wf_spinlock *lock = f != NULL ? &f->lock : &never;
    bool found = false;
    wf_spinlock_lock(lock);
    if (wf_load_relaxed(&r->waits_on) == wf_wait_pack(WF_WAIT_FUTURE, f)) {
        struct wf_waiter **at = f != NULL ? &f->waiters : NULL;
        while (at != NULL && *at != NULL && *at != &r->wait.waiter)
            at = &(*at)->next;
        found = at == NULL || *at != NULL;
        if (at != NULL && *at != NULL)
            *at = r->wait.waiter.next;
        if (found)
            wf_store_release(&r->waits_on, 0); /* for NULL that is what unlinks it */
    }
    wf_spinlock_unlock(lock);
    return found;
}

_Noreturn void wf_future_raise(struct wf_future *f)
{
    if (wf_load_relaxed(&f->state) == WF_FUTURE_FAILED)
        weft_panic("weft_await: the future failed: %s", strerror(-f->error));
    wf_store_relaxed(&f->seen, true);
    weft_panic("%s", f->message != NULL ? f->message : "(out of memory for the message)");
}

_Noreturn void wf_future_interrupted(int error)
{
    wf_panic_error(error, "weft_await: the wait was ended: %s", strerror(-error)); /* there is no value to go on with */
}

int wf_future_outcome(struct wf_future *f)
{
    switch (wf_load_acquire(&f->state)) { /* [F2] */
    case WF_FUTURE_FAILED:
        return f->error;
    case WF_FUTURE_PANICKED:
        wf_store_relaxed(&f->seen, true);
        wf_panic_keep_message(f->message);
        return WEFT_EPANIC;
    default:
        return 0;
    }
}

WF_PUBLIC int weft__future_wait(struct weft__future *handle)
{
    struct wf_future *f = (struct wf_future *)handle;
    int error = wf_future_has_settled(f) ? 0 : wf_future_join(f);
    return error != 0 ? error : wf_future_outcome(f);
}

/* One channel for all that have settled: closed from the beginning. */
static struct weft__chan *closed_channel(void)
{
    static _Atomic(struct weft__chan *) shared;
    struct weft__chan *c = wf_load_acquire(&shared);
    if (c != NULL)
        return c;
    struct weft__chan *made = weft__chan_make(0, 0), *other = NULL;
    if (made == NULL)
        weft_panic("weft_on_done: out of memory");
    weft__chan_close(made);
    return wf_cas_acq_rel(&shared, &other, made) ? made : other;
}

/* What is to be waited on: NULL when f has settled or, `made` being NULL, when a channel must be made first. */
static struct weft__chan *done_channel(struct wf_future *f, struct weft__chan *made, bool *ret_settled)
{
    struct wf_thread *thread = wf_enter();
    wf_spinlock_lock(&f->lock);
    *ret_settled = wf_load_relaxed(&f->state) != WF_FUTURE_PENDING;
    if (!*ret_settled && f->pending.done == NULL)
        f->pending.done = made;
    struct weft__chan *c = *ret_settled ? NULL : f->pending.done;
    wf_spinlock_unlock(&f->lock);
    wf_leave(thread);
    return c;
}

WF_PUBLIC struct weft__chan *weft__future_chan(struct weft__future *handle)
{
    struct wf_future *f = (struct wf_future *)handle;
    if (f == NULL)
        return NULL;
    bool has_settled;
    struct weft__chan *c = done_channel(f, NULL, &has_settled);
    if (c == NULL && !has_settled) {
        struct weft__chan *made = weft__chan_make(0, 0);
        if (made == NULL)
            weft_panic("weft_on_done: out of memory");
        c = done_channel(f, made, &has_settled);
    }
    return c != NULL ? c : closed_channel();
}

WF_PUBLIC bool weft__future_done(struct weft__future *handle)
{
    return wf_future_has_settled((struct wf_future *)handle);
}

WF_PUBLIC void weft__future_detach(struct weft__future *handle)
{
    struct wf_future *f = (struct wf_future *)handle;
    if (f == NULL)
        return;
    struct wf_thread *thread = wf_enter();
    wf_spinlock_lock(&f->lock);
    enum wf_future_state state = wf_load_relaxed(&f->state);
    /* A promise's cell stays: who holds the promise may still try to settle it, and be told that it has been. */
    if (state == WF_FUTURE_PENDING && f->pending.routine != NULL)
        f->marks |= WF_FUTURE_DETACHED;
    wf_spinlock_unlock(&f->lock);
    if (state == WF_FUTURE_PANICKED && !wf_load_relaxed(&f->seen)) {
        wf_leave(thread);
        wf_panic_unseen(f->message);
    }
    if (state != WF_FUTURE_PENDING)
        wf_future_free(thread->worker, f);
    wf_leave(thread);
}
