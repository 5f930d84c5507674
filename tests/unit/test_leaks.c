/* SPDX-License-Identifier: MIT */
/* test_leaks.c - weft_leaks: who waits for what can never come is found, by kind of wait; who can still be woken never is.
 *
 * What is found may be less than what is there: a stray word on some stack keeps a channel. So tests of what is found start
 * MANY of a kind and demand most. What must not be found is demanded of all.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>

#include "../support/child.h"
#include "../support/watch.h"
#include "debug/leaks.h"
#include "sched/park.h"
#include "sched/threads.h"

TestSuite(leaks, .timeout = 60);

enum { MOST = MANY * 3 / 4 };

static _Atomic unsigned n_ended, n_ready;
static void *held[16]; /* static data: reachable */

static unsigned n_parked(enum wf_wait_kind kind)
{
    unsigned n = 0;
    for (uint32_t i = 0; wf_n_workers != 0 && i < wf_routines_count(); i++)
        n += wf_load_relaxed(&wf_routine_at(i)->id) != 0 &&
             wf_wait_kind_of(wf_load_acquire(&wf_routine_at(i)->waits_on)) == kind;
    return n;
}

struct tally {
    const char *waits;
    unsigned n, n_other;
    weft_leak last;
};

static void count_leak(const weft_leak *leak, void *arg)
{
    struct tally *t = arg;
    if (strcmp(leak->waits, t->waits) == 0)
        t->n++;
    else
        t->n_other++;
    t->last = *leak;
}

static WF_NOINLINE unsigned leaks_that(const char *wait)
{
    struct tally t = {.waits = wait};
    clear_stack();
    size_t n = weft_leaks(count_leak, &t);
    cr_assert_eq(n, t.n + t.n_other);
    return t.n;
}

static size_t all_leaks(void)
{
    clear_stack();
    return weft_leaks(NULL, NULL);
}

/* MANY routines that run fn() and will be waiting in this way. One after the other: what a switch leaves on the stack of a
 * routine that begins then may point to the one before, and so a stray pointer to one would keep them all. */
static void start_many(void (*fn)(void), enum wf_wait_kind kind)
{
    for (unsigned i = 0; i < MANY; i++) {
        require(weft_go(fn) == 0);
        eventually(n_parked(kind) == i + 1);
    }
}

static void most_leak(void (*fn)(void), enum wf_wait_kind kind)
{
    start_many(fn, kind);
    unsigned n = leaks_that(wf_wait_kinds[kind].text);
    cr_assert(n >= MOST, "%u of %u are found", n, MANY);
}

/* ---- every kind of wait ---- */

