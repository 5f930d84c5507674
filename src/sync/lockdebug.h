/* SPDX-License-Identifier: MIT */
/* lockdebug.h - WEFT_DEBUG=locks=1: who holds which lock, and in which orders locks are taken.
 *
 * Off, it costs the primitives one predictable branch. On, every lock call takes a process-wide lock and may allocate.
 * Locks are known by their address, holders by their routine (or thread). Locks taken before it was enabled are not
 * known, and giving them back is ignored.
 */
#ifndef WEFT_SYNC_LOCKDEBUG_H
#define WEFT_SYNC_LOCKDEBUG_H

#include <stdbool.h>

enum wf_lockdebug_mode { WF_LOCKDEBUG_MUTEX, WF_LOCKDEBUG_READ, WF_LOCKDEBUG_WRITE, WF_LOCKDEBUG_ONCE };

/* Set once, before routines run. */
extern bool wf_lockdebug;

/* For rt: from now on. Before the first routine is started. */
void wf_lockdebug_enable(void);

/* All are called outside the runtime. `site`: the return address of the public call. */

/* The caller is about to wait for `lock` if need be. Reports what would or could be a deadlock: aborts the process if
 * the caller holds the lock itself. */
void wf_lockdebug_before(const void *lock, enum wf_lockdebug_mode mode, void *site);

/* The caller holds `lock` now. */
void wf_lockdebug_locked(const void *lock, enum wf_lockdebug_mode mode, void *site);

/* The caller gives `lock` back, which it or another may have taken. */
void wf_lockdebug_unlocked(const void *lock);

#endif
