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

/* Number of workers. Starts the runtime if need be. */
WEFT_API unsigned weft_procs(void);

#ifdef __cplusplus
}
#endif
#endif
