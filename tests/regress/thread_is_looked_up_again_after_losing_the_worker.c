/* SPDX-License-Identifier: MIT */
/* thread_is_looked_up_again_after_losing_the_worker.c - a routine whose thread lost its worker goes on elsewhere in the
 * middle of its next call into weft; that call must not use what it knew of the former thread.
 *
 * With one worker every long computation ends so. What a stale thread leads to: two routines on one thread's records,
 * a guard word that stays set, a crash.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include <weft/weft.h>

#include "../support/expect.h"

enum { N_HOGS = 4, N_TURNS = 40 };

static atomic_uint ended, moved;

static void compute_and_call(unsigned i, weft_chan(unsigned) c, weft_mutex *m)
{
    unsigned v;
    for (unsigned turn = 0; turn < N_TURNS; turn++) {
        uint64_t id = weft_id();
        pid_t tid = gettid();
        if (turn % 2 == 0)
            burn_ms(12);
        else
            usleep(500);
        switch ((turn + i) % 6) {
        case 0:
            weft_yield();
            break;
        case 1:
            require(weft_sleep(1) == 0);
            break;
        case 2:
            require(weft_chan_send(c, i) == 0);
            break;
        case 3:
            require(weft_chan_try_recv(c, &v) <= 0);
            break;
        case 4:
            weft_mutex_lock(m);
            weft_mutex_unlock(m);
            break;
        default:
            require(weft_select(weft_on_recv(c, &v), weft_otherwise) >= 0);
            break;
        }
        require(weft_id() == id);
        atomic_fetch_add(&moved, gettid() != tid);
    }
    atomic_fetch_add(&ended, 1);
}

static void yield_until_ended(void)
{
    while (atomic_load(&ended) < N_HOGS)
        weft_yield();
}

int main(void)
{
    static weft_mutex mutex;
    weft_chan(unsigned) c = weft_chan_make(unsigned, WEFT_UNBOUNDED);
    alarm(50);
    for (unsigned i = 0; i < N_HOGS; i++)
        require(weft_go(compute_and_call, i, c, &mutex) == 0);
    for (unsigned i = 0; i < 3; i++)
        require(weft_go(yield_until_ended) == 0);
    eventually(atomic_load(&ended) == N_HOGS);
    require(weft_stop() == 0);
    printf("moved %u times\n", atomic_load(&moved));
    return 0;
}
