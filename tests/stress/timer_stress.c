/* SPDX-License-Identifier: MIT */
/* timer_stress.c - routines and plain threads that start, stop, reset and wait for the same timers and tickers.
 *
 *     timer_stress [--seed N] [--rounds N] [--workers N]
 *
 * Conservation: each time a timer is armed ends in exactly one run, successful stop or successful reset. Nothing is
 * early, and a stopped ticker is silent. Exit: 0 passed, 1 failed (or stuck for 60 s).
 */
#include <weft/weft.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rand.h"

enum { N_ROUTINES = 12, N_THREADS = 3, N_ACTORS = N_ROUTINES + N_THREADS, N_TIMERS = 8, STEPS = 400 };
enum { STUCK_AFTER_SECONDS = 60 };

static uint64_t seed = 1;
static unsigned rounds = 20, workers;

#define REQUIRE(x) \
    do { \
        if (!(x)) \
            fail(__LINE__, #x); \
    } while (0)

static _Noreturn void fail(int line, const char *what)
{
    fprintf(stderr, "timer_stress.c:%d: seed %llu: not true: %s\n", line, (unsigned long long)seed, what);
    _exit(1);
}

static void stuck(int signal)
{
    (void)signal;
    static const char text[] = "timer_stress.c: stuck\n";
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
        _exit(2);
    weft_dump(STDERR_FILENO);
    _exit(1);
}

/* ---- timers that everybody stops and resets ---- */

struct shared_timer {
    weft_timer *timer;
    atomic_int arms, runs, taken;
};

static struct shared_timer shared[N_TIMERS];

static void run_shared(void *arg)
{
    struct shared_timer *s = arg;
    atomic_fetch_add(&s->runs, 1);
}

static void disturb_shared(struct wf_rand *rand)
{
    struct shared_timer *s = &shared[wf_rand_below(rand, N_TIMERS)];
    if (wf_rand_below(rand, 3) == 0) {
        atomic_fetch_add(&s->taken, weft_timer_stop(s->timer));
    } else {
        atomic_fetch_add(&s->arms, 1);
        int pending = weft_timer_reset(s->timer, (weft_duration)wf_rand_below(rand, 300) * WEFT_US);
        REQUIRE(pending == 0 || pending == 1);
        atomic_fetch_add(&s->taken, pending);
    }
}

static void start_shared(void)
{
    for (int i = 0; i < N_TIMERS; i++) {
        shared[i] = (struct shared_timer){.arms = 1};
        shared[i].timer = weft_timer_start(100 * WEFT_US, run_shared, &shared[i]);
        REQUIRE(shared[i].timer != NULL);
    }
}

static void settle_shared(void)
{
    for (int i = 0; i < N_TIMERS; i++) {
        struct shared_timer *s = &shared[i];
        s->taken += weft_timer_stop(s->timer);
        for (int done; (done = s->runs + s->taken) != s->arms;) {
            REQUIRE(done < s->arms);
            weft_sleep(100 * WEFT_US);
        }
    }
}

/* ---- what else an actor does ---- */

static void sleep_some(struct wf_rand *rand)
{
    weft_duration d = (weft_duration)wf_rand_below(rand, 400) * WEFT_US;
    weft_time start = weft_now();
    REQUIRE(weft_sleep(d) == 0);
    REQUIRE(weft_now() - start >= d);
}

static void use_a_ticker(struct wf_rand *rand)
{
    weft_duration d = (weft_duration)(1 + wf_rand_below(rand, 100)) * WEFT_US;
    weft_time start = weft_now(), tick;
    weft_chan(weft_time) c = weft_ticker_make(d);
    for (uint32_t i = wf_rand_below(rand, 3); i > 0; i--) {
        REQUIRE(weft_chan_recv(c, &tick) == 0);
        REQUIRE(tick >= start + d);
        REQUIRE(tick <= weft_now());
    }
    weft_ticker_stop(c);
    weft_chan_try_recv(c, NULL);
    if (wf_rand_below(rand, 2) == 0)
        weft_sleep(2 * d);
    REQUIRE(weft_chan_len(c) == 0);
}

static void wait_for_an_after_channel(struct wf_rand *rand)
{
    weft_duration d = (weft_duration)wf_rand_below(rand, 200) * WEFT_US;
    weft_time start = weft_now(), at;
    REQUIRE(weft_chan_recv(weft_after_chan(d), &at) == 0);
    REQUIRE(at >= start + d);
}

/* ---- actors ---- */

static atomic_int n_acting;

static void act(uint64_t actor_seed)
{
    struct wf_rand rand;
    wf_rand_seed(&rand, actor_seed);
    for (int step = 0; step < STEPS; step++) {
        switch (wf_rand_below(&rand, 32)) {
        case 0:
            sleep_some(&rand);
            break;
        case 1:
            use_a_ticker(&rand);
            break;
        case 2:
            wait_for_an_after_channel(&rand);
            break;
        case 3:
            weft_yield();
            break;
        default:
            disturb_shared(&rand);
        }
    }
    atomic_fetch_sub(&n_acting, 1);
}

static void *act_in_thread(void *arg)
{
    act(*(uint64_t *)arg);
    return NULL;
}

static void play_round(unsigned round)
{
    pthread_t threads[N_THREADS];
    uint64_t seeds[N_ACTORS];
    start_shared();
    atomic_store(&n_acting, N_ACTORS);
    for (unsigned i = 0; i < N_ACTORS; i++)
        seeds[i] = (seed * 1000 + round) * N_ACTORS + i;
    for (unsigned i = 0; i < N_ROUTINES; i++)
        REQUIRE(weft_go(act, seeds[i]) == 0);
    for (unsigned i = 0; i < N_THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, act_in_thread, &seeds[N_ROUTINES + i]) == 0);
    for (unsigned i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    while (atomic_load(&n_acting) > 0)
        weft_sleep(WEFT_MS);
    settle_shared();
}

int main(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--rounds") == 0)
            rounds = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--workers") == 0)
            workers = (unsigned)strtoul(argv[i + 1], NULL, 10);
    }
    printf("seed %llu rounds %u\n", (unsigned long long)seed, rounds);
    signal(SIGALRM, stuck);
    REQUIRE(workers == 0 || weft_start(&(weft_config){.procs = workers}) == 0);
    for (unsigned round = 0; round < rounds; round++) {
        alarm(STUCK_AFTER_SECONDS);
        play_round(round);
    }
    REQUIRE(weft_stop() == 0);
    return 0;
}
