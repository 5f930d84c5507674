/* SPDX-License-Identifier: MIT */
/* world_stress.c - while the world stands still nothing moves, whatever the threads were doing; and afterwards all goes on.
 *
 * Routines that compute without a call, that talk through channels, that sit in a blocking read(2), that sleep; plain threads
 * that do the same; initiators of both kinds, several at once.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <weft/weft.h>

#include "sched/world.h"
#include "../support/stress.h"

enum { HOGS = 2, PAIRS = 3, PLAIN = 2, STOPPERS = 2, COUNTERS = 32 };

static struct {
    _Alignas(64) volatile uint64_t count;
} moved[COUNTERS];
static volatile bool done;
static int pipe_ends[2];
static _Atomic uint64_t stops;

static void hog(int i)
{
    while (!done) {
        moved[i].count = moved[i].count + 1;
        if (WF_TSAN)
            wf_leave(wf_enter()); /* it keeps signals back until the thread calls something that blocks */
    }
}

static void *plain_hog(void *arg)
{
    weft_id();
    weft_yield(); /* from here on it is known */
    weft_mutex m = {0};
    weft_mutex_lock(&m);
    hog((int)(intptr_t)arg);
    return NULL;
}

static void echo(weft_chan(int) in, weft_chan(int) out, int i)
{
    weft_chan_each(int, v, in) {
        moved[i].count = moved[i].count + 1;
        weft_chan_send(out, v);
    }
}

static void drive(weft_chan(int) in, weft_chan(int) out, int i)
{
    int v = 0;
    while (!done) {
        weft_chan_send(in, v);
        weft_chan_recv(out, &v);
        moved[i].count = moved[i].count + 1;
    }
    weft_chan_close(in);
}

static void reader(int i)
{
    char byte;
    while (read(pipe_ends[0], &byte, 1) == 1)
        moved[i].count = moved[i].count + 1;
}

static void sleeper(int i)
{
    while (!done) {
        weft_sleep(50 * WEFT_US);
        moved[i].count = moved[i].count + 1;
    }
}

static void *plain_sleeper(void *arg)
{
    sleeper((int)(intptr_t)arg);
    return NULL;
}

static void look(struct timespec pause)
{
    uint64_t before[COUNTERS];
    struct wf_thread *thread = wf_enter();
    while (!wf_world_claim(&thread))
        ;
    for (unsigned attempt = 0; !wf_world_stop(thread, attempt); attempt++)
        nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
    for (int i = 0; i < COUNTERS; i++)
        before[i] = moved[i].count;
    nanosleep(&pause, NULL);
    for (int i = 0; i < COUNTERS; i++)
        require(moved[i].count == before[i]);
    stops++;
    wf_world_resume();
    wf_world_unclaim();
    wf_leave(thread);
}

static void stopper(unsigned rounds, uint64_t seed)
{
    for (unsigned k = 0; k < rounds; k++) {
        alarm(stress.stuck_after_seconds); /* stuck is where nobody can stop the world, not where it takes long */
        seed = seed * 6364136223846793005u + 1;
        look((struct timespec){.tv_nsec = (long)(seed >> 33) % 200000});
        if (seed >> 60 == 0)
            weft_sleep((weft_duration)(seed % 1000000));
        else
            weft_yield();
    }
}

int main(int argc, char **argv)
{
    read_stress_options(argc, argv);
    if (stress.workers != 0)
        require(weft_start(&(weft_config){.procs = stress.workers}) == 0);
    unsigned rounds = stress.rounds != 0 ? stress.rounds : 12;
    alarm(stress.stuck_after_seconds);
    pthread_t plain[2 * PLAIN];
    int n = 0;
    require(pipe(pipe_ends) == 0);
    for (int i = 0; i < HOGS; i++)
        weft_go(hog, n++);
    for (int i = 0; i < PAIRS; i++) {
        weft_chan(int) in = weft_chan_make(int, i), out = weft_chan_make(int, 0);
        weft_go(echo, in, out, n++);
        weft_go(drive, in, out, n++);
    }
    weft_go(reader, n++);
    weft_go(sleeper, n++);
    for (int i = 0; i < PLAIN; i++) {
        pthread_create(&plain[2 * i], NULL, plain_hog, (void *)(intptr_t)n++);
        pthread_create(&plain[2 * i + 1], NULL, plain_sleeper, (void *)(intptr_t)n++);
    }
    weft_future(void) stoppers[STOPPERS];
    for (int i = 0; i < STOPPERS; i++)
        stoppers[i] = weft_async(stopper, rounds, stress.seed + (uint64_t)i);
    stopper(rounds, stress.seed + 99);
    for (int i = 0; i < STOPPERS; i++)
        weft_await(stoppers[i]);
    uint64_t before = moved[0].count;
    eventually(moved[0].count != before);
    done = true;
    close(pipe_ends[1]);
    for (int i = 0; i < 2 * PLAIN; i++)
        pthread_join(plain[i], NULL);
    require(weft_stop() == 0);
    printf("%llu stops, %llu signals (%llu again), last %lld ns\n", (unsigned long long)stops,
           (unsigned long long)wf_world_stats.signals, (unsigned long long)wf_world_stats.resent,
           (long long)wf_world_stats.last_stop_ns);
    return 0;
}
