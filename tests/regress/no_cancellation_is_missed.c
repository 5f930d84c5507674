/* SPDX-License-Identifier: MIT */
/* no_cancellation_is_missed.c - who begins to wait while its scope is cancelled is woken or does not wait.
 *
 *     no_cancellation_is_missed [--seed N] [--rounds N] [--workers N] [--seconds N]
 *
 * [P3]: the waiter publishes its wait, then looks at its blocks; the canceller marks the block, then looks at the wait.
 * Without the fence of the waiter both may see nothing: its store is still on the way. To keep it there for long, the
 * canceller, a plain thread so that it never shares a worker with the waiter, reads the word all the time, so that its line
 * must be fetched back for the store.
 */
#include <weft/weft.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "../support/stress.h"
#include "sched/thread.h"

static _Atomic(weft_scope_ref) current;
static _Atomic(struct wf_routine *) waiter;
static weft_latch never;
static atomic_bool is_over;
static atomic_uint ended;

static void stand_by(unsigned *turn)
{
    if (++*turn % 4096 == 0)
        sched_yield();
}

static void *cancel_again_and_again(void *unused)
{
    struct wf_rand rand;
    seed_actor(&rand, 0, 1);
    weft_scope_ref last = NULL;
    while (!atomic_load(&is_over)) {
        weft_scope_ref s;
        unsigned turn = 0;
        struct wf_routine *r = atomic_load(&waiter);
        while (((s = atomic_load_explicit(&current, memory_order_acquire)) == last || s == NULL) && !atomic_load(&is_over))
            stand_by(&turn);
        for (uint32_t i = wf_rand_below(&rand, 60); i > 0; i--)
            if (wf_load_relaxed(&r->waits_on) != 0 && wf_rand_below(&rand, 4) == 0)
                break;
        weft_cancel(s);
        last = s;
    }
    return unused;
}

/* Keeps the worker from going to sleep. */
static void stay_awake(void)
{
    while (!atomic_load(&is_over))
        weft_yield();
    atomic_fetch_add(&ended, 1);
}

static void wait_again_and_again(void)
{
    unsigned round = 0;
    atomic_store(&waiter, wf_thread_self()->current);
    for (; (round & 255) != 0 || stress_goes_on(round); round++) {
        int result = 0;
        weft_scope(s) {
            atomic_store_explicit(&current, s, memory_order_release);
            result = round % 2 == 0 ? weft_latch_wait(&never) : weft_chan_recv((weft_chan(int))NULL, NULL);
        }
        require(result == -ECANCELED);
    }
    printf("%u rounds\n", round);
    atomic_store(&is_over, true);
    atomic_fetch_add(&ended, 1);
}

int main(int argc, char **argv)
{
    pthread_t canceller;
    stress.seconds = 2;
    stress.stuck_after_seconds = 20;
    read_stress_options(argc, argv);
    weft_latch_init(&never, 1);
    if (stress.workers != 0)
        require(weft_start(&(weft_config){.procs = stress.workers}) == 0);
    require(weft_go(wait_again_and_again) == 0);
    eventually(atomic_load(&waiter) != NULL);
    require(pthread_create(&canceller, NULL, cancel_again_and_again, NULL) == 0);
    require(weft_go(stay_awake) == 0);
    require(pthread_join(canceller, NULL) == 0);
    while (atomic_load(&ended) < 2)
        pause_thread_ms(1);
    return 0;
}
