/* SPDX-License-Identifier: MIT */
/* weft/sync.h - locks and meeting points: mutex, rwmutex, cond, wait group, once, semaphore, barrier, latch;
 * and an object cache, the pool, to which the following about waiting and ownership does not apply.
 *
 * Every function here may be called from a routine and from any plain thread, and one object may be used by both at
 * once. A waiting routine is parked: its thread runs others meanwhile. A waiting plain thread sleeps.
 *
 * Objects are small, live wherever the program puts them, and own nothing: nothing is allocated, and there is nothing
 * to destroy. Memory of zeroes is a valid mutex, rwmutex, cond, wait group and once; semaphore, barrier and latch
 * need their _init. An object must not be copied or moved while in use. It may be freed as soon as every call on it
 * whose effect the program still needs has returned in the thread that frees it: whoever returned last from _wait,
 * _acquire or _lock may free it at once, even though the call that let it go (the last _done, the _release, the
 * _unlock) has not returned yet.
 *
 * Errors. The waiting calls that return int are cancellation points: 0, or -ECANCELED / -ETIMEDOUT when the wait was
 * ended from outside. That is looked at only when the call has to wait; what can be done at once is done. After an
 * error it is as if the call had not been made, except where said. Locking a mutex or an rwmutex and weft_once_do()
 * cannot be ended from outside. Misuse is a panic with one line that names the call and the object.
 *
 * Memory order is that of Go's sync package: an unlock happens before the lock that follows it, a runlock before the
 * write lock that follows, done() and count_down() before the return of a wait() they let go, release() before the
 * acquire() that takes its permits, every barrier wait() before each return of its round, fn's return before that of
 * any weft_once_do(), signal() and broadcast() before the return of a wait() they end.
 *
 * WEFT_DEBUG=locks=1 watches mutexes, rwmutexes and onces: a routine that locks what it holds already is reported and
 * the process aborted; two locks taken in both orders are reported once, with the places of all four lock calls. Locks
 * are known by address there: memory reused for another lock may be reported with its former one.
 */
#ifndef WEFT_SYNC_H
#define WEFT_SYNC_H

#include <stdint.h>

#include <weft/routine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The members are the library's; only their being zero is promised to mean "ready for use" where it says so above. */
typedef struct weft_mutex {
    uint32_t state;
    uint32_t unused;
    void *waiters;
} weft_mutex;

typedef struct weft_rwmutex {
    uint32_t state;
    uint32_t readers_waiting;
    void *readers;
    void *writers;
} weft_rwmutex;

typedef struct weft_cond {
    void *waiters;
} weft_cond;

typedef struct weft_waitgroup {
    uint64_t state;
    void *waiters;
} weft_waitgroup;

typedef struct weft_once {
    uint32_t state;
    uint32_t unused;
    void *waiters;
} weft_once;

typedef struct weft_sem {
    uint64_t state;
    void *waiters;
} weft_sem;

typedef struct weft_barrier {
    uint32_t size;
    uint32_t arrived;
    uint32_t round;
    uint32_t unused;
    void *waiters;
} weft_barrier;

typedef struct weft_latch {
    uint64_t state;
    void *waiters;
} weft_latch;

/* ---- mutex: one holder. It belongs to nobody in particular: who unlocks need not be who locked. Not recursive.
 *
 * A lock that is free may be taken by whoever comes first, ahead of those parked for it; a waiter to whom that has
 * happened a few times is handed the lock directly. So nobody starves, and those that wait are served roughly in order.
 */

/* Waits until the mutex is free and takes it. Cost: one atomic operation (~5 ns) when free. */
WEFT_API void weft_mutex_lock(weft_mutex *m);

/* 0: taken; -EAGAIN: held by somebody. Never waits. */
WEFT_API int weft_mutex_try_lock(weft_mutex *m);

/* Gives it back. Panics when it is not locked. Never waits; a routine may yield here to one that was handed the lock.
 * Cost: one atomic operation when nobody waits. */
WEFT_API void weft_mutex_unlock(weft_mutex *m);

/* ---- rwmutex: one writer or any number of readers.
 *
 * Neither starves the other: once a writer waits, new readers wait behind it; when a writer leaves, all readers that
 * wait go before the next writer. Writers are served in order. A reader must therefore not take the read lock
 * twice: between the two a writer may have begun to wait. No owner, as for the mutex.
 */

/* Waits until neither is a writer in it nor does one wait, and enters as a reader. One atomic operation when free. */
WEFT_API void weft_rwmutex_rlock(weft_rwmutex *rw);

/* 0: entered; -EAGAIN: weft_rwmutex_rlock() would wait. */
WEFT_API int weft_rwmutex_try_rlock(weft_rwmutex *rw);

/* Leaves as a reader. Panics when no reader is in it. Never waits (may yield to a writer it let in). */
WEFT_API void weft_rwmutex_runlock(weft_rwmutex *rw);

/* Waits until nobody is in it and enters as the writer. One atomic operation when free. */
WEFT_API void weft_rwmutex_lock(weft_rwmutex *rw);

/* 0: entered; -EAGAIN: somebody is in it. */
WEFT_API int weft_rwmutex_try_lock(weft_rwmutex *rw);

/* Leaves as the writer. Panics when no writer is in it. Never waits (may yield to a writer it let in). */
WEFT_API void weft_rwmutex_unlock(weft_rwmutex *rw);

/* ---- cond: wait for a change of what a mutex protects. Served first come, first served; no spurious wake-ups, but
 * what was waited for may have changed again before the mutex is locked: wait in a loop.
 */

