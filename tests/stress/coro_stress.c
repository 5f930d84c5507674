/* SPDX-License-Identifier: MIT */
/* coro_stress.c - coroutines handed between routines and plain threads, waiting inside, destroyed half-way.
 *
 *     coro_stress [--seed N] [--rounds N] [--workers N] [--seconds N]
 *
 * Each coroutine carries a purse of coins and a pattern on its stack. Whoever gets hold of it may resume it, put coins in,
 * take coins out, make it wait inside (in a channel, in a sleep, for a mutex, for its turn), let it panic, or destroy it
 * suspended: then its cleanup returns the purse to the bank. No coin is ever lost or made. Exit: 0, 1.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include <weft/weft.h>

#include "../support/expect.h"
#include "../support/stress.h"

enum { N_ROUTINES = 12, N_THREADS = 2, N_ACTORS = N_ROUTINES + N_THREADS, N_COROS = 40, N_STEPS = 300 };
enum order { PUT, TAKE, SLEEP, SEND, LOCK, YIELD, NEST, PANIC, N_ORDERS };

struct job {
    weft_coro *coro;
    enum order order;
    long coins; /* PUT: given; TAKE: received */
    uint64_t seed;
};

static _Atomic long bank, lent; /* coins with nobody; coins in purses, as the actors count them */
static atomic_ulong n_destroyed, n_finished, n_panicked, n_resumed;
static weft_chan(struct job *) market;
static weft_chan(int) counter;
static weft_mutex door;
static unsigned round_number;

struct purse {
    long coins;
};

static void empty_purse(struct purse *p)
{
    atomic_fetch_add(&bank, p->coins);
    atomic_fetch_sub(&lent, p->coins);
    p->coins = 0;
}

static void inner(weft_generator(int) self, int *n)
{
    for (int i = 0; i < *n; i++) {
        if (i % 2 == 0)
            weft_yield();
        weft_gen_yield(self, i);
    }
}

static void nest(int n)
{
    int expected = 0;
    weft_gen_each(int, i, weft_gen_make(int, inner, &n)) {
        require(i == expected++);
        if (i == 5)
            return;
    }
}

static void wait_inside(struct job *job)
{
    switch (job->order) {
    case SLEEP:
        require(weft_sleep((weft_duration)(job->seed % 50) * WEFT_US) == 0);
        return;
    case SEND:
        require(weft_chan_send(counter, 1) == 0);
        return;
    case LOCK:
        weft_mutex_lock(&door);
        if (job->seed % 2 == 0)
            weft_yield();
        weft_mutex_unlock(&door);
        return;
    case YIELD:
        weft_yield();
        return;
    case NEST:
        nest((int)(job->seed % 10));
        return;
    default:
        return;
    }
}

static void serve(struct job *job, struct purse *purse)
{
    uint64_t id = weft_id();
    int saved = errno = (int)(job->seed % 1000) + 1;
    switch (job->order) {
    case PUT:
        purse->coins += job->coins;
        break;
    case TAKE:
        job->coins = purse->coins;
        purse->coins = 0;
        break;
    case PANIC:
        weft_panic("ordered");
    default:
        wait_inside(job);
    }
    require(weft_id() == id);
    require(errno == saved);
}

static void hold_purse(void *arg)
{
    struct purse purse __attribute__((cleanup(empty_purse))) = {0};
    uint64_t pattern = (uint64_t)(uintptr_t)arg;
    volatile uint64_t frame[32];
    for (unsigned i = 0; i < 32; i++)
        frame[i] = pattern + i;
    for (struct job *job = arg; job != NULL;) {
        serve(job, &purse);
        job = weft_coro_suspend(&purse);
        for (unsigned i = 0; i < 32; i++)
            require(frame[i] == pattern + i);
    }
}

static void make(struct job *job)
{
    unsigned in = round_number % 5 == 4 ? 1 << 18 : 0; /* now and then on stacks of their own */
    job->coro = weft_coro_create_with(&(weft_coro_attr){.stack_size = in}, hold_purse, job);
    require(job->coro != NULL);
    job->order = YIELD;
    require(weft_coro_resume(job->coro, NULL, NULL) == 0);
}

static void replace(struct job *job)
{
    weft_coro_destroy(job->coro);
    make(job);
}

