/* SPDX-License-Identifier: MIT */
/* parked_stacks_retain_only_live_frames.c - what a routine left on its stack in calls that have returned keeps nothing alive
 * while it waits; nor does the stack of a routine that has ended.
 *
 * Routines fill frames deep below with the only pointers to objects, return, and wait in various ways.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "../support/watch.h"

enum { ROUTINES = 60, DROPPED = 60, DEEP = 6 << 10 };

static _Atomic unsigned n_waiting, n_done;

/* The frames of whatever follows do not reach so far down. */
static WF_NOINLINE void leave_pointers_deep(void)
{
    char gap[DEEP];
    struct node *volatile dropped[DROPPED];
    __asm__ volatile("" : : "r"(gap) : "memory");
    for (uint64_t i = 0; i < DROPPED; i++)
        dropped[i] = make_node(i);
    require(is_node(dropped[DROPPED / 2], DROPPED / 2));
}

static void wait_somehow(unsigned number, weft_chan(int) release)
{
    struct node *kept = weft_new(struct node);
    kept->tag = number;
    leave_pointers_deep();
    atomic_fetch_add(&n_waiting, 1);
    if (number % 3 == 0)
        weft_chan_recv(release, NULL);
    else if (number % 3 == 1)
        weft_select(weft_on_recv(release, NULL), weft_after(WEFT_HOUR));
    else
        while (weft_chan_try_recv(release, NULL) == -EAGAIN)
            weft_sleep(20 * WEFT_MS);
    require(kept->tag == number);
    atomic_fetch_add(&n_done, 1);
}

static void end_at_once(void)
{
    leave_pointers_deep();
    atomic_fetch_add(&n_done, 1);
}

int main(void)
{
    weft_chan(int) release = weft_chan_make(int, 0);
    alarm(50);
    for (unsigned i = 0; i < ROUTINES; i++)
        require(weft_go(wait_somehow, i, release) == 0);
    eventually(atomic_load(&n_waiting) == ROUTINES);
    bool died = dies_down_to(ROUTINES * DROPPED / 10);
    printf("%u of %u kept by stacks that wait\n", count_alive(), ROUTINES * DROPPED);
    require(died);
    weft_chan_close(release);
    eventually(atomic_load(&n_done) == ROUTINES);
    watched.n = 0;
    for (unsigned i = 0; i < ROUTINES; i++)
        require(weft_go(end_at_once) == 0);
    eventually(atomic_load(&n_done) == 2 * ROUTINES);
    died = dies_down_to(ROUTINES * DROPPED / 10);
    printf("%u of %u kept by stacks that have ended\n", count_alive(), ROUTINES * DROPPED);
    require(died);
    return 0;
}