/* Begins to wait, then unlocks m, and locks it again before it returns, also when it returns an error. No signal given
 * after the unlock is missed. 0: signalled; -ECANCELED, -ETIMEDOUT: the wait was ended, and no signal was used up.
 * Panics when m is not locked. */
WEFT_API int weft_cond_wait(weft_cond *c, weft_mutex *m);

/* Lets the one that has waited longest go, if any. The mutex need not be held. Never waits. ~1 ns when nobody waits. */
WEFT_API void weft_cond_signal(weft_cond *c);

/* Lets all go that wait now. Never waits. */
WEFT_API void weft_cond_broadcast(weft_cond *c);

/* ---- wait group: a counter of work that is still to be done; wait until it is zero. Reusable: add again after it. */

/* Adds `delta`, which may be negative. When the counter becomes zero all waiting go. Panics when it would become
 * negative. Call it before starting the work it counts. Never waits; one atomic operation but for letting go. */
WEFT_API void weft_waitgroup_add(weft_waitgroup *w, int delta);

/* The same as weft_waitgroup_add(w, -1). */
WEFT_API void weft_waitgroup_done(weft_waitgroup *w);

/* Waits until the counter is zero: 0; -ECANCELED, -ETIMEDOUT. At once, in one load, when it is zero. */
WEFT_API int weft_waitgroup_wait(weft_waitgroup *w);

/* ---- once: something that is done the first time only. */

/* Calls fn(arg) if this is the first call with `o`; otherwise waits until the first call's fn has returned, if it has
 * not. A panic in fn (or a weft_exit) passes on, and `o` counts as done. fn must not call it with the same `o`: that
 * waits for ever. One load once it is done. */
WEFT_API void weft_once_do(weft_once *o, void (*fn)(void *arg), void *arg);

/* ---- semaphore: a number of permits, taken and given back several at a time.
 *
 * Requests that have to wait are served strictly in order, and while one waits no later one overtakes it, however
 * small: large requests are not starved.
 */

/* Makes a semaphore with n >= 0 permits (else a panic). */
WEFT_API void weft_sem_init(weft_sem *s, int64_t n);

/* Takes n permits, waiting until they are there and all earlier requests are served: 0; -ECANCELED, -ETIMEDOUT: none
 * were taken, and those behind it are looked at anew. n == 0 succeeds at once, n < 0 panics. More than there ever will
 * be waits for ever. One atomic operation when they are there. */
WEFT_API int weft_sem_acquire(weft_sem *s, int64_t n);

/* 0: n permits taken; -EAGAIN: weft_sem_acquire() would wait, none taken. */
WEFT_API int weft_sem_try_acquire(weft_sem *s, int64_t n);

/* Gives n permits back, or adds new ones. Panics when n < 0 or the sum exceeds INT64_MAX. Never waits; one atomic
 * operation when nobody waits, else proportional to the number of requests it serves. */
WEFT_API void weft_sem_release(weft_sem *s, int64_t n);

/* ---- barrier: n participants meet, again and again. */

/* Makes a barrier for n > 0 participants (else a panic). */
WEFT_API void weft_barrier_init(weft_barrier *b, unsigned n);

/* Waits until n calls, this one included, have been made in this round; the next call begins the next round. 0;
 * -ECANCELED, -ETIMEDOUT: this call no longer counts in its round, which therefore waits for another one. */
WEFT_API int weft_barrier_wait(weft_barrier *b);

/* ---- latch: a counter that goes down to zero once. */

WEFT_API void weft_latch_init(weft_latch *l, unsigned n);

/* Takes one off; at zero all waiting go. Panics when it is zero already. Never waits. */
WEFT_API void weft_latch_count_down(weft_latch *l);

/* Waits until the count is zero: 0; -ECANCELED, -ETIMEDOUT. One load when it is zero. */
WEFT_API int weft_latch_wait(weft_latch *l);

/* ---- pool: objects that are kept to be used again, until the collector wants their memory. As Go's sync.Pool.
 *
 * For collected memory (weft/gc.h) that is made often and soon of no more use, as buffers; the contents stay as they were
 * put. What is in a pool does not live for long: a collection takes out all that was put before the one before it and not
 * got since, and drops it, which is the end of it unless somebody else holds it (weft_cleanup applies; memory from malloc
 * would be lost). So nothing may depend on getting back what was put.
 *
 * A pool needs no end: it is garbage with all it holds when it cannot be reached. Therefore a weft_pool must lie where
 * the collector looks: in static data, on a stack, in collected memory; not in memory from malloc unless that is a root.
 *
 *   static weft_pool buffers = {.make = make_buffer};
 *   struct buffer *b = weft_pool_get(&buffers);
 *   ...
 *   weft_pool_put(&buffers, b);
 */
typedef struct weft_pool {
    void *(*make)(void *arg); /* what gives an object when there is none; NULL: nothing does */
    void *arg;
    void *depot; /* the library's; NULL at first */
} weft_pool;

/* An object that was put before, whoever did it, or make(arg), called by the caller as any function, or NULL. Each worker
 * and plain thread looks through what it has put itself (60 objects) first, then through what others have put beyond
 * that; it does not look through those 60 of others. No atomic read-modify-write but once in 30 calls; a few
 * nanoseconds. Does not wait. */
WEFT_API void *weft_pool_get(weft_pool *p);

/* Gives an object to the pool; the caller must not use it any more. NULL is ignored. When there is no memory for the pool's
 * own lists, or more than 1024 workers and plain threads use collected memory, the object is just dropped. Cost as above. */
WEFT_API void weft_pool_put(weft_pool *p, void *object);

#ifdef __cplusplus
}
#endif
#endif
