/* SPDX-License-Identifier: MIT */
/* test_workers.c - pools of workers: who runs where, what one pool cannot do to another, resizing, the end of a pool. */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <unistd.h>

#include <weft/weft.h>

#include "../support/child.h"
#include "../support/expect.h"
#include "base/compiler.h"
#include "sched/threads.h"

#define start(...) require(weft_go(__VA_ARGS__) == 0)
#define start_on(p, ...) require(weft_go_with(weft_attr(.workers = (p)), __VA_ARGS__) == 0)

enum { SOON_SECONDS = 5, ATTEMPTS = 5 };

static weft_workers *batch;
static atomic_uint begun, ended, wrong;
static atomic_bool over;

/* The pool of the thread that runs the caller; asked anew each time. */
static WF_NOINLINE weft_workers *here(void)
{
    struct wf_thread *thread = wf_thread_self();
    __asm__ volatile("");
    return (weft_workers *)(void *)thread->pool;
}

static WF_NOINLINE bool same_pool_as_worker(void)
{
    struct wf_thread *thread = wf_thread_self();
    __asm__ volatile("");
    return thread->worker == NULL || thread->worker->pool == thread->pool;
}

static void see(weft_workers *p)
{
    if (here() != p || !same_pool_as_worker())
        atomic_fetch_add(&wrong, 1);
}

static void end(void)
{
    atomic_fetch_add(&ended, 1);
}

static struct wf_pool *inside(weft_workers *p)
{
    return (struct wf_pool *)(void *)p;
}

static bool is_settled(weft_workers *p)
{
    return wf_load_acquire(&inside(p)->reach) == wf_load_acquire(&inside(p)->size);
}

/* ---- who runs where ---- */

static void leaf(weft_workers *p)
{
    see(p);
    weft_yield();
    see(p);
    end();
}

static int leaf_value(weft_workers *p)
{
    leaf(p);
    return 1;
}

static void leaf_by_timer(void *p)
{
    leaf(p);
}

static void start_everything(weft_workers *p)
{
    see(p);
    for (unsigned i = 0; i < 100; i++) {
        start(leaf, p);
        require(weft_go_with(weft_attr(.pin = i % 2 == 0, .priority = (int)(i % 3) - 1), leaf, p) == 0);
        require(weft_await(weft_async(leaf_value, p)) == 1);
        see(p);
        require(weft_timer_start(i * 100 * WEFT_US, leaf_by_timer, p) != NULL);
        require(weft_sleep(50 * WEFT_US) == 0);
        see(p);
    }
    end();
}

Test(workers, what_a_routine_starts_runs_on_its_pool, .timeout = 60)
{
    batch = weft_workers_create(2, &(weft_workers_attr){.name = "batch"});
    cr_assert_not_null(batch);
    start_on(batch, start_everything, batch);
    start(start_everything, weft_workers_default());
    eventually(atomic_load(&ended) == 2 * 401);
    cr_assert_eq(atomic_load(&wrong), 0);
}

static void start_elsewhere(void)
{
    start_on(weft_workers_default(), leaf, weft_workers_default());
    start_on(batch, leaf, batch);
    end();
}

Test(workers, an_attribute_names_another_pool, .timeout = 60)
{
    weft_workers *other = weft_workers_create(1, NULL);
    batch = weft_workers_create(1, NULL);
    for (unsigned i = 0; i < 200; i++) {
        start_on(batch, start_elsewhere);
        start_on(other, start_elsewhere);
        start(start_elsewhere);
    }
    eventually(atomic_load(&ended) == 600 * 3);
    cr_assert_eq(atomic_load(&wrong), 0);
}

/* ---- across pools ---- */

enum { N_POOLS = 4, N_EACH = 4, N_STEPS = 300 };
static weft_workers *pools[N_POOLS];
static weft_chan(int) ring_chans[N_POOLS * N_EACH];
static weft_mutex mutex;
static weft_sem sem;
static unsigned long guarded;

static int answer(weft_workers *p, int v)
{
    see(p);
    require(weft_sleep(v % 3 * WEFT_US) == 0);
    see(p);
    return v + 1;
}

