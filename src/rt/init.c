/* SPDX-License-Identifier: MIT */
/* init.c - start and stop of the runtime: the only file that knows every room.
 *
 * The runtime starts by itself on first use, from the environment. `state.lock` serialises start and stop; it is a
 * pthread mutex because both create or join threads.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <weft/runtime.h>

#include "base/assert.h"
#include "base/membarrier.h"
#include "chan/chan.h"
#include "coro/coro.h"
#include "chan/select.h"
#include "debug/backtrace.h"
#include "debug/deadlock.h"
#include "debug/fault.h"
#include "debug/leaks.h"
#include "debug/watch.h"
#include "gc/background.h"
#include "gc/collect.h"
#include "rt/config.h"
#include "sched/hooks.h"
#include "sched/idle.h"
#include "sched/park.h"
#include "sched/pilot.h"
#include "sched/pool.h"
#include "sched/sched.h"
#include "sched/threads.h"
#include "sched/world.h"
#include "scope/future.h"
#include "scope/group.h"
#include "scope/local.h"
#include "scope/panic.h"
#include "scope/scope.h"
#include "scope/tracker.h"
#include "stack/arena.h"
#include "stack/overflow.h"
#include "sync/lockdebug.h"
#include "sync/lot.h"
#include "time/clock.h"

static struct {
    pthread_mutex_t lock;
    _Atomic uint32_t running;
    _Atomic uint32_t forked; /* 1 in a child of fork(): it has one thread and none of the others */
    bool prepared;           /* lock */
    struct wf_config config;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

_Atomic int32_t wf_born_pending;

static int ensure_started(void);
static void ensure_prepared(void);

static void pilot_round(int64_t now_ns)
{
    wf_watch_round(now_ns);
    wf_background_release(now_ns);
}

struct wf_hooks wf_hooks = {
    .ensure_started = ensure_started,
    .ensure_prepared = ensure_prepared,
    .future_create = wf_future_create,
    .future_discard = wf_future_free,
    .future_settle = wf_future_settle,
    .child_end = wf_child_end,
    .child_start = wf_child_start,
    .child_refused = wf_child_refused,
    .frames_check = wf_frames_check,
    .frames_deadline = wf_frames_deadline,
    .frames_pass = wf_frames_pass,
    .end_locals = wf_locals_end,
    .each_root = wf_coro_each_stack,
    .each_local = wf_locals_each_range,
    .each_outer_stack = wf_coro_each_outer_stack,
    .coro_stack_low = wf_coro_stack_low,
    .cache_retire = wf_gc_cache_retire,
    .after_switch = wf_gc_after_switch,
    .trace_take = wf_backtrace_take,
    .trace_print = wf_backtrace_print,
    .all_waiting = wf_deadlock_found,
    .pilot_round = pilot_round,
    .pilot_round_inside = wf_background_collect,
    .background_wanted = wf_background_wanted,
};

const wf_trace_fn wf_channel_trace = wf_chan_trace;

struct wf_wait_ops wf_wait_kinds[WF_N_WAIT_KINDS] = {
    [WF_WAIT_NONE] = {"runnable", NULL},
    [WF_WAIT_CHAN_SEND] = {"sends to a channel", wf_chan_send_abort},
    [WF_WAIT_CHAN_RECV] = {"receives from a channel", wf_chan_recv_abort},
    [WF_WAIT_CHAN_NIL] = {"waits on a nil channel", wf_chan_nil_abort},
    [WF_WAIT_SELECT] = {"selects", wf_select_abort},
    [WF_WAIT_SLEEP] = {"sleeps", wf_sleep_abort},
    [WF_WAIT_SLEEP_THREAD] = {"sleeps", wf_sleep_thread_abort},
    [WF_WAIT_SCOPE] = {"waits for the children of a scope", NULL},
    [WF_WAIT_FUTURE] = {"awaits a future", wf_future_abort},
    [WF_WAIT_MUTEX] = {"locks a mutex", NULL},
    [WF_WAIT_RWMUTEX_READ] = {"read-locks a rwmutex", NULL},
    [WF_WAIT_RWMUTEX_WRITE] = {"write-locks a rwmutex", NULL},
    [WF_WAIT_COND] = {"waits on a cond", wf_lot_abort_cond},
    [WF_WAIT_WAITGROUP] = {"waits for a wait group", wf_lot_abort_waitgroup},
    [WF_WAIT_ONCE] = {"waits for a once", NULL},
    [WF_WAIT_SEM] = {"acquires a semaphore", wf_lot_abort_sem},
    [WF_WAIT_BARRIER] = {"waits at a barrier", wf_lot_abort_barrier},
    [WF_WAIT_LATCH] = {"waits for a latch", wf_lot_abort_latch},
    [WF_WAIT_TRACKER] = {"waits for a tracker", wf_tracker_abort},
    [WF_WAIT_GROUP] = {"waits for several futures", wf_group_abort},
    [WF_WAIT_LOSERS] = {"waits for cancelled futures to end", NULL},
};

