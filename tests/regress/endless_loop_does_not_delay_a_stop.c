/* SPDX-License-Identifier: MIT */
/* endless_loop_does_not_delay_a_stop.c - code that never calls weft is stopped where it is, and its registers are looked at.
 *
 * Routines on every worker and a plain thread compute without a call, each with the only pointer to an object in a register or
 * on its stack; main collects meanwhile.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "../support/watch.h"

enum { COLLECTIONS = 30 };

static atomic_bool over;
static _Atomic unsigned n_begun, n_good;

static void compute(uint64_t tag)
{
    struct node *n = make_node(tag);
    uint64_t x = tag;
    clear_stack(); /* the red zone is searched, too */
    atomic_fetch_add(&n_begun, 1);
    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        x = x * 3 + 1;
        __asm__ volatile("" : "+r"(n), "+r"(x));
    }
    require(is_node(n, tag));
    atomic_fetch_add(&n_good, 1);
}

static void *compute_in_thread(void *arg)
{
    compute((uint64_t)(uintptr_t)arg);
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    pthread_t thread;
    int64_t took[COLLECTIONS];
    alarm(50); /* without the signal no collection ever begins; how fast they are is for benchmarks */
    unsigned n = weft_procs();
    for (uint64_t i = 0; i < n; i++)
        require(weft_go(compute, i) == 0);
    require(pthread_create(&thread, NULL, compute_in_thread, (void *)(uintptr_t)n) == 0);
    eventually(atomic_load(&n_begun) == n + 1);
    for (int i = 0; i < COLLECTIONS; i++) {
        int64_t begin = clock_ns();
        weft_gc();
        took[i] = clock_ns() - begin;
        require(count_alive() == n + 1);
    }
    atomic_store(&over, true);
    pthread_join(thread, NULL);
    eventually(atomic_load(&n_good) == n + 1);
    qsort(took, COLLECTIONS, sizeof(took[0]), by_size);
    printf("median %lld us, longest %lld us\n", (long long)took[COLLECTIONS / 2] / 1000, (long long)took[COLLECTIONS - 1] / 1000);
    return 0;
}
