/* SPDX-License-Identifier: MIT */
/* time_api.c - the public timers, tickers and after-channels: wf_timer below, channels beside, a routine at the end.
 *
 * Owns:    the records of timers (never freed, see sched/object.h: who holds one may reset it at any time) and of tickers,
 *          which are collected objects; the table of running tickers.
 * Callers: users; the scheduler loop, which calls the expire functions.
 * Locking: a record's lock stands before the timer sets' and the channels'. It may be held while a sleeping worker is
 *          woken: only another stop or reset of the same record waits for it.
 *
 * A ticker, or an after-channel, is known to the collector by its place in the table, which is static data, for as long as
 * its timer is pending. When it has been taken out, its expire function may still be under way: inside the runtime, where
 * no collection can come. So a ticker's channel lives until the ticker is stopped, an after-channel until its time has come, and
 * then for as long as somebody holds it.
 *
 * Who gets a pending timer, if stop, reset and expiry come together, is decided where it is unlinked: under the set's
 * lock. The record's lock makes reset (unlink, arm again) one step for others.
 */
#include <weft/time.h>

#include <errno.h>

#include "base/assert.h"
#include "chan/chan.h"
#include "gc/collect.h"
#include "sched/hooks.h"
#include "sched/object.h"
#include "sched/park.h"
#include "sched/sched.h"
#include "time/clock.h"
#include "time/timers.h"

enum { N_BUCKETS = 256, RETRY_NS = 1000000 };

struct weft_timer {
    struct wf_timer timer;
    struct wf_spinlock lock;       /* arming */
    const struct weft__site *site; /* this and the following: immutable after init */
    void (*fn)(void *);
    void *arg;
};

/* A ticker, or an after-channel, whose timer has no period. */
struct ticker {
    struct wf_timer timer;
    struct wf_spinlock lock; /* sending a tick; `stopped` */
    bool stopped;
    struct weft__chan *channel;   /* immutable after init */
    struct ticker *next, **prev;  /* in its bucket, that one's lock; prev NULL: in none */
};

/* Running tickers, and after-channels whose time has not come, by the address of their channel. */
static struct {
    struct wf_spinlock lock;
    struct ticker *first;
} buckets[N_BUCKETS];

/* Inside the runtime, which runs; NULL and *ret_error if it cannot be started. */
static struct wf_thread *enter_running(int *ret_error)
{
    struct wf_thread *thread = wf_enter();
    *ret_error = 0;
    if (WF_LIKELY(wf_n_workers != 0))
        return thread;
    wf_leave(thread);
    *ret_error = wf_hooks.ensure_started();
    return *ret_error == 0 ? wf_enter() : NULL;
}

WF_PUBLIC weft_time weft_now(void)
{
    return wf_now_ns();
}

/* ---- timers ---- */

/* Called by the scheduler loop. Out of memory or of routines: try again; who stops it meanwhile has won, and a reset
 * that comes first takes this run with it. */
static void run_function(void *arg)
{
    weft_timer *t = arg;
    if (wf_load_relaxed(&wf_born_pending) != 0)
        return; /* the runtime is being stopped */
    struct wf_thread *thread = wf_thread_self();
    if (WF_LIKELY(wf_spawn_call(thread, t->site, t->fn, t->arg) == 0))
        return;
    wf_spinlock_lock(&t->lock);
    if (wf_load_acquire(&t->timer.set) == NULL) { /* acquire: [T2] of time/timers.c */
        t->timer.deadline_ns = wf_deadline_after(wf_now_ns(), RETRY_NS);
        wf_timer_arm(thread, &t->timer);
    }
    wf_spinlock_unlock(&t->lock);
}

WF_PUBLIC weft_timer *weft__timer_start(const struct weft__site *site, weft_duration d, void (*fn)(void *), void *arg)
{
    int error;
    struct wf_thread *thread = enter_running(&error);
    if (thread == NULL)
        return NULL;
    weft_timer *t = wf_object_alloc(sizeof(*t));
    if (t != NULL) {
        t->site = site;
        t->fn = fn;
        t->arg = arg;
        t->timer.deadline_ns = wf_deadline_after(wf_now_ns(), d);
        t->timer.expire = run_function;
        t->timer.arg = t;
        wf_timer_arm(thread, &t->timer);
    }
    wf_leave(thread);
    return t;
}

WF_PUBLIC int weft_timer_stop(weft_timer *t)
{
    if (t == NULL)
        return 0;
    struct wf_thread *thread = wf_enter();
    bool stopped = wf_timer_cancel(&t->timer);
    if (!stopped) { /* a reset may be half-way */
        wf_spinlock_lock(&t->lock);
        stopped = wf_timer_cancel(&t->timer);
        wf_spinlock_unlock(&t->lock);
    }
    wf_leave(thread);
    return stopped;
}

