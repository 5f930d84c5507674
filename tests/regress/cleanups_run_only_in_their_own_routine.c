/* SPDX-License-Identifier: MIT */
/* cleanups_run_only_in_their_own_routine.c - no cleanup runs inside an allocation or another call, on whatever stack that is.
 *
 * Routines and a plain thread allocate, and so collect, while they hold a mutex that each cleanup locks, too; a cleanup
 * allocates, collects, waits, and leaves more to be cleaned up. Run inside the allocation it would wait for itself, or nest
 * without end.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "../support/watch.h"

enum { ROUTINES = 6, ROUNDS = 40, GENERATIONS = 3 };

static weft_mutex lock; /* held while allocating */
static weft_local inside; /* set while allocating */
static _Atomic unsigned n_hung, n_run;

static void hang_one(unsigned generation);

static void clean(void *arg)
{
    unsigned *generation = arg;
    require(weft_local_get(&inside) == NULL); /* a routine of its own */
    require(*generation <= GENERATIONS);
    weft_mutex_lock(&lock);
    for (int i = 0; i < 200; i++)
        require(weft_alloc(1000) != NULL);
    weft_gc();
    weft_mutex_unlock(&lock);
    weft_yield();
    if (*generation > 0)
        hang_one(*generation - 1);
    atomic_fetch_add(&n_run, 1);
}

static WF_NOINLINE void hang_one(unsigned generation)
{
    unsigned *arg = weft_alloc(sizeof(*arg));
    void *gap = weft_alloc(16), *object = weft_alloc(48);
    require(arg != NULL && gap != NULL && object != NULL);
    *arg = generation;
    weft_cleanup(object, clean, arg);
    atomic_fetch_add(&n_hung, 1);
}

static void allocate(void)
{
    static int yes;
    require(weft_local_set(&inside, &yes) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        weft_mutex_lock(&lock);
        hang_one(GENERATIONS);
        for (int n = 0; n < 400; n++)
            require(weft_alloc(3000) != NULL);
        weft_gc();
        weft_mutex_unlock(&lock);
        weft_yield();
    }
}

static void *allocate_in_thread(void *arg)
{
    allocate();
    return arg;
}

int main(void)
{
    pthread_t thread;
    alarm(55);
    require(pthread_create(&thread, NULL, allocate_in_thread, NULL) == 0);
    weft_scope(s)
        for (int i = 0; i < ROUTINES; i++)
            weft_scope_go(s, allocate);
    pthread_join(thread, NULL);
    int64_t end = clock_ns() + PATIENCE_SECONDS * INT64_C(1000000000);
    do {
        weft_gc();
        pause_thread_ms(1);
    } while (atomic_load(&n_run) < atomic_load(&n_hung) - 20 && clock_ns() < end);
    printf("%u of %u cleanups have run\n", atomic_load(&n_run), atomic_load(&n_hung));
    require(atomic_load(&n_run) >= atomic_load(&n_hung) - 20 && atomic_load(&n_run) <= atomic_load(&n_hung));
    require(atomic_load(&n_run) >= (ROUTINES + 1) * ROUNDS);
    return 0;
}
