/* SPDX-License-Identifier: MIT */
/* test_leaks_held.c - weft_leaks: who waits for what somebody still holds is no leak. */
#define _GNU_SOURCE
#include <pthread.h>

#include "../support/leaks.h"

TestSuite(leaks, .timeout = 60);

static _Atomic unsigned n_ready;

Test(leaks, none_on_a_channel_in_static_data)
{
    held[0] = (void *)(uintptr_t)weft_chan_make(int, 0);
    wait_on_the_channel();
    none_leaks();
    end_them(the_channel());
}

Test(leaks, none_on_a_channel_that_a_weak_handle_knows)
{
    held[0] = (void *)(uintptr_t)weft_chan_make(int, 0);
    weft_weak *w = weft_weak_make(held[0]);
    held[1] = w;
    wait_on_the_channel();
    held[0] = NULL;
    none_leaks();
    end_them((weft_chan(int))(uintptr_t)weft_weak_get(w));
}

Test(leaks, none_on_a_channel_in_a_registered_root)
{
    void **memory = malloc(64);
    memset(memory, 0, 64);
    require(weft_root_add(memory, 64) == 0);
    held[0] = memory[3] = (void *)(uintptr_t)weft_chan_make(int, 0);
    wait_on_the_channel();
    held[0] = NULL;
    none_leaks();
    end_them((weft_chan(int))(uintptr_t)memory[3]);
    require(weft_root_remove(memory) == 0);
    free(memory);
}

Test(leaks, none_on_a_channel_in_collected_objects_and_channels)
{
    weft_chan(void *) outer = weft_chan_make(void *, 4);
    void **box = weft_alloc(64);
    held[2] = (void *)(uintptr_t)outer;
    held[0] = box[5] = (void *)(uintptr_t)weft_chan_make(int, 0);
    wait_on_the_channel();
    require(weft_chan_send(outer, (void *)box) == 0);
    held[0] = NULL;
    none_leaks();
    end_them((weft_chan(int))(uintptr_t)box[5]);
}

static weft_local local_channel;

static void hold_in_a_local(void)
{
    weft_local_set(&local_channel, held[0]);
    n_ready++;
    weft_sleep(WEFT_HOUR);
}

Test(leaks, none_on_a_channel_in_a_routine_local_value)
{
    held[0] = (void *)(uintptr_t)weft_chan_make(int, 0);
    require(weft_go(hold_in_a_local) == 0);
    eventually(n_ready == 1);
    wait_on_the_channel();
    weft_chan(int) volatile c = the_channel();
    held[0] = NULL;
    none_leaks();
    end_them(c);
}

static void hold_in_a_coroutine(void *channel)
{
    void *volatile c = channel;
    weft_coro_suspend(NULL);
    end_them((weft_chan(int))c);
}

static void make_coroutine(void)
{
    weft_coro *c = weft_coro_create(hold_in_a_coroutine, held[0]);
    weft_coro_resume(c, NULL, NULL);
    held[1] = c;
    n_ready++;
}

Test(leaks, none_on_a_channel_in_a_suspended_coroutine)
{
    held[0] = (void *)(uintptr_t)weft_chan_make(int, 0);
    require(weft_go(make_coroutine) == 0);
    eventually(n_ready == 1);
    wait_on_the_channel();
    held[0] = NULL;
    none_leaks();
    require(weft_coro_resume(held[1], NULL, NULL) == 0 || n_ended == MANY);
    eventually(n_ended == MANY);
}

static void await_in_a_coroutine(void *unused)
{
    (void)unused;
    weft_chan_recv(weft_chan_make(int, 0), NULL);
}
static void wait_in_a_coroutine(void)
{
    weft_coro *c = weft_coro_create(await_in_a_coroutine, NULL);
    weft_coro_resume(c, NULL, NULL);
}

/* A limit, told in the docs: it must not crash, and must not find others. */
Test(leaks, those_who_wait_in_coroutines_are_left_alone)
{
    start_many(wait_in_a_coroutine, WF_WAIT_CHAN_RECV);
    none_leaks();
}

/* What is no collected memory may be known from malloc's only. */
struct malloced {
    weft_promise(int) promise;
    weft_waitgroup *group;
    weft_scope_ref scope;
    weft_future(int) future;
};
static struct malloced *volatile *boxes;

static struct malloced *new_box(void)
{
    struct malloced *box = calloc(1, sizeof(*box));
    boxes[n_ready++] = box;
    return box;
}
static void await_a_malloced_promise(void)
{
    struct malloced *box = new_box();
    box->promise = weft_promise_make(int);
    weft_await(weft_promise_future(box->promise));
    n_ended++;
}
static void wait_for_a_malloced_group(void)
{
    weft_waitgroup group = {0};
    weft_waitgroup_add(&group, 1);
    new_box()->group = &group;
    weft_waitgroup_wait(&group);
    n_ended++;
}
static void child_of_a_malloced_scope(void)
{
    weft_scope (s) {
        new_box()->scope = s;
        weft_scope_go(s, receive_for_ever);
    }
}
static void start_for_a_malloced_future(void)
{
    new_box()->future = weft_async(receive_and_return);
}

