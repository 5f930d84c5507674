/* SPDX-License-Identifier: MIT */
/* perturb.h - labelled points at which a stress build now and then holds the thread up, so that a window of a few
 * nanoseconds between two steps of a protocol becomes as long as whole other operations. Nothing in other builds. */
#ifndef WEFT_BASE_PERTURB_H
#define WEFT_BASE_PERTURB_H

#include "base/compiler.h"

#if WF_PERTURB
#include <errno.h>
#include <stdint.h>
#include <time.h>

/* One time in sixteen, by the clock's lowest bits; allowed under spinlocks. */
static inline void wf_perturb(void)
{
    struct timespec now;
    int saved = errno;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint32_t bits = (uint32_t)now.tv_nsec * UINT32_C(2654435761);
    if (bits >> 28 == 0)
        nanosleep(&(struct timespec){.tv_nsec = (long)(bits & 0xffff)}, NULL);
    wf_compiler_barrier();
    errno = saved;
}
#else
static inline void wf_perturb(void) {}
#endif

#endif