static int resume(struct job *job, void *in, void **out)
{
    atomic_fetch_add_explicit(&n_resumed, 1, memory_order_relaxed);
    return weft_coro_resume(job->coro, in, out);
}

static void give_order(struct job *job, struct wf_rand *rand)
{
    void *purse = NULL;
    job->order = (enum order)wf_rand_below(rand, N_ORDERS);
    job->seed = wf_rand_next(rand);
    job->coins = 0;
    if (job->order == PANIC) {
        require(weft_try(resume, job, job, NULL) == WEFT_EPANIC);
        atomic_fetch_add(&n_panicked, 1);
        replace(job);
        return;
    }
    if (job->order == PUT) {
        job->coins = (long)wf_rand_below(rand, 100);
        atomic_fetch_sub(&bank, job->coins);
        atomic_fetch_add(&lent, job->coins);
    }
    require(resume(job, job, &purse) == 0);
    require(purse != NULL);
    if (job->order == TAKE) {
        atomic_fetch_add(&bank, job->coins);
        atomic_fetch_sub(&lent, job->coins);
    }
}

static void act(unsigned actor)
{
    struct wf_rand rand;
    seed_actor(&rand, round_number, actor);
    for (unsigned step = 0; step < N_STEPS; step++) {
        struct job *job;
        require(weft_chan_recv(market, &job) == 0);
        for (uint32_t n = wf_rand_below(&rand, 4); n > 0; n--)
            give_order(job, &rand);
        uint32_t fate = wf_rand_below(&rand, 16);
        if (fate == 0) { /* half-way */
            atomic_fetch_add(&n_destroyed, 1);
            replace(job);
        } else if (fate == 1) { /* told to end */
            require(resume(job, NULL, NULL) == -EPIPE);
            atomic_fetch_add(&n_finished, 1);
            replace(job);
        }
        require(weft_chan_send(market, job) == 0);
    }
}

static void *act_in_thread(void *arg)
{
    act((unsigned)(uintptr_t)arg);
    return NULL;
}

static void drain(weft_chan(int) c)
{
    weft_chan_each(int, one, c)
        require(one == 1);
}

static void play_round(void)
{
    static struct job jobs[N_COROS];
    weft_future(void) routines[N_ROUTINES];
    pthread_t threads[N_THREADS];
    market = weft_chan_make(struct job *, N_COROS);
    counter = weft_chan_make(int, 1);
    weft_future(void) drained = weft_async(drain, counter);
    for (unsigned i = 0; i < N_COROS; i++) {
        make(&jobs[i]);
        require(weft_chan_send(market, &jobs[i]) == 0);
    }
    for (unsigned i = 0; i < N_ROUTINES; i++)
        routines[i] = weft_async(act, i);
    for (unsigned i = 0; i < N_THREADS; i++)
        require(pthread_create(&threads[i], NULL, act_in_thread, (void *)(uintptr_t)(N_ROUTINES + i)) == 0);
    for (unsigned i = 0; i < N_ROUTINES; i++) {
        weft_await(routines[i]);
        weft_detach(routines[i]);
    }
    for (unsigned i = 0; i < N_THREADS; i++)
        require(pthread_join(threads[i], NULL) == 0);
    for (unsigned i = 0; i < N_COROS; i++)
        weft_coro_destroy(jobs[i].coro);
    weft_chan_close(counter);
    weft_await(drained);
    weft_detach(drained);
    require(atomic_load(&bank) == 0);
    require(atomic_load(&lent) == 0);
}

int main(int argc, char **argv)
{
    read_stress_options(argc, argv);
    if (stress.workers != 0)
        require(weft_start(&(weft_config){.procs = stress.workers}) == 0);
    for (round_number = 0; stress_goes_on(round_number); round_number++)
        play_round();
    require(weft_stop() == 0);
    printf("%u rounds, %lu resumes, %lu destroyed half-way, %lu finished, %lu panicked\n", round_number,
           atomic_load(&n_resumed), atomic_load(&n_destroyed), atomic_load(&n_finished), atomic_load(&n_panicked));
    require(atomic_load(&n_destroyed) > 0 && atomic_load(&n_finished) > 0 && atomic_load(&n_panicked) > 0);
    return 0;
}
