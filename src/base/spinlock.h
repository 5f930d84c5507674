/* SPDX-License-Identifier: MIT */
/* spinlock.h - the lock of the runtime's own short critical sections.
 *
 * One RMW to take, one plain store to release. It blocks the thread: never held over a park (but for the
 * one that the switch releases), a system call, or user code. A holder may be descheduled by the kernel, so a
 * waiter that has spun for a while gives its time slice away.
 */
#ifndef WEFT_BASE_SPINLOCK_H
#define WEFT_BASE_SPINLOCK_H

#include "base/atomic.h"
#include "base/compiler.h"

/* 0 free, 1 held. The switch releases it by a plain 32-bit store of 0, so the word must stay exactly this. */
struct wf_spinlock {
    _Atomic uint32_t word;
};

void wf_spinlock_lock_slow(struct wf_spinlock *lock);

WF_INLINE void wf_spinlock_lock(struct wf_spinlock *lock)
{
    uint32_t expected = 0;
    if (WF_UNLIKELY(!wf_cas_acquire(&lock->word, &expected, 1)))
        wf_spinlock_lock_slow(lock);
}

WF_INLINE bool wf_spinlock_try_lock(struct wf_spinlock *lock)
{
    uint32_t expected = 0;
    return wf_load_relaxed(&lock->word) == 0 && wf_cas_acquire(&lock->word, &expected, 1);
}

WF_INLINE void wf_spinlock_unlock(struct wf_spinlock *lock)
{
    wf_store_release(&lock->word, 0);
}

#endif
