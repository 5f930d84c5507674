/* SPDX-License-Identifier: MIT */
/* trace.h - the line that WEFT_DEBUG=gctrace=1 prints for each collection. */
#ifndef WEFT_GC_TRACE_H
#define WEFT_GC_TRACE_H

#include <weft/gc.h>

#include "sched/world.h"

/* Who was the last to stop, as long as that can be seen: while the world stands still. */
struct wf_gc_last {
    int tid; /* 0: all stood still already */
    uint64_t routine_id; /* 0: it ran none */
    char routine_name[32];
};
void wf_gc_trace_last(struct wf_gc_last *ret_last);

struct wf_gc_trace {
    const weft_gc_info *info; /* of this collection */
    size_t before_bytes;      /* in use when it began */
    size_t goal_bytes;        /* SIZE_MAX: none */
    unsigned n_markers;
    int64_t lifetime_ns;      /* since the heap was made */
    uint64_t given_up;        /* stops, for this collection */
    struct wf_gc_last last;
};
/* Outside of the stop: it reads /proc and writes to stderr. */
void wf_gc_trace_print(const struct wf_gc_trace *trace);

#endif
