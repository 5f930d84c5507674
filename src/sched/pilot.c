/* SPDX-License-Identifier: MIT */
/* pilot.c - the monitor: sees that a thread that computes for long, or sits in a blocking call, holds up nobody else.
 *
 * Each round it looks at every running worker. One whose tick has moved is well. One that stands still while work waits
 * for it (next, batch, ring, injection queue, a timer that is due) gets help:
 *   - a parked worker is woken: it steals, rescues private work by the guard protocol, runs the timers;
 *   - when none is parked, and the thread is blocked in the kernel or has burnt HOG_NS of CPU: hand-off. The worker is
 *     seized (thread.h) and given to a spare thread; the stuck thread keeps its routine and runs on beside it, and at
 *     its next call into weft finds WF_ATTN_LOST, queues its routine and becomes a spare.
 * No code is interrupted, so no lock of libc, no thread-local and no errno is ever in the wrong hands.
 *
 * "Blocked" is what /proc/self/task/T/syscall says (it prints "running" for a thread that is runnable); without /proc
 * only hogs are seen. "Hog" is measured in CPU time, so that a thread that merely waits for a CPU is not one.
 *
 * When all workers are parked the pilot sleeps too, after a while, without a time limit: an idle process does not wake.
 * [Z1] it sets `asleep`, fences, looks at everything again; [Z2] whoever moves a worker out of PARKED, and a plain or
 * spare thread that goes to sleep or leaves, fences, then looks at `asleep`. Before it sleeps it asks whether anything
 * could ever wake the waiting routines: if not, that is a deadlock.
 */
#define _GNU_SOURCE
#include "sched/pilot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/futex.h"
#include "base/membarrier.h"
#include "sched/hooks.h"
#include "sched/idle.h"
#include "sched/inject.h"
#include "sched/park.h"
#include "sched/pool.h"
#include "sched/runq.h"
#include "sched/threads.h"
#include "time/clock.h"

enum {
    ROUND_FIRST_NS = 50000,
    ROUND_MOST_NS = 10000000,
    QUIET_ROUNDS = 20,  /* rounds without anything to do before they get longer */
    BLOCKED_NS = 20000, /* a tick must stand still so long before the thread is looked at */
    HOG_NS = 10000000,
    IDLE_BEFORE_SLEEP_NS = 100000000,
};
static const int64_t RECHECK_MOST_NS = 60ll * 1000000000;

static struct {
    pthread_t thread;
    bool started;
    _Atomic uint32_t asleep; /* futex; 1: deep asleep */
    _Atomic uint32_t stopping;
    _Atomic uint32_t no_deadlock; /* > 0: somebody outside is about to act */
} pilot;

/* ---- one worker ---- */

static bool has_work(struct wf_worker *worker, int64_t now)
{
    struct wf_pool *pool = worker->pool;
    return wf_inject_any(&pool->inject) || wf_worker_has_runnable(worker) ||
           wf_load_relaxed(&worker->timers.earliest_ns) <= now || wf_load_relaxed(&pool->n_pinned) > 0 ||
           wf_load_relaxed(&worker->n_arrivals) > 0;
}

