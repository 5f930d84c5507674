/* SPDX-License-Identifier: MIT */
/* idle.c - looking for work, the idle ladder, and waking.
 *
 * Problem. Waking a sleeping CPU costs the waker 6 us and takes 11-18 us until it runs, so it must be rare; yet no
 * runnable routine may be left behind while a worker sleeps, and an idle process must not wake up at all.
 *
 * Ladder. A worker without work spins for SPIN_NS (one at a time), then naps (sleeps of 50 to 200 us, NAP_TOTAL_NS in
 * all), then parks until it is woken or its earliest timer is due. Nobody wakes a spinner or, for local work, a napper:
 * they come back by themselves, so a producer whose consumers come and go pays nothing. Work that no worker would look
 * for soon (the injection queue) wakes a napper too.
 *
 * States of a worker, and who moves it:
 *
 *   UNUSED --wake_one--> SEARCHING <--search-- RUNNING          SEARCHING: counted in the high half of idle_word
 *                         |  ^ |  ^                             NAPPING:   counted there too
 *      search finds: RUNNING | |  +-- own timeout, wf_worker_wake (CAS) -- NAPPING
 *                            | +----------------- nap ------------------->
 *                            +-- own timeout, wf_worker_wake (CAS) -- PARKED <-- park -- SEARCHING
 *                                                               PARKED, UNUSED: counted in the low half
 *                                                               RETIRED (pool.h): counted nowhere
 *
 * Everything here is one pool's affair: its counts, its injection queue, its rings, its timers. A worker looks at nothing
 * of another pool, so that one that computes, or sleeps with a low share of the CPUs, holds up nobody elsewhere.
 *
 * Whoever wins the CAS out of NAPPING or PARKED adjusts the counts, so they always add up; a woken worker is counted as
 * searching before it runs, hence at most one wake is in flight until it has found something.
 *
 * No lost wake-up. [I1] (park.h) a producer publishes work, then loads its pool's idle_word. [I2] (park below) a searcher moves
 * itself from searching to asleep, calls wf_heavy_fence(), then looks at every queue once more. The heavy fence stands
 * for the producer's missing store-load fence: either its load comes after the count changed and it wakes somebody, or
 * its push is seen by the last look. Where membarrier is refused, idle_word is the constant that always sends the
 * producer to wf_idle_wake_slow, which fences; the real counts are in `fenced_counts`.
 * [I3] The last searcher that finds work wakes another one when more is visible: a producer that saw it searching did
 * not.
 * [I4] A worker that was never used is claimed, counted as searching, and may turn out to get no thread. Then it goes back, and
 * after that start_wanted is set: the pilot clears it, fences, looks, and starts somebody if there is work. In this order,
 * so that the pilot cannot have relied on the claimed one.
 *
 * Rejected: waking for every push (Go's 5 % in futex), a stealable `next` (two locked instructions a wake-up), parking
 * without naps (a producer that hands out work every few microseconds would pay 6 us each time).
 */
#include "sched/idle.h"

#include "base/futex.h"
#include "base/membarrier.h"
#include "base/perturb.h"
#include "sched/inject.h"
#include "sched/park.h"
#include "sched/pilot.h"
#include "sched/place.h"
#include "sched/retire.h"
#include "sched/sched.h"
#include "sched/threads.h"
#include "sched/world.h"
#include "time/clock.h"

enum {
    SPIN_NS = 20000,
    PARK_LEAST_NS = 40000, /* timers that come thick are served in bunches: a sleep and a wake cost 8 us of CPU */
    NAP_FIRST_NS = 50000,
    NAP_MOST_NS = 200000,
    NAP_TOTAL_NS = 2000000,
    ARRIVALS_STALE_NS = 5000000, /* the same for its arrivals, which would have to stay with the thief */
    STALE_NS = 20000,          /* a victim whose tick stands still for so long gets its private work rescued */
    LOOKS_BEFORE_LAST_ONE = 3, /* looks at the same single ring entry before it is taken */
    INJECT_TAKE = 64,
    BATCH_AGE_NS = 50000000, /* a batch of fresh routines that has waited so long is taken before newer ones */
    HIGH_MOST = 64,          /* routines of high priority in a row before somebody else has a turn */
    LOW_EVERY = 16,          /* looks between turns of low priority */
    LOOK_NS = 200000,        /* the loop looks around about so often when routines are long */
};

