/* SPDX-License-Identifier: MIT */
/* deadline.c - weft_deadline and weft_shield: the blocks that live on the user's stack.
 *
 * A deadline costs its user next to nothing until somebody inside has to wait: then its timer is armed, once. So when
 * the block begins, only a coarse clock is read (3 ns instead of 21). That clock lags: by a tick, and in a virtual
 * machine that is not given its time, by 67 ms as seen once. The block began not after the first wait inside, and not after
 * the coarse time plus LAG_NS: the earlier of the two counts, so that the deadline is never early, exact when somebody waits
 * within LAG_NS, and late by less than that when not. Very long ones do without the first of the two.
 *
 *   IDLE --wf_deadline_arm (CAS: any routine inside)--> ARMING --the same--> ARMED
 *
 * [D1] The timer's claim sets `reason` and `visit` = BEGUN under its set's lock; its expiry visits those who wait and
 * then sets `visit` = OVER (release). The owner that leaves takes the timer out of its set; if it comes too late, it waits
 * until the visit is over. A timer that weft_stop() has taken away is never visited for.
 */
#include <errno.h>
#include <sched.h>
#include <weft/scope.h>

#include "base/assert.h"
#include "sched/hooks.h"
#include "sched/sched.h"
#include "sched/worker.h"
#include "scope/cancel.h"
#include "time/clock.h"

enum { IDLE, ARMING, ARMED };
enum { NOT_BEGUN, BEGUN, OVER };
static const int64_t LAG_NS = 128000000;
static const int64_t LONG_NS = 8192000000; /* so long a deadline may be late by LAG_NS: 1.6 %, and no look at the clock */

struct deadline {
    struct wf_frame frame;
    int64_t entered_ns; /* by the coarse clock; immutable, as the following */
    int64_t duration_ns;
    _Atomic uint32_t state;
    _Atomic uint32_t visit;
    struct wf_timer timer; /* once armed */
};
_Static_assert(sizeof(struct deadline) <= sizeof(struct weft__deadline), "weft/scope.h");
_Static_assert(sizeof(struct wf_frame) <= sizeof(struct weft__shield), "weft/scope.h");

/* ---- deadlines ---- */

WF_PUBLIC struct weft__deadline *weft__deadline_enter(struct weft__deadline *block, int64_t d)
{
    struct deadline *deadline = (struct deadline *)(void *)block;
    struct wf_routine *self = wf_current();
    /* A plain thread after weft_stop: nobody would run the timer. */
    if (WF_UNLIKELY((self->flags & WF_FOREIGN) != 0) && wf_n_workers == 0 && wf_hooks.ensure_started() != 0)
        wf_misuse("weft_deadline: the runtime cannot be started");
    deadline->entered_ns = wf_coarse_now_ns();
    deadline->duration_ns = d;
    wf_store_relaxed(&deadline->state, IDLE);
    wf_frame_push(self, &deadline->frame, WF_FRAME_DEADLINE);
    return block;
}

/* Not before this has it begun. */
static int64_t latest_beginning(const struct deadline *deadline)
{
    return deadline->entered_ns + LAG_NS;
}

static int64_t due(const struct deadline *deadline, int64_t now)
{
    int64_t latest = latest_beginning(deadline);
    return wf_deadline_after(latest < now ? latest : now, deadline->duration_ns);
}

static bool claim(struct wf_timer *timer)
{
    struct deadline *deadline = wf_container_of(timer, struct deadline, timer);
    wf_store_relaxed(&deadline->frame.reason, -ETIMEDOUT); /* [D1]; [P3] the fence is in wf_cancel_deadline */
    wf_store_relaxed(&deadline->visit, BEGUN);
    return true;
}

static void expire(void *arg)
{
    struct deadline *deadline = arg;
    wf_cancel_deadline(wf_thread_self(), &deadline->frame);
    wf_store_release(&deadline->visit, OVER); /* [D1] it may be gone now */
}

