/* SPDX-License-Identifier: MIT */
/* membarrier.h - the heavy half of asymmetric fences.
 *
 * The frequent side does a plain store, a compiler barrier and a load; the rare side calls wf_heavy_fence(), after
 * which every thread of the process has passed a full barrier. Where the kernel refuses membarrier (seccomp, or the
 * environment forces it), `wf_fences_needed` is 1 and the frequent side must fence for itself: it learns that through
 * the slow-path bit it looks at anyway (WF_ATTN_FENCE, `wf_idle_word`, wf_light_fence()), so the fast path pays nothing.
 */
#ifndef WEFT_BASE_MEMBARRIER_H
#define WEFT_BASE_MEMBARRIER_H

#include <stdbool.h>

#include "base/atomic.h"
#include "base/compiler.h"

/* Registers the process once; `force_fallback` pretends that the kernel refuses. */
void wf_membarrier_init(bool force_fallback);

/* True when the frequent side has to issue its own full fences. Immutable after init. */
extern bool wf_membarrier_refused;
static inline bool wf_fences_needed(void)
{
    return wf_membarrier_refused;
}

/* The frequent side where no slow-path bit is at hand. */
static inline void wf_light_fence(void)
{
    wf_compiler_barrier();
    if (__builtin_expect(wf_membarrier_refused, 0))
        wf_fence_seq_cst();
}

/* 0.3 us when no other thread of the process is running, ~8.5 us in a virtual machine when one is. */
void wf_heavy_fence(void);

#endif