uint32_t wf_n_workers;
uint32_t wf_stack_cache;

static _Atomic uint32_t *counts(struct wf_pool *pool)
{
    return wf_fences_needed() ? &pool->fenced_counts : &pool->idle_word;
}

static uint32_t asleep_of(uint32_t word)
{
    return word & WF_IDLE_ASLEEP_MASK;
}
static uint32_t searching_of(uint32_t word)
{
    return word / WF_IDLE_SEARCHING_ONE;
}

void wf_idle_init(struct wf_pool *pool)
{
    wf_store_relaxed(&pool->idle_word, WF_IDLE_ASLEEP_ONE);
    wf_store_relaxed(counts(pool), 0);
    wf_store_relaxed(&pool->n_napping, 0);
}

void wf_idle_count_unused(struct wf_pool *pool, int32_t n)
{
    wf_add_seq_cst(counts(pool), (uint32_t)n * WF_IDLE_ASLEEP_ONE);
}

/* ---- waking ---- */

/* Moves a worker out of a sleep on behalf of a waker. True: the caller must make its thread run. */
static bool claim_sleeper(struct wf_worker *worker, uint32_t state)
{
    if (!wf_cas_acq_rel(&worker->state, &state, WF_WORKER_SEARCHING))
        return false;
    if (state == WF_WORKER_NAPPING)
        wf_sub_relaxed(&worker->pool->n_napping, 1);
    else
        wf_add_seq_cst(counts(worker->pool), WF_IDLE_SEARCHING_ONE - WF_IDLE_ASLEEP_ONE);
    return true;
}

static void rouse(struct wf_worker *worker)
{
    struct wf_thread *thread = wf_load_acquire(&worker->thread);
    wf_store_release(&thread->wake, 1);
    wf_futex_wake(&thread->wake, 1);
    wf_pilot_wake();
}

/* No thread is to be had for a worker that was never used: it stays unused. [I4] While it counted as searching others relied
 * on it and woke nobody, the pilot among them: only what is asked of the pilot from now on is sure to be done. */
static void unclaim_unused(struct wf_worker *worker)
{
    struct wf_pool *pool = worker->pool;
    wf_perturb(); /* others who rely on it */
    wf_add_seq_cst(counts(pool), (uint32_t)(WF_IDLE_ASLEEP_ONE - WF_IDLE_SEARCHING_ONE));
    wf_store_release(&worker->state, WF_WORKER_UNUSED);
    wf_fence_seq_cst();
    wf_arrivals_leave(worker); /* [A2] */
    wf_store_seq_cst(&pool->start_wanted, 1);
    wf_pilot_wake(); /* [Z2] */
}

bool wf_worker_wake(struct wf_worker *worker)
{
    uint32_t state = wf_load_acquire(&worker->state);
    if (state != WF_WORKER_PARKED && state != WF_WORKER_NAPPING)
        return false;
    if (!claim_sleeper(worker, state))
        return false;
    rouse(worker);
    return true;
}

static bool more_visible(struct wf_pool *pool);

/* The same for those of them who sleep. */
static bool wake_instead(struct wf_pool *pool)
{
    wf_fence_seq_cst();
    for (uint32_t i = 0; more_visible(pool) && i < wf_load_acquire(&pool->size); i++)
        if (wf_worker_wake(&pool->workers[i]))
            return true;
    return false;
}

bool wf_worker_start(struct wf_worker *worker)
{
    if (!claim_sleeper(worker, WF_WORKER_UNUSED))
        return true;
    if (wf_thread_for_worker(worker)) {
        wf_pilot_wake();
        return true;
    }
    unclaim_unused(worker);
    wake_instead(worker->pool);
    return false;
}

bool wf_idle_wake_one(struct wf_pool *pool)
{
    uint32_t n = wf_load_acquire(&pool->size);
    struct wf_worker *workers = pool->workers;
    for (uint32_t i = 0; i < n; i++)
        if (wf_load_relaxed(&workers[i].state) == WF_WORKER_PARKED && claim_sleeper(&workers[i], WF_WORKER_PARKED)) {
            rouse(&workers[i]);
            return true;
        }
    for (uint32_t i = 0; i < n; i++)
        if (wf_load_relaxed(&workers[i].state) == WF_WORKER_UNUSED && claim_sleeper(&workers[i], WF_WORKER_UNUSED)) {
            if (wf_thread_for_worker(&workers[i])) {
                wf_pilot_wake();
                return true;
            }
            unclaim_unused(&workers[i]);
            return wake_instead(pool);
        }
    return false;
}