/* Every step wakes, or is woken by, a routine of another pool. */
static void pass_on(unsigned i)
{
    weft_workers *p = pools[i % N_POOLS];
    weft_chan(int) in = ring_chans[i], out = ring_chans[(i + 1) % (N_POOLS * N_EACH)];
    for (int step = 0; step < N_STEPS; step++) {
        int v = -1;
        if (step % 3 == 0)
            require(weft_select(weft_on_recv(in, &v), weft_after(WEFT_HOUR)) == 0);
        else
            require(weft_chan_recv(in, &v) == 0);
        see(p);
        weft_mutex_lock(&mutex);
        guarded++;
        if (step % 7 == 0)
            weft_yield();
        see(p);
        weft_mutex_unlock(&mutex);
        require(weft_sem_acquire(&sem, 1) == 0);
        see(p);
        weft_sem_release(&sem, 1);
        require(weft_await(weft_async(answer, p, step)) == step + 1);
        see(p);
        require(weft_chan_send(out, v) == 0);
        see(p);
    }
    end();
}

Test(workers, pools_share_channels_locks_futures_and_timers, .timeout = 100)
{
    pools[0] = weft_workers_default();
    for (unsigned i = 1; i < N_POOLS; i++)
        pools[i] = weft_workers_create(i, NULL);
    weft_sem_init(&sem, 2);
    for (unsigned i = 0; i < N_POOLS * N_EACH; i++)
        ring_chans[i] = weft_chan_make(int, 1);
    for (unsigned i = 0; i < N_POOLS * N_EACH; i++)
        start_on(pools[i % N_POOLS], pass_on, i);
    for (unsigned i = 0; i < N_POOLS * N_EACH; i += 2)
        weft_chan_send(ring_chans[i], (int)i);
    /* 8 tokens go round; each routine forwards N_STEPS of them. */
    eventually(atomic_load(&ended) == N_POOLS * N_EACH);
    cr_assert_eq(guarded, (unsigned long)N_POOLS * N_EACH * N_STEPS);
    cr_assert_eq(atomic_load(&wrong), 0);
}

/* ---- isolation ---- */

static void compute(void)
{
    atomic_fetch_add(&begun, 1);
    while (!atomic_load(&over))
        ;
    end();
}

static void ping(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        require(weft_sleep(WEFT_MS) == 0);
    end();
}

Test(workers, a_pool_computes_on_no_more_cpus_than_it_has_workers, .timeout = 60)
{
    batch = weft_workers_create(1, NULL);
    for (unsigned i = 0; i < 5; i++)
        start_on(batch, compute);
    eventually(atomic_load(&begun) == 1);
    start(ping, 100u); /* ten times as long as the default pool lets anybody compute */
    eventually(atomic_load(&ended) == 1);
    cr_assert_eq(atomic_load(&begun), 1);
    atomic_store(&over, true);
    eventually(atomic_load(&ended) == 6);
}

static void write_to(int fd)
{
    require(write(fd, "x", 1) == 1);
}

static void read_from(int fd)
{
    char c;
    require(read(fd, &c, 1) == 1);
    end();
}

Test(workers, a_routine_in_a_blocking_call_does_not_hold_up_its_pool, .timeout = 60)
{
    int fds[2];
    require(pipe(fds) == 0);
    batch = weft_workers_create(1, NULL);
    start_on(batch, read_from, fds[0]);
    start_on(batch, write_to, fds[1]);
    eventually(atomic_load(&ended) == 1);
}

static atomic_int nice_of_batch = -99, nice_of_default = -99;

static void note_nice(atomic_int *to)
{
    atomic_store(to, getpriority(PRIO_PROCESS, 0));
}

/* Readied by a niced thread while no other thread of the default pool is free: it needs one that was not made here. */
static void start_on_default(void)
{
    note_nice(&nice_of_batch);
    start_on(weft_workers_default(), note_nice, &nice_of_default);
}

/* Of all threads that have come so far. */
static bool threads_are_nice(weft_workers *p, int nice, int others)
{
    bool right = true;
    wf_spinlock_lock(&wf_threads.lock);
    for (struct wf_thread *t = wf_threads.all; t != NULL; t = t->next_all)
        right &= getpriority(PRIO_PROCESS, (id_t)wf_load_relaxed(&t->tid)) == (t->pool == inside(p) ? nice : others);
    wf_spinlock_unlock(&wf_threads.lock);
    return right;
}

