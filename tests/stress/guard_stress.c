/* SPDX-License-Identifier: MIT */
/* guard_stress.c - races for a worker: between the thread that drives it, searchers that rescue its work, the pilot that
 * hands it over, and a test thread that seizes it for no reason.
 *
 *     guard_stress [--seed N] [--rounds N] [--workers N] [--seconds N]
 *
 * Routines compute or sit in calls of libc for about as long as it takes the others to notice, so that the worker is
 * taken at the very moment at which they call weft again. Whoever is inside the runtime with a worker, or has seized its
 * thread, leaves its mark in a place of that worker's: nobody ever finds another's there. And nothing is lost: each routine's turns are
 * counted, those that wait for each other make progress, a pinned one stays on its thread. Exit: 0, 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include <weft/weft.h>

#include "../support/expect.h"
#include "../support/stress.h"
#include "sched/park.h"
#include "sched/threads.h"

enum { N_HOGS = 6, N_YIELDERS = 3, N_PAIRS = 2, N_TURNS = 60, N_VISITS = 200, MOST_WORKERS = 64 };

static atomic_uint inside[MOST_WORKERS]; /* by index of the worker: who may touch its private fields */
static atomic_uint running;
static atomic_bool over;
static atomic_ulong n_seized, n_moved, n_turns, n_echoed;
static struct wf_rand hog_rand[N_HOGS], yielder_rand[N_YIELDERS];

enum { NOBODY, DRIVER, SEIZER };

/* Plain loads and stores: an atomic operation would be the fence that the guard must do without. */
static void claim(uint32_t index, unsigned who)
{
    require(index < MOST_WORKERS && atomic_load_explicit(&inside[index], memory_order_relaxed) == NOBODY);
    atomic_store_explicit(&inside[index], who, memory_order_relaxed);
}

static void give_back(uint32_t index, unsigned who)
{
    require(atomic_load_explicit(&inside[index], memory_order_relaxed) == who);
    atomic_store_explicit(&inside[index], NOBODY, memory_order_relaxed);
}

/* Enters the runtime as any call does and looks around there. */
static void visit_runtime(uint32_t pauses)
{
    struct wf_thread *thread = wf_enter();
    struct wf_worker *worker = thread->worker;
    require(worker != NULL);
    claim(worker->index, DRIVER);
    require(wf_load_relaxed(&worker->thread) == thread);
    for (; pauses > 0; pauses--)
        wf_cpu_relax();
    give_back(worker->index, DRIVER);
    wf_leave(thread);
}

static void burn_ns(int64_t ns)
{
    int64_t end = clock_ns() + ns;
    while (clock_ns() < end)
        ;
}

/* Mostly as long as a searcher or the pilot waits before it acts, sometimes as long as a hog. */
static void keep_the_thread(struct wf_rand *rand)
{
    switch (wf_rand_below(rand, 8)) {
    case 0:
        burn_ns(9500000 + wf_rand_below(rand, 2000000));
        break;
    case 1:
    case 2:
        usleep(wf_rand_below(rand, 300));
        break;
    case 3:
        usleep(1);
        break;
    default:
        burn_ns(wf_rand_below(rand, 100000));
        break;
    }
}

static void hog(struct wf_rand *rand, weft_chan(unsigned) c, bool pinned)
{
    unsigned v;
    pid_t home = gettid();
    for (unsigned turn = 0; turn < N_TURNS; turn++) {
        uint64_t id = weft_id();
        pid_t tid = gettid();
        keep_the_thread(rand);
        visit_runtime(wf_rand_below(rand, 30));
        switch (wf_rand_below(rand, 5)) {
        case 0:
            weft_yield();
            break;
        case 1:
            require(weft_sleep(wf_rand_below(rand, 100) * WEFT_US) == 0);
            break;
        case 2:
            require(weft_chan_send(c, turn) == 0);
            break;
        case 3:
            require(weft_chan_try_recv(c, &v) <= 0);
            break;
        default:
            break;
        }
        require(weft_id() == id);
        require(!pinned || gettid() == home);
        atomic_fetch_add(&n_moved, gettid() != tid);
        atomic_fetch_add(&n_turns, 1);
    }
    atomic_fetch_sub(&running, 1);
}