WF_COLD void wf_idle_wake_slow(struct wf_pool *pool)
{
    wf_fence_seq_cst();
    uint32_t word = wf_load_relaxed(counts(pool));
    if (asleep_of(word) > 0 && searching_of(word) == 0)
        wf_idle_wake_one(pool);
}

void wf_idle_wake_inject(struct wf_pool *pool)
{
    wf_fence_seq_cst();
    uint32_t word = wf_load_relaxed(counts(pool));
    uint32_t naps = wf_load_relaxed(&pool->n_napping);
    if (searching_of(word) > naps)
        return; /* somebody is awake and looking */
    if (naps > 0)
        for (uint32_t i = 0; i < wf_load_acquire(&pool->size); i++)
            if (wf_load_relaxed(&pool->workers[i].state) == WF_WORKER_NAPPING && wf_worker_wake(&pool->workers[i]))
                return;
    if (asleep_of(word) > 0)
        wf_idle_wake_one(pool);
}

void wf_idle_start_again(struct wf_pool *pool)
{
    wf_store_seq_cst(&pool->start_wanted, 0);
    wf_heavy_fence(); /* [I4] before the look; for producers that do not fence either, as in [I2] */
    if (more_visible(pool) || wf_thread_is_wanting(pool)) /* a spare thread's pinned ones rely on searchers, too */
        wf_idle_wake_inject(pool);
}

bool wf_idle_all_parked(void)
{
    for (struct wf_pool *pool = NULL; (pool = wf_pool_next(pool)) != NULL;)
        for (uint32_t i = 0; i < wf_load_acquire(&pool->reach); i++)
            if (wf_worker_has_thread(&pool->workers[i]) && !wf_worker_is_asleep(&pool->workers[i]))
                return false;
    return true;
}

/* ---- work at hand ---- */

static void run_timers(struct wf_thread *thread, struct wf_timers *set, int64_t now)
{
    struct wf_timer_batch batch;
    bool more;
    (void)thread;
    do {
        more = wf_timers_run(set, now, &batch);
        for (unsigned i = 0; i < batch.n; i++)
            __builtin_prefetch(batch.items[i].arg);
        for (unsigned i = 0; i < batch.n; i++)
            batch.items[i].expire(batch.items[i].arg);
    } while (more);
}

/* Timers of other pools are left alone: what they start or wake belongs there, and the pilot sees that they are run. */
static void run_due_timers(struct wf_thread *thread, int64_t now)
{
    struct wf_pool *pool = thread->pool;
    for (uint32_t i = 0; i < wf_load_acquire(&pool->reach); i++)
        if (wf_load_relaxed(&pool->workers[i].timers.earliest_ns) <= now)
            run_timers(thread, &pool->workers[i].timers, now);
}

static struct wf_routine *pop_pinned(struct wf_thread *thread)
{
    if (wf_load_relaxed(&thread->n_pinned) == 0)
        return wf_arrivals_pop(thread->worker);
    wf_spinlock_lock(&thread->pinned_lock);
    struct wf_routine *r = thread->pinned_head;
    if (r != NULL) {
        thread->pinned_head = r->link;
        wf_store_relaxed(&thread->n_pinned, wf_load_relaxed(&thread->n_pinned) - 1);
        wf_sub_relaxed(&thread->pool->n_pinned, 1);
    }
    wf_spinlock_unlock(&thread->pinned_lock);
    return r;
}

static struct wf_routine *pop_next(struct wf_worker *worker)
{
    struct wf_routine *r = wf_load_relaxed(&worker->next);
    if (r != NULL)
        wf_store_relaxed(&worker->next, NULL);
    return r;
}

/* The next of this worker's own queues. */
static struct wf_routine *pop_local(struct wf_worker *worker)
{
    struct wf_routine *r = pop_next(worker);
    if (r == NULL)
        r = wf_queue_take(worker);
    if (r == NULL)
        r = wf_fresh_take(worker);
    return r != NULL ? r : wf_ring_take(worker, NULL);
}

