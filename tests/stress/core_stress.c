/* SPDX-License-Identifier: MIT */
/* core_stress.c - random programs over the whole of the scheduler, under conservation checks.
 *
 *     core_stress [--seed N] [--rounds N] [--workers N] [--seconds N]
 *
 * Every round starts a runtime, and in it producers, consumers and bystanders: routines of every priority, pinned ones,
 * some on stacks of their own, and plain threads. Between two operations on the channels each does something random:
 * yields, sleeps, computes long enough to lose its worker, sits in a call of libc, starts children and awaits them,
 * panics under weft_try, locks a mutex around plain memory. A round ends by closing the channels, or by weft_stop() in
 * the midst of it. Then every value sent has been received exactly once or still is in a channel; the protected memory
 * adds up; errno, id and name of each routine were its own throughout. Exit: 0 passed, 1 failed (or stuck for 60 s).
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

enum {
    N_CHANNELS = 5,
    N_PRODUCERS = 10,
    N_CONSUMERS = 10,
    N_BYSTANDERS = 6,
    N_ACTORS = N_PRODUCERS + N_CONSUMERS + N_BYSTANDERS,
    MOST_EACH = 400,
    N_VALUES = N_PRODUCERS * MOST_EACH,
};

struct value {
    unsigned number, check;
};

enum kind { PRODUCER, CONSUMER, BYSTANDER };

struct actor {
    struct wf_rand rand;
    unsigned index, sent;
    enum kind kind;
    bool is_thread, is_pinned;
    pid_t tid;
    uint64_t id;
    int own_errno;
    pthread_t thread;
};

static weft_chan(struct value) channels[N_CHANNELS];
static struct actor actors[N_ACTORS];
static atomic_uint times_received[N_VALUES];
static atomic_bool was_sent[N_VALUES];
static atomic_uint producing, acting, n_children, n_children_ended;
static weft_mutex mutex;
static unsigned long guarded, guarded_mirror;
static atomic_ulong lock_count;
static bool stopping_round; /* this round ends by weft_stop() */

static uint32_t draw(struct actor *self, uint32_t bound)
{
    return wf_rand_below(&self->rand, bound);
}

/* Waits may be ended in rounds that stop; nothing else may go wrong. */
static bool is_ended(int error)
{
    if (error == -ECANCELED)
        require(stopping_round);
    return error == -ECANCELED;
}

/* ---- what actors do between two operations ---- */

static unsigned child(unsigned depth, unsigned pause_us)
{
    atomic_fetch_add(&n_children, 1);
    unsigned sum = depth;
    if (pause_us > 0)
        weft_sleep(pause_us * WEFT_US);
    if (depth > 0) {
        weft_future(unsigned) f = weft_async(child, depth - 1, 0u);
        if (f != NULL) {
            unsigned below = 0;
            int error = weft_try_await(f, &below);
            require(error == 0 || error == -ECANCELED); /* detached children may outlast any round */
            sum += error == 0 ? below : depth * (depth - 1) / 2;
        }
    }
    atomic_fetch_add(&n_children_ended, 1);
    return sum;
}

static void await_child(struct actor *self)
{
    unsigned depth = draw(self, 4), result = 0;
    weft_future(unsigned) f = weft_async(child, depth, draw(self, 100));
    require(f != NULL);
    if (draw(self, 4) == 0) {
        weft_detach(f);
        return;
    }
    int error = weft_try_await(f, &result);
    require(is_ended(error) || (error == 0 && result == depth * (depth + 1) / 2));
}

static void panic_sometimes(unsigned what)
{
    weft_yield();
    if (what % 2 == 0)
        weft_panic("panic %u", what);
}

static void try_and_see(struct actor *self)
{
    char expected[32];
    unsigned what = draw(self, 1000);
    int result = weft_try(panic_sometimes, what);
    require(result == (what % 2 == 0 ? WEFT_EPANIC : 0));
    snprintf(expected, sizeof(expected), "panic %u", what);
    require(result == 0 || strcmp(weft_try_message(), expected) == 0);
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
    atomic_fetch_add(&lock_count, 1);
}

static void burn_us(uint32_t us)
{
    int64_t end = clock_ns() + us * INT64_C(1000);
    while (clock_ns() < end)
        ;
}

static void select_for_nothing(struct actor *self)
{
    int chosen = weft_select(weft_on_recv((weft_chan(int))NULL, NULL), weft_after(draw(self, 100) * WEFT_US));
    require(chosen == 1 || is_ended(chosen));
}

static __attribute__((noinline)) int *own_errno(void)
{
    __asm__ volatile("");
    return &errno;
}