Test(workers, threads_of_a_pool_have_its_niceness_and_no_others_have, .timeout = 60)
{
    int own = getpriority(PRIO_PROCESS, 0);
    cr_assert_eq(weft_start(&(weft_config){.procs = 4}), 0);
    batch = weft_workers_create(1, &(weft_workers_attr){.nice = 11});
    start(compute);
    eventually(atomic_load(&begun) == 1);
    pause_thread_ms(100); /* until the pilot looks seldom: it would make the thread first */
    start_on(batch, start_on_default);
    eventually(atomic_load(&nice_of_default) != -99);
    cr_assert_eq(atomic_load(&nice_of_batch), 11);
    cr_assert_eq(atomic_load(&nice_of_default), own);
    eventually(threads_are_nice(batch, 11, own));
    atomic_store(&over, true);
}

static void end_one(void)
{
    atomic_fetch_add(&ended, 1);
}

static void start_end_one(weft_workers *fresh)
{
    start_on(fresh, end_one);
}

/* The niced thread claims the other pool's only worker and cannot start it. Whoever relied on that one must not be forgotten,
 * and nobody comes a second time. */
Test(workers, what_a_niced_thread_cannot_start_is_started_by_others, .timeout = 60)
{
    enum { ROUNDS = 300 };
    start(compute); /* keeps the pilot up */
    eventually(atomic_load(&begun) == 1);
    batch = weft_workers_create(1, &(weft_workers_attr){.nice = 11});
    for (unsigned i = 0; i < ROUNDS; i++) {
        weft_workers *fresh = weft_workers_create(1, NULL);
        cr_assert_not_null(fresh);
        start_on(batch, start_end_one, fresh);
        eventually(atomic_load(&ended) == i + 1);
        cr_assert_eq(weft_workers_destroy(fresh), 0);
    }
    atomic_store(&over, true);
}

/* ---- pinned routines ---- */

enum { N_PINNED = 12, N_HOMES = 4 };
static _Atomic pid_t homes[N_PINNED];
static weft_latch all_placed;

static atomic_bool may_leave[N_PINNED];

static void stay_home(unsigned i)
{
    pid_t tid = gettid();
    atomic_store(&homes[i], tid);
    see(batch);
    if (atomic_fetch_add(&begun, 1) < N_PINNED) {
        weft_latch_count_down(&all_placed);
        require(weft_latch_wait(&all_placed) == 0);
    }
    while (!atomic_load(&over) && !atomic_load(&may_leave[i])) {
        require(weft_sleep(300 * WEFT_US) == 0);
        require(gettid() == tid);
        weft_yield();
        require(gettid() == tid);
    }
    end();
}

static unsigned at_home(pid_t tid)
{
    unsigned n = 0;
    for (unsigned i = 0; i < N_PINNED; i++)
        n += atomic_load(&homes[i]) == tid;
    return n;
}

Test(workers, pinned_routines_are_spread_over_their_pool, .timeout = 60)
{
    batch = weft_workers_create(N_HOMES, NULL);
    weft_latch_init(&all_placed, N_PINNED);
    for (unsigned i = 0; i < N_PINNED; i++) {
        require(weft_go_with(weft_attr(.pin = true, .workers = batch), stay_home, i) == 0);
        eventually(atomic_load(&homes[i]) != 0);
    }
    for (unsigned i = 0; i < N_PINNED; i++)
        cr_assert_eq(at_home(atomic_load(&homes[i])), N_PINNED / N_HOMES);
    /* Where some have left there is room: one home is emptied, and filled again. */
    pid_t emptied = atomic_load(&homes[5]);
    for (unsigned i = 0; i < N_PINNED; i++)
        atomic_store(&may_leave[i], atomic_load(&homes[i]) == emptied);
    eventually(wf_pool_started(inside(batch)) - wf_pool_ended(inside(batch)) == N_PINNED - N_PINNED / N_HOMES);
    for (unsigned i = 0; i < N_PINNED; i++)
        if (atomic_load(&may_leave[i])) {
            atomic_store(&homes[i], 0);
            atomic_store(&may_leave[i], false);
            require(weft_go_with(weft_attr(.pin = true, .workers = batch), stay_home, i) == 0);
            eventually(atomic_load(&homes[i]) != 0);
            cr_assert_eq(atomic_load(&homes[i]), emptied);
        }
    atomic_store(&over, true);
    eventually(atomic_load(&ended) == N_PINNED + N_PINNED / N_HOMES);
    cr_assert_eq(atomic_load(&wrong), 0);
}

