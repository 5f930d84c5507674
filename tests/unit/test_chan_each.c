/* SPDX-License-Identifier: MIT */
/* test_chan_each.c - the loop over what a channel brings. */
#include <criterion/criterion.h>

#include <weft/chan.h>

Test(chan, each_ends_when_the_channel_is_closed_and_drained, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 5);
    int sum = 0;
    for (int i = 1; i <= 5; i++)
        weft_chan_send(c, i);
    weft_chan_close(c);
    weft_chan_each(int, v, c)
        sum += v;
    cr_assert(sum == 15);
}

static int first_above(weft_chan(int) c, int least)
{
    weft_chan_each(int, v, c) {
        if (v <= least)
            continue;
        return v;
    }
    return -1;
}

Test(chan, each_obeys_break_continue_and_return, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 10);
    int last = 0;
    for (int i = 1; i <= 10; i++)
        weft_chan_send(c, i);
    weft_chan_each(int, v, c) {
        last = v;
        if (v == 3)
            break;
    }
    cr_assert(last == 3);
    cr_assert(weft_chan_len(c) == 7);
    cr_assert(first_above(c, 5) == 6);
    cr_assert(weft_chan_len(c) == 4);
}

Test(chan, each_may_be_nested, .timeout = 60)
{
    weft_chan(int) a = weft_chan_make(int, 3);
    int sum = 0;
    for (int i = 1; i <= 3; i++)
        weft_chan_send(a, i);
    weft_chan_close(a);
    weft_chan_each(int, v, a) {
        weft_chan(int) b = weft_chan_make(int, 2);
        weft_chan_send(b, v * 10);
        weft_chan_send(b, v * 100);
        weft_chan_close(b);
        weft_chan_each(int, w, b) {
            if (w > 250)
                break;
            sum += w;
        }
        sum += v;
    }
    cr_assert(sum == 6 + 10 + 100 + 20 + 200 + 30);
}
