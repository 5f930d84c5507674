/* SPDX-License-Identifier: MIT */
/* hostlocks_stress.c - collections every millisecond while routines and threads are always in the midst of the host's locks:
 * malloc's, stdio's, the loader's, those of making threads and processes. A thread that is stopped may hold any of them, and no
 * stop may depend on one: they are not given up.
 *
 * What weft itself allocates meanwhile: routines with many arguments, long queues of fresh ones, routine-local values,
 * messages of panics in scopes, new threads, plain threads that come and go.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <weft/weft.h>

#include "sched/world.h"
#include "../support/stress.h"

static _Atomic bool done;
static _Atomic unsigned n_running;
static FILE *nowhere;

/* ---- the host's locks ---- */

static void hammer_malloc(uint64_t seed)
{
    void *pieces[64] = {NULL};
    struct wf_rand rand;
    wf_rand_seed(&rand, seed);
    for (unsigned n = 0; !done; n++) {
        void **at = &pieces[wf_rand_below(&rand, 64)];
        free(*at);
        *at = malloc(wf_rand_below(&rand, n % 64 == 0 ? 300000 : 3000));
        if (WF_TSAN)
            wf_leave(wf_enter());
    }
    for (unsigned i = 0; i < 64; i++)
        free(pieces[i]);
    n_running--;
}

static void hammer_stdio(uint64_t seed)
{
    while (!done) {
        fprintf(nowhere, "%llu %f %s\n", (unsigned long long)seed, (double)seed / 3, "text");
        if (seed++ % 100 == 0)
            fflush(nowhere);
        if (WF_TSAN)
            wf_leave(wf_enter());
    }
    n_running--;
}

static void hammer_loader(const char *library)
{
    while (!done) {
        void *handle = dlopen(library, RTLD_NOW);
        require(handle != NULL);
        require(dlsym(handle, "no such symbol") == NULL);
        dlclose(handle);
        pause_thread_ms(1);
    }
    n_running--;
}

static int allocate_in_callback(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)info, (void)size, (void)arg;
    require(weft_alloc(100) != NULL);
    return 0;
}

/* A plain thread: the loader's lock belongs to a thread, and a routine may leave its thread in any call of weft. */
static void *hammer_callbacks(void *arg)
{
    while (!done) {
        dl_iterate_phdr(allocate_in_callback, NULL);
        pause_thread_ms(1); /* the loader's lock is not fair: without it no new thread gets hold of it for seconds */
    }
    n_running--;
    return arg;
}

static void *short_life(void *arg)
{
    void *p = weft_alloc(64);
    require(p != NULL);
    free(malloc(100));
    return arg;
}

static void hammer_threads(void)
{
    while (!done) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, short_life, NULL) == 0)
            pthread_join(thread, NULL);
    }
    n_running--;
}

static void hammer_processes(void)
{
    while (!done) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        require(child > 0);
        int status;
        while (waitpid(child, &status, 0) != child)
            require(errno == EINTR);
        require(status == 0);
        weft_sleep(5 * WEFT_MS);
    }
    n_running--;
}

/* ---- what weft allocates ---- */

static _Atomic uint64_t sum;

static void many_arguments(long a, long b, long c, long d, long e, long f, long g, long h, long i, long j, long k, long l,
                           long m, long n, long o, long p)
{
    sum += (uint64_t)(a + b + c + d + e + f + g + h + i + j + k + l + m + n + o + p);
}

static weft_local inherited = {.inherit = true};

static int fails(void *p)
{
    require(weft_local_get(&inherited) == p);
    weft_panic("a message that has to be kept for some time: %p", p);
}

static void panic_in_scope(void *p)
{
    int error;
    require(weft_local_set(&inherited, p) == 0);
    weft_scope(s, &error)
        for (int i = 0; i < 3; i++)
            weft_scope_go(s, fails, p);
    require(error != 0);
}

static void leaf(void)
{
    sum++;
}

static void use_weft(uint64_t n)
{
    while (!done) {
        for (long i = 0; i < 20; i++)
            weft_go(many_arguments, i, i, i, i, i, i, i, i, i, i, i, i, i, i, i, i);
        for (int i = 0; i < 600; i++)
            weft_go(leaf);
        panic_in_scope(&n);
        weft_yield();
    }
    n_running--;
}

static void *use_weft_in_thread(void *arg)
{
    use_weft((uintptr_t)arg);
    return NULL;
}

static void *malloc_in_thread(void *arg)
{
    weft_alloc(8);
    hammer_malloc((uintptr_t)arg);
    return NULL;
}

static void collect_until(int64_t end)
{
    while (clock_ns() < end) {
        weft_gc();
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

enum { LEAST_STOPS = 20 }; /* so that one or two do not decide */

int main(int argc, char **argv)
{
    read_stress_options(argc, argv);
    if (stress.workers != 0)
        require(weft_start(&(weft_config){.procs = stress.workers}) == 0);
    alarm(stress.stuck_after_seconds);
    require((nowhere = fopen("/dev/null", "w")) != NULL);
    pthread_t threads[3];
    n_running = 11;
    for (uint64_t i = 0; i < 2; i++)
        weft_go(hammer_malloc, stress.seed + i);
    weft_go(hammer_stdio, stress.seed);
    weft_go(hammer_loader, "libm.so.6");
    weft_go(hammer_loader, getenv("WEFT_TLS_MODULE") != NULL ? getenv("WEFT_TLS_MODULE") : "libm.so.6");
    weft_go(hammer_threads);
    weft_go(hammer_processes);
    weft_go(use_weft, 1);
    pthread_create(&threads[0], NULL, malloc_in_thread, (void *)7);
    pthread_create(&threads[1], NULL, use_weft_in_thread, (void *)8);
    pthread_create(&threads[2], NULL, hammer_callbacks, NULL);
    unsigned resized = 0;
    int64_t end = clock_ns() + (int64_t)stress.seconds * 1000000000;
    for (; clock_ns() < end || wf_world_stats.stops < LEAST_STOPS; resized++) {
        alarm(stress.stuck_after_seconds);
        collect_until(clock_ns() + 100000000);
        weft_workers *pool = weft_workers_create(2, NULL); /* threads come and go */
        for (int i = 0; i < 20; i++)
            weft_go_with(weft_attr(.workers = pool), leaf);
        weft_workers_destroy(pool);
    }
    done = true;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    while (n_running > 0)
        pause_thread_ms(1);
    require(weft_stop() == 0);
    printf("%llu stops, %llu signals (%llu again), %llu given up, %llu vanished, sum %llu\n",
           (unsigned long long)wf_world_stats.stops, (unsigned long long)wf_world_stats.signals,
           (unsigned long long)wf_world_stats.resent, (unsigned long long)wf_world_stats.given_up,
           (unsigned long long)wf_world_stats.vanished, (unsigned long long)sum);
    for (unsigned i = 0; i < WF_STOP_TIMES; i++)
        if (wf_world_stats.times[i] != 0)
            printf("  < %u us: %llu\n", 1u << i, (unsigned long long)wf_world_stats.times[i]);
    /* None is, on a machine that has time for us; on one that has not, a thread may get no CPU for as long as the patience is. With
     * a lock of the host in the way it is every other one. */
    return wf_world_stats.given_up * 5 <= wf_world_stats.stops ? 0 : 1;
}