/* A stop of the world by signal ends it early, and then it sets errno. */
static void sleep_thread(struct actor *self, uint32_t us)
{
    usleep(us);
    *own_errno() = self->own_errno;
}

static void do_something(struct actor *self)
{
    switch (draw(self, 24)) {
    case 0:
    case 1:
    case 2:
        weft_yield();
        break;
    case 3: {
        int error = weft_sleep(draw(self, 200) * WEFT_US);
        require(error == 0 || is_ended(error));
        break;
    }
    case 4:
        sleep_thread(self, draw(self, 100));
        break;
    case 5:
        burn_us(draw(self, 50));
        break;
    case 6:
        if (draw(self, 20) == 0)
            burn_us(draw(self, 15000));
        break; /* loses its worker */
    case 7:
        if (draw(self, 4) == 0)
            sleep_thread(self, draw(self, 3000));
        break;
    case 8:
    case 9:
        await_child(self);
        break;
    case 10:
        try_and_see(self);
        break;
    case 11:
    case 12:
        lock_and_count(self);
        break;
    case 13:
        select_for_nothing(self);
        break;
    default:
        break;
    }
}

/* What is the routine's own stays so, wherever it wakes. */
static void check_self(struct actor *self)
{
    require(weft_id() == self->id);
    require(*own_errno() == self->own_errno);
    if (self->is_pinned || self->is_thread)
        require(gettid() == self->tid);
    self->own_errno = (int)draw(self, 100) + 1;
    *own_errno() = self->own_errno;
}

/* ---- sending and receiving ---- */

static weft_chan(struct value) any_channel(struct actor *self)
{
    return channels[draw(self, N_CHANNELS)];
}

static int send_in_some_way(struct actor *self, struct value v)
{
    weft_chan(struct value) a = any_channel(self), b = any_channel(self);
    int status_a = 1, status_b = 1;
    switch (draw(self, 4)) {
    case 0:
        return weft_chan_send(a, v);
    case 1: {
        int error = weft_chan_try_send(a, v);
        return error == -EAGAIN ? weft_chan_send(b, v) : error;
    }
    case 2: {
        int chosen = weft_select(weft_on_send(a, v, &status_a), weft_on_send(b, v, &status_b));
        require(chosen < 0 ? status_a == 1 && status_b == 1 : (chosen == 0 ? status_a : status_b) == 0);
        return chosen < 0 ? chosen : 0;
    }
    default: {
        int chosen = weft_select(weft_on_send_from(a, &v), weft_after(draw(self, 50) * WEFT_US));
        return chosen == 1 ? -EAGAIN : chosen;
    }
    }
}

static void note_received(struct value v)
{
    require(v.number < N_VALUES && v.check == v.number * 7 + 3);
    require(atomic_fetch_add(&times_received[v.number], 1) == 0);
}

/* 0: received; -EPIPE: the channel that was looked at is closed and drained; -EAGAIN; -ECANCELED. */
static int receive_in_some_way(struct actor *self, weft_chan(struct value) a)
{
    struct value v = {0, 0}, w = {0, 0};
    int status = 1, other_status = 1, chosen, error;
    switch (draw(self, 4)) {
    case 0:
        error = weft_chan_recv(a, &v);
        break;
    case 1:
        error = weft_chan_try_recv(a, &v);
        break;
    case 2:
        chosen = weft_select(weft_on_recv(a, &v, &status), weft_on_recv(any_channel(self), &w, &other_status));
        if (chosen == 1 && other_status == 0)
            note_received(w);
        error = chosen == 0 ? status : chosen == 1 ? -EAGAIN : chosen;
        break;
    default:
        chosen = weft_select(weft_on_recv(a, &v, &status), weft_after(draw(self, 100) * WEFT_US));
        error = chosen == 0 ? status : chosen == 1 ? -EAGAIN : chosen;
        break;
    }
    if (error == 0)
        note_received(v);
    return error;
}

static void produce(struct actor *self)
{
    unsigned n = draw(self, MOST_EACH);
    while (self->sent < n) {
        unsigned number = self->index * MOST_EACH + self->sent;
        int error = send_in_some_way(self, (struct value){number, number * 7 + 3});
        if (is_ended(error))
            break;
        require(error == 0 || error == -EAGAIN);
        if (error == 0) {
            atomic_store(&was_sent[number], true);
            self->sent++;
        }
        do_something(self);
        check_self(self);
    }
    atomic_fetch_sub(&producing, 1);
}

/* Begins with a channel of its own, so that each always has somebody who waits for nothing else. */
static void consume(struct actor *self)
{
    unsigned first = self->index % N_CHANNELS;
    for (unsigned drained = 0; drained < N_CHANNELS;) {
        int error = receive_in_some_way(self, channels[(first + drained) % N_CHANNELS]);
        if (is_ended(error))
            break;
        require(error == 0 || error == -EPIPE || error == -EAGAIN);
        if (error == -EPIPE)
            drained++;
        else if (error == -EAGAIN)
            weft_yield();
        do_something(self);
        check_self(self);
    }
}

