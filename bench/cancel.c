/* SPDX-License-Identifier: MIT */
/* cancel.c - what does it cost to cancel a scope of 10 000 parked routines?
 *
 * `call` is the time of weft_cancel() itself, `ended` until the scope has been left, both per routine.
 * Not measured: the start of the routines.
 */
#include "bench.h"
#include <weft/weft.h>

enum { ROUTINES = 10000 };

static int parked(weft_chan(int) never, weft_waitgroup *here)
{
    weft_waitgroup_done(here);
    return weft_chan_recv(never, NULL) == -ECANCELED ? 0 : 1;
}

static void once(double *ret_call, double *ret_ended)
{
    weft_chan(int) never = weft_chan_make(int, 0);
    weft_waitgroup here = {0};
    int64_t start = 0, called = 0;
    int err = 0;
    weft_waitgroup_add(&here, ROUTINES);
    weft_scope(s, &err) {
        for (int i = 0; i < ROUTINES; i++)
            weft_scope_go(s, parked, never, &here);
        weft_waitgroup_wait(&here);
        weft_sleep(WEFT_MS); /* the last ones have counted down but may not have begun to wait */
        start = bench_now();
        weft_cancel(s);
        called = bench_now();
    }
    bench_require(err == -ECANCELED, "every child was cancelled");
    *ret_call = (double)(called - start) / ROUTINES;
    *ret_ended = (double)(bench_now() - start) / ROUTINES;
}

static void measure(void)
{
    for (int round = -1; round < bench_rounds; round++) { /* the first one warms up */
        double call, ended;
        once(&call, &ended);
        if (round < 0)
            continue;
        bench_print("call", call, "ns");
        bench_print("ended", ended, "ns");
    }
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
