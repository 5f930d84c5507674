/* SPDX-License-Identifier: MIT */
/* threads.h - the threads of the runtime: making, parking and ending them, and the plain threads that use weft. */
#ifndef WEFT_SCHED_THREADS_H
#define WEFT_SCHED_THREADS_H

#include "sched/thread.h"
#include "sched/worker.h"

enum { WF_THREADS_MAX = 10000 };

struct wf_threads {
    struct wf_spinlock lock;
    struct wf_thread *pilot;            /* lock: the pilot's, on neither list */
    struct wf_thread *all;              /* lock: every thread of the runtime, linked by next_all */
    /* Its own, because who walks the list may wake those on it, and that may make threads. */
    struct wf_spinlock foreign_lock;
    struct wf_thread *foreign;          /* foreign_lock: every attached plain thread, linked by next_all */
    _Atomic uint32_t n_all;             /* lock for writing */
    _Atomic uint32_t n_foreign;         /* foreign_lock for writing */
    _Atomic uint32_t n_foreign_blocked; /* plain threads asleep inside weft, where only weft can wake them */
    _Atomic uint64_t n_foreign_wakes;   /* how often one of them was woken */
    _Atomic uint32_t stopping;          /* 1: all threads are to leave */
};
extern struct wf_threads wf_threads;

/* Lets a spare or new thread of its pool drive `worker`. False when no thread can be had. */
bool wf_thread_for_worker(struct wf_worker *worker);

/* The same in two steps, for a hand-off: take a thread first, so that the worker is not taken in vain. */
struct wf_thread *wf_thread_take_spare(struct wf_pool *pool);
void wf_thread_give_worker(struct wf_thread *thread, struct wf_worker *worker);
void wf_thread_put_spare(struct wf_thread *thread);

/* Lets the calling thread (the pilot) use the runtime without counting as a plain thread; and the end of that. */
struct wf_thread *wf_thread_adopt(void);
void wf_thread_abandon(struct wf_thread *thread);

/* A plain thread that has ended without a word, or is not there after a fork; taken off its list already. */
void wf_thread_forget_foreign(struct wf_thread *thread);
/* The calling thread does not know weft any more: in a child of fork(). */
void wf_thread_forget_self(void);

/* Tells every thread to leave and joins them all. */
void wf_threads_stop(void);
/* The same for one pool, none of whose workers has a thread and in which no routine lives. Under wf_pools.lock, so that
 * the pilot holds none of them. Blocks the calling thread for as long as they take to end. */
void wf_threads_end(struct wf_pool *pool);
/* Threads of the pools asleep without a worker. */
uint32_t wf_threads_spare(void);

/* A spare thread of the pool that has pinned routines to run, taken off the list; NULL when there is none. */
struct wf_thread *wf_thread_take_wanting(struct wf_pool *pool);
/* There is one. */
bool wf_thread_is_wanting(struct wf_pool *pool);

#endif
