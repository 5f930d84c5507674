/* SPDX-License-Identifier: MIT */
/* park.c - the uncommon ways through park.h: plain threads, pinned and prioritised routines, waits ended from outside;
 * and the two waits that need no object: yield and sleep.
 */
#include "sched/park.h"

#include <sched.h>
#include <weft/time.h>

#include "base/futex.h"
#include "base/perturb.h"
#include "sched/claim.h"
#include "sched/hooks.h"
#include "sched/idle.h"
#include "sched/pilot.h"
#include "sched/place.h"
#include "sched/sched.h"
#include "sched/threads.h"
#include "sched/world.h"
#include "time/clock.h"

/* ---- readying ---- */

static void rouse_foreign(struct wf_routine *r)
{
    struct wf_thread *thread = wf_thread_of_foreign(r);
    /* Counted here, not by the sleeper when it gets a CPU: from now on it can act. See pilot.c, judge(). */
    wf_add_seq_cst(&wf_threads.n_foreign_wakes, 1);
    if (thread->counts_as_blocked)
        wf_sub_seq_cst(&wf_threads.n_foreign_blocked, 1);
    wf_store_release(&thread->wake, 1); /* from here on the thread may be gone: only its address is used */
    wf_futex_wake(&thread->wake, 1);
}

static void ready_pinned(struct wf_routine *r)
{
    struct wf_thread *home = r->extra->home;
    struct wf_pool *pool = home->pool;
    wf_add_seq_cst(&pool->n_pinned, 1);
    wf_spinlock_lock(&home->pinned_lock);
    wf_pinned_append_locked(home, r);
    wf_fence_seq_cst();
    /* A hint: when it is wrong, some worker finds the home among the spares. */
    struct wf_worker *worker = wf_thread_worker_hint(home);
    wf_spinlock_unlock(&home->pinned_lock); /* from here on r may run and end, and its pool's threads with it */
    if (worker == NULL || !wf_worker_wake(worker))
        wf_idle_wake_inject(pool);
}

WF_COLD void wf_ready_slow(struct wf_thread *thread, struct wf_routine *r)
{
    struct wf_worker *worker = thread->worker;
    if ((r->flags & WF_FOREIGN) != 0) {
        rouse_foreign(r);
        return;
    }
    if ((r->flags & WF_PINNED) != 0) {
        if (r->extra->home != NULL)
            ready_pinned(r);
        else
            wf_place_pinned(r);
        return;
    }
    if (WF_PERTURB && (r->flags & thread->slow_flags) == 0 && wf_rand_below(&thread->rand, 4) == 0) {
        wf_push(worker, r); /* stress: mostly to whoever takes it first */
        return;
    }
    enum wf_priority priority = (r->flags & WF_HIGH) != 0  ? WF_PRIORITY_HIGH
                                : (r->flags & WF_LOW) != 0 ? WF_PRIORITY_LOW
                                                           : WF_PRIORITY_NORMAL;
    struct wf_pool *pool = wf_pool_of(r); /* of another pool, it goes there: nobody here may run it */
    wf_inject_push(&pool->inject, r, priority);
    if (priority == WF_PRIORITY_HIGH && worker != NULL && worker->pool == pool)
        worker->budget = 1; /* this worker looks around at its next switch */
    wf_idle_wake_inject(pool);
}

/* ---- plain threads ---- */

/* A deadline that the thread is in has passed: it ends its own wait as its timer would, unless somebody was faster. It
 * dozes on: what the collector is to see of its stack lies above. */
static WF_COLD void end_own_wait(struct wf_routine *self)
{
    struct wf_thread *thread = wf_enter();
    wf_hooks.frames_pass(self);
    wf_wait_abort(thread, self, -ETIMEDOUT);
    wf_leave(thread);
}

/* Somebody must notice when all wait for each other. */
static WF_COLD void start_before_waiting(struct wf_thread *thread)
{
    thread->attached_without_start = false;
    wf_leave(thread);
    wf_hooks.ensure_started();
    wf_enter();
}

/* `expire`: claims the wait for the time limit, if it can still be claimed. The thread keeps the time of deadlines too:
 * weft_stop() may take the workers away that would run their timers. */
