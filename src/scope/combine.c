/* SPDX-License-Identifier: MIT */
/* combine.c - waiting for all of several futures, for the first of them, or for one with a time limit.
 *
 * Owns:    groups (group.h) and their waiters, for the length of a call.
 * Callers: users, through the macros of weft/future.h; future.c, which reports.
 *
 * Problem. One routine waits for n futures, any number of which may settle at once on other threads; n may be 10 000, so
 * nothing may be done n times over n. And when the call returns, nobody may still know its waiters.
 *
 * Approach. A waiter in each future's queue; who settles the future reports to the group, under one lock, what it has to
 * say, and lets the sleeper go if that was what it slept for. Then all others are cancelled and waited for. So every
 * waiter has been reported and none ever has to be found in its queue: every step is O(1) for each future. The second
 * wait cannot be ended from outside, as a mutex' cannot: its caller's frame is what the reports go to.
 *
 * weft_timeout() does not wait for a routine that it cancels, so it takes its one waiter out again. Its timer is one more
 * that has to report, unless it is cancelled in time.
 *
 * Rejected: select over a channel for each future (300 bytes that stay for ever, and O(n log n) in locks held at once);
 * a routine for each future (they would have to be cancelled in turn).
 */
#include "scope/group.h"

#include <weft/future.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "chan/chan.h"
#include "sched/park.h"
#include "sched/sched.h"
#include "scope/future.h"
#include "sync/lot.h"
#include "time/clock.h"

enum { FEW = 8 }; /* so many are waited for without allocating */

/* ---- the group; its bucket is locked ---- */

static bool is_over(const struct wf_group *g)
{
    return g->n_open == 0 || (!g->draining && (g->decided || g->timed_out));
}

/* Releases the bucket. The group may be gone after that, unless it is the sleeper's, who then is ours. */
static void rouse_leave(struct wf_thread *thread, struct wf_group *g, struct wf_spinlock *lock)
{
    struct wf_routine *r = is_over(g) ? g->sleeper : NULL;
    if (r != NULL) {
        g->sleeper = NULL;
        wf_store_relaxed(&r->waits_on, 0); /* [L2] in sync/lot.h */
    }
    wf_spinlock_unlock(lock);
    if (r == NULL)
        return;
    r->ret = 0;
    wf_ready(thread, r);
}

/* ---- reports ---- */

void wf_group_report(struct wf_thread *thread, struct wf_waiter *w, bool succeeded)
{
    struct wf_group *g = w->elem;
    size_t index = w->index;
    struct wf_spinlock *lock = wf_lot_lock(g);
    g->n_open--;
    g->last = index;
    if (!g->decided && (g->deciders & (succeeded ? WF_DECIDES_SUCCESS : WF_DECIDES_FAILURE)) != 0) {
        g->decided = true;
        g->decider = index;
    }
    rouse_leave(thread, g, lock);
}

bool wf_group_abort(struct wf_routine *r, void *object)
{
    struct wf_spinlock *lock = wf_lot_lock(object);
    bool waits = wf_load_relaxed(&r->waits_on) == wf_wait_pack(WF_WAIT_GROUP, object);
    if (waits) {
        struct wf_group *g = object; /* alive: r is in its call, and cannot return before it is readied */
        g->sleeper = NULL;
        wf_store_relaxed(&r->waits_on, 0); /* [L2] in sync/lot.h */
    }
    wf_spinlock_unlock(lock);
    return waits;
}

/* ---- waiting ---- */

/* Until the group is over: 0, or why the wait (of kind WF_WAIT_GROUP) was ended. */
static WF_NOINLINE int wait_for(struct wf_group *g, enum wf_wait_kind kind)
{
    struct wf_thread *thread = wf_enter();
    struct wf_routine *self = thread->current;
    struct wf_spinlock *lock = wf_lot_lock(g);
    if (is_over(g)) {
        wf_spinlock_unlock(lock);
        wf_leave(thread);
        return 0;
    }
    if (wf_lot_begin(self, kind, g)) {
        wf_spinlock_unlock(lock);
        return wf_wait_refused(thread, self);
    }
    g->sleeper = self;
    return wf_park_unlock(thread, lock);
}

