/* SPDX-License-Identifier: MIT */
/* spinlock.c - the contended path: spin with growing pauses, then give the CPU away.
 *
 * The pauses grow so that the holder keeps the line and can take several turns: on two cores a line that bounces
 * at every operation costs ~300 ns a turn, one that stays for a few operations costs a tenth of it.
 */
#include "base/spinlock.h"

#include <sched.h>
#include <time.h>

enum { MAX_PAUSES = 64, ROUNDS_BEFORE_YIELD = 24, ROUNDS_BEFORE_SLEEP = 64 };

WF_COLD void wf_spinlock_lock_slow(struct wf_spinlock *lock)
{
    unsigned pauses = 4;
    for (unsigned round = 0;; round++) {
        for (unsigned i = 0; i < pauses; i++)
            wf_cpu_relax();
        if (wf_spinlock_try_lock(lock))
            return;
        if (pauses < MAX_PAUSES)
            pauses *= 2;
        if (round >= ROUNDS_BEFORE_SLEEP)
            nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
        else if (round >= ROUNDS_BEFORE_YIELD)
            sched_yield();
    }
}
