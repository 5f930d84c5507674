/* SPDX-License-Identifier: MIT */
/* pool.h - a set of workers that shares its runnable routines: queues, stealing, waking and spare threads are a pool's.
 *
 * Pool 0 is the default one; the others are made by weft_workers_create(). Every routine, worker and thread of the
 * runtime belongs to one pool for its life: a routine runs on workers of its pool only, a thread drives workers of its
 * pool only (so pinned routines, whose home is a thread, need no more), and work is stolen within the pool. All the rest
 * is common to the process. Who makes a routine of another pool runnable puts it into that pool's injection queue and
 * wakes one of that pool's workers: park.c, wf_ready_slow().
 *
 * Who walks over workers, and over which:
 *   wake one, wake a napper, place a pinned one      of the pool, below `size`
 *   steal, due timers, is more visible, others running   of the pool, below `reach`: what surplus ones still hold is found
 *   pilot: hand-off, rescue; a timer's time              all pools, below `size`; surplus ones are settled instead
 *   is everybody parked, deadlock                        all pools, below `reach`: retired ones have no thread and hold nothing
 *   ticks, started and ended, timers cleared at the end  all pools, below `n_slots`: the counts of retired ones still count
 *
 * Pools and their workers are never unmapped, so a waker that comes late (its routine has run, and its pool is gone)
 * wakes at worst somebody for nothing.
 *
 * Size. workers[0 .. size) are to run. Those above are surplus: each is retired by whoever has its private access - its
 * own thread in the scheduler loop (idle.c, retire), or the pilot that has seized it - which gives all it holds to others
 * (retire.c). `lock` makes that, and every change of a size, one step for others:
 *
 *   UNUSED -- settle (CAS) ------------------------> RETIRED      settle: pool.c, after a change and once a round of the
 *   PARKED, NAPPING -- settle wakes --> SEARCHING                         pilot until no worker is surplus
 *   SEARCHING, RUNNING -- own loop, or the pilot --> RETIRED
 *   RETIRED -- resize upwards ---------------------> UNUSED
 *
 * [Y1] resize stores `size`, fences, then looks at the states; [Y2] a worker that goes to sleep sets its state, fences
 * (the heavy fence of [I2]), then looks at `size`. One of them sees the other.
 */
#ifndef WEFT_SCHED_POOL_H
#define WEFT_SCHED_POOL_H

#include <pthread.h>

#include "sched/inject.h"

enum { WF_POOLS_MAX = 16, WF_WORKERS_MAX = 1024 };

struct wf_worker;
struct wf_thread;

struct wf_pool {
    /* Low half: workers asleep or never started; high half: workers searching. Or, where membarrier is refused, for ever
     * WF_IDLE_ASLEEP_ONE, and the counts are in `fenced_counts`. */
    WF_ALIGNED_LINE _Atomic uint32_t idle_word;
    WF_ALIGNED_LINE _Atomic uint32_t fenced_counts;
    _Atomic uint32_t n_napping;
    _Atomic uint32_t n_pinned;          /* runnable pinned routines on the lists of the pool's threads */
    _Atomic uint64_t n_started_outside; /* routines of this pool that no worker of it has started */
    _Atomic uint32_t start_wanted;      /* 1: the pilot is to start a worker; [I4] idle.c */

    WF_ALIGNED_LINE struct wf_inject inject;

    WF_ALIGNED_LINE struct wf_worker *workers; /* WF_WORKERS_MAX of them; immutable once mapped */
    _Atomic uint32_t size;                     /* how many are to run; wf_pools.lock for writing. 0: no such pool */
    _Atomic uint32_t reach;                    /* the workers from here on are retired; wf_pools.lock for writing */
    _Atomic uint32_t n_slots;                  /* those from here on were never used; wf_pools.lock for writing */
    _Atomic uint32_t leaving;                  /* 1: its threads are to end */
    uint32_t index;                            /* in wf_pools.all; immutable */
    int nice;                                  /* of its threads; 0: as they come. Immutable while the pool is used */
    bool used;                                 /* wf_pools.lock: somebody has it from weft_workers_create */
    char name[32];                             /* wf_pools.lock */
    struct wf_thread *spare;                   /* threads lock: threads without a worker, asleep, linked by next_spare */
};

struct wf_pools {
    /* Sizes; making and ending pools; the pilot's rounds. Stands before all spin locks. Held inside the runtime only, so that
     * no holder is stopped by a signal; who waits for it does not keep the world from standing still. */
    pthread_mutex_t lock;
    bool open;            /* lock: the runtime runs, and is not about to end */
    uint64_t run;         /* lock: counts the runs */
    _Atomic uint32_t n;   /* pools from here on were never used; lock for writing */
    struct wf_pool all[WF_POOLS_MAX];
};
extern struct wf_pools wf_pools;
#define wf_default_pool (&wf_pools.all[0])

/* Takes the lock and enters the runtime; the opposite. */
void wf_pools_enter(void);
void wf_pools_leave(void);
struct wf_thread;
/* For threads inside the runtime that show nothing of the user's: the scheduler's loop, the pilot. */
void wf_pools_lock_inside(struct wf_thread *thread);

static inline uint32_t wf_pool_flag(const struct wf_pool *pool)
{
    return 1u << (WF_POOL_SHIFT + pool->index);
}

static inline struct wf_pool *wf_pool_of(const struct wf_routine *r)
{
    return &wf_pools.all[__builtin_ctz(r->flags >> WF_POOL_SHIFT)];
}

/* for (struct wf_pool *pool = NULL; (pool = wf_pool_next(pool)) != NULL;): every pool that may have workers. */
static inline struct wf_pool *wf_pool_next(struct wf_pool *pool)
{
    struct wf_pool *next = pool == NULL ? wf_pools.all : pool + 1;
    return next < wf_pools.all + wf_load_acquire(&wf_pools.n) ? next : NULL;
}

/* The pool that a weft_go_attr names; NULL when there is no such pool. */
struct wf_pool *wf_pool_named(const struct weft_workers *workers);

/* The start of a run: the default pool with `n` workers, none of which has a thread. 0, -ENOMEM. */
int wf_pools_open(uint32_t n);
/* From now on no pool is made, ended or resized. */
void wf_pools_close(void);
/* The end of the run, when there are no threads any more. */
void wf_pools_clear(void);

/* Retires what is surplus, as far as it can be done now; `seize`: also those whose thread computes. wf_pools.lock. */
void wf_pool_settle(struct wf_pool *pool, bool seize);

/* How many routines of the pool have begun, and ended. Who reads ends before starts gets no difference that is too small for
 * what existed before. */
uint64_t wf_pool_ended(struct wf_pool *pool);
uint64_t wf_pool_started(struct wf_pool *pool);

#endif
