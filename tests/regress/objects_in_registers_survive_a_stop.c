/* SPDX-License-Identifier: MIT */
/* objects_in_registers_survive_a_stop.c - a routine that stops at a poll may hold its only pointer to an object in a
 * register that calls preserve.
 *
 * The function that put these registers on the stack ended in a tail call, which took them off again before the thread
 * stood still. It takes several routines that allocate, and so stop each other in the midst of an allocation.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include <weft/weft.h>

#include "../support/expect.h"

enum { ROUTINES = 3, ROUNDS = 1000, GARBAGE = 5000 };

static weft_waitgroup running;
static atomic_uint n_wrong;

static long *tagged(long tag)
{
    long *p = weft_alloc(2 * sizeof *p);
    require(p != NULL);
    *p = tag;
    return p;
}

/* Five pointers, and nothing else, over calls: in registers. A lost object's cell is soon used, and zeroed, again. */
static __attribute__((noinline)) void hold(void)
{
    long *a = tagged(1), *b = tagged(2), *c = tagged(3), *d = tagged(4), *e = tagged(5);
    for (int i = 0; i < GARBAGE; i++) {
        __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e));
        weft_keep(weft_alloc(16));
    }
    if (*a != 1 || *b != 2 || *c != 3 || *d != 4 || *e != 5)
        atomic_fetch_add(&n_wrong, 1);
}

static void hold_often(void)
{
    for (int i = 0; i < ROUNDS && atomic_load(&n_wrong) == 0; i++)
        hold();
    weft_waitgroup_done(&running);
}

int main(void)
{
    weft_waitgroup_add(&running, ROUTINES);
    for (int i = 0; i < ROUTINES; i++)
        weft_go(hold_often);
    weft_waitgroup_wait(&running);
    weft_gc_info info;
    weft_gc_stats(&info);
    require(atomic_load(&n_wrong) == 0);
    require(info.cycles > 0);
    return 0;
}
