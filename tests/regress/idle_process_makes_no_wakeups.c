/* SPDX-License-Identifier: MIT */
/* idle_process_makes_no_wakeups.c - when nothing is to be done no thread of the runtime runs, not even now and then.
 *
 * Counted in context switches of all threads but the one that counts.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <weft/weft.h>

#include "../support/expect.h"
#include "../support/switches.h"
#include "base/compiler.h"

enum { WATCH_MS = 2000, MOST_SWITCHES = 2 };

static atomic_uint n_done;

static void work(weft_chan(int) c, int n)
{
    for (int i = 0; i < n; i++)
        require(weft_chan_send(c, i) == 0);
    atomic_fetch_add(&n_done, 1);
}

static void drain(weft_chan(int) c)
{
    weft_chan_each(int, v, c)
        if (v % 64 == 0)
            weft_yield();
}

int main(void)
{
    weft_chan(int) c = weft_chan_make(int, 16);
    alarm(50);
    if (WF_TSAN)
        return 77; /* it has a thread of its own that wakes */
    for (int i = 0; i < 8; i++) {
        require(weft_go(work, c, 10000) == 0);
        require(weft_go(drain, c) == 0);
    }
    eventually(atomic_load(&n_done) == 8);
    /* The drains wait on; main stays outside, so this is no deadlock. All has come to rest some time, not at a given one. */
    unsigned long switches = ULONG_MAX;
    int64_t give_up_ns = clock_ns() + PATIENCE_SECONDS * INT64_C(1000000000);
    while (switches > MOST_SWITCHES && clock_ns() < give_up_ns) {
        unsigned long before = switches_of_others(true);
        require(before > 0);
        pause_thread_ms(WATCH_MS);
        unsigned long after = switches_of_others(true);
        require(after > 0);
        switches = after - before;
        printf("%lu context switches in %d ms\n", switches, WATCH_MS);
    }
    require(switches <= MOST_SWITCHES);
    return 0;
}
