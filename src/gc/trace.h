/* SPDX-License-Identifier: MIT */
/* trace.h - the line that WEFT_DEBUG=gctrace=1 prints for each collection. */
#ifndef WEFT_GC_TRACE_H
#define WEFT_GC_TRACE_H

#include <weft/gc.h>

#include "sched/world.h"

struct wf_gc_trace {
    const weft_gc_info *info; /* of this collection */
    size_t before_bytes;      /* in use when it began */
    size_t goal_bytes;        /* SIZE_MAX: none */
    unsigned n_markers;
    int64_t lifetime_ns;      /* since the heap was made */
    uint64_t given_up;        /* stops, for this collection */
    struct wf_last_to_stop last;
};
/* Outside of the stop: it reads /proc and writes to stderr. */
void wf_gc_trace_print(const struct wf_gc_trace *trace);

#endif