/* Takes a fair share of the injection queue, or its newest batch of fresh ones: one to run, the others private. */
static struct wf_routine *take_injected(struct wf_worker *worker)
{
    struct wf_inject *inject = &worker->pool->inject;
    struct wf_fresh_list batch;
    if (worker->fresh_old.head == NULL && wf_inject_pop_newest_batch(inject, &batch))
        return wf_fresh_refill(worker, &batch);
    uint32_t length = wf_load_relaxed(&inject->length[WF_PRIORITY_NORMAL]);
    if (length == 0)
        return NULL;
    struct wf_routine *out[INJECT_TAKE];
    uint32_t size = wf_load_relaxed(&worker->pool->size);
    uint32_t share = length / (size > 0 ? size : 1) + 1;
    uint32_t n = wf_inject_pop_many(inject, out, share < INJECT_TAKE ? share : INJECT_TAKE, WF_PRIORITY_NORMAL);
    for (uint32_t i = 1; i < n; i++)
        wf_local_put(worker, out[i]);
    return n > 0 ? out[0] : NULL;
}

/* The budget follows the length of the routines, so that timers and the injection queue are seen every LOOK_NS. */
static void renew_budget(struct wf_worker *worker, int64_t now)
{
    int64_t elapsed = now - worker->looked_ns;
    worker->looked_ns = now;
    int64_t each = elapsed / worker->budget_full + 1;
    int64_t budget = LOOK_NS / each;
    int64_t most = WF_PERTURB ? 5 : WF_BUDGET_MAX;
    worker->budget_full = (uint32_t)(budget < 2 ? 2 : budget > most ? most : budget);
    worker->budget = worker->budget_full;
}

/* Of the oldest batch of the injection queue, if it has waited for long. */
static struct wf_routine *pop_old_batch(struct wf_worker *worker)
{
    struct wf_fresh_list batch;
    if (!wf_inject_pop_oldest_batch(&worker->pool->inject, &batch, worker->looked_ns - BATCH_AGE_NS))
        return NULL;
    wf_fresh_flush_old(worker);
    return wf_fresh_refill(worker, &batch);
}

/* Every look begins at another source, so that none waits behind one that never runs dry. */
enum source {
    SOURCE_PINNED,
    SOURCE_INJECTED,
    SOURCE_BATCHES,
    SOURCE_FRESH,
    SOURCE_RING,
    SOURCE_QUEUE,
    SOURCE_NEXT, /* else who looks around at every schedule would never come to it */
    N_SOURCES
};

static struct wf_routine *pop_source(struct wf_thread *thread, struct wf_worker *worker, enum source source)
{
    switch (source) {
    case SOURCE_PINNED:
        return pop_pinned(thread);
    case SOURCE_INJECTED:
        return wf_inject_pop(&worker->pool->inject, WF_PRIORITY_NORMAL);
    case SOURCE_BATCHES:
        return pop_old_batch(worker);
    case SOURCE_FRESH:
        return wf_fresh_take(worker);
    case SOURCE_RING:
        return wf_ring_take(worker, NULL);
    case SOURCE_QUEUE:
        return wf_queue_take(worker);
    default:
        return pop_next(worker);
    }
}

/* Every `budget` schedules: time, other threads' wishes, and what would starve behind `next`. */
static struct wf_routine *look_around(struct wf_thread *thread, struct wf_worker *worker)
{
    int64_t now = wf_now_ns();
    struct wf_pool *pool = worker->pool;
    renew_budget(worker, now);
    if (wf_load_relaxed(&worker->timers.earliest_ns) <= now)
        run_timers(thread, &worker->timers, now);
    if (wf_load_relaxed(&pool->idle_word) != 0 && wf_private_length(worker) > 1) {
        wf_share(worker, false);
        wf_idle_wake(pool);
    }
    struct wf_routine *r = ++worker->high_in_a_row < HIGH_MOST ? wf_inject_pop(&pool->inject, WF_PRIORITY_HIGH) : NULL;
    if (r != NULL) {
        if (wf_load_relaxed(&pool->inject.length[WF_PRIORITY_HIGH]) > 0)
            worker->budget = 1; /* the others first, too */
        return r;
    }
    worker->high_in_a_row = 0;
    uint32_t turn = ++worker->looks;
    if (turn % LOW_EVERY == 0)
        r = wf_inject_pop(&pool->inject, WF_PRIORITY_LOW);
    for (uint32_t i = 0; r == NULL && i < N_SOURCES; i++)
        r = pop_source(thread, worker, (enum source)((turn + i) % N_SOURCES));
    if (wf_load_relaxed(&thread->n_pinned) + wf_load_relaxed(&worker->n_arrivals) > 0 && worker->budget > 2)
        worker->budget = 2; /* they are met only here */
    return r;
}

