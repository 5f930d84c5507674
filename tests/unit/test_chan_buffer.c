/* SPDX-License-Identifier: MIT */
/* test_chan_buffer.c - values leave the buffer of a channel in the order in which they entered. */
#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>

#include <weft/chan.h>
#include <weft/routine.h>

#include "../support/chan_waiters.h"
#include "../support/elements.h"
#include "../support/start.h"

Test(chan, sends_fill_the_buffer_and_then_wait, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 3);
    int v = 0;
    for (int i = 0; i < 3; i++)
        cr_assert(weft_chan_send(c, i) == 0);
    cr_assert(weft_chan_try_send(c, 99) == -EAGAIN);
    weft_go(send_then_pass, c, 3);
    await_senders(c, 1);
    cr_assert(passed == 0);
    for (int i = 0; i < 4; i++) {
        cr_assert(weft_chan_recv(c, &v) == 0);
        cr_assert(v == i);
    }
    while (passed != 1)
        pause_ns(1000);
    cr_assert(weft_chan_len(c) == 0);
}

Test(chan, values_leave_a_buffer_of_any_size_in_the_order_they_entered)
{
    for (size_t cap = 1; cap <= 130; cap += cap < 10 ? 1 : 40) {
        weft_chan(int64_t) c = weft_chan_make(int64_t, cap);
        int64_t in = 0, out = 0;
        for (unsigned round = 0; round < 2000; round++) {
            unsigned fill = round * 7 % ((unsigned)cap + 2), drain = round * 5 % ((unsigned)cap + 2);
            for (unsigned i = 0; i < fill; i++)
                if (weft_chan_try_send(c, in) == 0)
                    in++;
                else
                    cr_assert((size_t)(in - out) == cap);
            cr_assert(weft_chan_len(c) == (size_t)(in - out));
            for (unsigned i = 0; i < drain; i++) {
                int64_t v = -1;
                if (weft_chan_try_recv(c, &v) == 0)
                    cr_assert(v == out++);
                else
                    cr_assert(in == out);
            }
        }
    }
}

static void produce(weft_chan(int) c, int n)
{
    for (int i = 0; i < n; i++)
        require(weft_chan_send(c, i) == 0);
    weft_chan_close(c);
}

static void consume_in_order(weft_chan(int) c, int n)
{
    int next = 0;
    weft_chan_each(int, v, c)
        require(v == next++);
    require(next == n);
}

Test(chan, one_producer_and_one_consumer_keep_the_order, .timeout = 60)
{
    size_t caps[] = {0, 1, 2, 128, WEFT_UNBOUNDED};
    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
        weft_chan(int) c = weft_chan_make(int, caps[i]);
        weft_go(produce, c, 50000);
        in_routine(consume_in_order, c, 50000);
        c = weft_chan_make(int, caps[i]);
        weft_go(produce, c, 2000);
        consume_in_order(c, 2000);
    }
}

Test(chan, an_unbounded_channel_takes_everything_and_keeps_the_order, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, WEFT_UNBOUNDED);
    int v = -1;
    for (int i = 0; i < 200000; i++)
        cr_assert(weft_chan_try_send(c, i) == 0);
    cr_assert(weft_chan_len(c) == 200000);
    for (int i = 0; i < 200000; i++) {
        cr_assert(weft_chan_recv(c, &v) == 0);
        cr_assert(v == i);
    }
    cr_assert(weft_chan_try_recv(c, &v) == -EAGAIN);
}

Test(chan, an_unbounded_channel_grows_and_shrinks_without_mixing_values, .timeout = 60)
{
    weft_chan(struct hundred) c = weft_chan_make(struct hundred, WEFT_UNBOUNDED);
    unsigned in = 0, out = 0, seed = 1;
    for (int round = 0; round < 3000; round++) {
        seed = seed * 1103515245 + 12345;
        unsigned fill = seed >> 16 & 63, drain = seed >> 22 & 63;
        for (unsigned i = 0; i < fill; i++) {
            struct hundred v;
            memset(v.bytes, (char)in++, sizeof(v.bytes));
            cr_assert(weft_chan_send(c, v) == 0);
        }
        for (unsigned i = 0; i < drain && out != in; i++) {
            struct hundred v, expected;
            memset(expected.bytes, (char)out++, sizeof(v.bytes));
            cr_assert(weft_chan_try_recv(c, &v) == 0);
            cr_assert(memcmp(&v, &expected, sizeof(v)) == 0);
        }
        cr_assert(weft_chan_len(c) == in - out);
    }
}
