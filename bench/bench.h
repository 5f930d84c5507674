/* SPDX-License-Identifier: MIT */
/* bench.h - clock, repetition and output of the programs in this folder.
 *
 * Every program takes `--rounds N` and prints one line `metric value unit` per round and metric; the number of
 * workers comes from WEFT_PROCS. KB and MB are powers of ten. run.py collects the lines of many runs.
 */
#ifndef WEFT_BENCH_BENCH_H
#define WEFT_BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int bench_rounds = 5; /* immutable after bench_init */

static inline void bench_init(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--rounds") == 0)
        bench_rounds = atoi(argv[2]);
    if ((argc != 1 && argc != 3) || bench_rounds < 1) {
        fprintf(stderr, "usage: %s [--rounds N]\n", argv[0]);
        exit(2);
    }
}

static inline int64_t bench_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline void bench_print(const char *metric, double value, const char *unit)
{
    printf("%s %.4f %s\n", metric, value, unit);
    fflush(stdout);
}

/* A program that computes something wrong has no speed. */
static inline void bench_require(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench: wrong result: %s\n", what);
        exit(1);
    }
}

/* Runs body(arg) once to warm up, then once per round, and prints nanoseconds / divisor of each. */
static inline void bench_each(const char *metric, void (*body)(int arg), int arg, double divisor, const char *unit)
{
    body(arg);
    for (int round = 0; round < bench_rounds; round++) {
        int64_t start = bench_now();
        body(arg);
        bench_print(metric, (double)(bench_now() - start) / divisor, unit);
    }
}

/* A fixed spread-out number for each index; the Go peers have the same one. */
static inline uint64_t bench_hash(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

#endif
