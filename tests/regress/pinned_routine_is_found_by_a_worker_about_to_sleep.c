/* SPDX-License-Identifier: MIT */
/* pinned_routine_is_found_by_a_worker_about_to_sleep.c - a pinned routine becomes runnable while its thread has no worker,
 * and the only worker, on another thread, has just found nothing to do.
 *
 * Each round the routine computes until its worker is taken away, comes back, waits, and is woken by a plain thread;
 * workers are held up at random instructions. Nothing else happens in the process that could make up for a lost wake-up.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include <weft/weft.h>

#include "../support/expect.h"
#include "../support/interrupt.h"
#include "base/rand.h"

enum { N_ROUNDS = 60, LOST_AFTER_MS = 5000 };

static atomic_bool computing, yielding;
static atomic_int received;

static void yield_while_wanted(void)
{
    while (atomic_load(&yielding))
        weft_yield();
}

static void receive_and_compute(weft_chan(int) c)
{
    int v;
    pid_t tid = gettid();
    while (weft_chan_recv(c, &v) == 0) {
        require(gettid() == tid);
        atomic_store(&received, v);
        while (v % 2 != 0 && atomic_load(&computing))
            ;
    }
}

static void burn_ns(int64_t ns)
{
    int64_t end = clock_ns() + ns;
    while (clock_ns() < end)
        ;
}

static void send_and_see(weft_chan(int) c, int v)
{
    int64_t give_up = clock_ns() + LOST_AFTER_MS * INT64_C(1000000);
    while (weft_chan_try_send(c, v) == -EAGAIN)
        require(clock_ns() < give_up);
    while (atomic_load(&received) != v)
        require(clock_ns() < give_up);
}

int main(void)
{
    struct wf_rand rand;
    alarm(55);
    wf_rand_seed(&rand, 5);
    require(weft_start(&(weft_config){.procs = 1}) == 0);
    weft_chan(int) c = weft_chan_make(int, 0);
    require(weft_go_with(weft_attr(.pin = true), receive_and_compute, c) == 0);
    begin_interruptions(100000);
    for (int round = 0; round < N_ROUNDS; round++) {
        atomic_store(&computing, true);
        atomic_store(&yielding, true);
        send_and_see(c, 2 * round + 1);
        require(weft_go(yield_while_wanted) == 0); /* for which the worker is taken away */
        pause_thread_ms(25);
        atomic_store(&yielding, false);
        burn_ns(wf_rand_below(&rand, 400000));
        atomic_store(&computing, false);
        send_and_see(c, 2 * round + 2);
    }
    end_interruptions();
    return 0;
}
