/* SPDX-License-Identifier: MIT */
/* weft/runtime.h - start, stop and configure the runtime by hand; none of it is needed. */
#ifndef WEFT_RUNTIME_H
#define WEFT_RUNTIME_H

#include <weft/routine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What weft_start() may be told. A zero field means: from the environment, else the default. */
typedef struct weft_config {
    unsigned procs;         /* workers, 1 to 1024; default WEFT_PROCS, else the CPUs allowed by affinity and cgroup quota */
    size_t stack_size;      /* bytes of virtual stack of a routine, a power of two, 16 KiB to 64 MiB; default WEFT_STACK, else 64 KiB */
    size_t stack_memory;    /* bytes of address space for all stacks together; default 256 GiB or what the system gives */
    /* Called instead of the report when nobody can see a panic, on the routine or thread that panicked (or detached the
     * future of one that had), perhaps by several at once. It may wait; the process is aborted when it returns, and with
     * the report when it panics itself. It may exit, or end its routine by weft_exit(): then the process goes on. */
    void (*on_panic)(const char *message, uint64_t routine_id, void *arg);
    void *on_panic_arg;
} weft_config;

/* Starts the runtime; `config` may be NULL. 0, -EALREADY when it runs, -EINVAL, -ENOMEM, -EAGAIN (no thread). */
WEFT_API int weft_start(const weft_config *config);

/* Ends the runtime; from a plain thread only (-EDEADLK from a routine). From now on waiting calls of routines give
 * -ECANCELED; waits until every routine has ended and every thread of the runtime is gone. 0 (also when it did not
 * run). It may be started again afterwards. */
WEFT_API int weft_stop(void);

/* Number of workers of the default pool. Starts the runtime if need be. */
WEFT_API unsigned weft_procs(void);

/* From now on the default pool has `n` workers, 1 to 1024, more or fewer than before. Any routine or thread may call it,
 * several at once; it does not wait. A worker above `n` goes as soon as its routine next calls weft, or within some 10 ms;
 * what was queued there is run by the others, a routine that computes there goes on until it calls weft. Pinned routines
 * keep their thread. 0, -EINVAL, -ENOMEM (the stacks' address space is too small for the caches of so many), -ECANCELED
 * while weft_stop() ends the runtime. Starts the runtime if need be. */
WEFT_API int weft_set_procs(unsigned n);

/* ---- pools of workers ----
 *
 * A routine runs on the workers of one pool only, so that work in one pool does not delay the routines of another (but for
 * the kernel's sharing of the CPUs among threads: see `nice`). Everything else is common: channels, futures, locks and
 * timers are used across pools like within one; waking a routine of another pool costs more (a lock, and the wake of a
 * thread if that pool is asleep).
 *
 *     weft_workers *batch = weft_workers_create(2, &(weft_workers_attr){.name = "batch", .nice = 10});
 *     weft_go_with(weft_attr(.workers = batch), index_everything);
 *
 * What a routine starts (weft_go, weft_async) runs on its own pool unless an attribute says otherwise; the function of a
 * timer runs on the pool of whoever armed or last reset it; what a plain thread starts runs on the default pool.
 *
 * A pool computes on as many CPUs as it has workers. In the default pool a routine that computes for more than 10 ms while
 * others wait keeps its thread and loses its worker to them; elsewhere it keeps the worker until it calls weft
 * (weft_yield() will do), so that no more than `n` compute at once. One that sits in a blocking call of libc is replaced
 * everywhere. */

/* A zero field means the default. */
typedef struct weft_workers_attr {
    const char *name; /* copied, cut to 31 bytes; shown by WEFT_DEBUG=schedtrace */
    int nice;         /* of the pool's threads, -20 to 19: greater leaves more of the CPUs to others. 0: as the process;
                         below that takes a privilege, without which it is ignored */
} weft_workers_attr;

/* A pool of `n` workers, 1 to 1024; `attr` may be NULL. NULL: impossible arguments, out of memory, or 15 pools exist
 * already. Threads are made as there is work for them. Starts the runtime if need be. weft_stop() ends all pools; their
 * handles are invalid then. */
WEFT_API weft_workers *weft_workers_create(unsigned n, const weft_workers_attr *attr);

/* The default pool, for weft_attr(.workers = ...) in routines of other pools. NULL when the runtime does not start. */
WEFT_API weft_workers *weft_workers_default(void);

/* Ends the pool. Waits until no routine lives in it (blocks the calling routine or thread); the caller sees to it that none
 * is started in it any more. Timers that were armed in it go to the default pool. 0 (also for NULL), -EDEADLK when called
 * by a routine of that pool, -EINVAL for the default pool or none, -ECANCELED when weft_stop() came first;
 * -ECANCELED or -ETIMEDOUT when the wait was ended: the pool is as before then. */
WEFT_API int weft_workers_destroy(weft_workers *p);

/* As weft_set_procs(), for any pool; and its present number of workers, 0 if there is no such pool. */
WEFT_API int weft_workers_set(weft_workers *p, unsigned n);
WEFT_API unsigned weft_workers_size(const weft_workers *p);

#ifdef __cplusplus
}
#endif
#endif
