/* SPDX-License-Identifier: MIT */
/* workers_stress.c - random resizing and traffic across pools, under conservation checks.
 *
 *     workers_stress [--seed N] [--rounds N] [--workers N] [--seconds N]
 *
 * Every round starts a runtime with some pools. Actors of all of them, pinned and prioritised ones too, and plain threads,
 * pass values on over common channels, and between two operations sleep, select with a time limit, compute, sit in libc,
 * lock a common mutex, start children in their own or another pool. Meanwhile routines and threads resize every pool and
 * make and destroy pools of their own. A round ends by itself or by weft_stop() in the midst of it. Then every value was
 * received once or is still in a channel; every child has ended; nobody has ever run on a worker of another pool; pinned
 * ones never left their thread; the sizes are those set last and the workers that are too many are gone. Exit: 0 passed,
 * 1 failed (or stuck for 60 s).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include <weft/weft.h>

#include "../support/expect.h"
#include "../support/stress.h"
#include "base/compiler.h"
#include "sched/threads.h"

enum {
    N_POOLS = 4,
    N_CHANNELS = 4,
    N_ACTORS = 24,
    N_RESIZERS = 2,
    N_STEPS = 150,
    MOST_WORKERS = 6,
    N_VALUES = N_ACTORS * N_STEPS,
};

struct actor {
    struct wf_rand rand;
    unsigned index;
    weft_workers *pool; /* NULL: a plain thread */
    bool is_pinned;
    pid_t tid;
    pthread_t thread;
};

static weft_workers *pools[N_POOLS];
static weft_chan(unsigned) channels[N_CHANNELS];
static struct actor actors[N_ACTORS], resizers[2 * N_RESIZERS];
static atomic_uint times_received[N_VALUES], times_sent[N_VALUES];
static atomic_uint acting, resizing, n_children, n_children_ended;
static weft_mutex mutex;
static unsigned long guarded, guarded_mirror;
static bool stopping_round;
static atomic_bool leaving; /* plain threads, whose waits weft_stop() does not end, and resizers are to leave */
static atomic_uint n_resized, n_destroyed;

static uint32_t draw(struct actor *self, uint32_t bound)
{
    return wf_rand_below(&self->rand, bound);
}

static bool is_ended(int error)
{
    if (error == -ECANCELED)
        require(stopping_round);
    return error == -ECANCELED;
}

static WF_NOINLINE struct wf_thread *thread_here(void)
{
    struct wf_thread *thread = wf_thread_self();
    __asm__ volatile("");
    return thread;
}

static void check_place(weft_workers *pool)
{
    struct wf_thread *thread = thread_here();
    require((void *)thread->pool == (void *)pool);
}

static void check_self(struct actor *self)
{
    if (self->pool != NULL)
        check_place(self->pool);
    if (self->is_pinned)
        require(gettid() == self->tid);
}

static void burn_us(uint32_t us)
{
    int64_t end = clock_ns() + us * INT64_C(1000);
    while (clock_ns() < end)
        ;
}

/* ---- between two operations ---- */

static void child(weft_workers *pool, unsigned depth, unsigned pause_us)
{
    check_place(pool);
    if (depth > 0) {
        atomic_fetch_add(&n_children, 1);
        require(weft_go(child, pool, depth - 1, pause_us) == 0); /* inherits the pool */
    }
    if (pause_us > 0)
        weft_sleep(pause_us * WEFT_US);
    check_place(pool);
    atomic_fetch_add(&n_children_ended, 1);
}

static void start_children(struct actor *self)
{
    weft_workers *pool = pools[draw(self, N_POOLS)];
    unsigned depth = draw(self, 4), pause_us = draw(self, 2) * draw(self, 2000);
    atomic_fetch_add(&n_children, 1);
    require(weft_go_with(weft_attr(.workers = pool, .pin = draw(self, 4) == 0), child, pool, depth, pause_us) == 0);
}

static void lock_and_count(struct actor *self)
{
    weft_mutex_lock(&mutex);
    require(guarded == guarded_mirror);
    guarded++;
    if (draw(self, 4) == 0)
        weft_yield();
    guarded_mirror++;
    weft_mutex_unlock(&mutex);
}