/* Their sleeps are timers of all the workers; these go, the threads and the timers must not. */
Test(workers, pinned_routines_keep_their_thread_when_workers_go, .timeout = 60)
{
    batch = weft_workers_create(N_HOMES, NULL);
    weft_latch_init(&all_placed, N_PINNED);
    for (unsigned i = 0; i < N_PINNED; i++)
        require(weft_go_with(weft_attr(.pin = true, .workers = batch), stay_home, i) == 0);
    for (unsigned round = 0; round < 20; round++) {
        cr_assert_eq(weft_workers_set(batch, round % 2 == 0 ? 1 : N_HOMES), 0);
        eventually(is_settled(batch));
        pause_thread_ms(2);
    }
    cr_assert_eq(weft_workers_set(batch, 1), 0);
    atomic_store(&over, true);
    eventually(atomic_load(&ended) == N_PINNED);
    cr_assert_eq(atomic_load(&wrong), 0);
}

static void pinned_once(atomic_bool *ran)
{
    atomic_store(ran, true);
}

Test(workers, a_pinned_routine_is_not_left_with_a_worker_that_computes, .timeout = 60)
{
    static atomic_bool ran[8];
    batch = weft_workers_create(2, NULL);
    start_on(batch, compute);
    eventually(atomic_load(&begun) == 1);
    for (unsigned i = 0; i < 8; i++)
        require(weft_go_with(weft_attr(.pin = true, .workers = batch), pinned_once, &ran[i]) == 0);
    for (unsigned i = 0; i < 8; i++)
        eventually(atomic_load(&ran[i]));
    atomic_store(&over, true);
}

/* ---- resizing ---- */

Test(workers, impossible_sizes_are_refused, .timeout = 60)
{
    cr_assert_eq(weft_set_procs(3), 0);
    cr_assert_eq(weft_procs(), 3);
    cr_assert_eq(weft_set_procs(0), -EINVAL);
    cr_assert_eq(weft_set_procs(1025), -EINVAL);
    cr_assert_eq(weft_procs(), 3);
    cr_assert_null(weft_workers_create(0, NULL));
    cr_assert_null(weft_workers_create(1025, NULL));
    cr_assert_null(weft_workers_create(1, &(weft_workers_attr){.nice = 20}));
    batch = weft_workers_create(7, NULL);
    cr_assert_eq(weft_workers_size(batch), 7);
    cr_assert_eq(weft_workers_set(batch, 0), -EINVAL);
    cr_assert_eq(weft_workers_set(batch, 1025), -EINVAL);
    cr_assert_eq(weft_workers_set(NULL, 1), -EINVAL);
    cr_assert_eq(weft_workers_size(batch), 7);
    cr_assert_eq(weft_workers_size(NULL), 0);
    cr_assert_eq(weft_workers_set(batch, 9), 0);
    cr_assert_eq(weft_workers_size(batch), 9);
    cr_assert_eq(weft_workers_size(weft_workers_default()), 3);
    cr_assert_eq(weft_workers_set(weft_workers_default(), 2), 0);
    cr_assert_eq(weft_procs(), 2);
    cr_assert_eq(weft_procs(), weft_workers_size(weft_workers_default()));
}

Test(workers, too_many_for_the_stacks_are_refused, .timeout = 60)
{
    errno = 77;
    cr_assert_eq(weft_start(&(weft_config){.procs = 1, .stack_memory = 2 << 20}), 0);
    cr_assert_eq(weft_set_procs(1000), -ENOMEM);
    cr_assert_eq(weft_procs(), 1);
    cr_assert_null(weft_workers_create(1000, NULL));
    cr_assert_eq(errno, 77);
    cr_assert_eq(weft_set_procs(2), 0);
    start(end);
    eventually(atomic_load(&ended) == 1);
}

static atomic_uint meeting;

/* Only possible if `n` run at once: nobody here ever calls weft. */
static void meet(unsigned n)
{
    atomic_fetch_add(&meeting, 1);
    while (atomic_load(&meeting) < n)
        ;
    end();
}

