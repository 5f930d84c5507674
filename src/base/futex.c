/* SPDX-License-Identifier: MIT */
/* futex.c - futex(2) with absolute deadlines; errno is saved because it belongs to the routine that called us. */
#define _GNU_SOURCE
#include "base/futex.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int wf_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    int saved = errno;
    struct timespec ts = {.tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000};
    long r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
                     deadline_ns == WF_FUTEX_FOREVER ? NULL : &ts, NULL, FUTEX_BITSET_MATCH_ANY);
    int result = r < 0 && errno == ETIMEDOUT ? -ETIMEDOUT : 0;
    errno = saved;
    return result;
}

int wf_futex_wake(_Atomic uint32_t *word, int count)
{
    int saved = errno;
    long n = syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
    errno = saved;
    return n > 0 ? (int)n : 0;
}