static void receive_for_ever(void)
{
    weft_chan_recv(weft_chan_make(int, 0), NULL);
    n_ended++;
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

struct shared {
    weft_mutex mutex;
    weft_rwmutex rwmutex;
    weft_cond cond;
    weft_waitgroup group;
    weft_sem sem;
    weft_barrier barrier;
    weft_latch latch;
    weft_tracker tracker;
    weft_once once;
};

/* A pointer to the beginning keeps the neighbour below, too: that is nobody's. Else one stray pointer could keep one after
 * the other. */
static struct shared *new_shared(void)
{
    weft_keep(weft_new(struct shared));
    return weft_new(struct shared);
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

static int receive_and_return(void)
{
    return weft_chan_recv(weft_chan_make(int, 0), NULL);
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

/* ---- the report ---- */

static void named_leak(void)
{
    weft_set_name("leaky");
    receive_for_ever();
}

Test(leaks, report_names_routine_wait_and_spawn_site)
{
    struct tally t = {.waits = "receives from a channel"};
    for (int i = 0; i < MANY; i++)
        require(weft_go(named_leak) == 0);
    int line = __LINE__ - 1;
    eventually(n_parked(WF_WAIT_CHAN_RECV) == MANY);
    cr_assert(weft_leaks(count_leak, &t) >= MOST);
    cr_assert_eq(t.n_other, 0);
    cr_assert_eq(t.last.line, line);
    cr_assert_str_eq(t.last.file, "test_leaks.c");
    cr_assert(strcmp(t.last.function, "named_leak") == 0);
    cr_assert(t.last.object != NULL);
    cr_assert(t.last.routine_id != 0);
}

Test(leaks, without_routines_there_are_none)
{
    cr_assert_eq(weft_leaks(NULL, NULL), 0);
    cr_assert_eq(wf_n_workers, 0);
    weft_alloc(10);
    cr_assert_eq(weft_leaks(NULL, NULL), 0);
    cr_assert_eq(wf_n_workers, 0);
}

static void leak_with_an_object(void)
{
    struct node *volatile n = make_node(7);
    receive_for_ever();
    (void)n;
}

Test(leaks, what_is_leaked_stays_alive)
{
    start_many(leak_with_an_object, WF_WAIT_CHAN_RECV);
    for (int i = 0; i < 3; i++) {
        cr_assert(all_leaks() >= MOST);
        cr_assert_eq(alive_after_gc(), MANY);
    }
}

/* Two that wait for each other, and nobody else knows. */
static void send_then_receive(weft_chan(int) a, weft_chan(int) b)
{
    weft_chan_recv(a, NULL);
    weft_chan_send(b, 1);
}
static void cross(void)
{
    weft_chan(int) a = weft_chan_make(int, 0), b = weft_chan_make(int, 0);
    weft_go(send_then_receive, a, b);
    weft_go(send_then_receive, b, a);
}
Test(leaks, a_circle_of_routines)
{
    for (int i = 0; i < MANY; i++)
        require(weft_go(cross) == 0);
    eventually(n_parked(WF_WAIT_CHAN_RECV) == 2 * MANY);
    cr_assert(leaks_that("receives from a channel") >= 2 * MOST);
}

/* ---- what is no leak ---- */

static weft_chan(int) the_channel(void)
{
    return (weft_chan(int))held[0];
}

static void receive_once(weft_chan(int) c)
{
    require(weft_chan_recv(c, NULL) == 0);
    n_ended++;
}

/* MANY routines wait on a channel that only `held` knows of; after the test they must end. */
static void wait_on_the_channel(void)
{
    for (int i = 0; i < MANY; i++)
        require(weft_go(receive_once, the_channel()) == 0);
    eventually(n_parked(WF_WAIT_CHAN_RECV) >= MANY);
}

static void none_leaks(void)
{
    for (int i = 0; i < 3; i++)
        cr_assert_eq(all_leaks(), 0);
}

static void end_them(weft_chan(int) c)
{
    unsigned wanted = n_ended + MANY;
    for (int i = 0; i < MANY; i++)
        require(weft_chan_send(c, i) == 0);
    eventually(n_ended == wanted);
}

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

static void select_with_limit(void)
{
    weft_select(weft_on_recv(weft_chan_make(int, 0), NULL), weft_after(WEFT_HOUR));
}
Test(leaks, none_with_a_time_limit_of_a_select)
{
    start_many(select_with_limit, WF_WAIT_SELECT);
    none_leaks();
}

static void receive_with_deadline(void)
{
    weft_deadline (WEFT_HOUR)
        receive_for_ever();
}
Test(leaks, none_with_a_deadline)
{
    start_many(receive_with_deadline, WF_WAIT_CHAN_RECV);
    none_leaks();
}

static void child_under_a_deadline(void)
{
    weft_deadline (WEFT_HOUR)
        weft_scope (s)
            weft_scope_go(s, receive_for_ever);
}
Test(leaks, none_of_a_child_with_a_deadline_around_its_scope)
{
    start_many(child_under_a_deadline, WF_WAIT_CHAN_RECV);
    none_leaks();
}

static void sleep_long(void)
{
    weft_sleep(WEFT_HOUR);
}
static void child_with_a_sibling(void)
{
    weft_scope (s) {
        weft_scope_go(s, receive_for_ever);
        weft_scope_go(s, sleep_long);
    }
}
Test(leaks, none_of_a_child_whose_sibling_lives)
{
    start_many(child_with_a_sibling, WF_WAIT_CHAN_RECV);
    eventually(n_parked(WF_WAIT_SCOPE) == MANY);
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

static void wait_with_limit(void)
{
    weft_timeout(weft_async(receive_and_return), WEFT_HOUR);
}
Test(leaks, none_that_a_time_limit_of_a_future_will_cancel)
{
    for (int i = 0; i < MANY; i++)
        require(weft_go(wait_with_limit) == 0);
    eventually(n_parked(WF_WAIT_GROUP) == MANY && n_parked(WF_WAIT_CHAN_RECV) == MANY);
    none_leaks();
}

static int sleep_and_return(void)
{
    weft_sleep(WEFT_HOUR);
    return 0;
}
static void await_a_sleeper(void)
{
    weft_await(weft_async(sleep_and_return));
}
Test(leaks, none_that_awaits_a_routine_that_lives)
{
    start_many(await_a_sleeper, WF_WAIT_FUTURE);
    none_leaks();
}

static int await_and_return(void)
{
    return weft_await(weft_async(sleep_and_return));
}
static void await_a_chain(void)
{
    weft_await(weft_async(await_and_return));
}
Test(leaks, none_that_awaits_one_that_awaits_a_routine_that_lives)
{
    for (unsigned i = 0; i < MANY; i++)
        require(weft_go(await_a_chain) == 0);
    eventually(n_parked(WF_WAIT_FUTURE) == 2 * MANY && n_parked(WF_WAIT_SLEEP) == MANY);
    none_leaks();
}

static void sleep_then_leave(weft_waitgroup *group)
{
    weft_sleep(WEFT_HOUR);
    weft_waitgroup_done(group);
}
static void wait_on_the_own_stack(void)
{
    weft_waitgroup group = {0};
    weft_waitgroup_add(&group, 1);
    weft_go(sleep_then_leave, &group);
    weft_waitgroup_wait(&group);
}
Test(leaks, none_that_waits_for_a_group_on_its_stack_which_others_know)
{
    start_many(wait_on_the_own_stack, WF_WAIT_WAITGROUP);
    none_leaks();
}

static void tracked_sleep(weft_duration d)
{
    weft_sleep(d);
}
static void wait_for_a_live_tracker(void)
{
    struct shared *s = new_shared();
    weft_tracker_go(&s->tracker, tracked_sleep, WEFT_HOUR);
    weft_tracker_close(&s->tracker);
    weft_tracker_wait(&s->tracker);
}
Test(leaks, none_that_waits_for_a_tracker_of_a_routine_that_lives)
{
    start_many(wait_for_a_live_tracker, WF_WAIT_TRACKER);
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

static void wait_for_a_tick(void)
{
    weft_chan(weft_time) c = weft_after_chan(WEFT_HOUR);
    weft_chan_recv(c, NULL);
}
Test(leaks, none_that_waits_for_an_after_channel)
{
    start_many(wait_for_a_tick, WF_WAIT_CHAN_RECV);
    none_leaks();
}

static void send_late(void *c)
{
    weft_chan_send((weft_chan(int))c, 1);
}
static void wait_for_a_timer(void)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    weft_timer_start(WEFT_HOUR, send_late, (void *)(uintptr_t)c);
    weft_chan_recv(c, NULL);
}
Test(leaks, none_that_a_timer_will_wake)
{
    start_many(wait_for_a_timer, WF_WAIT_CHAN_RECV);
    none_leaks();
}

static void wait_for_the_end(void)
{
    weft_future(int) f = weft_async(sleep_and_return);
    weft_select(weft_on_done(f));
}
Test(leaks, none_that_selects_on_the_end_of_a_routine_that_lives)
{
    start_many(wait_for_the_end, WF_WAIT_SELECT);
    none_leaks();
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

/* ---- chains of routines ---- */

/* Waits on one channel, and alone knows the next. */
static void pass_on(unsigned n)
{
    weft_chan(int) mine = weft_chan_make(int, 0);
    weft_chan(int) volatile next = NULL;
    if (n == 0) {
        held[0] = (void *)(uintptr_t)mine; /* the first of the chain */
    } else {
        held[1] = (void *)(uintptr_t)mine; /* for who comes before; it forgets */
    }
    next = (weft_chan(int))held[2];
    held[2] = (void *)(uintptr_t)mine;
    n_ready++;
    weft_chan_recv(mine, NULL);
    if (next != NULL)
        weft_chan_send(next, 1);
    n_ended++;
}

static void make_chain(unsigned n)
{
    held[2] = NULL;
    for (unsigned i = 0; i < n; i++) {
        unsigned wanted = n_ready + 1;
        require(weft_go(pass_on, n - 1 - i) == 0);
        eventually(n_ready == wanted && n_parked(WF_WAIT_CHAN_RECV) == wanted);
    }
    held[1] = held[2] = NULL; /* only the first, which was made last, is known */
}

Test(leaks, none_in_a_chain_whose_first_channel_is_known)
{
    enum { LENGTH = 500 };
    make_chain(LENGTH);
    none_leaks();
    require(weft_chan_send(the_channel(), 1) == 0);
    eventually(n_ended == LENGTH);
}

static uint64_t steps_of_a_chain(unsigned n)
{
    cr_assert_eq(all_leaks(), 0);
    uint64_t without = wf_leaks_steps;
    n_ready = n_ended = 0;
    make_chain(n);
    cr_assert_eq(all_leaks(), 0);
    uint64_t with = wf_leaks_steps;
    require(weft_chan_send(the_channel(), 1) == 0);
    eventually(n_ended == n && n_parked(WF_WAIT_CHAN_RECV) == 0);
    cr_assert(with > without);
    return with - without;
}

/* In rounds, each would reach one routine more: n times n. */
Test(leaks, the_time_is_linear_in_the_length_of_a_chain)
{
    steps_of_a_chain(50);
    uint64_t few = steps_of_a_chain(250), many = steps_of_a_chain(1000);
    cr_assert(many < few * 6, "250: %llu steps, 1000: %llu", (unsigned long long)few, (unsigned long long)many);
    cr_assert(many > few * 2);
}

/* ---- in the midst of things ---- */

static atomic_bool rings_end;

/* Knows its own channel and its neighbour's, and nobody else does but through the messages that go round. */
static void ring_member(weft_chan(uint64_t) in, weft_chan(uint64_t) out)
{
    uint64_t v;
    while (weft_chan_recv(in, &v) == 0 && v != 0)
        if (weft_chan_send(out, atomic_load(&rings_end) ? 0 : v + 1) != 0)
            break;
    weft_chan_try_send(out, UINT64_C(0));
    n_ended++;
}

enum { RINGS = 16, MEMBERS = 20, LOOKS = 20 };

static void make_ring(void)
{
    weft_chan(uint64_t) first = weft_chan_make(uint64_t, 1), in = first;
    for (int i = 0; i < MEMBERS; i++) {
        weft_chan(uint64_t) out = i < MEMBERS - 1 ? weft_chan_make(uint64_t, 1) : first;
        require(weft_go(ring_member, in, out) == 0);
        in = out;
    }
    require(weft_chan_send(first, UINT64_C(1)) == 0);
}

/* Each ring has one token: all but one or two of its members wait, on what only other members know. */
Test(leaks, none_in_rings_through_which_a_token_goes)
{
    for (int i = 0; i < RINGS; i++)
        require(weft_go(make_ring) == 0);
    for (int i = 0; i < LOOKS; i++) {
        struct tally t = {.waits = ""};
        size_t found = weft_leaks(count_leak, &t);
        cr_assert_eq(found, 0, "a false report: %s, started at line %d", t.last.waits, t.last.line);
    }
    atomic_store(&rings_end, true);
    eventually(n_ended == RINGS * MEMBERS);
}

static void mixed(unsigned seed, weft_chan(weft_chan(int)) pool)
{
    for (unsigned i = 0; i < 300; i++) {
        weft_chan(int) mine = weft_chan_make(int, 0);
        require(weft_chan_send(pool, mine) == 0); /* somebody will take it, and send */
        weft_chan(int) other;
        require(weft_chan_recv(pool, &other) == 0);
        if (other == mine)
            continue;
        seed = seed * 1103515245u + 12345u;
        if ((seed >> 16 & 3) == 0)
            weft_yield();
        if ((seed >> 18 & 1) != 0) {
            weft_select(weft_on_send(other, 1), weft_on_recv(mine, NULL), weft_after(WEFT_MS));
        } else {
            weft_waitgroup group = {0};
            weft_waitgroup_add(&group, 1);
            weft_go(weft_waitgroup_done, &group);
            weft_waitgroup_wait(&group);
        }
    }
    n_ended++;
}

Test(leaks, none_while_channels_come_and_go)
{
    weft_chan(weft_chan(int)) volatile pool = weft_chan_make(weft_chan(int), WEFT_UNBOUNDED);
    for (unsigned i = 0; i < MANY; i++)
        require(weft_go(mixed, i + 1, pool) == 0);
    while (n_ended < MANY)
        cr_assert_eq(weft_leaks(NULL, NULL), 0);
}

/* ---- by the environment ---- */

static unsigned count_of(const char *text, const char *what)
{
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
        n++;
    return n;
}

static void leak_and_collect(void)
{
    setenv("WEFT_DEBUG", "leak=1", 1);
    start_many(receive_for_ever, WF_WAIT_CHAN_RECV);
    for (int i = 0; i < 5; i++) {
        clear_stack();
        weft_gc();
    }
}

Test(leaks, leak_1_prints_each_once)
{
    struct ending e = run_in_child(leak_and_collect, 20);
    cr_assert_eq(e.exit_status, 0, "%s", e.text);
    unsigned n = count_of(e.text, "leak: routine");
    cr_assert(n >= MOST && n <= MANY, "%u times: %s", n, e.text);
    cr_assert(says(&e, "receives from a channel (0x") && says(&e, "started at test_leaks.c:"), "%s", e.text);
}

static void leak_and_stop(void)
{
    setenv("WEFT_DEBUG", "leak=1", 1);
    start_many(receive_for_ever, WF_WAIT_CHAN_RECV);
    clear_stack();
    require(weft_stop() == 0);
}

Test(leaks, leak_1_looks_when_the_runtime_stops)
{
    struct ending e = run_in_child(leak_and_stop, 20);
    cr_assert_eq(e.exit_status, 0, "%s", e.text);
    cr_assert(count_of(e.text, "leak: routine") >= MOST, "%s", e.text);
}

static _Atomic unsigned n_woken;
static void receive_and_tell(void)
{
    int error = weft_chan_recv(weft_chan_make(int, 0), NULL);
    require(error == -EDEADLK);
    n_woken++;
}
static void select_and_tell(void)
{
    weft_chan(int) a = weft_chan_make(int, 0), b = weft_chan_make(int, 0);
    int error = weft_select(weft_on_recv(a, NULL), weft_on_recv(b, NULL));
    require(error == -EDEADLK);
    n_woken++;
}
static void acquire_and_tell(void)
{
    weft_sem s;
    weft_sem_init(&s, 0);
    int error = weft_sem_acquire(&s, 1);
    require(error == -EDEADLK);
    n_woken++;
}

static void leak_and_be_woken(void)
{
    setenv("WEFT_DEBUG", "leak=wake", 1);
    held[0] = (void *)(uintptr_t)weft_chan_make(int, 0);
    for (int i = 0; i < MANY; i++) {
        require(weft_go(receive_and_tell) == 0);
        require(weft_go(select_and_tell) == 0);
        require(weft_go(acquire_and_tell) == 0);
    }
    wait_on_the_channel(); /* these are not to be woken */
    eventually(n_parked(WF_WAIT_SEM) == MANY && n_parked(WF_WAIT_SELECT) == MANY);
    for (int i = 0; i < 2000 && n_woken < 3 * MOST; i++) {
        clear_stack();
        weft_gc();
        pause_thread_ms(5);
    }
    require(n_woken >= 3 * MOST);
    require(n_ended == 0);
    end_them(the_channel());
}

Test(leaks, leak_wake_ends_their_waits)
{
    struct ending e = run_in_child(leak_and_be_woken, 30);
    cr_assert_eq(e.exit_status, 0, "signal %d: %s", e.signal, e.text);
    cr_assert(count_of(e.text, "leak: routine") >= MOST, "%s", e.text); /* the text is cut */
}
