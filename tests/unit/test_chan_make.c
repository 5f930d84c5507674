/* SPDX-License-Identifier: MIT */
/* test_chan_make.c - what weft_chan_make gives. */
#include <criterion/criterion.h>

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include <weft/chan.h>

#include "base/compiler.h"

Test(chan, length_counts_the_buffer_and_capacity_is_what_was_asked_for)
{
    weft_chan(int) c = weft_chan_make(int, 4), r = weft_chan_make(int, 0), u = weft_chan_make(int, WEFT_UNBOUNDED);
    cr_assert(weft_chan_cap(c) == 4);
    cr_assert(weft_chan_cap(r) == 0);
    cr_assert(weft_chan_cap(u) == WEFT_UNBOUNDED);
    for (size_t i = 0; i < 4; i++) {
        cr_assert(weft_chan_len(c) == i);
        weft_chan_send(c, 1);
    }
    cr_assert(weft_chan_len(c) == 4);
    weft_chan_recv(c, NULL);
    cr_assert(weft_chan_len(c) == 3);
    cr_assert(weft_chan_len(r) == 0);
}

Test(chan, distinct_channels_are_unequal)
{
    weft_chan(int) a = weft_chan_make(int, 0), b = weft_chan_make(int, 0), again = a;
    cr_assert(a != b);
    cr_assert(a == again);
    cr_assert(a != NULL);
}

Test(chan, a_capacity_beyond_any_memory_stops_the_program, .signal = SIGABRT)
{
    weft_chan_make(int, SIZE_MAX / 2);
}

Test(chan, a_negative_capacity_stops_the_program, .signal = SIGABRT)
{
    weft_chan_make(char, -1);
}

Test(chan, a_capacity_beyond_the_memory_left_gives_null)
{
    if (WF_ASAN)
        cr_skip_test("AddressSanitizer cannot live with a limit");
    struct rlimit limit = {.rlim_cur = (rlim_t)4 << 30, .rlim_max = (rlim_t)4 << 30};
    setrlimit(RLIMIT_AS, &limit);
    errno = 0;
    cr_assert(weft_chan_make(char, (size_t)1 << 40) == NULL);
    cr_assert(errno == 0);
}
