/* SPDX-License-Identifier: MIT */
/* gc_memory.h - what the gc_* programs ask of a memory manager and of threads, so that one source makes peers of itself:
 * weft, Boehm's collector (BENCH_BDWGC) and malloc with free (BENCH_MALLOC), the latter two on threads.
 *
 * memory_new(size): zeroed (by weft and Boehm) or not (by malloc), searched for pointers. memory_drop(p): malloc has to be
 * told. memory_collect(): a full collection; malloc has none.
 */
#ifndef WEFT_BENCH_GC_MEMORY_H
#define WEFT_BENCH_GC_MEMORY_H

#include "bench.h"

#if defined(BENCH_BDWGC)
#define GC_THREADS
#include <gc.h>
#define memory_init() GC_INIT()
#define memory_new(size) GC_MALLOC(size)
#define memory_new_zeroed(size) GC_MALLOC(size)
#define memory_new_data(size) GC_MALLOC_ATOMIC(size)
#define memory_drop(p) ((void)(p))
#define memory_collect() GC_gcollect()
#elif defined(BENCH_MALLOC)
#define memory_init() ((void)0)
#define memory_new(size) malloc(size)
#define memory_new_zeroed(size) calloc(1, size)
#define memory_drop(p) free(p)
#else
#include <weft/weft.h>
#define memory_init() ((void)0)
#define memory_new(size) weft_alloc(size)
#define memory_new_zeroed(size) weft_alloc(size)
#define memory_new_data(size) weft_alloc_data(size)
#define memory_drop(p) ((void)(p))
#define memory_collect() weft_gc()
#endif

/* tasks_run(fn, n): fn(0) ... fn(n - 1), each in a routine or thread of its own; returns when all have ended. n <= 16. */
enum { TASKS_MOST = 16 };
#if defined(BENCH_BDWGC) || defined(BENCH_MALLOC)
#include <pthread.h>
static void (*task_fn)(int i);
static void *task_main(void *arg)
{
    task_fn((int)(intptr_t)arg);
    return NULL;
}
static inline void tasks_run(void (*fn)(int i), int n)
{
    pthread_t threads[TASKS_MOST];
    task_fn = fn;
    for (int i = 0; i < n; i++)
        bench_require(pthread_create(&threads[i], NULL, task_main, (void *)(intptr_t)i) == 0, "threads");
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
}
#else
static weft_waitgroup tasks_running;
static void task_main(void (*fn)(int i), int i)
{
    fn(i);
    weft_waitgroup_done(&tasks_running);
}
static inline void tasks_run(void (*fn)(int i), int n)
{
    weft_waitgroup_add(&tasks_running, n);
    for (int i = 0; i < n; i++)
        weft_go(task_main, fn, i);
    weft_waitgroup_wait(&tasks_running);
}
#endif

/* VmHWM: the most that the process has ever had resident. */
static inline double bench_peak_bytes(void)
{
    char line[256];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    bench_require(f != NULL, "status");
    while (fgets(line, sizeof line, f) != NULL && sscanf(line, "VmHWM: %ld", &kib) != 1)
        ;
    fclose(f);
    return (double)kib * 1024;
}

#endif