Test(leaks, none_that_is_known_from_malloced_memory)
{
    boxes = calloc(4 * MANY, sizeof(*boxes));
    for (int i = 0; i < MANY; i++) {
        require(weft_go(await_a_malloced_promise) == 0);
        require(weft_go(wait_for_a_malloced_group) == 0);
        require(weft_go(child_of_a_malloced_scope) == 0);
        require(weft_go(start_for_a_malloced_future) == 0);
    }
    eventually(n_parked(WF_WAIT_FUTURE) == MANY && n_parked(WF_WAIT_WAITGROUP) == MANY);
    eventually(n_parked(WF_WAIT_CHAN_RECV) == 2 * MANY && n_parked(WF_WAIT_SCOPE) == MANY);
    none_leaks();
    for (int i = 0; i < 4 * MANY; i++) {
        struct malloced *box = boxes[i];
        if (box->promise != NULL)
            weft_resolve(box->promise, 1);
        if (box->group != NULL)
            weft_waitgroup_done(box->group);
    }
    eventually(n_ended == 2 * MANY);
}

static weft_scope_ref names[MANY];
static void child_of_a_named_scope(void)
{
    weft_scope (s) {
        names[n_ready++] = s;
        weft_scope_go(s, receive_for_ever);
    }
    n_ended++;
}
Test(leaks, none_of_a_child_whose_scope_can_be_cancelled_by_name)
{
    start_many(child_of_a_named_scope, WF_WAIT_SCOPE);
    none_leaks();
    for (int i = 0; i < MANY; i++)
        weft_cancel(names[i]);
    eventually(n_ended == 2 * MANY);
}

static weft_future(int) futures[MANY];
static void hold_the_future(void)
{
    futures[n_ready++] = weft_async(receive_and_return);
}
Test(leaks, none_whose_future_is_held_and_can_be_cancelled)
{
    start_many(hold_the_future, WF_WAIT_CHAN_RECV);
    none_leaks();
    for (int i = 0; i < MANY; i++) {
        weft_future_cancel(futures[i]);
        eventually(weft_future_done(futures[i]));
    }
}

static weft_promise(int) promises[MANY];
static void await_a_held_promise(void)
{
    unsigned i = n_ready++;
    promises[i] = weft_promise_make(int);
    require(weft_await(weft_promise_future(promises[i])) == 5);
    n_ended++;
}
Test(leaks, none_that_awaits_a_promise_that_is_held)
{
    start_many(await_a_held_promise, WF_WAIT_FUTURE);
    none_leaks();
    for (int i = 0; i < MANY; i++)
        weft_resolve(promises[i], 5);
    eventually(n_ended == MANY);
}

static void *kept[MANY];
static int fail_late(weft_chan(int) c)
{
    weft_chan_recv(c, NULL);
    return 1;
}
static void wait_for_all(void)
{
    weft_future(int) *fs = malloc(2 * sizeof(*fs));
    int values[2];
    kept[n_ready++] = fs;
    fs[0] = weft_async(receive_and_return);
    fs[1] = weft_async(fail_late, (weft_chan(int))held[0]);
    weft_all(fs, 2, values);
}
Test(leaks, none_among_several_futures_that_are_waited_for)
{
    held[0] = (void *)(uintptr_t)weft_chan_make(int, 0);
    for (int i = 0; i < MANY; i++)
        require(weft_go(wait_for_all) == 0);
    eventually(n_parked(WF_WAIT_GROUP) == MANY && n_parked(WF_WAIT_CHAN_RECV) == 2 * MANY);
    none_leaks();
}

static weft_mutex static_mutex;
static void lock_static(void)
{
    weft_mutex_lock(&static_mutex);
    weft_mutex_unlock(&static_mutex);
    n_ended++;
}
Test(leaks, none_that_locks_a_mutex_in_static_data)
{
    weft_mutex_lock(&static_mutex);
    start_many(lock_static, WF_WAIT_MUTEX);
    none_leaks();
    weft_mutex_unlock(&static_mutex);
    eventually(n_ended == MANY);
}

static void *thread_sends(void *c)
{
    end_them((weft_chan(int))c);
    return NULL;
}
static pthread_barrier_t thread_barrier;
static void *thread_holds(void *c)
{
    void *volatile mine = c;
    weft_yield(); /* known to weft */
    pthread_barrier_wait(&thread_barrier);
    pthread_barrier_wait(&thread_barrier);
    return thread_sends(mine);
}
Test(leaks, none_on_a_channel_that_a_plain_thread_holds)
{
    pthread_t thread;
    pthread_barrier_init(&thread_barrier, NULL, 2);
    held[0] = (void *)(uintptr_t)weft_chan_make(int, 0);
    require(pthread_create(&thread, NULL, thread_holds, held[0]) == 0);
    pthread_barrier_wait(&thread_barrier);
    wait_on_the_channel();
    held[0] = NULL;
    none_leaks();
    pthread_barrier_wait(&thread_barrier);
    pthread_join(thread, NULL);
}