static int foreign_sleep(struct wf_thread *thread, int64_t limit_ns, bool (*expire)(void *), void *arg)
{
    struct wf_routine *self = thread->current;
    if (WF_UNLIKELY(thread->attached_without_start))
        start_before_waiting(thread);
    int64_t deadline_ns = (self->flags & WF_SCOPED) != 0 ? wf_hooks.frames_deadline(self) : WF_FUTEX_FOREVER;
    wf_pilot_wake(); /* [Z2] this may have been the last thread that could do something */
    __builtin_unwind_init();
    self->sp = wf_stack_pointer();
    wf_doze_begin(thread); /* weft_stop waits for threads that are inside */
    while (wf_load_acquire(&thread->wake) == 0) {
        bool by_deadline = deadline_ns < limit_ns;
        if (wf_world_doze(thread, by_deadline ? deadline_ns : limit_ns) == 0)
            continue;
        if (by_deadline) {
            deadline_ns = WF_FUTEX_FOREVER;
            end_own_wait(self);
            continue;
        }
        if (expire(arg))
            break;
        limit_ns = WF_FUTEX_FOREVER; /* somebody has claimed it and is about to wake us */
    }
    wf_doze_end(thread);
    wf_store_release(&self->waits_on, 0);
    int ret = self->ret;
    wf_leave(thread);
    return ret;
}

/* Nobody can wake us before the commit that follows. */
static void foreign_prepare(struct wf_thread *thread, bool limited)
{
    wf_store_relaxed(&thread->wake, 0);
    thread->counts_as_blocked = !limited;
    if (!limited)
        wf_add_seq_cst(&wf_threads.n_foreign_blocked, 1);
}

WF_NOINLINE int wf_park_foreign(struct wf_thread *thread, struct wf_spinlock *lock)
{
    foreign_prepare(thread, false);
    wf_spinlock_unlock(lock);
    return foreign_sleep(thread, WF_FUTEX_FOREVER, NULL, NULL);
}

WF_NOINLINE int wf_park_foreign_call(struct wf_thread *thread, void (*commit)(void *), void *arg)
{
    foreign_prepare(thread, false);
    commit(arg);
    return foreign_sleep(thread, WF_FUTEX_FOREVER, NULL, NULL);
}

WF_NOINLINE int wf_park_foreign_until(struct wf_thread *thread, void (*commit)(void *), void *arg, int64_t deadline_ns,
                                      bool (*expire)(void *))
{
    foreign_prepare(thread, true);
    commit(arg);
    return foreign_sleep(thread, deadline_ns, expire, arg);
}

/* ---- waits that end early ---- */

WF_COLD int wf_wait_refused(struct wf_thread *thread, struct wf_routine *self)
{
    wf_store_release(&self->waits_on, 0);
    wf_leave(thread);
    return self->ret;
}

WF_NOINLINE bool wf_wait_is_over(struct wf_routine *self)
{
    int error = wf_load_relaxed(&self->pending);
    if (error >= 0) {
        wf_fence_seq_cst(); /* [P3] scope/frame.h */
        error = wf_hooks.frames_check(wf_thread_self(), self);
        wf_perturb(); /* ending the block */
    }
    if (error != 0)
        self->ret = error;
    return error != 0;
}

bool wf_wait_abort(struct wf_thread *thread, struct wf_routine *r, int error)
{
    uint64_t waits_on = wf_load_acquire(&r->waits_on);
    enum wf_wait_kind kind = wf_wait_kind_of(waits_on);
    if (kind == WF_WAIT_NONE || wf_wait_kinds[kind].abort == NULL)
        return false;
    if (!wf_wait_kinds[kind].abort(r, wf_wait_object_of(waits_on)))
        return false;
    r->ret = error;
    wf_ready(thread, r);
    return true;
}

/* ---- yield ---- */

static WF_NOINLINE void yield_special(struct wf_thread *thread, struct wf_worker *worker, struct wf_routine *self)
{
    if ((self->flags & WF_PINNED) != 0) {
        wf_add_seq_cst(&thread->pool->n_pinned, 1);
        wf_spinlock_lock(&thread->pinned_lock);
        wf_pinned_append_locked(thread, self);
        WF_SWITCH(self, wf_pick(thread, worker), thread, &thread->pinned_lock.word, 0);
        return;
    }
    enum wf_priority priority = (self->flags & WF_HIGH) != 0  ? WF_PRIORITY_HIGH
                                : (self->flags & WF_LOW) != 0 ? WF_PRIORITY_LOW
                                                              : WF_PRIORITY_NORMAL;
    struct wf_inject *inject = &worker->pool->inject;
    wf_spinlock_lock(&inject->lock);
    self->link = NULL;
    wf_inject_append_locked(inject, self, self, 1, priority);
    WF_SWITCH(self, wf_pick(thread, worker), thread, &inject->lock.word, 0);
}

