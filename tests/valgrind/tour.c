/* SPDX-License-Identifier: MIT */
/* tour.c - a little of everything, to be run under valgrind: it must see no error in what routines do on their stacks. */
#include <stdio.h>
#include <weft/weft.h>

static int fib(int n)
{
    if (n < 2)
        return n;
    weft_future(int) a = weft_async(fib, n - 1);
    int b = fib(n - 2);
    return weft_await(a) + b;
}

static void ask(weft_chan(int) questions, weft_chan(int) answers)
{
    int v = 0;
    for (int i = 0; i < 300; i++) {
        weft_chan_send(questions, i);
        while (weft_select(weft_on_recv(answers, &v), weft_after(WEFT_SEC)) == 1)
            ;
    }
    weft_chan_close(questions);
}

static void answer(weft_chan(int) questions, weft_chan(int) answers)
{
    weft_chan_each(int, v, questions)
        weft_chan_send(answers, v);
}

static void fail(void)
{
    weft_panic("as it should");
}

static void walk(weft_generator(int) self, const int *depth)
{
    if (*depth == 0)
        return;
    int next = *depth - 1;
    weft_gen_each(int, n, weft_gen_make(int, walk, &next))
        weft_gen_yield(self, n);
    weft_sleep(WEFT_US);
    weft_gen_yield(self, *depth);
}

static int add_coroutines(int depth)
{
    int sum = 0;
    weft_gen_each(int, n, weft_gen_make(int, walk, &depth))
        sum += n;
    weft_gen_each(int, n, weft_gen_make_with(&(weft_coro_attr){.stack_size = 1 << 20}, int, walk, &depth))
        if (n > 2)
            break;
    return sum;
}

int main(void)
{
    weft_chan(int) questions = weft_chan_make(int, 0), answers = weft_chan_make(int, 2);
    weft_future(void) asked = weft_async(ask, questions, answers);
    weft_go(answer, questions, answers);
    weft_await(asked);
    weft_sleep(WEFT_MS);
    int ok = weft_await(weft_async(fib, 10)) == 55 && weft_await(weft_async(add_coroutines, 5)) == 15 &&
             add_coroutines(4) == 10 && weft_try(fail) == WEFT_EPANIC &&
             weft_stop() == 0;
    puts(ok ? "ok" : "wrong");
    return !ok;
}
