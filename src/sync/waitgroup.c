/* SPDX-License-Identifier: MIT */
/* waitgroup.c - the wait group: a counter (count.c) that may go up again. */
#include <weft/sync.h>

#include "sched/sched.h"
#include "sync/count_priv.h"

#define word_of(w) wf_lot_word64(&(w)->state)
#define queue_of(w) wf_lot_queue_of(&(w)->waiters)

WF_PUBLIC void weft_waitgroup_add(weft_waitgroup *w, int delta)
{
    if (WF_UNLIKELY(!wf_count_add(word_of(w), queue_of(w), w, delta)))
        wf_misuse("weft_waitgroup_add(%p, %d): the counter would become negative", (void *)w, delta);
}

WF_PUBLIC void weft_waitgroup_done(weft_waitgroup *w)
{
    if (WF_UNLIKELY(!wf_count_add(word_of(w), queue_of(w), w, -1)))
        wf_misuse("weft_waitgroup_done(%p): the counter is zero already", (void *)w);
}

WF_PUBLIC int weft_waitgroup_wait(weft_waitgroup *w)
{
    if (wf_load_acquire(word_of(w)) >> 1 == 0)
        return 0;
    return wf_count_wait(word_of(w), queue_of(w), w, WF_WAIT_WAITGROUP);
}

bool wf_lot_abort_waitgroup(struct wf_routine *r, void *object)
{
    weft_waitgroup *w = object;
    return wf_count_abort(r, word_of(w), queue_of(w), w, WF_WAIT_WAITGROUP);
}