WF_PUBLIC void weft_yield(void)
{
    struct wf_thread *thread = wf_enter();
    struct wf_worker *worker = thread->worker;
    if (WF_UNLIKELY(worker == NULL)) {
        wf_leave(thread);
        sched_yield();
        return;
    }
    struct wf_routine *self = thread->current;
    /* Routines wait in the injection queue: they came before us, so we queue behind them. */
    if (WF_UNLIKELY((self->flags & WF_SPECIAL) != 0 || wf_load_relaxed(&worker->pool->inject.length[WF_PRIORITY_NORMAL]) > 0)) {
        yield_special(thread, worker, self);
        return;
    }
    struct wf_ring *ring = &worker->ring;
    bool alone = wf_load_relaxed(&worker->next) == NULL && wf_private_length(worker) == 0 &&
                 wf_load_relaxed(&ring->head) == wf_load_relaxed(&ring->tail);
    if (worker->budget > 1 && alone) {
        worker->budget--;
        wf_store_relaxed(&worker->tick, wf_load_relaxed(&worker->tick) + 1);
        wf_leave(thread);
        return;
    }
    /* Private: a seizer sees it only after the switch has cleared in_rt, that is with the context saved. */
    wf_queue_put(worker, self);
    struct wf_routine *to = wf_pick(thread, worker);
    WF_SWITCH(self, to, thread, &thread->no_commit, 0);
}

/* ---- sleep ---- */

static void sleep_expired(void *arg)
{
    struct wf_routine *r = arg;
    r->ret = 0;
    wf_ready(wf_thread_self(), r);
}

/* From here on the sleep cannot be ended by others. An aborter must not have to wait for the expiry: that may come
 * later in the very batch whose earlier item the aborter is. */
static bool claim_sleep(struct wf_timer *timer)
{
    struct wf_routine *r = timer->arg;
    wf_store_release(&r->waits_on, 0);
    return true;
}

static bool take_sleeper(struct wf_routine *r, void *object, struct wf_timers *set)
{
    wf_spinlock_lock(&set->lock);
    bool sleeps = wf_load_relaxed(&r->waits_on) == wf_wait_pack(WF_WAIT_SLEEP, object) &&
                  wf_load_relaxed(&r->wait.timer.set) == set;
    if (sleeps)
        wf_timers_remove_locked(set, &r->wait.timer);
    wf_spinlock_unlock(&set->lock);
    return sleeps;
}

static bool is_worker_set(struct wf_timers *set)
{
    for (struct wf_pool *pool = NULL; (pool = wf_pool_next(pool)) != NULL;) {
        uintptr_t offset = (uintptr_t)set - (uintptr_t)&pool->workers->timers;
        if (offset / sizeof(struct wf_worker) < wf_load_acquire(&pool->n_slots) && offset % sizeof(struct wf_worker) == 0)
            return true;
    }
    return false;
}

/* wf_wait_ops.abort of WF_WAIT_SLEEP: being taken out of its set is the claim. A stale r is a descriptor, which stays
 * readable but may hold another routine's captured words by now: so its timer's set is believed only if it is one of the
 * workers', and the wait is checked again under that set's lock. The sleeper publishes `waits_on` before its timer is in
 * a set, under that set's lock, and its timer leaves the set just after claim_sleep() has cleared it: hence the loop. */
bool wf_sleep_abort(struct wf_routine *r, void *object)
{
    while (wf_load_acquire(&r->waits_on) == wf_wait_pack(WF_WAIT_SLEEP, object)) {
        struct wf_timers *set = wf_load_acquire(&r->wait.timer.set);
        if (is_worker_set(set) && take_sleeper(r, object, set))
            return true;
        sched_yield();
    }
    return false;
}

/* The sleep of a plain thread: its end is claimed by itself, when the time has come, or by who ends it. */
struct foreign_sleep {
    struct wf_routine *self;
    uint32_t waiting; /* value of `claim` while it sleeps */
};

