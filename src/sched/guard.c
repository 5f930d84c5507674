/* SPDX-License-Identifier: MIT */
/* guard.c - the rare side of the guard protocol; [G1]-[G4] are explained in thread.h. */
#include "base/membarrier.h"
#include "sched/thread.h"

bool wf_guard_seize(struct wf_thread *thread)
{
    uint32_t attn = wf_load_relaxed(&thread->attn);
    do {
        if ((attn & (WF_ATTN_HOLD | WF_ATTN_LOST)) != 0)
            return false;
    } while (!wf_cas_seq_cst(&thread->attn, &attn, attn | WF_ATTN_HOLD)); /* [G3] */
    wf_heavy_fence();
    /* [G4]; one that dozes is in the midst of something of the runtime's. It says so before it sets in_rt to 0. */
    if (wf_load_acquire(&thread->in_rt) == 0 && wf_load_relaxed(&thread->dozing) == 0)
        return true;
    wf_guard_release(thread, false);
    return false;
}

void wf_guard_release(struct wf_thread *thread, bool lost)
{
    uint32_t attn = wf_load_relaxed(&thread->attn);
    uint32_t cleared;
    do {
        cleared = (attn & ~(uint32_t)WF_ATTN_HOLD) | (lost ? WF_ATTN_LOST : 0);
    } while (!wf_cas_acq_rel(&thread->attn, &attn, cleared));
}