static void do_something(struct actor *self)
{
    int error;
    switch (draw(self, 16)) {
    case 0:
    case 1:
        weft_yield();
        break;
    case 2:
        error = weft_sleep(draw(self, 300) * WEFT_US);
        require(error == 0 || is_ended(error));
        break;
    case 3:
        burn_us(draw(self, 50));
        break;
    case 4:
        if (draw(self, 30) == 0)
            burn_us(draw(self, 15000));
        break;
    case 5:
        if (draw(self, 4) == 0)
            usleep(draw(self, 2000));
        break;
    case 6:
    case 7:
        lock_and_count(self);
        break;
    case 8:
        start_children(self);
        break;
    case 9:
        error = weft_select(weft_on_recv((weft_chan(int))NULL, NULL), weft_after(draw(self, 200) * WEFT_US));
        require(error == 1 || is_ended(error));
        break;
    default:
        break;
    }
    check_self(self);
}

/* ---- actors: each sends N_STEPS values and receives as many ---- */

static void note_received(unsigned v)
{
    require(v < N_VALUES);
    require(atomic_fetch_add(&times_received[v], 1) == 0);
}

static int exchange(struct actor *self, unsigned v)
{
    weft_chan(unsigned) out = channels[draw(self, N_CHANNELS)], in = channels[draw(self, N_CHANNELS)];
    unsigned w = 0;
    int sent = 1, received = 1;
    while (sent == 1) { /* whoever waits to send can also receive, so that all together never stand still */
        int chosen = weft_select(weft_on_send(out, v, &sent), weft_on_recv(in, &w, &received), weft_after(5 * WEFT_MS));
        if (chosen < 0)
            return chosen;
        if (chosen == 2 && self->pool == NULL && atomic_load(&leaving))
            return -ECANCELED;
        if (chosen == 2)
            continue;
        if (chosen == 1 && received == 0)
            note_received(w);
        else
            atomic_store(&times_sent[v], 1);
        check_self(self);
        received = 1;
    }
    return 0;
}

static void act(struct actor *self)
{
    self->tid = gettid();
    check_self(self);
    for (unsigned step = 0; step < N_STEPS; step++) {
        int error = exchange(self, self->index * N_STEPS + step);
        if (is_ended(error))
            break;
        require(error == 0);
        do_something(self);
    }
    atomic_fetch_sub(&acting, 1);
}

static void *act_in_thread(void *arg)
{
    act(arg);
    return NULL;
}

/* ---- resizers ---- */

static void use_a_pool(struct actor *self)
{
    weft_workers *pool = weft_workers_create(1 + draw(self, 3), NULL);
    if (pool == NULL)
        return; /* weft_stop has begun, or there are fifteen */
    unsigned n = draw(self, 6);
    for (unsigned i = 0; i < n; i++) {
        atomic_fetch_add(&n_children, 1);
        require(weft_go_with(weft_attr(.workers = pool, .pin = i % 3 == 0), child, pool, draw(self, 3),
                             draw(self, 2) * draw(self, 1000)) == 0);
    }
    if (draw(self, 3) == 0)
        weft_workers_set(pool, 1 + draw(self, MOST_WORKERS));
    int error = weft_workers_destroy(pool);
    require(error == 0 || is_ended(error));
    atomic_fetch_add(&n_destroyed, 1);
}

static void resize(struct actor *self)
{
    while (atomic_load(&acting) > 0 && !atomic_load(&leaving)) {
        unsigned i = draw(self, N_POOLS), n = draw(self, 40) == 0 ? 40 : 1 + draw(self, MOST_WORKERS);
        int error = i == 0 ? weft_set_procs(n) : weft_workers_set(pools[i], n);
        require(error == 0 || stopping_round);
        atomic_fetch_add(&n_resized, 1);
        if (draw(self, 10) == 0)
            use_a_pool(self);
        if (draw(self, 2) == 0)
            usleep(draw(self, 500));
        else
            weft_yield();
    }
    atomic_fetch_sub(&resizing, 1);
}

static void *resize_in_thread(void *arg)
{
    resize(arg);
    return NULL;
}

/* ---- a round ---- */

static void start_actor(struct actor *self, unsigned round)
{
    seed_actor(&self->rand, round, self->index);
    unsigned where = self->index % (N_POOLS + 1);
    self->pool = where < N_POOLS ? pools[where] : NULL;
    self->is_pinned = self->pool != NULL && self->index % 3 == 0;
    if (self->pool == NULL)
        require(pthread_create(&self->thread, NULL, act_in_thread, self) == 0);
    else
        require(weft_go_with(weft_attr(.workers = self->pool, .pin = self->is_pinned,
                                       .priority = self->is_pinned ? 0 : (int)draw(self, 3) - 1), act, self) == 0);
}