static int64_t cpu_time(struct wf_thread *thread)
{
    clockid_t clock;
    struct timespec ts;
    if (pthread_getcpuclockid(thread->pthread, &clock) != 0 || clock_gettime(clock, &ts) != 0)
        return 0;
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static bool is_blocked(struct wf_thread *thread)
{
    int tid = wf_load_relaxed(&thread->tid);
    if (thread->syscall_fd == -1 && tid != 0) {
        char path[64];
        snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
        thread->syscall_fd = open(path, O_RDONLY | O_CLOEXEC);
        if (thread->syscall_fd < 0)
            thread->syscall_fd = -2;
    }
    if (thread->syscall_fd < 0)
        return false;
    char text[8];
    ssize_t n = pread(thread->syscall_fd, text, sizeof(text), 0);
    return n >= 7 && memcmp(text, "running", 7) != 0;
}

/* Takes the worker from `thread` and gives it to another one. */
static bool hand_off(struct wf_worker *worker, struct wf_thread *thread)
{
    struct wf_thread *other = wf_thread_take_spare(worker->pool);
    if (other == NULL)
        return false;
    if (!wf_guard_seize(thread)) {
        wf_thread_put_spare(other);
        return false;
    }
    /* By now it may doze: in the scheduler it goes on with its worker when it wakes, and does not ask whether that was lost. */
    if (thread->worker != worker || wf_load_relaxed(&worker->state) != WF_WORKER_RUNNING ||
        thread->current == thread->scheduler) {
        wf_guard_release(thread, false);
        wf_thread_put_spare(other);
        return false;
    }
    wf_thread_set_worker(thread, NULL);
    worker->budget = 1;
    wf_guard_release(thread, true);
    wf_thread_give_worker(other, worker);
    return true;
}

/* A pool that somebody has made is to compute on as many CPUs as it has workers and no more; there a routine that computes
 * keeps its worker, and only one that sits in a blocking call is replaced. */
static bool replaces_hogs(struct wf_pool *pool)
{
    return pool == wf_default_pool;
}

/* True when something was done about it. */
static bool check_worker(struct wf_worker *worker, int64_t now)
{
    uint32_t tick = wf_load_relaxed(&worker->tick);
    struct wf_thread *thread = wf_load_acquire(&worker->thread);
    if (thread == NULL || wf_load_relaxed(&worker->state) != WF_WORKER_RUNNING)
        return false;
    if (tick != worker->pilot_tick || worker->pilot_thread != thread) {
        worker->pilot_tick = tick;
        worker->pilot_thread = thread;
        worker->pilot_since_ns = now;
        worker->pilot_cpu_ns = cpu_time(thread);
        if (wf_ring_length(&worker->ring) + wf_private_length(worker) > 0)
            wf_idle_wake_slow(worker->pool); /* well, but others could help */
        return false;
    }
    if (now - worker->pilot_since_ns < BLOCKED_NS || !has_work(worker, now))
        return false;
    if (wf_idle_wake_one(worker->pool))
        return true;
    bool is_hog = replaces_hogs(worker->pool) && cpu_time(thread) - worker->pilot_cpu_ns >= HOG_NS;
    if (!is_hog && !is_blocked(thread))
        return false;
    return hand_off(worker, thread);
}

/* ---- deadlock ---- */

static unsigned process_threads(void)
{
    char text[1024];
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0)
        return 0;
    text[n] = 0;
    char *at = strrchr(text, ')'); /* the name may hold anything; the state is the 1st, num_threads the 18th after it */
    unsigned dead = at != NULL && at[1] == ' ' && at[2] == 'Z'; /* main has left by pthread_exit, but is counted */
    for (int field = 0; at != NULL && field < 18; field++)
        at = strchr(at + 1, ' ');
    return at == NULL ? 0 : (unsigned)strtoul(at, NULL, 10) - dead;
}

static bool all_threads_idle(void)
{
    uint32_t all = wf_load_relaxed(&wf_threads.n_all), idle = wf_threads_spare();
    for (struct wf_pool *pool = NULL; (pool = wf_pool_next(pool)) != NULL;)
        for (uint32_t i = 0; i < wf_load_acquire(&pool->reach); i++)
            idle += wf_worker_is_asleep(&pool->workers[i]);
    return idle == all;
}

enum verdict { ALIVE, UNKNOWN, DEADLOCK };

/* A timer, or a runnable routine, of any pool. Retired workers have neither. */
static bool something_pending(void)
{
    for (struct wf_pool *pool = NULL; (pool = wf_pool_next(pool)) != NULL;)
        for (uint32_t i = 0; i < wf_load_acquire(&pool->reach); i++) {
            struct wf_worker *worker = &pool->workers[i];
            if (wf_timers_next_wake(&worker->timers) != INT64_MAX || has_work(worker, 0))
                return true;
        }
    return false;
}

