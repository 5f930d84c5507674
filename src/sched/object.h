/* SPDX-License-Identifier: MIT */
/* object.h - memory of the handles that a user never frees: channels and futures.
 *
 * This is the one place that says so: channels come from here and stay for the life
 * of the process; a future's cell is reused once it is detached and settled. The memory stays readable for ever, which
 * wf_wait_abort() relies on.
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
