/* SPDX-License-Identifier: MIT */
/* spread.c - how well do 10000 routines of 1 us of computing each spread over the workers?
 *
 * All are started by one routine. `serial` is the same work as plain calls: about 10 ms by calibration, so half of it
 * is perfect on two workers. Not measured: routines that wait or share anything.
 */
#include "bench.h"
#include <weft/weft.h>

enum { TASKS = 10000, TASK_NS = 1000 };

static weft_waitgroup running;
static int steps_per_task; /* immutable after calibrate */
static uint64_t results[TASKS];

static uint64_t churn(uint64_t x, int steps)
{
    for (int i = 0; i < steps; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    return x;
}

static void calibrate(void)
{
    enum { STEPS = 100000, TRIES = 50 };
    int64_t best = INT64_MAX;
    uint64_t x = 1;
    for (int i = 0; i < TRIES; i++) {
        int64_t start = bench_now();
        x = churn(x, STEPS);
        int64_t taken = bench_now() - start;
        best = taken < best ? taken : best;
    }
    bench_require(x != 0, "a xorshift never reaches zero");
    steps_per_task = (int)((int64_t)STEPS * TASK_NS / best);
}

static void work(int task)
{
    results[task] = churn((uint64_t)task + 1, steps_per_task);
}

static void work_and_end(int task)
{
    work(task);
    weft_waitgroup_done(&running);
}

static void work_in_turn(int tasks)
{
    for (int i = 0; i < tasks; i++)
        work(i);
}

static void work_spread(int tasks)
{
    weft_waitgroup_add(&running, tasks);
    for (int i = 0; i < tasks; i++)
        weft_go(work_and_end, i);
    weft_waitgroup_wait(&running);
}

/* Takes the results out: what nobody reads the compiler need not compute. */
static uint64_t take_sum(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < TASKS; i++) {
        sum += results[i];
        results[i] = 0;
    }
    return sum;
}

static void measure(void)
{
    calibrate();
    bench_each("serial", work_in_turn, TASKS, 1e6, "ms");
    uint64_t expected = take_sum();
    bench_each("spread", work_spread, TASKS, 1e6, "ms");
    bench_require(take_sum() == expected, "sum of the results");
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
