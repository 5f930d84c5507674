/* SPDX-License-Identifier: MIT */
/* threads_that_cannot_be_made_lose_nobody.c - the system refuses a thread for a worker that was claimed already.
 *
 * Pinned ones that wait for such a worker were handed on one by one, and each claimed it anew from within: a few hundred
 * were too many for the stack of the routine that had wanted it first. And those who came by while it was claimed, and
 * woke nobody since it counted as searching, were looked for in queues alone: a pinned routine that waits for its thread to
 * have a worker is in none.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include <weft/weft.h>

#include "../support/expect.h"

#include "sched/pool.h"
#include "sched/worker.h"

enum { N_PINNED = 1500, MOST_ATTEMPTS = 100 };

static weft_workers *pool, *other;
static _Atomic enum { ALLOW, REFUSE, REFUSE_LATE } threads;
static atomic_bool is_over, computing;
static atomic_uint n_late, n_begun, n_done;

/* Weft's as well: it stands before libc's. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (real == NULL)
        *(void **)(void *)&real = dlsym(RTLD_NEXT, "pthread_create");
    if (atomic_load(&threads) == ALLOW)
        return real(thread, attr, start, arg);
    if (atomic_load(&threads) == REFUSE_LATE && atomic_fetch_add(&n_late, 1) == 0)
        eventually(atomic_load(&is_over)); /* so much can happen meanwhile */
    return EAGAIN;
}

static void note(void)
{
    atomic_fetch_add(&n_done, 1);
}

static void compute(void)
{
    atomic_fetch_add(&n_begun, 1);
    while (atomic_load(&computing))
        ;
}

static void start_in_pool(bool is_pinned)
{
    require(weft_go_with(weft_attr(.workers = pool, .pin = is_pinned), note) == 0);
}

static enum wf_worker_state state_of(unsigned i)
{
    return wf_load_acquire(&((struct wf_pool *)(void *)pool)->workers[i].state);
}

static void begin(void)
{
    atomic_store(&n_begun, 0);
    atomic_store(&n_done, 0);
    atomic_store(&n_late, 0);
    atomic_store(&is_over, false);
    atomic_store(&threads, ALLOW);
    require((pool = weft_workers_create(1, NULL)) != NULL);
}

/* The first worker computes, the second has never run. Somebody claims that, and is refused a thread, but not soon. False: the
 * second has run; then nothing was started. */
static bool have_the_second_claimed(bool for_pinned)
{
    unsigned begun = atomic_load(&n_begun);
    atomic_store(&computing, true);
    require(weft_go_with(weft_attr(.workers = pool), compute) == 0);
    eventually(atomic_load(&n_begun) == begun + 1);
    atomic_store(&threads, REFUSE);
    require(weft_workers_set(pool, 2) == 0);
    if (state_of(1) != WF_WORKER_UNUSED)
        return false;
    atomic_store(&threads, REFUSE_LATE);
    require(weft_go_with(weft_attr(.workers = other), start_in_pool, for_pinned) == 0);
    eventually(atomic_load(&n_late) > 0);
    return true;
}

static void be_over(void)
{
    atomic_store(&is_over, true);
    pause_thread_ms(50); /* others are refused, too */
    atomic_store(&threads, ALLOW);
}

static void wait_pinned(weft_chan(int) c)
{
    atomic_fetch_add(&n_begun, 1);
    require(weft_chan_recv(c, NULL) == -EPIPE);
}

/* The first worker's thread is the home of many, so new ones wait for the second worker. False: it was not to be. */
static bool many_wait_for_a_worker_without_a_thread(void)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    begin();
    for (unsigned i = 0; i < N_PINNED; i++)
        require(weft_go_with(weft_attr(.workers = pool, .pin = true), wait_pinned, c) == 0);
    eventually(atomic_load(&n_begun) == N_PINNED);
    bool claimed = have_the_second_claimed(true);
    for (unsigned i = 0; claimed && i < N_PINNED; i++)
        start_in_pool(true);
    be_over();
    atomic_store(&computing, false);
    eventually(atomic_load(&n_done) == (claimed ? N_PINNED + 1 : 0));
    weft_chan_close(c);
    require(weft_workers_destroy(pool) == 0);
    return claimed;
}

static void read_pinned(int fd)
{
    char byte;
    atomic_fetch_add(&n_begun, 1);
    require(read(fd, &byte, 1) == 1);
    weft_yield(); /* finds that the worker is gone */
    note();
}

static bool one_waits_for_its_thread_to_have_a_worker(void)
{
    int fds[2];
    require(pipe(fds) == 0);
    begin();
    require(weft_go_with(weft_attr(.workers = pool, .pin = true), read_pinned, fds[0]) == 0);
    eventually(atomic_load(&n_begun) == 1);
    start_in_pool(false);
    eventually(atomic_load(&n_done) == 1); /* another thread has the worker now */
    bool claimed = have_the_second_claimed(false);
    atomic_store(&computing, false);
    eventually(atomic_load(&n_done) == (claimed ? 2 : 1)); /* the first worker did it, and goes to sleep */
    if (claimed)
        eventually(state_of(0) == WF_WORKER_PARKED);
    require(write(fds[1], "x", 1) == 1);
    pause_thread_ms(20);
    be_over();
    eventually(atomic_load(&n_done) == (claimed ? 3 : 2));
    require(weft_workers_destroy(pool) == 0);
    close(fds[0]);
    close(fds[1]);
    return claimed;
}

static void often_enough(bool (*try)(void))
{
    unsigned attempts = 0;
    while (!try())
        require(++attempts < MOST_ATTEMPTS);
}

int main(void)
{
    require((other = weft_workers_create(1, NULL)) != NULL);
    require(weft_go_with(weft_attr(.workers = other), note) == 0);
    eventually(atomic_load(&n_done) == 1); /* it has its thread */
    often_enough(many_wait_for_a_worker_without_a_thread);
    often_enough(one_waits_for_its_thread_to_have_a_worker);
    require(weft_stop() == 0);
    return 0;
}
