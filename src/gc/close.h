/* SPDX-License-Identifier: MIT */
/* close.h - the pass that ends a collection: one look at every state byte instead of sweeping objects.
 *
 * Black cells become white, white ones free (3 -> 1, 1 -> 0). Live cells are counted, spans without one give their units
 * back, the others with free cells are offered to the caches again.
 *
 * With the world stopped, after marking: wf_close_start() once; then any number of threads call wf_close_part(), which
 * returns true for the one that finished the last share: then everything is done, and allocation may go on.
 */
#ifndef WEFT_GC_CLOSE_H
#define WEFT_GC_CLOSE_H

#include "gc/span.h"

void wf_close_start(void);
bool wf_close_part(void);

/* At the end of the last collection; what was allocated since is wf_heap.allocated_since. */
struct wf_heap_stats {
    uint64_t n_collections;
    uint64_t live_bytes, live_objects; /* whole cells */
    uint64_t dead_objects;             /* found by the last collection */
    uint64_t live_data_bytes;          /* the part of live_bytes that is never scanned */
    size_t used_bytes;                 /* spans, now */
    size_t resident_bytes;             /* spans and free units that were not given back, now */
    size_t reserved_bytes;
    size_t metadata_bytes; /* state bytes in use, tables */
};
void wf_heap_stats(struct wf_heap_stats *ret_stats);

#endif
