/* SPDX-License-Identifier: MIT */
/* mutex.c - what do lock and unlock of a mutex cost, uncontended and with 8 routines that do nothing else?
 *
 * Contended: wall time per lock/unlock over all routines; the section is one increment.
 * Not measured: fairness, long critical sections, plain threads among the contenders.
 */
#include "bench.h"
#include <weft/weft.h>

enum { LOCKS = 2000000, CONTENDERS = 8 };

static weft_mutex lock;
static int64_t counter; /* protected by `lock` */
static weft_waitgroup running;

static void lock_often(int times)
{
    for (int i = 0; i < times; i++) {
        weft_mutex_lock(&lock);
        counter++;
        weft_mutex_unlock(&lock);
    }
}

static void contend(int times)
{
    lock_often(times);
    weft_waitgroup_done(&running);
}

static void contend_all(int times)
{
    counter = 0;
    weft_waitgroup_add(&running, CONTENDERS);
    for (int i = 0; i < CONTENDERS; i++)
        weft_go(contend, times / CONTENDERS);
    weft_waitgroup_wait(&running);
    bench_require(counter == times, "count under the lock");
}

static void measure(void)
{
    bench_each("uncontended", lock_often, LOCKS, LOCKS, "ns");
    bench_each("contended_8", contend_all, LOCKS, LOCKS, "ns");
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