/* ---- fork ---- */

/* While the runtime runs, a child has none of the threads that drive the workers: it may only exec or _exit, its first use of weft
 * says so, and nothing need be kept in order for it. That is also so while weft_stop() waits with the lock held.
 * Otherwise a child goes on as its parent would, alone: nobody is to be inside the runtime meanwhile, nor to start it. */
static WF_TLS bool forks_quietly; /* of this thread's fork(), in the child too */

static void before_fork(void)
{
    forks_quietly = false;
    if (wf_load_acquire(&state.running) != 0)
        return;
    pthread_mutex_lock(&state.lock);
    forks_quietly = wf_load_relaxed(&state.running) == 0 && wf_load_relaxed(&state.forked) == 0;
    if (!forks_quietly)
        pthread_mutex_unlock(&state.lock);
    else if (state.prepared)
        wf_world_before_fork();
}

static void after_fork_in_parent(void)
{
    if (!forks_quietly)
        return;
    if (state.prepared)
        wf_world_after_fork_in_parent();
    pthread_mutex_unlock(&state.lock);
}

static void after_fork_in_child(void)
{
    if (forks_quietly) {
        if (state.prepared) {
            wf_membarrier_init(state.config.no_membarrier);
            wf_world_after_fork_in_child();
        }
        pthread_mutex_unlock(&state.lock);
        return;
    }
    wf_store_relaxed(&state.forked, 1);
    wf_thread_forget_self();
}

/* As early as can be: what is registered first comes last before a fork and first after it. A thread that waits for our
 * fork to be over may hold locks that other handlers want. */
