/* SPDX-License-Identifier: MIT */
/* mutex_priv.h - what cond.c asks of a mutex. */
#ifndef WEFT_SYNC_MUTEX_PRIV_H
#define WEFT_SYNC_MUTEX_PRIV_H

#include <weft/sync.h>

#include "sched/thread.h"

bool wf_mutex_is_locked(weft_mutex *m);

/* Unlocks; inside the runtime, no bucket locked, does not yield. For a commit function. */
void wf_mutex_unlock_inside(struct wf_thread *thread, weft_mutex *m);

/* weft_mutex_lock(), unseen by lock debugging. */
void wf_mutex_lock_unwatched(weft_mutex *m);

#endif
