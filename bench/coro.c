/* SPDX-License-Identifier: MIT */
/* coro.c - what does a coroutine cost: a resume and the suspend that answers it, with a word either way; one that is
 * created, resumed once and destroyed, finished by then or suspended; a generator's value taken in a loop?
 *
 * Not measured: stacks that are used for the first time, deep frames left at the end, stacks of another size.
 */
#include "bench.h"
#include <weft/weft.h>

enum { RESUMES = 5000000, LIVES = 1000000, ENDS = 100000 };

static void add_up(void *arg)
{
    uintptr_t sum = (uintptr_t)arg;
    for (;;)
        sum += (uintptr_t)weft_coro_suspend((void *)sum);
}

static void resume_often(int times)
{
    weft_coro *c = weft_coro_create(add_up, NULL);
    void *sum = NULL;
    for (int i = 0; i <= times; i++)
        weft_coro_resume(c, (void *)1, &sum);
    bench_require((uintptr_t)sum == (uintptr_t)times, "sum of the words");
    weft_coro_destroy(c);
}

static void end_at_once(void *arg)
{
    ++*(int *)arg;
}

static void live_often(int times)
{
    int lives = 0;
    for (int i = 0; i < times; i++) {
        weft_coro *c = weft_coro_create(end_at_once, &lives);
        weft_coro_resume(c, NULL, NULL);
        weft_coro_destroy(c);
    }
    bench_require(lives == times, "number of lives");
}

static void end_half_way(int times)
{
    for (int i = 0; i < times; i++) {
        weft_coro *c = weft_coro_create(add_up, NULL);
        weft_coro_resume(c, NULL, NULL);
        weft_coro_destroy(c);
    }
}

static void count(weft_generator(int) self, const int *limit)
{
    for (int i = 0; i < *limit; i++)
        weft_gen_yield(self, i);
}

static void generate(int values)
{
    int64_t sum = 0;
    weft_gen_each(int, n, weft_gen_make(int, count, &values))
        sum += n;
    bench_require(sum == (int64_t)values * (values - 1) / 2, "sum of the values");
}

static void measure(void)
{
    bench_each("round_trip", resume_often, RESUMES, RESUMES, "ns");
    bench_each("generator", generate, RESUMES, RESUMES, "ns");
    bench_each("life", live_often, LIVES, LIVES, "ns");
    bench_each("life_half_way", end_half_way, ENDS, ENDS, "ns");
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
