/* SPDX-License-Identifier: MIT */
/* test_chan_calls.c - what holds of every call on a channel: each argument is evaluated once, errno is left alone. */
#include <criterion/criterion.h>

#include <errno.h>

#include <weft/chan.h>
#include <weft/routine.h>

#include "../support/chan_waiters.h"

static int calls;
static weft_chan(int) counted_channel(weft_chan(int) c)
{
    calls++;
    return c;
}
static int counted_value(int v)
{
    calls++;
    return v;
}
static int *counted_pointer(int *p)
{
    calls++;
    return p;
}

Test(chan, macros_evaluate_each_argument_once)
{
    weft_chan(int) c = weft_chan_make(int, 4);
    int v = 0;
    weft_chan_send(counted_channel(c), counted_value(1));
    cr_assert(calls == 2);
    weft_chan_try_send(counted_channel(c), counted_value(2));
    cr_assert(calls == 4);
    weft_chan_recv(counted_channel(c), counted_pointer(&v));
    cr_assert(calls == 6);
    weft_chan_try_recv(counted_channel(c), counted_pointer(&v));
    cr_assert(calls == 8);
    cr_assert(weft_chan_len(counted_channel(c)) == 0);
    cr_assert(calls == 9);
    cr_assert(weft_chan_cap(counted_channel(c)) == 4);
    cr_assert(calls == 10);
    weft_chan_close(counted_channel(c));
    cr_assert(calls == 11);
    weft_chan_each(int, unused, counted_channel(c))
        cr_assert_fail("a value from a closed channel");
    cr_assert(calls == 12);
    cr_assert(v == 2);
}

Test(chan, errno_is_left_alone, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 1), u = weft_chan_make(int, WEFT_UNBOUNDED);
    int v;
    errno = 77;
    weft_chan_try_recv(c, &v);
    weft_chan_send(c, 1);
    weft_go(send_then_pass, c, 2);
    await_senders(c, 1);
    errno = 77;
    weft_chan_recv(c, &v);
    weft_chan_recv(c, &v);
    for (int i = 0; i < 2000; i++)
        weft_chan_send(u, i);
    weft_chan_close(c);
    cr_assert(weft_chan_send(c, 1) == -EPIPE);
    cr_assert(errno == 77);
}