Test(workers, a_grown_pool_takes_up_the_work_that_waits, .timeout = 60)
{
    batch = weft_workers_create(1, NULL);
    for (unsigned i = 0; i < 3; i++)
        start_on(batch, meet, 3u);
    eventually(atomic_load(&meeting) == 1);
    cr_assert_eq(weft_workers_set(batch, 3), 0);
    eventually(atomic_load(&ended) == 3);
}

static void spawn_then_compute(void)
{
    for (unsigned i = 0; i < 100; i++)
        start(end);
    compute();
}

/* What a worker holds privately when it goes is run by the others. */
Test(workers, a_worker_that_computes_is_retired_and_its_work_is_run, .timeout = 60)
{
    batch = weft_workers_create(2, NULL);
    start_on(batch, compute);
    eventually(atomic_load(&begun) == 1);
    start_on(batch, spawn_then_compute);
    eventually(atomic_load(&begun) == 2);
    cr_assert_eq(weft_workers_set(batch, 1), 0);
    eventually(is_settled(batch));
    atomic_store(&over, true);
    eventually(atomic_load(&ended) == 102);
    cr_assert_eq(weft_workers_size(batch), 1);
}

static void sleep_a_while(unsigned ms)
{
    require(weft_sleep(ms * WEFT_MS) == 0);
    see(weft_workers_default());
    end();
}

static void spread_sleepers(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        start(sleep_a_while, 40 + i % 60);
        if (i % 16 == 0)
            burn_ms(1); /* so that others steal some */
    }
    end();
}

Test(workers, sleepers_wake_though_their_worker_goes, .timeout = 60)
{
    cr_assert_eq(weft_start(&(weft_config){.procs = 8}), 0);
    for (unsigned round = 1; round <= 4; round++) {
        cr_assert_eq(weft_set_procs(8), 0);
        for (unsigned i = 0; i < 4; i++)
            start(spread_sleepers, 100u);
        pause_thread_ms(20);
        cr_assert_eq(weft_set_procs(1), 0);
        eventually(atomic_load(&ended) == round * 404);
    }
    eventually(is_settled(weft_workers_default()));
    cr_assert_eq(atomic_load(&wrong), 0);
}

static weft_chan(unsigned) there, back;

static void echo(void)
{
    unsigned v;
    while (weft_chan_recv(there, &v) == 0)
        require(weft_chan_send(back, v + 1) == 0);
    end();
}

static void ask(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned v = 0;
        require(weft_chan_send(there, i) == 0);
        require(weft_chan_recv(back, &v) == 0);
        if (i % 64 == 0)
            start(end);
    }
    end();
}

static void resize_often(unsigned seed)
{
    for (unsigned i = 0; !atomic_load(&over); i++) {
        seed = seed * 1664525 + 1013904223;
        unsigned n = (seed >> 16) % 9 + 1;
        require(weft_set_procs(i % 50 == 0 ? 60 : n) == 0);
        require(weft_procs() >= 1);
        if (i % 3 == 0)
            weft_yield();
        else
            pause_thread_ms(0);
    }
    end();
}

static void *resize_in_thread(void *arg)
{
    resize_often(*(unsigned *)arg);
    return NULL;
}

Test(workers, are_resized_under_load_by_routines_and_threads_at_once, .timeout = 100)
{
    enum { N_ASKERS = 6, N_QUESTIONS = 20000 };
    pthread_t threads[2];
    unsigned seeds[2] = {1, 2};
    there = weft_chan_make(unsigned, 0);
    back = weft_chan_make(unsigned, 0);
    for (unsigned i = 0; i < 2; i++) {
        start(resize_often, 3 + i);
        require(pthread_create(&threads[i], NULL, resize_in_thread, &seeds[i]) == 0);
    }
    for (unsigned i = 0; i < N_ASKERS; i++) {
        start(echo);
        start(ask, (unsigned)N_QUESTIONS);
    }
    unsigned expected = N_ASKERS * (1 + (N_QUESTIONS + 63) / 64);
    eventually(atomic_load(&ended) == expected);
    atomic_store(&over, true);
    for (unsigned i = 0; i < 2; i++)
        require(pthread_join(threads[i], NULL) == 0);
    weft_chan_close(there);
    eventually(atomic_load(&ended) == expected + 4 + N_ASKERS);
    cr_assert_eq(weft_set_procs(2), 0);
    cr_assert_eq(weft_procs(), 2);
    eventually(is_settled(weft_workers_default()));
    cr_assert_eq(weft_stop(), 0);
}