static void start_resizer(unsigned i, unsigned round)
{
    struct actor *self = &resizers[i];
    self->index = N_ACTORS + i;
    seed_actor(&self->rand, round, self->index);
    if (i % 2 == 0)
        require(pthread_create(&self->thread, NULL, resize_in_thread, self) == 0);
    else
        require(weft_go_with(weft_attr(.workers = pools[i % N_POOLS]), resize, self) == 0);
}

static void join_threads(void)
{
    for (unsigned i = 0; i < N_ACTORS; i++)
        if (actors[i].pool == NULL)
            require(pthread_join(actors[i].thread, NULL) == 0);
    for (unsigned i = 0; i < 2 * N_RESIZERS; i += 2)
        require(pthread_join(resizers[i].thread, NULL) == 0);
}

static void check_settled(unsigned n)
{
    require(weft_set_procs(n) == 0);
    require(weft_procs() == n);
    for (unsigned i = 0; i < N_POOLS; i++) {
        require(weft_workers_set(pools[i], n) == 0);
        struct wf_pool *pool = (struct wf_pool *)(void *)pools[i];
        eventually(wf_load_acquire(&pool->reach) == n);
        require(weft_workers_size(pools[i]) == n);
    }
}

static void drain_channels(void)
{
    unsigned v;
    for (unsigned i = 0; i < N_CHANNELS; i++) {
        weft_chan_close(channels[i]);
        while (weft_chan_recv(channels[i], &v) == 0)
            note_received(v);
    }
}

static void run_round(unsigned round)
{
    struct wf_rand rand;
    seed_actor(&rand, round, 10000);
    stopping_round = wf_rand_below(&rand, 3) == 0;
    require(weft_start(&(weft_config){.procs = stress.workers}) == 0);
    atomic_store(&leaving, false);
    atomic_store(&n_children, 0);
    atomic_store(&n_children_ended, 0);
    for (unsigned v = 0; v < N_VALUES; v++) {
        atomic_store(&times_received[v], 0);
        atomic_store(&times_sent[v], 0);
    }
    for (unsigned i = 0; i < N_CHANNELS; i++)
        channels[i] = weft_chan_make(unsigned, i == 0 ? 0 : i == 1 ? WEFT_UNBOUNDED : i * i);
    pools[0] = weft_workers_default();
    for (unsigned i = 1; i < N_POOLS; i++)
        require((pools[i] = weft_workers_create(i, &(weft_workers_attr){.nice = i == 3 ? 5 : 0})) != NULL);
    atomic_store(&acting, N_ACTORS);
    atomic_store(&resizing, 2 * N_RESIZERS);
    for (unsigned i = 0; i < N_ACTORS; i++) {
        actors[i].index = i;
        start_actor(&actors[i], round);
    }
    for (unsigned i = 0; i < 2 * N_RESIZERS; i++)
        start_resizer(i, round);
    if (stopping_round) {
        pause_thread_ms((long)wf_rand_below(&rand, 30));
    } else {
        /* The last ones must find somebody to give their values to. */
        while (atomic_load(&acting) > 0) {
            unsigned v;
            for (unsigned i = 0; i < N_CHANNELS; i++)
                if (weft_chan_try_recv(channels[i], &v) == 0)
                    note_received(v);
            usleep(100);
        }
        eventually(atomic_load(&resizing) == 0);
        eventually(atomic_load(&n_children) == atomic_load(&n_children_ended));
        check_settled(1 + wf_rand_below(&rand, 4));
    }
    atomic_store(&leaving, true);
    join_threads();
    if (!stopping_round)
        drain_channels();
    require(weft_stop() == 0);
    require(guarded == guarded_mirror);
    for (unsigned v = 0; v < N_VALUES && !stopping_round; v++)
        require(atomic_load(&times_received[v]) == 1 && atomic_load(&times_sent[v]) == 1);
}

int main(int argc, char **argv)
{
    read_stress_options(argc, argv);
    for (unsigned round = 0; stress_goes_on(round); round++)
        run_round(round);
    printf("resized %u times, destroyed %u pools\n", atomic_load(&n_resized), atomic_load(&n_destroyed));
    return 0;
}