/* Private work that others may want. */
static void yield_and_visit(struct wf_rand *rand)
{
    while (!atomic_load(&over)) {
        weft_yield();
        for (unsigned i = 0; i < N_VISITS; i++)
            visit_runtime(0);
        for (uint32_t i = wf_rand_below(rand, 500); i > 0; i--)
            wf_cpu_relax();
    }
    atomic_fetch_sub(&running, 1);
}

static void echo(weft_chan(unsigned) in, weft_chan(unsigned) out, bool first)
{
    unsigned expected = 0, v = 0;
    if (first)
        require(weft_chan_send(out, 0u) == 0);
    for (;; expected++) {
        if (weft_chan_recv(in, &v) != 0)
            break;
        require(v == expected);
        if (first && atomic_load(&over)) {
            weft_chan_close(out);
            break;
        }
        require(weft_chan_send(out, first ? v + 1 : v) == 0);
        atomic_fetch_add(&n_echoed, 1);
    }
    atomic_fetch_sub(&running, 1);
}

/* Takes the worker from a thread that is outside of the runtime, looks, gives it back. */
static void seize(uint32_t index)
{
    struct wf_thread *thread = wf_load_acquire(&wf_workers[index].thread);
    if (thread == NULL || !wf_guard_seize(thread))
        return;
    struct wf_worker *worker = thread->worker;
    if (worker != NULL) {
        claim(worker->index, SEIZER);
        burn_ns(500);
        give_back(worker->index, SEIZER);
        atomic_fetch_add(&n_seized, 1);
    }
    wf_guard_release(thread, false);
}

static void *seize_until_over(void *arg)
{
    struct wf_rand rand;
    (void)arg;
    wf_rand_seed(&rand, stress.seed);
    while (!atomic_load(&over)) {
        seize(wf_rand_below(&rand, wf_n_workers));
        burn_ns(wf_rand_below(&rand, 4) == 0 ? wf_rand_below(&rand, 40000) : 200);
    }
    return NULL;
}

static void start_all(unsigned round)
{
    weft_chan(unsigned) sink = weft_chan_make(unsigned, WEFT_UNBOUNDED);
    atomic_store(&running, N_HOGS + N_YIELDERS + 2 * N_PAIRS);
    for (unsigned i = 0; i < N_HOGS; i++) {
        seed_actor(&hog_rand[i], round, i);
        bool pinned = i % 3 == 0;
        require(weft_go_with(weft_attr(.pin = pinned, .name = "hog"), hog, &hog_rand[i], sink, pinned) == 0);
    }
    for (unsigned i = 0; i < N_YIELDERS; i++) {
        seed_actor(&yielder_rand[i], round, N_HOGS + i);
        require(weft_go(yield_and_visit, &yielder_rand[i]) == 0);
    }
    for (unsigned i = 0; i < N_PAIRS; i++) {
        weft_chan(unsigned) there = weft_chan_make(unsigned, 0), back = weft_chan_make(unsigned, 0);
        require(weft_go(echo, back, there, true) == 0);
        require(weft_go(echo, there, back, false) == 0);
    }
}

static void run_round(unsigned round)
{
    pthread_t seizer;
    atomic_store(&over, false);
    atomic_store(&n_turns, 0);
    require(weft_start(&(weft_config){.procs = stress.workers}) == 0);
    start_all(round);
    require(pthread_create(&seizer, NULL, seize_until_over, NULL) == 0);
    while (atomic_load(&n_turns) < N_HOGS * N_TURNS)
        usleep(200);
    atomic_store(&over, true);
    require(pthread_join(seizer, NULL) == 0);
    while (atomic_load(&running) > 0)
        usleep(200);
    require(weft_stop() == 0);
}

int main(int argc, char **argv)
{
    unsigned round;
    read_stress_options(argc, argv);
    if (weft_procs() > MOST_WORKERS)
        return 77;
    require(weft_stop() == 0);
    for (round = 0; stress_goes_on(round); round++)
        run_round(round);
    printf("%u rounds, %lu times seized for no reason, %lu moves, %lu echoes\n", round, atomic_load(&n_seized),
           atomic_load(&n_moved), atomic_load(&n_echoed));
    return 0;
}