/* ---- the end of a pool ---- */

static unsigned count_threads(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/task");
    require(dir != NULL);
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

static void last_act(void)
{
    require(weft_sleep(10 * WEFT_MS) == 0);
    end();
}

static void sleep_then_start(void)
{
    require(weft_sleep(10 * WEFT_MS) == 0);
    start(last_act);
    end();
}

Test(workers, destroying_waits_for_the_routines_and_ends_the_threads, .timeout = 60)
{
    start(end);
    eventually(atomic_load(&ended) == 1);
    eventually(wf_load_relaxed(&wf_workers[0].state) == WF_WORKER_PARKED);
    unsigned before = count_threads();
    for (unsigned round = 0; round < 20; round++) {
        atomic_store(&ended, 0);
        batch = weft_workers_create(3, NULL);
        for (unsigned i = 0; i < 10; i++)
            start_on(batch, sleep_then_start);
        cr_assert_eq(weft_workers_destroy(batch), 0);
        cr_assert_eq(atomic_load(&ended), 20);
        eventually(count_threads() <= before + 2); /* one that has ended is still listed for a moment; the default pool may
                                                      have come to need a spare */
        cr_assert_eq(weft_go_with(weft_attr(.workers = batch), end), -EINVAL);
        cr_assert_eq(weft_workers_set(batch, 2), -EINVAL);
        cr_assert_eq(weft_workers_destroy(batch), -EINVAL);
    }
    cr_assert_eq(weft_workers_destroy(NULL), 0);
    cr_assert_eq(weft_workers_destroy(weft_workers_default()), -EINVAL);
}

static atomic_int from_inside;

static void destroy_own(void)
{
    atomic_store(&from_inside, weft_workers_destroy(batch));
    end();
}

static void destroy_other(weft_workers *p)
{
    require(weft_workers_destroy(p) == 0);
    see(weft_workers_default());
    end();
}

Test(workers, a_pool_is_destroyed_by_routines_of_others_only, .timeout = 60)
{
    batch = weft_workers_create(1, NULL);
    start_on(batch, destroy_own);
    eventually(atomic_load(&ended) == 1);
    cr_assert_eq(atomic_load(&from_inside), -EDEADLK);
    start_on(batch, last_act);
    start(destroy_other, batch);
    eventually(atomic_load(&ended) == 3);
    cr_assert_eq(weft_workers_size(batch), 0);
    cr_assert_eq(atomic_load(&wrong), 0);
}

static atomic_bool may_end;

static void stay(void)
{
    while (!atomic_load(&may_end))
        weft_sleep(WEFT_MS);
}

static int destroy_in_a_deadline(weft_workers *p)
{
    int error = 0;
    weft_deadline(10 * WEFT_MS)
        error = weft_workers_destroy(p);
    return error;
}

Test(workers, destroying_may_be_limited_by_a_deadline, .timeout = 60)
{
    batch = weft_workers_create(1, NULL);
    start_on(batch, stay);
    cr_assert_eq(destroy_in_a_deadline(batch), -ETIMEDOUT);
    cr_assert_eq(weft_await(weft_async(destroy_in_a_deadline, batch)), -ETIMEDOUT);
    cr_assert_eq(weft_workers_size(batch), 1);
    atomic_store(&may_end, true);
    cr_assert_eq(weft_workers_destroy(batch), 0);
}

static void end_by_timer(void *arg)
{
    (void)arg;
    end();
}

/* Some of which expire in the midst of the destruction. */
static void arm_timers(void)
{
    for (unsigned i = 0; i < 300; i++)
        require(weft_timer_start(i * 5 * WEFT_US, end_by_timer, NULL) != NULL);
    end();
}

static void arm_late_timers(void)
{
    for (unsigned i = 0; i < 50; i++)
        require(weft_timer_start(100 * WEFT_MS + i * WEFT_MS, end_by_timer, NULL) != NULL);
    end();
}

Test(workers, timers_outlive_their_pool, .timeout = 60)
{
    for (unsigned round = 1; round <= 50; round++) {
        batch = weft_workers_create(2, NULL);
        start_on(batch, arm_timers);
        if (round == 1)
            start_on(batch, arm_late_timers);
        cr_assert_eq(weft_workers_destroy(batch), 0);
        eventually(atomic_load(&ended) == round * 301 + 51);
    }
}

Test(workers, fifteen_pools_are_the_limit_and_may_be_made_again, .timeout = 60)
{
    weft_workers *all[15];
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 15; i++) {
            all[i] = weft_workers_create(1 + i % 3, NULL);
            cr_assert_not_null(all[i]);
            start_on(all[i], leaf, all[i]);
        }
        cr_assert_null(weft_workers_create(1, NULL));
        for (unsigned i = 0; i < 15; i++)
            cr_assert_eq(weft_workers_destroy(all[(i + round) % 15]), 0);
    }
    cr_assert_eq(atomic_load(&ended), 45);
    cr_assert_eq(atomic_load(&wrong), 0);
}