/* All workers are parked. Could anything wake a routine? */
static enum verdict judge(void)
{
    if (something_pending())
        return ALIVE;
    uint32_t foreign = wf_load_seq_cst(&wf_threads.n_foreign);
    uint32_t blocked = wf_load_seq_cst(&wf_threads.n_foreign_blocked);
    if (!all_threads_idle() || blocked != foreign || wf_load_relaxed(&pilot.no_deadlock) > 0)
        return ALIVE;
    if (something_pending() || !wf_idle_all_parked())
        return ALIVE;
    unsigned known = wf_load_relaxed(&wf_threads.n_all) + foreign + 1;
    unsigned present = process_threads();
    if (present == 0)
        return ALIVE;
    return present > known ? UNKNOWN : DEADLOCK; /* a thread that has not used weft yet may do so */
}

/* Everything that happens leaves a trace here: schedules, and wake-ups of plain threads. */
static uint64_t signature(void)
{
    uint64_t sum = wf_load_seq_cst(&wf_threads.n_foreign_wakes);
    for (struct wf_pool *pool = NULL; (pool = wf_pool_next(pool)) != NULL;)
        for (uint32_t i = 0; i < wf_load_acquire(&pool->n_slots); i++)
            sum += wf_load_seq_cst(&pool->workers[i].tick);
    return sum + wf_load_seq_cst(&wf_threads.n_foreign) * 0x10001u;
}

/* The parts of judge() are read one after the other; they belong to one moment only if nothing has happened meanwhile,
 * and a plain thread that was just woken or attached had its say. So: the same verdict in two rounds with the same
 * signature around both. */
static enum verdict judge_twice(uint64_t *last_signature)
{
    uint64_t before = signature();
    enum verdict verdict = judge();
    uint64_t last = *last_signature;
    *last_signature = verdict == ALIVE ? 0 : before;
    return signature() == before && last == before ? verdict : ALIVE;
}

void wf_pilot_hold_deadlock(int by)
{
    wf_add_seq_cst(&pilot.no_deadlock, (uint32_t)by);
}

/* ---- the loop ---- */

static int64_t next_timer_of_running(void)
{
    int64_t earliest = INT64_MAX;
    for (struct wf_pool *pool = NULL; (pool = wf_pool_next(pool)) != NULL;)
        for (uint32_t i = 0; i < wf_load_acquire(&pool->reach); i++) {
            int64_t t = wf_load_relaxed(&pool->workers[i].timers.earliest_ns);
            if (wf_load_relaxed(&pool->workers[i].state) == WF_WORKER_RUNNING && t < earliest)
                earliest = t;
        }
    return earliest;
}

/* Under the lock that keeps threads from being ended. True when something was done. */
static bool check_pools(struct wf_thread *self, int64_t now)
{
    bool acted = false;
    wf_enter(); /* the world may have to stand still */
    wf_pools_lock_inside(self);
    for (struct wf_pool *pool = NULL; (pool = wf_pool_next(pool)) != NULL;) {
        if (WF_UNLIKELY(wf_load_relaxed(&pool->reach) > wf_load_relaxed(&pool->size))) {
            wf_pool_settle(pool, true);
            acted = true;
        }
        if (WF_UNLIKELY(wf_load_acquire(&pool->start_wanted) != 0))
            wf_idle_start_again(pool);
        for (uint32_t i = 0; i < wf_load_relaxed(&pool->size); i++)
            acted |= check_worker(&pool->workers[i], now);
    }
    wf_hooks.pilot_round_inside(self, now, wf_idle_all_parked());
    pthread_mutex_unlock(&wf_pools.lock);
    wf_leave(self);
    return acted;
}

static bool starts_wanted(void)
{
    for (struct wf_pool *pool = NULL; (pool = wf_pool_next(pool)) != NULL;)
        if (wf_load_seq_cst(&pool->start_wanted) != 0)
            return true;
    return false;
}

static void nap(int64_t until)
{
    wf_futex_wait(&pilot.stopping, 0, until);
}

