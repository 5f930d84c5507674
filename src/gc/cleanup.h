/* SPDX-License-Identifier: MIT */
/* cleanup.h - what hangs on objects without keeping them: weak handles, cleanups, external bytes.
 *
 * Three tables in mappings of their own, invisible to marking: they hold objects by the complement of their address.
 */
#ifndef WEFT_GC_CLEANUP_H
#define WEFT_GC_CLEANUP_H

#include "sched/world.h"

/* The arguments of cleanups: they stay alive until their cleanup has run. */
void wf_cleanups_each_root(wf_range_fn *fn, void *arg);
/* Every weak handle whose object is still there. */
void wf_cleanups_each_weak(void (*fn)(void *arg, const void *handle, const void *object), void *arg);
/* After marking, before closing: clears weak handles, sets aside the cleanups that are due, drops the bytes of objects
 * that are gone. */
void wf_cleanups_look(void);
/* After the world goes on: lets a routine run what is due. Inside the runtime. */
void wf_cleanups_start(struct wf_thread *thread);
/* Bytes of weft_external. */
int64_t wf_external_bytes(void);

#endif
