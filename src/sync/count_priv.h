/* SPDX-License-Identifier: MIT */
/* count_priv.h - a counter that lets its waiters go at zero: what wait groups and latches are made of.
 *
 *            add  wait  abort
 *   add       ok   ok    ok
 *   wait           ok    ok
 *   abort                ok
 */
#ifndef WEFT_SYNC_COUNT_PRIV_H
#define WEFT_SYNC_COUNT_PRIV_H

#include "sync/lot.h"

/* Adds delta. False: it would become negative, nothing was done. `object` is the public object: the address of its
 * bucket. */
bool wf_count_add(_Atomic uint64_t *word, struct wf_lot_queue *waiters, void *object, int64_t delta);

/* Waits for zero as a wait of `kind`. To be tail-called. */
int wf_count_wait(_Atomic uint64_t *word, struct wf_lot_queue *waiters, void *object, enum wf_wait_kind kind);

/* The abort function of `kind`; the word and the queue are found in the object once it is known to be alive. */
bool wf_count_abort(struct wf_routine *r, _Atomic uint64_t *word, struct wf_lot_queue *waiters, void *object,
                    enum wf_wait_kind kind);

/* What a counter of n looks like. */
WF_INLINE uint64_t wf_count_initial(uint64_t n)
{
    return n << 1;
}

#endif
