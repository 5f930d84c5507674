/* SPDX-License-Identifier: MIT */
/* object.h - memory of the handles that a user never frees and that are no collected memory: futures, timers, scopes.
 *
 * This is the one place that says so: what comes from here stays for the life of the process; a future's cell is used again
 * once it is detached and settled, a scope's when it is left. The memory stays readable for ever, which wf_wait_abort()
 * relies on. All of it is a root. Channels are collected objects (chan/chan.h).
 */
#ifndef WEFT_SCHED_OBJECT_H
#define WEFT_SCHED_OBJECT_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed, aligned to 64 bytes; NULL when out of memory. Any thread; takes a lock. */
void *wf_object_alloc(size_t size);

/* All memory that was ever handed out, while the world is stopped. */
struct wf_object_chunk {
    const void *low, *high;
};
uint32_t wf_object_chunks(const struct wf_object_chunk **ret_chunks);

struct wf_worker;
/* The same for one line of memory, from the worker's own share: no lock. NULL worker: as above. */
void *wf_object_cell(struct wf_worker *worker);

#endif
