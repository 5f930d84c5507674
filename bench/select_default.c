/* SPDX-License-Identifier: MIT */
/* select_default.c - what does a poll cost: a select with a default over 1 and over 4 channels that stay empty?
 *
 * Nobody else uses the channels. Not measured: a poll that finds something (select4.c).
 */
#include "bench.h"
#include <weft/weft.h>

enum { POLLS = 5000000 };

static void poll_one(int polls)
{
    weft_chan(int) a = weft_chan_make(int, 0);
    int v = 0, found = 0;
    for (int i = 0; i < polls; i++)
        found += weft_select(weft_on_recv(a, &v), weft_otherwise) != 1;
    bench_require(found == 0, "empty channel was ready");
}

static void poll_four(int polls)
{
    weft_chan(int) a = weft_chan_make(int, 0), b = weft_chan_make(int, 0);
    weft_chan(int) c = weft_chan_make(int, 0), d = weft_chan_make(int, 0);
    int v = 0, found = 0;
    for (int i = 0; i < polls; i++)
        found += weft_select(weft_on_recv(a, &v), weft_on_recv(b, &v), weft_on_recv(c, &v), weft_on_recv(d, &v),
                             weft_otherwise) != 4;
    bench_require(found == 0, "empty channel was ready");
}

static void measure(void)
{
    bench_each("channels_1", poll_one, POLLS, POLLS, "ns");
    bench_each("channels_4", poll_four, POLLS, POLLS, "ns");
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
