/* SPDX-License-Identifier: MIT */
/* test_coro_moves.c - a coroutine belongs to whoever resumes it: to a routine that parks inside of it, to threads in turn. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "../support/coros.h"

struct relay {
    weft_chan(int) in, out;
    uint64_t id;
};

static weft_local mark;

static void relay_inside(void *arg)
{
    struct relay *r = arg;
    int n;
    while (weft_chan_recv(r->in, &n) == 0) {
        errno = n;
        require(weft_id() == r->id);
        require(weft_local_get(&mark) == r);
        require(weft_sleep(100 * WEFT_US) == 0);
        require(errno == n);
        require(weft_chan_send(r->out, n + 1) == 0);
        weft_coro_suspend(word((uintptr_t)n));
        require(errno == n + 1000);
    }
}

static void relay_outside(weft_chan(int) in, weft_chan(int) out)
{
    struct relay r = {in, out, weft_id()};
    void *seen;
    require(weft_local_set(&mark, &r) == 0);
    weft_coro *c = weft_coro_create(relay_inside, &r);
    while (weft_coro_resume(c, NULL, &seen) == 0) {
        require(errno == (int)(uintptr_t)seen);
        errno += 1000;
    }
    weft_chan_close(out);
    weft_coro_destroy(c);
}

static void feed(weft_chan(int) first, int n)
{
    for (int i = 0; i < n; i++)
        require(weft_chan_send(first, i) == 0);
    weft_chan_close(first);
}

Test(coro, waiting_inside_parks_the_routine_and_keeps_what_belongs_to_it, .timeout = 60)
{
    enum { STAGES = 20, ITEMS = 200 };
    weft_chan(int) first = weft_chan_make(int, 0), last = first;
    for (int i = 0; i < STAGES; i++) {
        weft_chan(int) next = weft_chan_make(int, 1);
        weft_go(relay_outside, last, next);
        last = next;
    }
    weft_go(feed, first, ITEMS);
    int expected = STAGES;
    weft_chan_each(int, n, last)
        cr_assert_eq(n, expected++);
    cr_assert_eq(expected, STAGES + ITEMS);
}

static void count_up(void *arg)
{
    volatile uint64_t noise[64];
    for (unsigned i = 0; i < 64; i++)
        noise[i] = i * 31;
    for (uintptr_t n = 0;; n++) {
        weft_coro_suspend(word(n));
        for (unsigned i = 0; i < 64; i++)
            require(noise[i] == i * 31);
        if (n % 7 == 0)
            weft_yield();
    }
    (void)arg;
}

static atomic_uintptr_t next_expected;

static void pass_around(weft_chan(weft_coro *) ring, unsigned turns)
{
    weft_coro *c;
    void *out;
    for (unsigned i = 0; i < turns; i++) {
        require(weft_chan_recv(ring, &c) == 0);
        require(weft_coro_resume(c, NULL, &out) == 0);
        require(out == word(atomic_fetch_add(&next_expected, 1)));
        require(weft_chan_send(ring, c) == 0);
    }
}

static void *pass_around_in_thread(void *arg)
{
    pass_around((weft_chan(weft_coro *))(uintptr_t)arg, 500);
    return NULL;
}

Test(coro, goes_from_routine_to_thread_and_back, .timeout = 60)
{
    enum { ROUTINES = 8, THREADS = 3 };
    pthread_t threads[THREADS];
    weft_chan(weft_coro *) ring = weft_chan_make(weft_coro *, 1);
    weft_coro *c = weft_coro_create(count_up, NULL);
    weft_future(void) passers[ROUTINES];
    for (int i = 0; i < ROUTINES; i++)
        passers[i] = weft_async(pass_around, ring, 500);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, pass_around_in_thread, (void *)(uintptr_t)ring), 0);
    cr_assert_eq(weft_chan_send(ring, c), 0);
    for (int i = 0; i < ROUTINES; i++)
        weft_await(passers[i]);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    cr_assert_eq(atomic_load(&next_expected), (ROUTINES + THREADS) * 500);
    weft_coro_destroy(c);
}