/* ---- searching ---- */

/* Takes the private work of a worker whose thread computes, by the guard protocol: into the victim's own ring, where it
 * is stolen like everything else. */
static void rescue(struct wf_worker *victim)
{
    struct wf_thread *thread = wf_load_acquire(&victim->thread);
    if (thread == NULL || !wf_guard_seize(thread))
        return;
    if (thread->worker == victim)
        wf_share(victim, true);
    wf_guard_release(thread, false);
}

/* What a searcher remembers of the others between looks. */
struct sights {
    int64_t now;
    int64_t seen_ns[WF_SIGHTS];
    uint32_t tick[WF_SIGHTS];
    uint8_t single[WF_SIGHTS];
    bool eager; /* the last look before sleep: take whatever there is */
};

static struct wf_routine *steal_from(struct wf_worker *worker, struct wf_worker *victim, struct sights *sights)
{
    uint32_t i = victim->index % WF_SIGHTS;
    uint32_t tick = wf_load_relaxed(&victim->tick);
    bool still = tick == sights->tick[i];
    if (!still || sights->seen_ns[i] == 0) {
        sights->tick[i] = tick;
        sights->seen_ns[i] = sights->now;
    }
    bool stale = still && sights->now - sights->seen_ns[i] >= STALE_NS;
    uint32_t length = wf_ring_length(&victim->ring);
    /* Not of one that was only just woken for them, or has never run: the pilot sees that somebody looks again. */
    bool stuck = still && sights->seen_ns[i] != 0 && sights->now - sights->seen_ns[i] >= ARRIVALS_STALE_NS;
    struct wf_routine *arrival = stuck ? wf_arrivals_pop(victim) : NULL;
    if (arrival != NULL)
        return arrival;
    if (stale && length == 0 && (wf_load_relaxed(&victim->next) != NULL || wf_private_length(victim) > 0)) {
        rescue(victim);
        length = wf_ring_length(&victim->ring);
    }
    if (length == 0)
        sights->single[i] = 0;
    else if (length > 1 || stale || ++sights->single[i] >= LOOKS_BEFORE_LAST_ONE || sights->eager || WF_PERTURB)
        return wf_ring_steal(worker, victim);
    return NULL;
}

static struct wf_routine *steal(struct wf_thread *thread, struct wf_worker *worker, struct sights *sights)
{
    struct wf_pool *pool = worker->pool;
    uint32_t n = wf_load_acquire(&pool->reach);
    uint32_t first = n > 1 ? wf_rand_below(&thread->rand, n) : 0;
    for (uint32_t k = 0; k < n; k++) {
        struct wf_worker *victim = &pool->workers[(first + k) % n];
        if (victim == worker || !wf_worker_has_thread(victim))
            continue;
        struct wf_routine *r = steal_from(worker, victim, sights);
        if (r != NULL)
            return r;
    }
    return NULL;
}

/* One look at everything. */
static struct wf_routine *look(struct wf_thread *thread, struct wf_worker *worker, struct sights *sights)
{
    sights->now = wf_now_ns();
    run_due_timers(thread, sights->now);
    struct wf_inject *inject = &worker->pool->inject;
    struct wf_routine *r = wf_inject_pop(inject, WF_PRIORITY_HIGH);
    if (r == NULL)
        r = take_injected(worker);
    if (r == NULL)
        r = pop_local(worker);
    if (r == NULL)
        r = pop_pinned(thread); /* behind the others: one that yields comes back at once */
    if (r == NULL)
        r = steal(thread, worker, sights);
    if (r == NULL)
        r = wf_inject_pop(inject, WF_PRIORITY_LOW);
    return r;
}

static bool more_visible(struct wf_pool *pool)
{
    if (wf_inject_any(&pool->inject))
        return true;
    for (uint32_t i = 0; i < wf_load_acquire(&pool->reach); i++)
        if (wf_ring_length(&pool->workers[i].ring) > 0)
            return true;
    return false;
}