/* Until all reports have come but n_never. The group is the caller's alone after that. */
static void drain(struct wf_group *g, size_t n_never)
{
    struct wf_thread *thread = wf_enter();
    struct wf_spinlock *lock = wf_lot_lock(g);
    g->draining = true;
    g->n_open -= n_never;
    wf_spinlock_unlock(lock);
    wf_leave(thread);
    wait_for(g, WF_WAIT_LOSERS);
}

/* Puts w into f's queue, or reports at once. */
static void attach(struct wf_group *g, struct wf_waiter *w, struct wf_future *f, size_t index)
{
    w->routine = NULL; /* that is how future.c knows it */
    w->elem = g;
    w->index = (uint32_t)index;
    struct wf_thread *thread = wf_enter();
    wf_spinlock_lock(&f->lock);
    enum wf_future_state state = (enum wf_future_state)wf_load_relaxed(&f->state);
    if (state == WF_FUTURE_PENDING) {
        w->next = f->waiters;
        f->waiters = w;
    }
    wf_spinlock_unlock(&f->lock);
    if (state != WF_FUTURE_PENDING)
        wf_group_report(thread, w, state == WF_FUTURE_DONE);
    wf_leave(thread);
}

/* True: w was still queued, and is no longer: it will not report. */
static bool detach(struct wf_waiter *w, struct wf_future *f)
{
    struct wf_thread *thread = wf_enter();
    wf_spinlock_lock(&f->lock);
    struct wf_waiter **at = wf_load_relaxed(&f->state) == WF_FUTURE_PENDING ? &f->waiters : NULL;
    while (at != NULL && *at != NULL && *at != w)
        at = &(*at)->next;
    bool found = at != NULL && *at != NULL;
    if (found)
        *at = w->next;
    wf_spinlock_unlock(&f->lock);
    wf_leave(thread);
    return found;
}

/* ---- several ---- */

static struct wf_future *future_at(const weft__future_element *fs, size_t i)
{
    return (struct wf_future *)fs[i];
}

/* Waits until the deciders have decided or all have settled; then, and when the wait is ended, until all others that
 * were cancelled have settled too. 0; or why the wait was ended; -ENOMEM, -EINVAL: nothing was done. */
static int gather(struct wf_group *g, const weft__future_element *fs, size_t n, unsigned deciders)
{
    struct wf_waiter few[FEW], *many = NULL;
    if (n > INT_MAX)
        return -EINVAL;
    if (n > FEW && (many = wf_chan_allocate(n * sizeof(*many))) == NULL)
        return -ENOMEM;
    struct wf_waiter *waiters = many != NULL ? many : few;
    *g = (struct wf_group){.n_open = n, .deciders = deciders};
    size_t n_never = 0;
    for (size_t i = 0; i < n; i++) {
        if (fs[i] == NULL)
            n_never++;
        else
            attach(g, &waiters[i], future_at(fs, i), i);
    }
    int error = wait_for(g, WF_WAIT_GROUP);
    if (error != 0 || g->decided) { /* decided for good: no lock */
        for (size_t i = 0; i < n; i++)
            weft__future_cancel(fs[i]);
        drain(g, n_never);
    }
    if (many != NULL)
        free(many);
    return error;
}

WF_PUBLIC int weft__future_all(const weft__future_element *fs, size_t n)
{
    struct wf_group g;
    if (n == 0)
        return 0;
    int error = gather(&g, fs, n, WF_DECIDES_FAILURE);
    return error != 0 ? error : g.decided ? wf_future_outcome(future_at(fs, g.decider)) : 0;
}

WF_PUBLIC int weft__future_all_settled(const weft__future_element *fs, size_t n, int *statuses)
{
    struct wf_group g;
    int error = n > 0 ? gather(&g, fs, n, 0) : 0;
    for (size_t i = 0; error == 0 && statuses != NULL && i < n; i++)
        statuses[i] = wf_future_outcome(future_at(fs, i));
    return error;
}

WF_PUBLIC int weft__future_race(const weft__future_element *fs, size_t n)
{
    struct wf_group g;
    int error = n > 0 ? gather(&g, fs, n, WF_DECIDES_SUCCESS | WF_DECIDES_FAILURE) : -EINVAL;
    if (error == 0)
        error = wf_future_outcome(future_at(fs, g.decider));
    return error != 0 ? error : (int)g.decider;
}

