/* SPDX-License-Identifier: MIT */
/* trace.c - see trace.h. Callers: collect.c. Owns nothing. */
#define _GNU_SOURCE
#include "gc/trace.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "sched/threads.h"

static bool look_in(struct wf_thread *first, struct wf_gc_last *last)
{
    for (struct wf_thread *t = first; t != NULL; t = t->next_all) {
        if (wf_load_relaxed(&t->tid) != last->tid)
            continue;
        const struct wf_routine *r = t->current;
        if ((r->flags & WF_FOREIGN) == 0 && r != t->scheduler) {
            last->routine_id = wf_load_relaxed(&r->id);
            if (r->extra != NULL)
                memcpy(last->routine_name, r->extra->name, sizeof(last->routine_name));
        }
        return true;
    }
    return false;
}

void wf_gc_trace_last(struct wf_gc_last *ret_last)
{
    *ret_last = (struct wf_gc_last){.tid = wf_world_stats.last_tid};
    if (ret_last->tid != 0 && !look_in(wf_threads.all, ret_last))
        look_in(wf_threads.foreign, ret_last);
}

static void read_thread_name(int tid, char *name, size_t size)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/task/%d/comm", tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, name, size - 1) : 0;
    if (fd >= 0)
        close(fd);
    name[n > 0 ? n : 0] = '\0';
    name[strcspn(name, "\n")] = '\0';
}

/* "thread 17 "server"", "routine 12 "reader" on thread 17 "server"", "none". */
static void describe(const struct wf_gc_last *last, char *text, size_t size)
{
    char name[32];
    int n = 0;
    if (last->tid == 0) {
        snprintf(text, size, "none");
        return;
    }
    read_thread_name(last->tid, name, sizeof(name));
    if (last->routine_id != 0)
        n = snprintf(text, size, "routine %llu \"%.31s\" on ", (unsigned long long)last->routine_id, last->routine_name);
    snprintf(text + n, size - (size_t)n, "thread %d \"%s\"", last->tid, name);
}

void wf_gc_trace_print(const struct wf_gc_trace *trace)
{
    const weft_gc_info *info = trace->info;
    char last[160], goal[32] = "none";
    describe(&trace->last, last, sizeof(last));
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
