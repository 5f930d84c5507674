/* SPDX-License-Identifier: MIT */
/* test_leaks_waits.c - weft_leaks: who waits for what can never come is found, by kind of wait. */
#define _GNU_SOURCE
#include "../support/leaks.h"

TestSuite(leaks, .timeout = 60);

static void most_leak(void (*fn)(void), enum wf_wait_kind kind)
{
    start_many(fn, kind);
    unsigned n = leaks_that(wf_wait_kinds[kind].text);
    cr_assert(n >= MOST, "%u of %u are found", n, MANY);
}

Test(leaks, receive)
{
    most_leak(receive_for_ever, WF_WAIT_CHAN_RECV);
}

static void send_for_ever(void)
{
    weft_chan(int) c = weft_chan_make(int, 1);
    weft_chan_send(c, 1);
    weft_chan_send(c, 2);
}
Test(leaks, send)
{
    most_leak(send_for_ever, WF_WAIT_CHAN_SEND);
}

static void wait_on_nil(void)
{
    weft_chan_recv((weft_chan(int))0, NULL);
}
Test(leaks, nil_channel)
{
    most_leak(wait_on_nil, WF_WAIT_CHAN_NIL);
}

static void select_for_ever(void)
{
    weft_chan(int) a = weft_chan_make(int, 0), b = weft_chan_make(int, 0);
    weft_select(weft_on_recv(a, NULL), weft_on_send(b, 1));
}
Test(leaks, select)
{
    most_leak(select_for_ever, WF_WAIT_SELECT);
}

static void lock_twice(void)
{
    struct shared *s = new_shared();
    weft_mutex_lock(&s->mutex);
    weft_mutex_lock(&s->mutex);
}
Test(leaks, mutex)
{
    most_leak(lock_twice, WF_WAIT_MUTEX);
}

static void read_what_is_written(void)
{
    struct shared *s = new_shared();
    weft_rwmutex_lock(&s->rwmutex);
    weft_rwmutex_rlock(&s->rwmutex);
}
Test(leaks, rwmutex_read)
{
    most_leak(read_what_is_written, WF_WAIT_RWMUTEX_READ);
}

static void write_what_is_read(void)
{
    struct shared s = {0};
    weft_rwmutex_rlock(&s.rwmutex);
    weft_rwmutex_lock(&s.rwmutex);
}
Test(leaks, rwmutex_write_on_the_stack)
{
    most_leak(write_what_is_read, WF_WAIT_RWMUTEX_WRITE);
}

static void wait_for_a_signal(void)
{
    struct shared s = {0};
    weft_mutex_lock(&s.mutex);
    weft_cond_wait(&s.cond, &s.mutex);
}
Test(leaks, cond_on_the_stack)
{
    most_leak(wait_for_a_signal, WF_WAIT_COND);
}

static void wait_for_a_group(void)
{
    struct shared *s = new_shared();
    weft_waitgroup_add(&s->group, 1);
    weft_waitgroup_wait(&s->group);
}
Test(leaks, waitgroup)
{
    most_leak(wait_for_a_group, WF_WAIT_WAITGROUP);
}

static void acquire_for_ever(void)
{
    struct shared *s = new_shared();
    weft_sem_init(&s->sem, 1);
    weft_sem_acquire(&s->sem, 2);
}
Test(leaks, semaphore)
{
    most_leak(acquire_for_ever, WF_WAIT_SEM);
}

static void come_alone(void)
{
    struct shared *s = new_shared();
    weft_barrier_init(&s->barrier, 2);
    weft_barrier_wait(&s->barrier);
}
Test(leaks, barrier)
{
    most_leak(come_alone, WF_WAIT_BARRIER);
}

static void wait_for_a_latch(void)
{
    struct shared s;
    weft_latch_init(&s.latch, 1);
    weft_latch_wait(&s.latch);
}
Test(leaks, latch_on_the_stack)
{
    most_leak(wait_for_a_latch, WF_WAIT_LATCH);
}

static void wait_for_a_tracker(void)
{
    struct shared *s = new_shared();
    weft_tracker_go(&s->tracker, receive_for_ever);
    weft_tracker_close(&s->tracker);
    weft_tracker_wait(&s->tracker);
}
Test(leaks, tracker_of_a_routine_that_leaks)
{
    most_leak(wait_for_a_tracker, WF_WAIT_TRACKER);
}

static void do_once(void *c)
{
    weft_chan_recv((weft_chan(int))c, NULL);
}
static void wait_within_once(void)
{
    weft_once *once = &new_shared()->once;
    weft_go(weft_once_do, once, do_once, (void *)(uintptr_t)weft_chan_make(int, 0));
    weft_yield();
    while (wf_load_relaxed((_Atomic uint32_t *)(void *)once) == 0)
        weft_yield();
    weft_once_do(once, do_once, NULL);
}
Test(leaks, once)
{
    most_leak(wait_within_once, WF_WAIT_ONCE);
}

static void await_a_promise(void)
{
    weft_promise(int) p = weft_promise_make(int);
    weft_await(weft_promise_future(p));
}
Test(leaks, promise_that_nobody_holds)
{
    most_leak(await_a_promise, WF_WAIT_FUTURE);
}

static void await_one_that_leaks(void)
{
    weft_await(weft_async(receive_and_return));
}
Test(leaks, routine_that_awaits_one_that_leaks)
{
    most_leak(await_one_that_leaks, WF_WAIT_FUTURE);
    cr_assert(leaks_that("receives from a channel") >= MOST, "and that one");
}

static void wait_for_a_child(void)
{
    weft_scope (s)
        weft_scope_go(s, receive_for_ever);
}
Test(leaks, scope_whose_child_leaks)
{
    most_leak(wait_for_a_child, WF_WAIT_SCOPE);
    cr_assert(leaks_that("receives from a channel") >= MOST, "and the child");
}

static void wait_for_a_grandchild(void)
{
    weft_scope (s)
        weft_scope_go(s, wait_for_a_child);
}
Test(leaks, nested_scopes_whose_child_leaks)
{
    for (unsigned i = 0; i < MANY; i++)
        require(weft_go(wait_for_a_grandchild) == 0);
    eventually(n_parked(WF_WAIT_SCOPE) == 2 * MANY && n_parked(WF_WAIT_CHAN_RECV) == MANY);
    cr_assert(leaks_that("waits for the children of a scope") >= 2 * MOST);
}