WF_PUBLIC int weft_timer_reset(weft_timer *t, weft_duration d)
{
    if (t == NULL)
        wf_misuse("weft_timer_reset: the timer is NULL");
    int error;
    struct wf_thread *thread = enter_running(&error);
    if (thread == NULL)
        return error;
    wf_spinlock_lock(&t->lock);
    bool pending = wf_timer_cancel(&t->timer);
    t->timer.deadline_ns = wf_deadline_after(wf_now_ns(), d);
    wf_timer_arm(thread, &t->timer);
    wf_spinlock_unlock(&t->lock);
    wf_leave(thread);
    return pending;
}

/* ---- tickers and after-channels ---- */

static size_t bucket_of(const struct weft__chan *c)
{
    return ((uintptr_t)c >> 7) % N_BUCKETS;
}

static void add_to_bucket(struct ticker *t)
{
    size_t i = bucket_of(t->channel);
    wf_spinlock_lock(&buckets[i].lock);
    t->next = buckets[i].first;
    t->prev = &buckets[i].first;
    if (t->next != NULL)
        t->next->prev = &t->next;
    buckets[i].first = t;
    wf_spinlock_unlock(&buckets[i].lock);
}

static void unlink_locked(struct ticker *t)
{
    *t->prev = t->next;
    if (t->next != NULL)
        t->next->prev = t->prev;
    t->next = NULL; /* what is dead must not keep the others if a stray word keeps it */
    t->prev = NULL;
}

/* An after-channel has had its time. */
static void leave_bucket(struct ticker *t)
{
    size_t i = bucket_of(t->channel);
    wf_spinlock_lock(&buckets[i].lock);
    unlink_locked(t);
    wf_spinlock_unlock(&buckets[i].lock);
}

/* Called by the scheduler loop. Under the ticker's lock, so that none is sent once weft_ticker_stop has returned. */
static void send_tick(void *arg)
{
    struct ticker *t = arg;
    struct wf_thread *thread = wf_thread_self();
    weft_time now = 0; /* wf_chan_finish() copies it to a receiver that waits */
    struct wf_chan_rest rest;
    int result = -EPIPE;
    wf_spinlock_lock(&t->lock);
    if (!t->stopped) {
        wf_chan_lock(t->channel);
        now = wf_now_ns(); /* under the lock: of when there was room, and never less than an earlier tick's */
        result = wf_chan_send_step(t->channel, &now, &rest); /* -EAGAIN: a slow reader; -EPIPE: closed by somebody */
        wf_chan_unlock(t->channel);
    }
    if (result == 0)
        wf_chan_finish(thread, t->channel, &rest);
    wf_spinlock_unlock(&t->lock);
    if (t->timer.period_ns == 0)
        leave_bucket(t);
}

/* The running ticker of this channel, no longer in the table; NULL: there is none. */
static struct ticker *take_from_bucket(const struct weft__chan *c)
{
    size_t i = bucket_of(c);
    wf_spinlock_lock(&buckets[i].lock);
    struct ticker *t = buckets[i].first;
    while (t != NULL && (t->channel != c || t->timer.period_ns == 0))
        t = t->next;
    if (t != NULL)
        unlink_locked(t);
    wf_spinlock_unlock(&buckets[i].lock);
    return t;
}

/* period 0: once. */
static struct weft__chan *start_ticker(weft_duration d, weft_duration period)
{
    int error;
    struct weft__chan *c = weft__chan_make(sizeof(weft_time), 1);
    struct ticker *t = c != NULL ? wf_gc_new(sizeof(*t), WF_KIND_SCANNED) : NULL;
    if (t == NULL)
        return NULL;
    struct wf_thread *thread = enter_running(&error);
    if (thread == NULL)
        return NULL;
    t->channel = c;
    t->timer.deadline_ns = wf_deadline_after(wf_now_ns(), d);
    t->timer.period_ns = period;
    t->timer.expire = send_tick;
    t->timer.arg = t;
    add_to_bucket(t);
    wf_timer_arm(thread, &t->timer);
    wf_leave(thread);
    return c;
}

WF_PUBLIC weft_chan(weft_time) weft_ticker_make(weft_duration d)
{
    if (d <= 0)
        wf_misuse("weft_ticker_make: the period is %lld ns, it must be positive", (long long)d);
    return (weft_chan(weft_time))(uintptr_t)start_ticker(d, d);
}

WF_PUBLIC void weft__ticker_stop(struct weft__chan *c)
{
    struct wf_thread *thread = wf_enter();
    struct ticker *t = take_from_bucket(c);
    if (t != NULL) {
        wf_timer_cancel(&t->timer);
        wf_spinlock_lock(&t->lock);
        t->stopped = true;
        wf_spinlock_unlock(&t->lock);
    }
    wf_leave(thread);
}

WF_PUBLIC weft_chan(weft_time) weft_after_chan(weft_duration d)
{
    return (weft_chan(weft_time))(uintptr_t)start_ticker(d, 0);
}