static void open_foreign_sleep(void *arg)
{
    struct foreign_sleep *sleep = arg;
    wf_store_release(&sleep->self->claim, sleep->waiting);
}

static bool foreign_sleep_is_over(void *arg)
{
    struct foreign_sleep *sleep = arg;
    if (!wf_claim_at(sleep->self, sleep->waiting))
        return false;
    sleep->self->ret = 0;
    return true;
}

static WF_NOINLINE int sleep_foreign(struct wf_thread *thread, int64_t deadline)
{
    struct wf_routine *self = thread->current;
    struct foreign_sleep sleep = {.self = self, .waiting = wf_claim_prepare(self)};
    if (wf_wait_begin(self, WF_WAIT_SLEEP_THREAD, (void *)(uintptr_t)sleep.waiting)) {
        wf_claim_abandon(self, sleep.waiting);
        return wf_wait_refused(thread, self);
    }
    return wf_park_foreign_until(thread, open_foreign_sleep, &sleep, deadline, foreign_sleep_is_over);
}

/* wf_wait_ops.abort of WF_WAIT_SLEEP_THREAD. */
bool wf_sleep_thread_abort(struct wf_routine *r, void *object)
{
    return wf_claim_end(r, (uint32_t)(uintptr_t)object);
}

WF_PUBLIC int weft_sleep(weft_duration d)
{
    struct wf_thread *thread = wf_enter();
    struct wf_worker *worker = thread->worker;
    struct wf_routine *self = thread->current;
    if (d <= 0) {
        wf_leave(thread);
        return 0;
    }
    int64_t deadline = wf_deadline_after(wf_now_ns(), d);
    if (WF_UNLIKELY(worker == NULL))
        return sleep_foreign(thread, deadline);
    /* Arms deadlines, which cannot be done under the lock that follows. If it finds an end, it has not armed those further
     * out, and the look under the lock must not get there either. */
    int over = WF_UNLIKELY((self->flags & WF_SCOPED) != 0) ? wf_hooks.frames_check(thread, self) : 0;
    if (WF_UNLIKELY(over != 0)) {
        wf_leave(thread);
        return over;
    }
    struct wf_timers *set = &worker->timers;
    struct wf_timer *timer = &self->wait.timer;
    timer->deadline_ns = deadline;
    timer->period_ns = 0;
    timer->claim = claim_sleep;
    timer->expire = sleep_expired;
    timer->arg = self;
    wf_store_relaxed(&timer->set, NULL); /* not pending; the captured arguments were here */
    wf_spinlock_lock(&set->lock);
    if (wf_wait_begin(self, WF_WAIT_SLEEP, self)) {
        wf_spinlock_unlock(&set->lock);
        return wf_wait_refused(thread, self);
    }
    wf_timers_add_locked(set, timer);
    return wf_park_unlock(thread, &set->lock);
}

/* ---- timers of others ---- */

void wf_timer_arm(struct wf_thread *thread, struct wf_timer *timer)
{
    struct wf_worker *worker = thread->worker;
    if (worker != NULL) {
        wf_timers_add(&worker->timers, timer);
        return;
    }
    if (WF_UNLIKELY(wf_n_workers == 0))
        return; /* weft_stop has been called: as if it had been armed before */
    worker = &wf_workers[0]; /* it has a thread, and is not retired, for as long as the runtime runs */
    if (wf_timers_add(&worker->timers, timer)) {
        wf_fence_seq_cst();
        wf_worker_wake(worker); /* asleep with a later deadline */
    }
}

/* ---- the calling routine ---- */

WF_PUBLIC uint64_t weft_id(void)
{
    struct wf_thread *thread = wf_thread_self();
    return thread == NULL ? 0 : wf_load_relaxed(&thread->current->id);
}

WF_PUBLIC void weft_set_name(const char *name)
{
    struct wf_thread *thread = wf_enter();
    struct wf_extra *extra = wf_routine_extra(thread->current);
    if (extra != NULL) {
        size_t i = 0;
        for (; name != NULL && name[i] != 0 && i < sizeof(extra->name) - 1; i++)
            extra->name[i] = name[i];
        extra->name[i] = 0;
    }
    wf_leave(thread);
}