static void stop_searching(struct wf_worker *worker)
{
    wf_store_release(&worker->state, WF_WORKER_RUNNING);
    struct wf_pool *pool = worker->pool;
    uint32_t word = wf_sub_seq_cst(counts(pool), WF_IDLE_SEARCHING_ONE);
    wf_fence_seq_cst();
    if (searching_of(word) == 1 && asleep_of(word) > 0 && more_visible(pool)) /* [I3] */
        wf_idle_wake_one(pool);
}

static bool called_away(struct wf_worker *worker)
{
    return wf_load_acquire(&wf_threads.stopping) != 0 || wf_worker_is_surplus(worker);
}

/* There are more workers than the pool is to have: this one goes. False: it stays after all. */
static WF_COLD bool retire(struct wf_thread *thread, struct wf_worker *worker)
{
    wf_pools_lock_inside(thread);
    bool goes = wf_worker_is_surplus(worker);
    if (goes) {
        if (wf_load_relaxed(&worker->state) == WF_WORKER_SEARCHING)
            stop_searching(worker);
        wf_worker_retire(worker, thread);
    }
    pthread_mutex_unlock(&wf_pools.lock);
    return goes;
}

/* A spare thread has pinned routines that only it may run: it gets this worker. */
static bool yield_worker_to_wanting(struct wf_thread *thread)
{
    struct wf_pool *pool = thread->pool;
    if (wf_load_relaxed(&pool->n_pinned) == 0)
        return false;
    struct wf_thread *wanting = wf_thread_take_wanting(pool);
    if (wanting == NULL)
        return false;
    struct wf_worker *worker = thread->worker;
    if (wf_load_relaxed(&worker->state) == WF_WORKER_SEARCHING)
        stop_searching(worker);
    worker->for_pinned = true;
    wf_thread_set_worker(thread, NULL);
    wf_thread_give_worker(wanting, worker);
    return true;
}

/* Spins for SPIN_NS; only one worker at a time does, and none when the process has but one CPU to run on. */
static struct wf_routine *spin(struct wf_thread *thread, struct wf_worker *worker, struct sights *sights)
{
    struct wf_pool *pool = worker->pool;
    if (wf_load_relaxed(&pool->size) == 1 ||
        searching_of(wf_load_relaxed(counts(pool))) - wf_load_relaxed(&pool->n_napping) > 1)
        return look(thread, worker, sights);
    int64_t begin = wf_now_ns();
    do {
        struct wf_routine *r = look(thread, worker, sights);
        if (r != NULL)
            return r;
        for (unsigned i = 0; i < 20; i++)
            wf_cpu_relax();
    } while (sights->now - begin < SPIN_NS);
    return NULL;
}

/* Sleeps in `state` until woken or deadline; back in SEARCHING, counted as such. True: somebody woke us. */
static bool sleep_as(struct wf_thread *thread, struct wf_worker *worker, enum wf_worker_state state, int64_t deadline)
{
    int timed_out = 0;
    wf_doze_begin(thread);
    while (wf_load_acquire(&thread->wake) == 0 && timed_out == 0 && wf_load_relaxed(&wf_threads.stopping) == 0)
        timed_out = wf_world_doze(thread, deadline);
    wf_doze_end(thread);
    if (claim_sleeper(worker, state)) {
        if (state == WF_WORKER_PARKED)
            wf_pilot_wake();
        return false;
    }
    while (wf_load_acquire(&thread->wake) == 0) /* a waker has claimed us and is about to say so */
        wf_futex_wait(&thread->wake, 0, WF_FUTEX_FOREVER);
    return true;
}

/* Somebody may make work that can be stolen. */
static bool others_running(const struct wf_worker *worker)
{
    struct wf_pool *pool = worker->pool;
    for (uint32_t i = 0; i < wf_load_acquire(&pool->reach); i++)
        if (&pool->workers[i] != worker && wf_load_relaxed(&pool->workers[i].state) == WF_WORKER_RUNNING)
            return true;
    return false;
}