__attribute__((constructor(101))) static void register_fork_handlers(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* ---- start ---- */

static uint32_t cache_size(uint32_t n_slots, uint32_t procs)
{
    uint32_t fair = n_slots / (4 * procs);
    return fair < 1 ? 1 : fair > WF_FREE_STACKS ? WF_FREE_STACKS : fair;
}

/* A plain thread that has seen wf_n_workers may have been quicker to wake the first worker. */
static bool some_worker_is_used(void)
{
    for (uint32_t i = 0; i < wf_n_workers; i++)
        if (wf_load_acquire(&wf_workers[i].state) != WF_WORKER_UNUSED)
            return true;
    return false;
}

static int bring_up(const struct wf_config *c)
{
    int error = wf_arena_init(c->stack_size, c->stack_memory, c->no_guard_install);
    if (error != 0)
        return error;
    wf_stack_cache = cache_size(wf_arena.n_slots, c->procs);
    /* Slots that no descriptor may count on: cached by workers, or on their way from a routine that ends. */
    uint32_t held = (wf_stack_cache + 1) * c->procs;
    error = wf_arena.n_slots > held ? wf_routines_init(wf_arena.n_slots - held, held, c->procs) : -ENOMEM;
    if (error != 0)
        goto arena;
    error = wf_pools_open(c->procs);
    if (error != 0)
        goto routines;
    error = wf_overflow_install(&wf_fault_hooks);
    if (error != 0)
        goto pools;
    wf_watch_start(c->dump_signal, c->sched_trace_ms);
    wf_n_workers = c->procs;
    error = wf_pilot_start();
    if (error != 0)
        goto overflow;
    if (wf_idle_wake_one(wf_default_pool) || some_worker_is_used())
        return 0;
    error = -EAGAIN;
    wf_pilot_stop();
overflow:
    wf_n_workers = 0;
    wf_watch_stop();
    wf_overflow_uninstall();
pools:
    wf_pools_close();
    wf_pools_clear();
routines:
    wf_routines_fini();
arena:
    wf_arena_fini();
    return error;
}

/* What collected memory needs, with or without workers. */
static int prepare_locked(const weft_config *user)
{
    int error = wf_config_load(&state.config, user);
    if (error != 0)
        return error;
    if (!state.prepared) {
        wf_membarrier_init(state.config.no_membarrier);
        error = wf_world_init();
        if (error != 0)
            return error;
        state.prepared = true;
    }
    bool leaks = (wf_leak_mode = state.config.leak) != WF_LEAK_OFF;
    wf_gc_configure(&(struct wf_gc_config){.look = leaks ? wf_leaks_look : NULL,
                                           .looked = leaks ? wf_leaks_tell : NULL,
                                           .percent = state.config.gc_percent,
                                           .limit_bytes = state.config.memory_limit,
                                           .hint_bytes = state.config.memory_hint,
                                           .trace = state.config.gc_trace,
                                           .verify = state.config.gc_verify,
                                           .stress = state.config.gc_stress});
    return 0;
}

static int start_locked(const weft_config *user)
{
    int error = prepare_locked(user);
    if (error != 0)
        return error;
    if (state.config.locks)
        wf_lockdebug_enable();
    wf_deadlock_mode = state.config.deadlock;
    wf_on_panic = user != NULL ? user->on_panic : NULL;
    wf_on_panic_arg = user != NULL ? user->on_panic_arg : NULL;
    wf_world_hold();
    error = bring_up(&state.config);
    wf_world_release();
    if (error == 0)
        wf_store_release(&state.running, 1);
    return error;
}

static void refuse_in_child(void)
{
    if (wf_load_relaxed(&state.forked) != 0)
        wf_fatal("a child of fork() used weft: it has none of the runtime's threads; only exec and _exit work there");
}

static int start(const weft_config *user, bool must_be_new)
{
    int saved = errno;
    refuse_in_child();
    if (wf_load_acquire(&state.running) != 0) /* without the lock: weft_stop holds it while it waits for routines */
        return must_be_new ? -EALREADY : 0;
    pthread_mutex_lock(&state.lock);
    int error = wf_load_relaxed(&state.running) == 0 ? start_locked(user) : must_be_new ? -EALREADY : 0;
    pthread_mutex_unlock(&state.lock);
    errno = saved;
    return error;
}

static int ensure_started(void)
{
    if (wf_load_acquire(&state.running) != 0 && wf_load_relaxed(&state.forked) == 0)
        return 0;
    return start(NULL, false);
}

static void ensure_prepared(void)
{
    int saved = errno;
    refuse_in_child();
    pthread_mutex_lock(&state.lock);
    if (!state.prepared && prepare_locked(NULL) != 0)
        wf_fatal("the signal of the collector cannot be handled");
    pthread_mutex_unlock(&state.lock);
    errno = saved;
}

WF_PUBLIC int weft_start(const weft_config *config)
{
    return start(config, true);
}

WF_PUBLIC unsigned weft_procs(void)
{
    return ensure_started() == 0 ? wf_load_acquire(&wf_default_pool->size) : 0;
}

/* ---- stop ---- */

/* Started and not ended. Reads all ends before all starts, so that it is never too small for what existed before the call. */
static uint64_t live_routines(void)
{
    uint64_t ended = 0, started = 0;
    for (struct wf_pool *pool = NULL; (pool = wf_pool_next(pool)) != NULL;)
        ended += wf_pool_ended(pool);
    for (struct wf_pool *pool = NULL; (pool = wf_pool_next(pool)) != NULL;)
        started += wf_pool_started(pool);
    return started - ended;
}

static void end_all_waits(struct wf_thread *thread)
{
    uint32_t n = wf_routines_count();
    for (uint32_t i = 0; i < n; i++)
        if (wf_load_relaxed(&wf_routine_at(i)->id) != 0)
            wf_store_relaxed(&wf_routine_at(i)->pending, -ECANCELED);
    wf_heavy_fence(); /* [P2] */
    for (uint32_t i = 0; i < n; i++)
        if (wf_load_relaxed(&wf_routine_at(i)->id) != 0)
            wf_wait_abort(thread, wf_routine_at(i), -ECANCELED);
}

/* Some other plain thread is inside the runtime, perhaps on its way to wake or make a thread of it. */
static bool plain_thread_inside(struct wf_thread *self)
{
    bool inside = false;
    wf_heavy_fence();
    wf_spinlock_lock(&wf_threads.foreign_lock);
    for (struct wf_thread *t = wf_threads.foreign; t != NULL; t = t->next_all)
        inside |= t != self && wf_load_acquire(&t->in_rt) != 0;
    wf_spinlock_unlock(&wf_threads.foreign_lock);
    return inside;
}

/* Nobody is in the midst of a retirement. */
static void clear_timers(void)
{
    for (struct wf_pool *pool = NULL; (pool = wf_pool_next(pool)) != NULL;)
        for (uint32_t i = 0; i < wf_load_acquire(&pool->n_slots); i++)
            wf_timers_clear(&pool->workers[i].timers);
}

/* The world is held: no collection looks at them meanwhile. */
static void retire_caches(void)
{
    for (struct wf_pool *pool = NULL; (pool = wf_pool_next(pool)) != NULL;)
        for (uint32_t i = 0; i < wf_load_acquire(&pool->n_slots); i++) {
            wf_gc_cache_retire(pool->workers[i].cache);
            pool->workers[i].cache = NULL;
        }
}

static void tear_down(void)
{
    wf_pools_close();
    wf_pilot_stop();
    wf_threads_stop();
    wf_n_workers = 0;
    while (plain_thread_inside(wf_thread_self())) /* it may be arming a timer */
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    clear_timers();
    wf_coros_clear();
    retire_caches();
    wf_pools_clear();
    wf_watch_stop();
    wf_overflow_uninstall();
    wf_routines_fini();
    wf_arena_fini();
    wf_store_relaxed(&wf_born_pending, 0);
}

WF_PUBLIC int weft_stop(void)
{
    struct wf_thread *thread = wf_thread_self();
    if (thread != NULL && (thread->current->flags & WF_FOREIGN) == 0)
        return -EDEADLK;
    pthread_mutex_lock(&state.lock);
    if (wf_load_relaxed(&state.running) == 0) {
        pthread_mutex_unlock(&state.lock);
        return 0;
    }
    if (wf_leak_mode != WF_LEAK_OFF)
        wf_leaks_look_now();
    wf_store_seq_cst(&wf_born_pending, -ECANCELED);
    wf_pilot_hold_deadlock(1);
    thread = wf_enter();
    while (live_routines() > 0) {
        end_all_waits(thread);
        wf_leave(thread);
        nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
        thread = wf_enter();
    }
    /* No timer may start anything any more; then everybody must be out of the queues that are taken away. */
    wf_leave(thread);
    wf_pools_enter(); /* in the midst of a retirement some may be on the way from one worker to another */
    clear_timers();
    wf_pools_leave();
    thread = wf_enter();
    while (!wf_idle_all_parked() || live_routines() > 0 || plain_thread_inside(thread)) {
        end_all_waits(thread);
        wf_leave(thread);
        nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
        thread = wf_enter();
    }
    wf_leave(thread);
    wf_store_release(&state.running, 0);
    wf_world_hold();
    tear_down();
    wf_world_release();
    wf_pilot_hold_deadlock(-1);
    pthread_mutex_unlock(&state.lock);
    return 0;
}