/* Deep sleep, unless something has happened since `seen` was taken. `recheck_ns` > 0: look again after so long. */
static void sleep_deep(uint64_t seen, uint32_t seen_blocked, int64_t recheck_ns)
{
    wf_swap_seq_cst(&pilot.asleep, 1); /* [Z1] */
    wf_fence_seq_cst();
    int64_t deadline = recheck_ns > 0 ? wf_now_ns() + recheck_ns : WF_FUTEX_FOREVER;
    if (wf_idle_all_parked() && signature() == seen && wf_load_seq_cst(&wf_threads.n_foreign_blocked) == seen_blocked &&
        wf_load_seq_cst(&pilot.stopping) == 0 && !starts_wanted() && !wf_hooks.background_wanted())
        wf_futex_wait(&pilot.asleep, 1, deadline);
    wf_swap_seq_cst(&pilot.asleep, 0);
}

void wf_pilot_wake(void)
{
    wf_fence_seq_cst(); /* [Z2] */
    if (WF_UNLIKELY(wf_load_relaxed(&pilot.asleep) != 0) && wf_swap_seq_cst(&pilot.asleep, 0) != 0)
        wf_futex_wake(&pilot.asleep, 1);
}

static void *pilot_main(void *arg)
{
    (void)arg;
    struct wf_thread *self = wf_thread_adopt();
    prctl(PR_SET_TIMERSLACK, 1000ul);
    int64_t round = ROUND_FIRST_NS, idle_since = 0, recheck = ROUND_MOST_NS;
    uint64_t last_signature = 0;
    unsigned quiet = 0, judged = 0;
    while (wf_load_acquire(&pilot.stopping) == 0) {
        int64_t now = wf_now_ns();
        wf_hooks.pilot_round(now);
        bool acted = check_pools(self, now);
        if (acted) {
            quiet = 0;
            round = ROUND_FIRST_NS;
        } else if (++quiet > QUIET_ROUNDS) {
            round = round * 2 < ROUND_MOST_NS ? round * 2 : ROUND_MOST_NS;
        }
        if (!wf_idle_all_parked()) {
            idle_since = 0;
            judged = 0;
            recheck = ROUND_MOST_NS;
        } else if (idle_since == 0) {
            idle_since = now;
        } else if (round == ROUND_MOST_NS) {
            uint64_t seen = signature();
            uint32_t blocked = wf_load_seq_cst(&wf_threads.n_foreign_blocked);
            uint64_t last = last_signature;
            enum verdict verdict = judge_twice(&last_signature);
            judged = last == last_signature ? judged + 1 : 0; /* never sleep on a verdict that is still to be confirmed */
            if (verdict == DEADLOCK)
                wf_hooks.all_waiting();
            if (now - idle_since >= IDLE_BEFORE_SLEEP_NS && judged >= 2 && !wf_hooks.background_wanted()) {
                sleep_deep(seen, blocked, verdict == UNKNOWN ? recheck : 0);
                recheck = recheck * 2 < RECHECK_MOST_NS ? recheck * 2 : RECHECK_MOST_NS;
                idle_since = wf_now_ns();
                judged = 0;
                continue;
            }
        }
        int64_t timer = next_timer_of_running();
        nap(timer < now + round ? (timer > now + ROUND_FIRST_NS ? timer : now + ROUND_FIRST_NS) : now + round);
    }
    wf_thread_abandon(self);
    return NULL;
}

int wf_pilot_start(void)
{
    wf_store_relaxed(&pilot.stopping, 0);
    wf_store_relaxed(&pilot.asleep, 0);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&pilot.thread, NULL, pilot_main, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pilot.started = error == 0;
    return -error;
}

void wf_pilot_stop(void)
{
    if (!pilot.started)
        return;
    wf_store_seq_cst(&pilot.stopping, 1);
    wf_futex_wake(&pilot.stopping, 1);
    wf_swap_seq_cst(&pilot.asleep, 0);
    wf_futex_wake(&pilot.asleep, 1);
    pthread_join(pilot.thread, NULL);
    pilot.started = false;
}
