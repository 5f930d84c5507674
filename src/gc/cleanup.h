/* SPDX-License-Identifier: MIT */
/* cleanup.h - what hangs on objects without keeping them: weak handles, cleanups, external bytes. Together: specials.
 *
 * They are known by their objects, in a table outside of the heap that is invisible to marking: it holds objects by the
 * complement of their address. A span some object of which ever had one says so (has_specials), so an early free of any other
 * costs one load.
 */
#ifndef WEFT_GC_CLEANUP_H
#define WEFT_GC_CLEANUP_H

#include "sched/world.h"

/* The arguments of cleanups, which stay alive until theirs has run, one by one: any byte of an object. The world is stopped. */
void wf_cleanups_each_argument(void (*fn)(void *visitor, const void *p), void *visitor);
/* Every weak handle whose object is still there. */
void wf_cleanups_each_weak(void (*fn)(void *arg, const void *handle, const void *object), void *arg);
/* After marking, before closing: clears weak handles, sets aside the cleanups that are due, drops the bytes of objects
 * that are gone. */
void wf_cleanups_look(void);
/* The world goes on, or an object was freed: lets a routine run what is due. Inside the runtime. One load if nothing is. */
void wf_cleanups_start(struct wf_thread *thread);
bool wf_cleanups_are_due(void);
/* In each round of the pilot: starts a routine for what is due if nobody could before (the runtime did not run, or there was no
 * memory), or if the one that runs them waits, or has ended. Inside the runtime. */
void wf_cleanups_watch(struct wf_thread *pilot, int64_t now_ns);
/* There are no routines: one that a plain thread started while weft_stop() went on may never have run. */
void wf_cleanups_restart(void);

/* The object that begins at p, in a span that has specials, is about to be freed: as if a collection had found it dead.
 * False: p is a weak handle in use, and not to be freed. Inside the runtime. */
bool wf_cleanups_freed(void *p);
/* The same when it is moved: all go with it, but for weak handles of what is behind its new end. */
void wf_cleanups_move(void *from, void *to, size_t size);

/* Bytes of weft_external. */
int64_t wf_external_bytes(void);

/* How many specials there are: for tests. */
size_t wf_cleanups_count(void);

#endif