static struct wf_routine *nap(struct wf_thread *thread, struct wf_worker *worker, struct sights *sights)
{
    int64_t length = NAP_FIRST_NS, slept = 0;
    while (slept < NAP_TOTAL_NS && !called_away(worker)) {
        int64_t deadline = sights->now + length;
        int64_t timer = wf_timers_next_wake(&worker->timers);
        wf_swap_seq_cst(&thread->wake, 0);
        wf_store_release(&worker->state, WF_WORKER_NAPPING);
        wf_add_seq_cst(&worker->pool->n_napping, 1);
        sleep_as(thread, worker, WF_WORKER_NAPPING, timer < deadline ? timer : deadline);
        struct wf_routine *r = look(thread, worker, sights);
        if (r != NULL)
            return r;
        slept += length;
        length = length * 2 < NAP_MOST_NS ? length * 2 : NAP_MOST_NS;
    }
    return NULL;
}

/* [I2] Announces the sleep, fences for everybody, looks once more, sleeps. */
static struct wf_routine *park(struct wf_thread *thread, struct wf_worker *worker, struct sights *sights)
{
    wf_swap_seq_cst(&thread->wake, 0);     /* before the look at `stopping`: [S1] */
    wf_store_relaxed(&worker->looking, 1); /* asleep for producers, awake for the pilot: it may still find something */
    wf_store_release(&worker->state, WF_WORKER_PARKED);
    wf_add_seq_cst(counts(worker->pool), (uint32_t)(WF_IDLE_ASLEEP_ONE - WF_IDLE_SEARCHING_ONE));
    wf_heavy_fence(); /* [Y2], too */
    sights->eager = true;
    struct wf_routine *r = look(thread, worker, sights);
    sights->eager = false;
    if (r != NULL || wf_load_seq_cst(&wf_threads.stopping) != 0 || wf_worker_is_surplus(worker) ||
        wf_thread_is_wanting(worker->pool)) {
        if (!claim_sleeper(worker, WF_WORKER_PARKED))
            while (wf_load_acquire(&thread->wake) == 0)
                wf_futex_wait(&thread->wake, 0, WF_FUTEX_FOREVER);
        return r;
    }
    wf_store_release(&worker->looking, 0);
    int64_t wake = wf_timers_next_wake(&worker->timers), least = sights->now + PARK_LEAST_NS;
    sleep_as(thread, worker, WF_WORKER_PARKED, wake < least ? least : wake);
    return look(thread, worker, sights);
}

/* The worker counts as searching when it comes and as running when it leaves. */
static struct wf_routine *search(struct wf_thread *thread, struct wf_worker *worker)
{
    struct sights sights = {0};
    wf_store_release(&worker->is_driven, 1);
    if (wf_load_relaxed(&worker->state) != WF_WORKER_SEARCHING) {
        wf_store_release(&worker->state, WF_WORKER_SEARCHING);
        wf_add_seq_cst(counts(worker->pool), WF_IDLE_SEARCHING_ONE);
    }
    struct wf_routine *r = NULL;
    while (r == NULL && !called_away(worker)) {
        r = spin(thread, worker, &sights);
        if (r == NULL && yield_worker_to_wanting(thread))
            return NULL;
        if (r == NULL && others_running(worker))
            r = nap(thread, worker, &sights);
        if (r == NULL && !called_away(worker))
            r = park(thread, worker, &sights);
    }
    stop_searching(worker);
    if (r != NULL && worker->budget == 0)
        worker->budget = worker->budget_full;
    return r;
}

struct wf_routine *wf_find_work(struct wf_thread *thread)
{
    struct wf_worker *worker = thread->worker;
    if (wf_worker_is_surplus(worker) && retire(thread, worker))
        return NULL;
    if (wf_load_relaxed(&worker->state) == WF_WORKER_SEARCHING)
        return search(thread, worker); /* fresh from a wake */
    struct wf_routine *r;
    if (worker->for_pinned) { /* given to this thread for the sake of its pinned routines: one of them runs at least */
        worker->for_pinned = false;
        if ((r = pop_pinned(thread)) != NULL) {
            if (worker->budget == 0)
                worker->budget = worker->budget_full;
            return r;
        }
    }
    r = worker->stackless;
    if (r != NULL) {
        worker->stackless = NULL;
        return r;
    }
    if (worker->budget == 0) {
        if (yield_worker_to_wanting(thread))
            return NULL;
        r = look_around(thread, worker);
    } else {
        r = pop_local(worker);
    }
    return r != NULL ? r : search(thread, worker);
}
