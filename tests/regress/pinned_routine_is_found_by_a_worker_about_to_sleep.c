/* SPDX-License-Identifier: MIT */
/* pinned_routine_is_found_by_a_worker_about_to_sleep.c - a pinned routine becomes runnable while its thread has no worker,
 * and the only worker, on another thread, has just found nothing to do.
 *
 * Each round the routine waits while another one computes on its thread until the worker is taken away from there. A
 * signal holds the worker's new thread up somewhere on its way to sleep; meanwhile the routine is woken. Nothing else
 * happens in the process that could make up for it if that worker, going on, slept without another look.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <weft/weft.h>

#include "../support/expect.h"
#include "base/compiler.h"
#include "base/rand.h"
#include "sched/threads.h"
#include "sched/worker.h"

enum { N_ROUNDS = 60, LOST_AFTER_MS = 20000, MOST_WAY_NS = 12000, MOST_WAKING_NS = 300000 };

static atomic_bool computing, yielding;
static atomic_int received;
static atomic_uint answered;
static atomic_bool held, may_go_on;

static bool is_on_its_way_to_sleep(void)
{
    return wf_load_relaxed(&wf_workers[0].state) == WF_WORKER_SEARCHING;
}

static void hold_on_the_way_to_sleep(int signo)
{
    (void)signo;
    if (is_on_its_way_to_sleep()) {
        atomic_store(&held, true);
        while (!atomic_load(&may_go_on))
            ;
    }
    atomic_fetch_add(&answered, 1);
}

static void yield_while_wanted(void)
{
    while (atomic_load(&yielding))
        weft_yield();
}

static void nothing(void) {}

static void compute_while_wanted(void)
{
    while (atomic_load(&computing))
        ;
}

static void receive_pinned(weft_chan(int) c)
{
    int v;
    pid_t tid = gettid();
    while (weft_chan_recv(c, &v) == 0) {
        require(gettid() == tid);
        atomic_store(&received, v);
    }
}

static void burn_ns(int64_t ns)
{
    int64_t end = clock_ns() + ns;
    while (clock_ns() < end)
        ;
}

static void send_now(weft_chan(int) c, int v)
{
    int64_t give_up = clock_ns() + LOST_AFTER_MS * INT64_C(1000000);
    while (weft_chan_try_send(c, v) == -EAGAIN)
        require(clock_ns() < give_up);
}

static void see_received(int v)
{
    int64_t give_up = clock_ns() + LOST_AFTER_MS * INT64_C(1000000);
    while (atomic_load(&received) != v)
        require(clock_ns() < give_up);
}

/* Wakes the worker's thread for nothing and catches it before it sleeps again. False: missed it. */
static bool catch_worker(struct wf_rand *rand)
{
    struct wf_thread *thread = wf_load_acquire(&wf_workers[0].thread);
    unsigned before = atomic_load(&answered);
    atomic_store(&held, false);
    atomic_store(&may_go_on, false);
    require(weft_go(nothing) == 0);
    for (int64_t end = clock_ns() + MOST_WAKING_NS; clock_ns() < end;) /* it may be back before it was seen */
        if (wf_load_relaxed(&wf_workers[0].state) != WF_WORKER_PARKED)
            break;
    burn_ns(wf_rand_below(rand, MOST_WAY_NS));
    syscall(SYS_tgkill, getpid(), wf_load_relaxed(&thread->tid), SIGFPE);
    while (atomic_load(&answered) == before && !atomic_load(&held))
        ;
    return atomic_load(&held);
}

int main(void)
{
    struct sigaction action = {.sa_handler = hold_on_the_way_to_sleep, .sa_flags = SA_RESTART | SA_ONSTACK};
    unsigned caught = 0;
    struct wf_rand rand;
    alarm(55);
    if (WF_TSAN)
        return 77; /* it cannot stand signals in the middle of its own work */
    wf_rand_seed(&rand, 5);
    require(sigaction(SIGFPE, &action, NULL) == 0);
    require(weft_start(&(weft_config){.procs = 1}) == 0);
    weft_chan(int) c = weft_chan_make(int, 0);
    require(weft_go_with(weft_attr(.pin = true), receive_pinned, c) == 0);
    for (int round = 1; round <= N_ROUNDS; round++) {
        atomic_store(&computing, true);
        atomic_store(&yielding, true);
        struct wf_thread *home = wf_load_acquire(&wf_workers[0].thread);
        require(weft_go(compute_while_wanted) == 0);
        require(weft_go(yield_while_wanted) == 0); /* for which the worker is taken away */
        eventually(wf_load_acquire(&wf_workers[0].thread) != home);
        atomic_store(&yielding, false);
        atomic_store(&computing, false);
        pause_thread_ms(3); /* until all is quiet */
        bool is_caught = false;
        for (unsigned i = 0; i < 20 && !is_caught; i++)
            is_caught = catch_worker(&rand);
        caught += is_caught;
        send_now(c, round);
        atomic_store(&may_go_on, true);
        see_received(round);
    }
    printf("caught %u times\n", caught);
    return 0;
}
