/* SPDX-License-Identifier: MIT */
/* test_chan_close.c - what closing a channel does to those who use it. */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include <weft/chan.h>
#include <weft/routine.h>

#include "../support/chan_waiters.h"
#include "../support/elements.h"

Test(chan, receivers_drain_a_closed_channel_and_then_get_epipe_and_zero)
{
    size_t caps[] = {3, WEFT_UNBOUNDED};
    for (int i = 0; i < 2; i++) {
        weft_chan(int) c = weft_chan_make(int, caps[i]);
        int v = 9;
        for (int k = 1; k <= 3; k++)
            weft_chan_send(c, k);
        weft_chan_close(c);
        cr_assert(weft_chan_len(c) == 3);
        cr_assert(weft_chan_recv(c, &v) == 0);
        cr_assert(v == 1);
        cr_assert(weft_chan_try_recv(c, &v) == 0);
        cr_assert(v == 2);
        cr_assert(weft_chan_recv(c, NULL) == 0);
        v = 9;
        cr_assert(weft_chan_recv(c, &v) == -EPIPE);
        cr_assert(v == 0);
        v = 9;
        cr_assert(weft_chan_try_recv(c, &v) == -EPIPE);
        cr_assert(v == 0);
        cr_assert(weft_chan_recv(c, NULL) == -EPIPE);
    }
}

Test(chan, sends_on_a_closed_channel_get_epipe)
{
    size_t caps[] = {0, 3, WEFT_UNBOUNDED};
    for (int i = 0; i < 3; i++) {
        weft_chan(int) c = weft_chan_make(int, caps[i]);
        weft_chan_close(c);
        cr_assert(weft_chan_send(c, 1) == -EPIPE);
        cr_assert(weft_chan_try_send(c, 1) == -EPIPE);
        cr_assert(weft_chan_len(c) == 0);
    }
}

static void recv_closed(weft_chan(struct page) c)
{
    struct page v, zero;
    memset(&v, 7, sizeof(v));
    memset(&zero, 0, sizeof(zero));
    require(weft_chan_recv(c, &v) == -EPIPE);
    require(memcmp(&v, &zero, sizeof(v)) == 0);
    require(weft_chan_recv(c, NULL) == -EPIPE);
    passed++;
}

Test(chan, close_wakes_every_receiver_with_epipe_and_zero, .timeout = 60)
{
    size_t caps[] = {0, 5, WEFT_UNBOUNDED};
    for (int i = 0; i < 3; i++) {
        weft_chan(struct page) c = weft_chan_make(struct page, caps[i]);
        passed = 0;
        for (int k = 0; k < 300; k++)
            weft_go(recv_closed, c);
        await_receivers(c, 300);
        weft_chan_close(c);
        while (passed != 300)
            pause_ns(1000);
    }
}

static void send_closed(weft_chan(int) c)
{
    require(weft_chan_send(c, 5) == -EPIPE);
    passed++;
}

Test(chan, close_wakes_every_sender_with_epipe_and_the_buffer_stays, .timeout = 60)
{
    for (size_t cap = 0; cap < 3; cap++) {
        weft_chan(int) c = weft_chan_make(int, cap);
        int v = 9;
        passed = 0;
        for (size_t k = 0; k < cap; k++)
            weft_chan_send(c, 1);
        for (int k = 0; k < 300; k++)
            weft_go(send_closed, c);
        await_senders(c, 300);
        weft_chan_close(c);
        while (passed != 300)
            pause_ns(1000);
        for (size_t k = 0; k < cap; k++)
            cr_assert(weft_chan_recv(c, &v) == 0);
        cr_assert(weft_chan_recv(c, &v) == -EPIPE);
    }
}

static void *recv_closed_thread(void *arg)
{
    int v = 9;
    require(weft_chan_recv(*(weft_chan(int) *)arg, &v) == -EPIPE);
    require(v == 0);
    return NULL;
}

Test(chan, close_by_a_routine_wakes_a_plain_thread, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    pthread_t thread;
    pthread_create(&thread, NULL, recv_closed_thread, &c);
    await_receivers(c, 1);
    weft_go(weft__chan_close, WEFT__CHAN_OF(c));
    pthread_join(thread, NULL);
}

Test(chan, second_close_stops_the_program, .signal = SIGABRT)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    weft_chan_close(c);
    weft_chan_close(c);
}
