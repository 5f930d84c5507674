/* SPDX-License-Identifier: MIT */
/* test_chan_nil.c - a nil channel is one on which nothing ever happens. */
#include <criterion/criterion.h>

#include <errno.h>
#include <signal.h>

#include <weft/chan.h>
#include <weft/routine.h>

#include "../support/chan_waiters.h"

static void send_to_nil(void)
{
    passed = 1;
    weft_chan_send((weft_chan(int))NULL, 1);
    passed = 2;
}
static void recv_from_nil(void)
{
    passed = 1;
    weft_chan_recv((weft_chan(int))NULL, NULL);
    passed = 2;
}

Test(chan, sending_to_a_nil_channel_waits_for_ever, .timeout = 60)
{
    weft_go(send_to_nil);
    while (passed == 0)
        pause_ns(1000);
    pause_ns(5000000);
    cr_assert(passed == 1);
}

Test(chan, receiving_from_a_nil_channel_waits_for_ever, .timeout = 60)
{
    weft_go(recv_from_nil);
    while (passed == 0)
        pause_ns(1000);
    pause_ns(5000000);
    cr_assert(passed == 1);
}

Test(chan, a_nil_channel_is_never_ready_and_has_no_length)
{
    weft_chan(int) nil = NULL;
    int v = 9;
    cr_assert(weft_chan_try_send(nil, 1) == -EAGAIN);
    cr_assert(weft_chan_try_recv(nil, &v) == -EAGAIN);
    cr_assert(v == 9);
    cr_assert(weft_chan_len(nil) == 0);
    cr_assert(weft_chan_cap(nil) == 0);
}

Test(chan, closing_a_nil_channel_stops_the_program, .signal = SIGABRT)
{
    weft_chan_close((weft_chan(int))NULL);
}
