/* SPDX-License-Identifier: MIT */
/* test_chan_waits.c - sends and receives on a channel that wait for each other. */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>

#include <weft/chan.h>
#include <weft/routine.h>
#include <weft/runtime.h>

#include "../support/chan_waiters.h"
#include "../support/start.h"

/* ---- rendezvous ---- */

Test(chan, a_send_without_buffer_waits_for_its_receive, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    int v = 0;
    weft_go(send_then_pass, c, 7);
    await_senders(c, 1);
    pause_ns(2000000);
    cr_assert(passed == 0);
    cr_assert(weft_chan_len(c) == 0);
    cr_assert(weft_chan_recv(c, &v) == 0);
    cr_assert(v == 7);
    while (passed != 1)
        pause_ns(1000);
}

Test(chan, a_receive_waits_for_its_send, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    weft_go(recv_then_pass, c, 8);
    await_receivers(c, 1);
    pause_ns(2000000);
    cr_assert(passed == 0);
    cr_assert(weft_chan_send(c, 8) == 0);
    while (passed != 1)
        pause_ns(1000);
}

static void echo(weft_chan(int) in, weft_chan(int) out)
{
    weft_chan_each(int, v, in)
        require(weft_chan_send(out, v + 1) == 0);
    weft_chan_close(out);
}

static void play(weft_chan(int) ping, weft_chan(int) pong, int n)
{
    for (int i = 0; i < n; i++) {
        int back = 0;
        require(weft_chan_send(ping, i) == 0);
        require(weft_chan_recv(pong, &back) == 0);
        require(back == i + 1);
    }
    weft_chan_close(ping);
    require(weft_chan_recv(pong, NULL) == -EPIPE);
}

Test(chan, routines_play_ping_pong, .timeout = 60)
{
    weft_chan(int) ping = weft_chan_make(int, 0), pong = weft_chan_make(int, 0);
    weft_go(echo, ping, pong);
    in_routine(play, ping, pong, 100000);
}

Test(chan, a_plain_thread_plays_ping_pong_with_a_routine, .timeout = 60)
{
    weft_chan(int) ping = weft_chan_make(int, 0), pong = weft_chan_make(int, 0);
    weft_go(echo, ping, pong);
    play(ping, pong, 3000);
}

static void *echo_thread(void *arg)
{
    weft_chan(int) *both = arg;
    echo(both[0], both[1]);
    return NULL;
}

Test(chan, two_plain_threads_play_ping_pong, .timeout = 60)
{
    weft_chan(int) both[2] = {weft_chan_make(int, 0), weft_chan_make(int, 0)};
    pthread_t thread;
    pthread_create(&thread, NULL, echo_thread, both);
    play(both[0], both[1], 1000);
    pthread_join(thread, NULL);
}

/* ---- order of waiters ---- */

static int served[50];
static _Atomic int n_served;

static void recv_and_note(weft_chan(int) c, int self)
{
    int v = -1;
    require(weft_chan_recv(c, &v) == 0);
    served[self] = v;
    n_served++;
}

Test(chan, receivers_are_served_in_the_order_in_which_they_began_to_wait, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    for (int i = 0; i < 50; i++) {
        weft_go(recv_and_note, c, i);
        await_receivers(c, (size_t)i + 1);
    }
    for (int i = 0; i < 50; i++)
        cr_assert(weft_chan_send(c, i) == 0);
    while (n_served != 50)
        pause_ns(1000);
    for (int i = 0; i < 50; i++)
        cr_assert(served[i] == i);
}

Test(chan, senders_are_served_in_the_order_in_which_they_began_to_wait, .timeout = 60)
{
    for (size_t cap = 0; cap < 3; cap++) {
        weft_chan(int) c = weft_chan_make(int, cap);
        passed = 0;
        for (int i = 0; i < 50; i++) {
            weft_go(send_then_pass, c, i);
            while ((size_t)passed + count_queue(WEFT__CHAN_OF(c), &WEFT__CHAN_OF(c)->senders) != (size_t)i + 1)
                pause_ns(1000);
        }
        for (int i = 0; i < 50; i++) {
            int v = -1;
            cr_assert(weft_chan_recv(c, &v) == 0);
            cr_assert(v == i);
        }
        while (passed != 50)
            pause_ns(1000);
    }
}

/* ---- waits ended from outside ---- */

static void recv_cancelled(weft_chan(int) c)
{
    int v = 9;
    require(weft_chan_recv(c, &v) == -ECANCELED);
    require(v == 9);
    passed++;
}
static void send_cancelled(weft_chan(int) c)
{
    require(weft_chan_send(c, 1) == -ECANCELED);
    passed++;
}
static void later_calls_see_it_only_when_they_wait(weft_chan(int) c, weft_chan(int) buffered)
{
    int v = 0;
    require(weft_chan_recv(c, &v) == -ECANCELED);
    require(weft_chan_send(buffered, 3) == 0);
    require(weft_chan_recv(buffered, &v) == 0);
    require(v == 3);
    require(weft_chan_recv(buffered, &v) == -ECANCELED);
    passed++;
}

Test(chan, stopping_the_runtime_ends_all_waits_and_leaves_the_channel_usable, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 0), s = weft_chan_make(int, 0), b = weft_chan_make(int, 1), nil = NULL;
    for (int i = 0; i < 100; i++) {
        weft_go(recv_cancelled, c);
        weft_go(send_cancelled, s);
        weft_go(recv_cancelled, nil);
        weft_go(send_cancelled, nil);
    }
    weft_go(later_calls_see_it_only_when_they_wait, c, b);
    await_receivers(c, 101);
    await_senders(s, 100);
    cr_assert(weft_stop() == 0);
    cr_assert(passed == 401);
    cr_assert(weft_chan_try_send(c, 1) == -EAGAIN);
    cr_assert(weft_chan_try_recv(s, NULL) == -EAGAIN);
    weft_go(recv_then_pass, c, 6);
    cr_assert(weft_chan_send(c, 6) == 0);
    while (passed != 402)
        pause_ns(1000);
}
