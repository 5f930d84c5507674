/* SPDX-License-Identifier: MIT */
/* worker.h - a slot that routines run on: run queues, timers, caches. The default pool has WEFT_PROCS of them, other
 * pools (pool.h) what they were made with; a thread drives each.
 *
 * Three places for runnable routines: `next` (the routine just woken by the one that is about to park: still warm), the
 * private queue, and the ring, which others steal from. While no worker is idle everything goes to the private queue,
 * which costs no atomic instruction; as soon as one is, what is pushed goes to the ring, and the scheduler loop moves
 * half of the private queue there. What a thread that computes for long keeps private is rescued by the guard protocol.
 *
 * Routines that have not run yet have a private queue of their own, behind the others: what has a stack is finished
 * first. It is two lists; when the newer is full, the older goes to the injection queue as a batch, and batches come back
 * newest first:
 * so a tree of routines is walked depth first and its memory stays proportional to its depth, not to its width (skynet
 * with 1M leaves: 590 MB through one FIFO).
 *
 * Order in which a worker takes work: `next`, private queue, fresh ones, ring; but every `budget` schedules the scheduler
 * loop takes from the injection queue (its oldest), the fresh ones, the ring and the private queue before `next`, so
 * that nothing starves.
 *
 * Measured: a yield through a stealable ring is 18 ns (the CAS of the taker waits for the whole store buffer), through
 * the private queue 6 ns. Idea: Acar, Chargueraud, Rainey, "Scheduling parallel programs by work stealing with private
 * deques", 2013.
 */
#ifndef WEFT_SCHED_WORKER_H
#define WEFT_SCHED_WORKER_H

#include "base/rand.h"
#include "sched/pool.h"
#include "sched/routine.h"
#include "stack/arena.h"
#include "time/timers.h"

#if WF_PERTURB
enum { WF_RING_SIZE = 4, WF_FRESH_LIST = 4 };
#else
enum { WF_RING_SIZE = 256, WF_FRESH_LIST = 128 };
#endif
enum { WF_SIGHTS = 64, WF_BUDGET_MAX = 61, WF_FREE_BATCH_MOST = 64, WF_FREE_STACKS = 64 };

enum wf_worker_state {
    WF_WORKER_UNUSED = 0, /* no thread drives it; one is found when there is work */
    WF_WORKER_RUNNING,
    WF_WORKER_SEARCHING, /* awake, looking for work */
    WF_WORKER_NAPPING,   /* its thread sleeps on thread->wake for a fraction of a millisecond */
    WF_WORKER_PARKED,    /* its thread sleeps on thread->wake until woken or its next timer */
    WF_WORKER_RETIRED,   /* its pool is to have fewer: no thread drives it, and it holds nothing */
};

/* FIFO of at most WF_RING_SIZE runnable routines; the owner pushes, anybody takes from the head.
 *            push  take  steal
 *   push      X     X     ok      X: same thread
 *   take      X     X     ok
 *   steal     ok    ok    ok
 */
struct wf_ring {
    WF_ALIGNED_LINE _Atomic uint32_t head; /* takers, by CAS */
    WF_ALIGNED_LINE _Atomic uint32_t tail; /* owner, [R1] release store */
    _Atomic(struct wf_routine *) slots[WF_RING_SIZE];
};

struct wf_worker {
    /* Private: touched only by the thread that drives it, inside the runtime, or by a seizer that holds that thread. */
    _Atomic(struct wf_routine *) next; /* runs before all else; read by others as a hint */
    bool for_pinned;                   /* handed over for pinned routines of the new thread */
    uint32_t high_in_a_row;
    uint32_t budget;                            /* schedules until the loop looks around */
    struct wf_routine *queue_head, *queue_tail; /* the private queue: FIFO linked by `link`; tail valid if head is */
    _Atomic uint32_t queue_length;              /* of the private queue; read by others as a hint */
    struct wf_fresh_list fresh_old, fresh_new;  /* those that have not run yet: taken from `old`, put to `new` */
    _Atomic uint32_t fresh_length;              /* of both together */
    struct wf_routine *stackless;               /* was picked but found no cached stack: first thing the loop starts */
    struct wf_routine *free_routines;           /* free descriptors, linked by `link`: less than wf_free_batch */
    struct wf_routine *full_batch;              /* wf_free_batch more of them, or NULL */
    char *cells, *cells_end;                    /* share of the object arena: sched/object.h */
    void *free_cells;                           /* cells given back, linked by their rooms */
    struct wf_scope *free_scopes;               /* scopes' cells given back, linked by their room */
    void *cache;                                /* its share of the collected heap: gc/collect.c; NULL: none yet */
    void *dead_stack;                           /* own stack of a routine that ended: unmapped once it is left */
    size_t dead_stack_size;
    struct weft_coro *free_coros;               /* coroutines that have ended, with their stacks: coro/coro.c */
    uint32_t n_free_coros;
    uint32_t n_free_scopes;
    uint32_t n_free_routines;
    uint32_t n_free_stacks;
    uint32_t free_stacks[WF_FREE_STACKS]; /* slot numbers, LIFO */
    uint64_t next_id, end_id;             /* ids left of this worker's block */
    _Atomic uint64_t n_started, n_ended;  /* written by the owner; read by weft_stop and dumps */
    int64_t looked_ns;                    /* when the loop last read the clock */
    uint32_t budget_full;                 /* what budget is set to */
    uint32_t looks;                       /* counts them */
    uint32_t index;                       /* in pool->workers */
    struct wf_pool *pool;                 /* immutable */

    /* Read by others. */
    WF_ALIGNED_LINE _Atomic uint32_t tick; /* counts schedules; who sees it stand still knows of a hog */
    _Atomic uint32_t state;                /* enum wf_worker_state; see idle.c */
    _Atomic uint32_t looking;              /* 1: PARKED, but in its last look: it may be about to find something */
    _Atomic uint32_t is_driven;            /* 1: a thread has taken it up, so it has one until it is retired. Set by that
                                              thread; else wf_pools.lock */
    _Atomic(struct wf_thread *) thread;    /* who drives it; threads lock, or the seizer */
    uint32_t pilot_tick;                   /* pilot only */
    struct wf_thread *pilot_thread;        /* pilot only */
    int64_t pilot_since_ns, pilot_cpu_ns;  /* pilot only */
    struct wf_rand rand;

    /* Pinned routines that were placed here and have no home yet: place.c. */
    struct wf_spinlock arrivals_lock;
    struct wf_routine *arrivals_head, *arrivals_tail; /* arrivals_lock */
    _Atomic uint32_t n_arrivals;                      /* arrivals_lock for writing */

    struct wf_ring ring;
    struct wf_timers timers;
};

/* The workers that the default pool had at the start; 0: the runtime does not run. */
extern uint32_t wf_n_workers;
#define wf_workers (wf_default_pool->workers)

/* Asleep, and nothing is in its hands. `looking` is set before and cleared after the state is PARKED. */
static inline bool wf_worker_is_asleep(struct wf_worker *worker)
{
    return wf_load_acquire(&worker->state) == WF_WORKER_PARKED && wf_load_acquire(&worker->looking) == 0;
}

static inline bool wf_worker_has_thread(struct wf_worker *worker)
{
    uint32_t state = wf_load_acquire(&worker->state);
    return state != WF_WORKER_UNUSED && state != WF_WORKER_RETIRED;
}

extern uint32_t wf_free_batch;  /* how many free descriptors make a batch; immutable while the runtime runs */
extern uint32_t wf_stack_cache; /* how many free stacks a worker keeps; immutable while the runtime runs */

#endif