WF_PUBLIC int weft__future_any(const weft__future_element *fs, size_t n)
{
    struct wf_group g;
    int error = n > 0 ? gather(&g, fs, n, WF_DECIDES_SUCCESS) : -EINVAL;
    if (error != 0)
        return error;
    return g.decided ? (int)g.decider : wf_future_outcome(future_at(fs, g.last));
}

/* ---- one, with a time limit ---- */

/* The group of one future, and its time limit. */
struct timed {
    struct wf_group group;
    struct wf_waiter waiter;
    struct wf_timer timer;
    struct wf_spinlock *lock; /* the bucket, for the commit */
};

static void unlock_bucket(void *arg)
{
    wf_spinlock_unlock(((struct timed *)arg)->lock);
}

/* A plain thread keeps the time itself. True: nobody else has ended the wait, nor will. */
static bool time_is_up_for_foreign(void *arg)
{
    struct timed *t = arg;
    struct wf_thread *thread = wf_thread_self();
    struct wf_spinlock *lock = wf_lot_lock(&t->group);
    bool waits = t->group.sleeper != NULL;
    if (waits) {
        t->group.sleeper = NULL;
        t->group.timed_out = true;
        wf_store_relaxed(&thread->current->waits_on, 0); /* [L2] in sync/lot.h */
        thread->current->ret = 0;
    }
    wf_spinlock_unlock(lock);
    return waits;
}

static WF_NOINLINE int wait_foreign(struct timed *t)
{
    struct wf_thread *thread = wf_enter();
    struct wf_routine *self = thread->current;
    t->lock = wf_lot_lock(&t->group);
    if (is_over(&t->group)) {
        wf_spinlock_unlock(t->lock);
        wf_leave(thread);
        return 0;
    }
    if (wf_lot_begin(self, WF_WAIT_GROUP, &t->group)) {
        wf_spinlock_unlock(t->lock);
        return wf_wait_refused(thread, self);
    }
    t->group.sleeper = self;
    return wf_park_foreign_until(thread, unlock_bucket, t, t->timer.deadline_ns, time_is_up_for_foreign);
}

/* The timer's report: it has expired. By a worker's scheduler loop. */
static void time_is_up(void *arg)
{
    struct timed *t = arg;
    struct wf_spinlock *lock = wf_lot_lock(&t->group);
    t->group.n_open--;
    t->group.timed_out = true;
    rouse_leave(wf_thread_self(), &t->group, lock);
}

/* A routine has its time kept by a worker. True: it did. */
static bool arm(struct timed *t)
{
    struct wf_thread *thread = wf_enter();
    bool foreign = (thread->current->flags & WF_FOREIGN) != 0;
    if (!foreign) {
        t->group.n_open++; /* nobody else knows the group yet */
        wf_timer_arm(thread, &t->timer);
    }
    wf_leave(thread);
    return !foreign;
}

/* True: the timer will not report. */
static bool disarm(struct timed *t)
{
    struct wf_thread *thread = wf_enter();
    bool cancelled = wf_timer_cancel(&t->timer);
    wf_leave(thread);
    return cancelled;
}

/* 0: f has settled; -ETIMEDOUT; or why the wait was ended. */
static WF_NOINLINE int wait_with_limit(struct wf_future *f, int64_t d)
{
    struct timed t = {.group = {.n_open = 1, .deciders = WF_DECIDES_SUCCESS | WF_DECIDES_FAILURE}};
    t.timer = (struct wf_timer){.deadline_ns = wf_deadline_after(wf_now_ns(), d), .expire = time_is_up, .arg = &t};
    bool armed = arm(&t);
    if (f != NULL)
        attach(&t.group, &t.waiter, f, 0);
    int error = armed ? wait_for(&t.group, WF_WAIT_GROUP) : wait_foreign(&t);
    size_t n_never = 0;
    if (armed && disarm(&t))
        n_never++;
    if (f == NULL || detach(&t.waiter, f))
        n_never++;
    drain(&t.group, n_never);
    return t.group.decided ? 0 : error != 0 ? error : -ETIMEDOUT;
}

WF_PUBLIC int weft__future_timeout(struct weft__future *handle, int64_t d)
{
    struct wf_future *f = (struct wf_future *)handle;
    if (wf_future_has_settled(f))
        return 0;
    int error = d > 0 ? wait_with_limit(f, d) : -ETIMEDOUT;
    if (error == -ETIMEDOUT)
        weft__future_cancel(handle);
    return error;
}
