/* SPDX-License-Identifier: MIT */
/* trace.c - see trace.h. Callers: collect.c. Owns nothing. */
#include "gc/trace.h"

#include <stdio.h>

#include "base/assert.h"

void wf_gc_trace_print(const struct wf_gc_trace *trace)
{
    const weft_gc_info *info = trace->info;
    char last[160], goal[32] = "none";
    wf_last_to_stop_text(&trace->last, last, sizeof(last));
    if (trace->goal_bytes != SIZE_MAX)
        snprintf(goal, sizeof(goal), "%zu KiB", trace->goal_bytes >> 10);
    double share = trace->lifetime_ns > 0 ? 100.0 * (double)info->pause_total_ns / (double)trace->lifetime_ns : 0;
    wf_message("gc %llu: stop %lld roots %lld mark %lld close %lld pause %lld us, live %zu -> %zu KiB in %zu objects, goal %s, "
               "%u markers, %.1f %% of the time, %llu stops given up, last to stop: %s",
               (unsigned long long)info->cycles, (long long)info->stop_ns / 1000, (long long)info->roots_ns / 1000,
               (long long)info->mark_ns / 1000, (long long)info->close_ns / 1000, (long long)info->pause_ns / 1000,
               trace->before_bytes >> 10, info->live_bytes >> 10, info->live_objects, goal, trace->n_markers, share,
               (unsigned long long)trace->given_up, last);
}
