/* SPDX-License-Identifier: MIT */
/* errno_survives_migration.c - errno belongs to the routine, whichever thread it wakes on.
 *
 * Two ways to lose it: the switch does not carry it along (a function that is called afterwards, strerror or perror,
 * sees another routine's), or the compiler, to whom libc says that errno's address never changes, goes on using that of
 * the former thread in a function that waits.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include <weft/weft.h>

#include "../support/expect.h"

enum { N_ROUTINES = 12, N_TURNS = 3000 };

static atomic_uint moved, ended, wrong_after_call, wrong_in_place;

static __attribute__((noinline)) int read_errno(void)
{
    __asm__ volatile("");
    return errno;
}

static void wait_in_some_way(int i, weft_chan(int) c)
{
    int v;
    switch (i % 5) {
    case 0:
        weft_yield();
        break;
    case 1:
        require(weft_sleep(10 * WEFT_US) == 0);
        break;
    case 2:
        require(weft_chan_send(c, i) == 0);
        break;
    case 3:
        require(weft_chan_recv(c, &v) == 0);
        break;
    default:
        usleep(1); /* keeps the thread; now and then it loses its worker */
        weft_yield();
        break;
    }
}

static void keep_errno(int mine, weft_chan(int) c)
{
    for (int i = 0; i < N_TURNS; i++) {
        pid_t tid = gettid();
        errno = mine;
        wait_in_some_way(i, c);
        if (read_errno() != mine)
            atomic_fetch_add(&wrong_after_call, 1);
        if (errno != mine)
            atomic_fetch_add(&wrong_in_place, 1);
        if (gettid() != tid)
            atomic_fetch_add(&moved, 1);
    }
    atomic_fetch_add(&ended, 1);
}

int main(void)
{
    weft_chan(int) c = weft_chan_make(int, N_ROUTINES);
    alarm(50);
    errno = 9999;
    for (int i = 0; i < N_ROUTINES; i++)
        require(weft_go(keep_errno, 1000 + i, c) == 0);
    require(errno == 9999);
    eventually(atomic_load(&ended) == N_ROUTINES);
    printf("moved %u times; wrong for functions called later %u times, in place %u times\n", atomic_load(&moved),
           atomic_load(&wrong_after_call), atomic_load(&wrong_in_place));
    return atomic_load(&wrong_after_call) != 0 || atomic_load(&wrong_in_place) != 0;
}