static void stand_by(struct actor *self)
{
    while (atomic_load(&producing) > 0) {
        do_something(self);
        check_self(self);
    }
}

static void act(struct actor *self)
{
    self->id = weft_id();
    self->tid = gettid();
    self->own_errno = *own_errno();
    if (self->kind == PRODUCER)
        produce(self);
    else if (self->kind == CONSUMER)
        consume(self);
    else
        stand_by(self);
    atomic_fetch_sub(&acting, 1);
}

static void *act_in_thread(void *self)
{
    act(self);
    return NULL;
}

/* ---- a round ---- */

static void start_actor(struct actor *a)
{
    static const size_t stacks[] = {0, 0, 0, 32 << 10, 256 << 10, 1 << 20};
    a->is_thread = !stopping_round && draw(a, 6) == 0;
    if (a->is_thread) {
        require(pthread_create(&a->thread, NULL, act_in_thread, a) == 0);
        return;
    }
    a->is_pinned = draw(a, 5) == 0;
    int priority = (int)draw(a, 7) - 3;
    priority = priority == 3 ? 1 : priority == -3 ? -1 : 0;
    require(weft_go_with(weft_attr(.pin = a->is_pinned, .priority = priority, .stack_size = stacks[draw(a, 6)],
                                   .name = a->kind == PRODUCER   ? "producer"
                                           : a->kind == CONSUMER ? "consumer"
                                                                 : "bystander"),
                         act, a) == 0);
}

static void prepare_round(unsigned round, struct wf_rand *rand)
{
    static const size_t capacities[] = {0, 0, 1, 3, 16, 128, WEFT_UNBOUNDED};
    for (unsigned i = 0; i < N_CHANNELS; i++) {
        channels[i] = weft_chan_make(struct value, capacities[wf_rand_below(rand, 7)]);
        require(channels[i] != NULL);
    }
    for (unsigned i = 0; i < N_VALUES; i++) {
        atomic_store(&times_received[i], 0);
        atomic_store(&was_sent[i], false);
    }
    for (unsigned i = 0; i < N_ACTORS; i++) {
        actors[i] = (struct actor){.index = i};
        actors[i].kind = i < N_PRODUCERS ? PRODUCER : i < N_PRODUCERS + N_CONSUMERS ? CONSUMER : BYSTANDER;
        seed_actor(&actors[i].rand, round, i + 1);
    }
    atomic_store(&producing, N_PRODUCERS);
    atomic_store(&acting, N_ACTORS);
    guarded = guarded_mirror = 0;
    atomic_store(&lock_count, 0);
    stopping_round = wf_rand_below(rand, 4) == 0;
}

static void drain_channels(void)
{
    struct value v;
    for (unsigned i = 0; i < N_CHANNELS; i++)
        while (weft_chan_try_recv(channels[i], &v) == 0)
            note_received(v);
}

static void check_round(void)
{
    for (unsigned i = 0; i < N_VALUES; i++)
        require(atomic_load(&times_received[i]) == (atomic_load(&was_sent[i]) ? 1 : 0));
    require(guarded == guarded_mirror && guarded == atomic_load(&lock_count));
    require(atomic_load(&n_children) == atomic_load(&n_children_ended));
}

static void run_round(unsigned round)
{
    struct wf_rand rand;
    seed_actor(&rand, round, 0);
    prepare_round(round, &rand);
    require(weft_start(&(weft_config){.procs = stress.workers}) == 0);
    for (unsigned i = 0; i < N_ACTORS; i++)
        start_actor(&actors[i]);
    if (stopping_round) {
        usleep(wf_rand_below(&rand, 20000));
    } else {
        while (atomic_load(&producing) > 0)
            usleep(100);
        for (unsigned i = 0; i < N_CHANNELS; i++)
            weft_chan_close(channels[i]);
        while (atomic_load(&acting) > 0)
            usleep(100);
        for (unsigned i = 0; i < N_ACTORS; i++)
            if (actors[i].is_thread)
                require(pthread_join(actors[i].thread, NULL) == 0);
    }
    require(weft_stop() == 0);
    require(atomic_load(&acting) == 0);
    drain_channels();
    check_round();
}

int main(int argc, char **argv)
{
    unsigned round;
    read_stress_options(argc, argv);
    for (round = 0; stress_goes_on(round); round++)
        run_round(round);
    printf("%u rounds\n", round);
    return 0;
}
