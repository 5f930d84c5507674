/* SPDX-License-Identifier: MIT */
/* no_wakeup_is_lost_on_the_way_to_sleep.c - work that arrives while workers are about to sleep is run.
 *
 * A plain thread, and then a routine that computes on, makes work after a delay that is mostly about as long as a worker
 * spins before it sleeps; the work must be run although nothing else happens in the process. In the second half of the
 * time the workers are held up at random instructions.
 */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include <weft/weft.h>

#include "../support/expect.h"
#include "../support/interrupt.h"
#include "base/rand.h"

enum { RUN_MS = 1200, SHORT_NS = 64000, LONG_NS = 3000000, LOST_AFTER_MS = 20000 };

static atomic_uint n_done;
static atomic_bool reply;

static void count(void)
{
    atomic_fetch_add(&n_done, 1);
}

static void answer(void)
{
    atomic_store(&reply, true);
}

static void delay_ns(int64_t ns)
{
    int64_t end = clock_ns() + ns;
    while (clock_ns() < end)
        ;
}

static bool comes(unsigned n)
{
    int64_t give_up = clock_ns() + LOST_AFTER_MS * INT64_C(1000000);
    while (atomic_load(&n_done) != n) {
        if (clock_ns() > give_up)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 10000}, NULL);
    }
    return true;
}

/* From routine to routine: the new one is in the places of a worker whose thread computes. */
static void start_and_compute(int64_t delay)
{
    delay_ns(delay);
    atomic_store(&reply, false);
    require(weft_go(answer) == 0);
    int64_t give_up = clock_ns() + LOST_AFTER_MS * INT64_C(1000000);
    while (!atomic_load(&reply))
        require(clock_ns() < give_up);
    count();
}

static unsigned n, of_routines;

static void make_work_for(int64_t ms)
{
    int64_t end = clock_ns() + ms * 1000000;
    struct wf_rand rand;
    wf_rand_seed(&rand, 14);
    while (clock_ns() < end) {
        require(weft_go(count) == 0);
        require(comes(++n));
        int64_t delay = wf_rand_below(&rand, n % 16 == 1 ? LONG_NS : SHORT_NS);
        delay_ns(delay);
        if (n % 16 == 0) {
            of_routines++;
            require(weft_go(start_and_compute, delay) == 0);
            require(comes(++n));
        }
    }
}

int main(void)
{
    alarm(50);
    make_work_for(RUN_MS);
    begin_interruptions(40000);
    make_work_for(RUN_MS);
    end_interruptions();
    printf("%u times by a thread, %u times by a routine\n", n - 2 * of_routines, of_routines);
    return 0;
}
