/* SPDX-License-Identifier: MIT */
/* latch.c - the latch: a counter (count.c) that only goes down. */
#include <weft/sync.h>

#include "sched/sched.h"
#include "sync/count_priv.h"

#define word_of(l) wf_lot_word64(&(l)->state)
#define queue_of(l) wf_lot_queue_of(&(l)->waiters)

WF_PUBLIC void weft_latch_init(weft_latch *l, unsigned n)
{
    wf_store_relaxed(word_of(l), wf_count_initial(n));
    l->waiters = NULL;
}

WF_PUBLIC void weft_latch_count_down(weft_latch *l)
{
    if (WF_UNLIKELY(!wf_count_add(word_of(l), queue_of(l), l, -1)))
        wf_misuse("weft_latch_count_down(%p): the count is zero already", (void *)l);
}

WF_PUBLIC int weft_latch_wait(weft_latch *l)
{
    if (wf_load_acquire(word_of(l)) >> 1 == 0)
        return 0;
    return wf_count_wait(word_of(l), queue_of(l), l, WF_WAIT_LATCH);
}

bool wf_lot_abort_latch(struct wf_routine *r, void *object)
{
    weft_latch *l = object;
    return wf_count_abort(r, word_of(l), queue_of(l), l, WF_WAIT_LATCH);
}
