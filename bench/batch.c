/* SPDX-License-Identifier: MIT */
/* batch.c - how late is an interactive answer while batch work computes, with all on one pool and with two?
 *
 * A client asks a server every millisecond over two channels; the figure is the time from the moment the question was due
 * until the answer is there. `alone`: nothing else runs. `shared`: BATCH routines that compute for BURST_NS at a time, then
 * yield, on the same workers. `pool`: they have a pool of 2 workers of their own; `pool_nice`: whose threads are nice, too.
 * `_p50`, `_p99`: of the questions of a round. The kernel's sharing of the CPUs is part of all of them. Go has no peer:
 * its goroutines all share GOMAXPROCS. Not measured: what the batch work loses.
 */
#include "bench.h"
#include <weft/weft.h>

#include <stdatomic.h>

enum { QUESTIONS = 500, WARM_UP = 50, BATCH = 4, BURST_NS = 5000000 };

static atomic_bool over;
static atomic_int computing;
static weft_chan(int) questions, answers;

static void compute(void)
{
    while (!atomic_load_explicit(&over, memory_order_relaxed)) { /* relaxed: only the value matters */
        for (int64_t end = bench_now() + BURST_NS; bench_now() < end;)
            ;
        weft_yield();
    }
    atomic_fetch_sub(&computing, 1);
}

static void serve(void)
{
    int v;
    while (weft_chan_recv(questions, &v) == 0)
        weft_chan_send(answers, v + 1);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void ask(const char *name)
{
    static int64_t late[QUESTIONS];
    char metric[64];
    for (int i = -WARM_UP; i < QUESTIONS; i++) {
        int v = 0;
        int64_t due = bench_now() + WEFT_MS;
        weft_sleep(WEFT_MS);
        weft_chan_send(questions, i);
        weft_chan_recv(answers, &v);
        bench_require(v == i + 1, "an answer");
        if (i >= 0)
            late[i] = bench_now() - due;
    }
    qsort(late, QUESTIONS, sizeof(late[0]), compare);
    snprintf(metric, sizeof(metric), "%s_p50", name);
    bench_print(metric, (double)late[QUESTIONS / 2] / 1e3, "us");
    snprintf(metric, sizeof(metric), "%s_p99", name);
    bench_print(metric, (double)late[QUESTIONS * 99 / 100] / 1e3, "us");
}

static void ask_beside(const char *name, weft_workers *workers)
{
    atomic_store(&over, false);
    atomic_store(&computing, BATCH);
    for (int i = 0; i < BATCH; i++)
        bench_require(weft_go_with(weft_attr(.workers = workers), compute) == 0, "a routine");
    ask(name);
    atomic_store(&over, true);
    while (atomic_load(&computing) > 0)
        weft_sleep(WEFT_MS);
}

static void measure(void)
{
    weft_workers *batch = weft_workers_create(2, NULL);
    weft_workers *nice_batch = weft_workers_create(2, &(weft_workers_attr){.nice = 19});
    bench_require(batch != NULL && nice_batch != NULL, "a pool");
    weft_go(serve);
    for (int round = 0; round < bench_rounds; round++) {
        ask("alone");
        ask_beside("shared", NULL);
        ask_beside("pool", batch);
        ask_beside("pool_nice", nice_batch);
    }
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    questions = weft_chan_make(int, 0);
    answers = weft_chan_make(int, 0);
    weft_await(weft_async(measure));
    return 0;
}
