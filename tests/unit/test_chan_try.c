/* SPDX-License-Identifier: MIT */
/* test_chan_try.c - the forms that never wait. */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include <weft/chan.h>
#include <weft/routine.h>

#include "../support/chan_waiters.h"

Test(chan, try_forms_give_eagain_where_the_others_would_wait)
{
    weft_chan(int) c = weft_chan_make(int, 0), b = weft_chan_make(int, 1);
    int v = 9;
    cr_assert(weft_chan_try_send(c, 1) == -EAGAIN);
    cr_assert(weft_chan_try_recv(c, &v) == -EAGAIN);
    cr_assert(weft_chan_try_recv(b, &v) == -EAGAIN);
    cr_assert(weft_chan_try_send(b, 1) == 0);
    cr_assert(weft_chan_try_send(b, 2) == -EAGAIN);
    cr_assert(v == 9);
    cr_assert(weft_chan_try_recv(b, &v) == 0);
    cr_assert(v == 1);
}

Test(chan, try_send_serves_a_waiting_receiver, .timeout = 60)
{
    for (size_t cap = 0; cap < 2; cap++) {
        weft_chan(int) c = weft_chan_make(int, cap);
        passed = 0;
        weft_go(recv_then_pass, c, 4);
        await_receivers(c, 1);
        cr_assert(weft_chan_try_send(c, 4) == 0);
        while (passed != 1)
            pause_ns(1000);
        cr_assert(weft_chan_len(c) == 0);
    }
}

Test(chan, try_recv_serves_a_waiting_sender, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 0), b = weft_chan_make(int, 1);
    int v = 0;
    weft_go(send_then_pass, c, 4);
    await_senders(c, 1);
    cr_assert(weft_chan_try_recv(c, &v) == 0);
    cr_assert(v == 4);
    weft_chan_send(b, 5);
    weft_go(send_then_pass, b, 6);
    await_senders(b, 1);
    cr_assert(weft_chan_try_recv(b, &v) == 0);
    cr_assert(v == 5);
    cr_assert(weft_chan_len(b) == 1);
    cr_assert(weft_chan_try_recv(b, &v) == 0);
    cr_assert(v == 6);
    while (passed != 2)
        pause_ns(1000);
}

/* Two sides that first send and then look: at least one must see the other. */
static struct {
    weft_chan(int) x, y;
    _Atomic int arrived;
    int saw[2];
} dekker;

static void meet(int *times)
{
    int all = ++*times * 2;
    dekker.arrived++;
    for (unsigned spins = 0; dekker.arrived < all; spins++)
        if (spins > 1000)
            sched_yield();
}

static void *send_then_look(void *arg)
{
    int side = *(int *)arg, times = 0, v;
    weft_chan(int) mine = side != 0 ? dekker.y : dekker.x, other = side != 0 ? dekker.x : dekker.y;
    for (int i = 0; i < 1000000; i++) {
        meet(&times);
        weft_chan_send(mine, 1);
        dekker.saw[side] = weft_chan_try_recv(other, &v);
        meet(&times);
        require(dekker.saw[0] == 0 || dekker.saw[1] == 0);
        if (dekker.saw[1 - side] != 0)
            require(weft_chan_try_recv(mine, &v) == 0);
    }
    return NULL;
}

Test(chan, a_try_form_sees_what_completed_before_it, .timeout = 60)
{
    pthread_t thread;
    int sides[2] = {0, 1};
    dekker.x = weft_chan_make(int, 1);
    dekker.y = weft_chan_make(int, 1);
    pthread_create(&thread, NULL, send_then_look, &sides[1]);
    send_then_look(&sides[0]);
    pthread_join(thread, NULL);
}