static weft_chan(int) chan;

static void wait_until_stopped(void)
{
    atomic_fetch_add(&begun, 1);
    require(weft_chan_recv(chan, NULL) == -ECANCELED);
    end();
}

static void sleep_until_stopped(void)
{
    atomic_fetch_add(&begun, 1);
    require(weft_sleep(WEFT_HOUR) == -ECANCELED);
    end();
}

Test(workers, stop_ends_all_pools, .timeout = 60)
{
    unsigned threads = count_threads();
    for (unsigned round = 0; round < 10; round++) {
        atomic_store(&begun, 0);
        atomic_store(&ended, 0);
        chan = weft_chan_make(int, 0);
        batch = weft_workers_create(3, NULL);
        weft_workers *other = weft_workers_create(1, NULL);
        for (unsigned i = 0; i < 10; i++) {
            start_on(batch, wait_until_stopped);
            start_on(other, sleep_until_stopped);
            require(weft_go_with(weft_attr(.workers = other, .pin = true), wait_until_stopped) == 0);
        }
        eventually(atomic_load(&begun) == 30);
        if (round % 2 == 0) {
            cr_assert_eq(weft_workers_set(batch, 1), 0);
            cr_assert_eq(weft_set_procs(5), 0);
        }
        cr_assert_eq(weft_stop(), 0);
        cr_assert_eq(atomic_load(&ended), 30);
        eventually(count_threads() == threads); /* one that has ended, and was joined, is still listed for a moment */
        cr_assert_eq(weft_workers_size(batch), 0);
    }
}

/* ---- deadlock ---- */

static void receive(void)
{
    int v;
    if (weft_chan_recv(chan, &v) == 0)
        end();
}

static void wait_in_all_pools(void)
{
    chan = weft_chan_make(int, 0);
    for (unsigned i = 0; i < 3; i++)
        start_on(weft_workers_create(2, NULL), receive);
    batch = weft_workers_create(3, NULL);
    for (unsigned i = 0; i < 9; i++)
        require(weft_go_with(weft_attr(.workers = batch, .pin = i % 2 == 0), receive) == 0);
    require(weft_workers_set(batch, 1) == 0);
    receive();
}

Test(workers, a_deadlock_over_all_pools_is_reported, .timeout = 60)
{
    bool soon = false; /* at least once: a busy machine may need longer */
    for (unsigned i = 0; i < ATTEMPTS && !soon; i++) {
        struct ending e = run_in_child(wait_in_all_pools, PATIENCE_SECONDS);
        cr_assert_eq(e.exit_status, 2, "exit status %d, signal %d: %s", e.exit_status, e.signal, e.text);
        cr_assert(says(&e, "13 waiting"), "%s", e.text);
        soon = e.took_ns < SOON_SECONDS * INT64_C(1000000000);
    }
    cr_assert(soon);
}

static void compute_then_send(void)
{
    burn_ms(1200);
    require(weft_chan_send(chan, 3) == 0);
    require(weft_sleep(1200 * WEFT_MS) == 0);
    require(weft_chan_send(chan, 3) == 0);
}

static void wait_for_another_pool(void)
{
    chan = weft_chan_make(int, 0);
    start_on(weft_workers_create(1, NULL), compute_then_send);
    receive();
    receive();
}

Test(workers, a_pool_that_computes_or_sleeps_is_no_deadlock, .timeout = 60)
{
    struct ending e = run_in_child(wait_for_another_pool, 30);
    cr_assert_eq(e.exit_status, 0, "exit status %d, signal %d: %s", e.exit_status, e.signal, e.text);
    cr_assert_not(says(&e, "deadlock"), "%s", e.text);
}