static WF_NOINLINE bool arm(struct wf_thread *thread, struct deadline *deadline)
{
    struct wf_timer *timer = &deadline->timer;
    bool passed = false;
    if (deadline->duration_ns >= LONG_NS) {
        timer->deadline_ns = wf_deadline_after(latest_beginning(deadline), deadline->duration_ns);
    } else {
        int64_t now = wf_now_ns();
        timer->deadline_ns = due(deadline, now);
        passed = timer->deadline_ns <= now;
    }
    timer->period_ns = 0;
    timer->claim = claim;
    timer->expire = expire;
    timer->arg = deadline;
    wf_store_relaxed(&timer->set, NULL);
    wf_store_relaxed(&deadline->visit, NOT_BEGUN);
    if (passed)
        wf_store_relaxed(&deadline->frame.reason, -ETIMEDOUT); /* for the next look; others are told by the timer */
    wf_timer_arm(thread, timer);
    wf_store_release(&deadline->state, ARMED); /* pairs with the acquire in wf_deadline_leave */
    return passed;
}

bool wf_deadline_arm(struct wf_thread *thread, struct wf_frame *frame)
{
    struct deadline *deadline = wf_container_of(frame, struct deadline, frame);
    uint32_t idle = IDLE;
    if (wf_load_relaxed(&deadline->state) != IDLE || !wf_cas_acquire(&deadline->state, &idle, ARMING))
        return false;
    return arm(thread, deadline);
}

int64_t wf_deadline_time(struct wf_frame *frame)
{
    struct deadline *deadline = wf_container_of(frame, struct deadline, frame);
    return wf_load_acquire(&deadline->state) == ARMED ? deadline->timer.deadline_ns : INT64_MAX;
}

bool wf_deadline_passed(struct wf_frame *frame)
{
    struct deadline *deadline = wf_container_of(frame, struct deadline, frame);
    /* Its timer may be late when all workers compute. The coarse clock is never ahead. */
    if (wf_load_acquire(&deadline->state) == ARMED)
        return wf_load_relaxed(&frame->reason) != 0 || deadline->timer.deadline_ns <= wf_coarse_now_ns();
    int64_t now = wf_now_ns();
    return due(deadline, now) <= now;
}

/* It was armed, so whoever did it has ended or is the owner: the state is ARMED. */
static WF_NOINLINE void disarm(struct deadline *deadline)
{
    struct wf_thread *thread = wf_enter();
    wf_timer_cancel(&deadline->timer);
    wf_leave(thread);
    for (unsigned round = 1; wf_load_acquire(&deadline->visit) == BEGUN; round++) { /* [D1] */
        wf_cpu_relax();
        if (round % 64 == 0)
            sched_yield();
    }
}

void wf_deadline_leave(struct wf_frame *frame)
{
    struct deadline *deadline = wf_container_of(frame, struct deadline, frame);
    WF_ASSERT(wf_current()->frame == frame);
    if (wf_load_acquire(&deadline->state) != IDLE)
        disarm(deadline);
    wf_frame_pop(wf_current(), frame);
}

WF_PUBLIC void weft__deadline_leave(struct weft__deadline *block)
{
    wf_deadline_leave(&((struct deadline *)(void *)block)->frame);
}

/* ---- shields ---- */

WF_PUBLIC struct weft__shield *weft__shield_enter(struct weft__shield *block)
{
    struct wf_routine *self = wf_current();
    struct wf_thread *thread = wf_enter();
    wf_spinlock_lock(&self->cancel_lock);
    self->shields++;
    wf_spinlock_unlock(&self->cancel_lock);
    wf_leave(thread);
    wf_frame_push(self, (struct wf_frame *)(void *)block, WF_FRAME_SHIELD);
    return block;
}

void wf_shield_leave(struct wf_frame *frame)
{
    struct wf_routine *self = wf_current();
    WF_ASSERT(self->frame == frame);
    wf_frame_pop(self, frame);
    struct wf_thread *thread = wf_enter();
    wf_spinlock_lock(&self->cancel_lock);
    self->shields--;
    wf_spinlock_unlock(&self->cancel_lock);
    wf_leave(thread);
}

WF_PUBLIC void weft__shield_leave(struct weft__shield *block)
{
    wf_shield_leave((struct wf_frame *)(void *)block);
}
