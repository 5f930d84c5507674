/* SPDX-License-Identifier: MIT */
/* future.c - settling and awaiting.
 *
 * Owns:    future cells: from sched/object.h, reused once detached and settled.
 * Callers: spawn.c through hooks (create, settle), the await stubs.
 */
#include "scope/future.h"

#include <errno.h>
#include <string.h>

#include "arch/context.h"
#include "arch/x86_64/offsets.h"
#include "chan/chan.h"
#include "sched/object.h"
#include "sched/park.h"
#include "sched/sched.h"
#include "scope/panic.h"

_Static_assert(sizeof(struct wf_future) == WF_CACHELINE, "a future is one line");
_Static_assert(offsetof(struct wf_future, state) == WF_FUTURE_STATE, "arch/x86_64/offsets.h");
_Static_assert(offsetof(struct wf_future, x87) == WF_FUTURE_X87, "arch/x86_64/offsets.h");
_Static_assert(offsetof(struct wf_future, value) == WF_FUTURE_VALUE, "arch/x86_64/offsets.h");
_Static_assert(WF_FUTURE_PENDING == 0 && WF_FUTURE_PANICKED == WF_FUTURE_STATE_PANICKED, "arch/x86_64/offsets.h");

void (*const weft__await)(void) __attribute__((visibility("default"))) = wf_await_stub;
void (*const weft__future_value)(void) __attribute__((visibility("default"))) = wf_value_stub;

struct wf_future *wf_future_create(struct wf_worker *worker)
{
    struct wf_future *f;
    if (worker != NULL && worker->free_cells != NULL) {
        f = worker->free_cells;
        worker->free_cells = (void *)f->waiters;
    } else if ((f = wf_object_cell(worker)) == NULL) {
        return NULL;
    }
    f->waiters = NULL;
    f->detached = false;
    wf_store_relaxed(&f->seen, false);
    f->done = NULL;
    wf_store_relaxed(&f->state, WF_FUTURE_PENDING);
    return f;
}

/* To the worker that is at hand. By a plain thread: lost, there is no list to put it on. */
void wf_future_free(struct wf_worker *worker, struct wf_future *f)
{
    if (worker == NULL)
        return;
    f->waiters = worker->free_cells;
    worker->free_cells = f;
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

/* The payload is written, the lock held; wakes all who wait, in the order in which they came. */
static void publish(struct wf_thread *thread, struct wf_future *f, enum wf_future_state state, struct weft__chan *done)
{
    struct wf_waiter *w = f->waiters;
    f->waiters = NULL;
    bool detached = f->detached;
    wf_store_release(&f->state, (uint8_t)state); /* [F1] */
    wf_spinlock_unlock(&f->lock);
    if (done != NULL)
        wf_chan_close_inside(thread, done);
    if (w != NULL && w->next != NULL)
        w = oldest_first(w);
    while (w != NULL) {
        struct wf_routine *r = w->routine;
        w = w->next;
        r->ret = 0;
        wf_ready(thread, r);
    }
    if (detached)
        wf_future_free(thread->worker, f);
}

void wf_future_settle(struct wf_thread *thread, struct wf_future *f, const struct wf_result *result)
{
    wf_spinlock_lock(&f->lock);
    struct weft__chan *done = f->done;
    f->x87 = result != NULL ? result->has_x87 != 0 : (thread->current->flags & WF_RESULT_IN_X87) != 0;
    if (f->x87)
        f->x87_value = result != NULL ? result->x87 : 0;
    else if (result != NULL)
        memcpy(&f->value, result, sizeof(f->value));
    else
        memset(&f->value, 0, sizeof(f->value));
    publish(thread, f, WF_FUTURE_DONE, done);
}

bool wf_future_settle_panic(struct wf_thread *thread, struct wf_future *f, const char *message)
{
    char *note = wf_panic_note(thread->current, message); /* stays, as the future does */
    wf_spinlock_lock(&f->lock);
    if (f->detached) {
        wf_spinlock_unlock(&f->lock);
        return false;
    }
    struct weft__chan *done = f->done;
    f->message = note;
    publish(thread, f, WF_FUTURE_PANICKED, done);
    return true;
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

static bool settled(struct wf_future *f)
{
    return f != NULL && wf_load_acquire(&f->state) != WF_FUTURE_PENDING; /* [F2] */
}

_Noreturn void wf_future_raise(struct wf_future *f)
{
    wf_store_relaxed(&f->seen, true);
    weft_panic("%s", f->message != NULL ? f->message : "(out of memory for the message)");
}

_Noreturn void wf_future_interrupted(int error)
{
    wf_panic_error(error, "weft_await: the wait was ended: %s", strerror(-error)); /* there is no value to go on with */
}

WF_PUBLIC int weft__future_wait(struct weft__future *handle)
{
    struct wf_future *f = (struct wf_future *)handle;
    int error = settled(f) ? 0 : wf_future_join(f);
    if (error != 0)
        return error;
    if (wf_load_acquire(&f->state) != WF_FUTURE_PANICKED)
        return 0;
    wf_store_relaxed(&f->seen, true);
    wf_panic_keep_message(f->message);
    return WEFT_EPANIC;
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
    if (!*ret_settled && f->done == NULL)
        f->done = made;
    struct weft__chan *c = *ret_settled ? NULL : f->done;
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
    return settled((struct wf_future *)handle);
}

WF_PUBLIC void weft__future_detach(struct weft__future *handle)
{
    struct wf_future *f = (struct wf_future *)handle;
    if (f == NULL)
        return;
    struct wf_thread *thread = wf_enter();
    wf_spinlock_lock(&f->lock);
    enum wf_future_state state = wf_load_relaxed(&f->state);
    f->detached = true;
    wf_spinlock_unlock(&f->lock);
    if (state == WF_FUTURE_PANICKED && !wf_load_relaxed(&f->seen)) {
        wf_leave(thread);
        wf_panic_unseen(f->message);
    }
    if (state != WF_FUTURE_PENDING)
        wf_future_free(thread->worker, f);
    wf_leave(thread);
}
