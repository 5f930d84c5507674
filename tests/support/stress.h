/* SPDX-License-Identifier: MIT */
/* stress.h - what the plain stress programs share: their options, a stream of random numbers for each actor, the end. */
#ifndef WEFT_TESTS_STRESS_H
#define WEFT_TESTS_STRESS_H

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <weft/debug.h>

#include "base/rand.h"
#include "expect.h"

static struct {
    uint64_t seed;
    unsigned rounds; /* 0: until `seconds` have passed */
    unsigned seconds;
    unsigned workers; /* 0: what the environment says */
    unsigned stuck_after_seconds;
} stress = {.seconds = 2, .stuck_after_seconds = 60};

static inline void say_stuck(int signo)
{
    (void)signo;
    dprintf(STDERR_FILENO, "stuck; --seed %llu\n", (unsigned long long)stress.seed);
    weft_dump(STDERR_FILENO); /* not made for a handler, but there is nothing to lose */
    _exit(1);
}

/* Says the seed of whatever require() stops. */
static inline void say_seed(int signo)
{
    (void)signo;
    dprintf(STDERR_FILENO, "failed; --seed %llu\n", (unsigned long long)stress.seed);
    _exit(1);
}

static inline void read_stress_options(int argc, char **argv)
{
    stress.seed = (uint64_t)clock_ns() % 1000000007;
    for (int i = 1; i + 1 < argc; i += 2) {
        unsigned long long value = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--seed") == 0)
            stress.seed = value;
        else if (strcmp(argv[i], "--rounds") == 0)
            stress.rounds = (unsigned)value;
        else if (strcmp(argv[i], "--seconds") == 0)
            stress.seconds = (unsigned)value;
        else if (strcmp(argv[i], "--workers") == 0)
            stress.workers = (unsigned)value;
        else
            argc = 0;
    }
    if (argc % 2 == 0) {
        fprintf(stderr, "usage: %s [--seed N] [--rounds N] [--workers N] [--seconds N]\n", argv[0]);
        exit(1);
    }
    signal(SIGALRM, say_stuck);
    signal(SIGABRT, say_seed);
    printf("seed %llu\n", (unsigned long long)stress.seed);
    fflush(stdout);
}

/* for (unsigned round = 0; stress_goes_on(round); round++) */
static inline bool stress_goes_on(unsigned round)
{
    static int64_t end_ns;
    if (round == 0)
        end_ns = clock_ns() + (int64_t)stress.seconds * 1000000000;
    alarm(stress.stuck_after_seconds);
    return stress.rounds != 0 ? round < stress.rounds : clock_ns() < end_ns;
}

/* A stream of its own for each (round, actor). */
static inline void seed_actor(struct wf_rand *rand, unsigned round, unsigned actor)
{
    wf_rand_seed(rand, stress.seed + ((uint64_t)round << 20) + actor);
    wf_rand_next(rand);
}

#endif
