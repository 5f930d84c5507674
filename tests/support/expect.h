/* SPDX-License-Identifier: MIT */
/* expect.h - checks that may stand in routines and in plain programs.
 *
 * Criterion's asserts leave the function by longjmp, which a routine must not: there it is require(), which ends the
 * process. Nothing here is a primitive of the library, so it may watch one without helping it.
 */
#ifndef WEFT_TESTS_EXPECT_H
#define WEFT_TESTS_EXPECT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PATIENCE_SECONDS = 45 }; /* how long a loaded machine may take; tests that end at all end much sooner */

#define require(x) \
    do { \
        if (!(x)) { \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #x); \
            abort(); \
        } \
    } while (0)

static inline int64_t clock_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Of the calling thread: other than the clock's, the time for which it has to wait for a CPU does not count. */
static inline int64_t thread_cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Keeps the thread, not only the routine. */
static inline void pause_thread_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* The same by computing. */
static inline void burn_ms(int64_t ms)
{
    int64_t end = clock_ns() + ms * 1000000;
    while (clock_ns() < end)
        ;
}

/* In a child that something else is to end. */
static inline void pause_thread_for_ever(void)
{
    for (;;)
        pause_thread_ms(1000);
}

/* Waits, in a plain thread, until the condition holds; ends the process when it never does. */
#define eventually(condition) \
    do { \
        int64_t give_up_ns = clock_ns() + PATIENCE_SECONDS * INT64_C(1000000000); \
        while (!(condition)) { \
            if (clock_ns() > give_up_ns) { \
                fprintf(stderr, "%s:%d: never came true: %s\n", __FILE__, __LINE__, #condition); \
                abort(); \
            } \
            nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL); \
        } \
    } while (0)

#endif
