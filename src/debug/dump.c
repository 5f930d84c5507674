/* SPDX-License-Identifier: MIT */
/* dump.c - the state of every routine as text; reads only, while the others go on.
 *
 * Descriptors and their extras are never unmapped while the runtime runs, so what is read may be stale but is there.
 */
#define _GNU_SOURCE
#include "debug/dump.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <weft/debug.h>

#include "sched/threads.h"

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static void describe_wait(char *out, size_t size, uint64_t waits_on)
{
    enum wf_wait_kind kind = wf_wait_kind_of(waits_on);
    void *object = wf_wait_object_of(waits_on);
    if (kind >= WF_N_WAIT_KINDS)
        kind = WF_WAIT_NONE;
    if (kind == WF_WAIT_NONE || kind == WF_WAIT_SELECT || kind == WF_WAIT_SLEEP || object == NULL)
        snprintf(out, size, "%s", wf_wait_kinds[kind].text);
    else
        snprintf(out, size, "%s (%p)", wf_wait_kinds[kind].text, object);
}

void wf_dump_describe(char *out, size_t size, uint64_t id, const char *name, uint64_t waits_on, const struct weft__site *site)
{
    char wait[128];
    describe_wait(wait, sizeof(wait), waits_on);
    snprintf(out, size, "routine %llu%s%.31s%s: %s, started at %s:%d (%s)", (unsigned long long)id, name[0] != 0 ? " \"" : "",
             name, name[0] != 0 ? "\"" : "", wait, site != NULL ? base_name(site->file) : "?", site != NULL ? site->line : 0,
             site != NULL ? site->function : "?");
}

static void dump_routine(int fd, struct wf_routine *r, uint64_t id)
{
    char line[WF_DUMP_LINE];
    wf_dump_describe(line, sizeof(line), id, r->extra != NULL ? r->extra->name : "", wf_load_acquire(&r->waits_on), r->site);
    dprintf(fd, "  %s\n", line);
}

size_t wf_dump_routines(int fd, bool waiting_only)
{
    size_t n = 0;
    if (wf_n_workers == 0)
        return 0;
    uint32_t count = wf_routines_count();
    for (uint32_t i = 0; i < count; i++) {
        struct wf_routine *r = wf_routine_at(i);
        uint64_t id = wf_load_relaxed(&r->id);
        if (id == 0 || (waiting_only && wf_load_relaxed(&r->waits_on) == 0))
            continue;
        dump_routine(fd, r, id);
        n++;
    }
    return n;
}

size_t wf_dump_threads(int fd)
{
    size_t n = 0;
    /* No signal of the collector's is to stop it with the lock held. */
    struct wf_thread *thread = wf_thread_self();
    bool outside = thread != NULL && wf_load_relaxed(&thread->in_rt) == 0;
    if (outside)
        thread = wf_enter();
    wf_spinlock_lock(&wf_threads.foreign_lock);
    for (struct wf_thread *t = wf_threads.foreign; t != NULL; t = t->next_all) {
        char wait[128];
        if (wf_load_relaxed(&t->current->waits_on) == 0)
            continue;
        describe_wait(wait, sizeof(wait), wf_load_acquire(&t->current->waits_on));
        dprintf(fd, "  thread %d%s: %s\n", wf_load_relaxed(&t->tid),
                wf_load_relaxed(&t->tid) == getpid() ? " (main)" : "", wait);
        n++;
    }
    wf_spinlock_unlock(&wf_threads.foreign_lock);
    if (outside)
        wf_leave(thread);
    return n;
}

WF_PUBLIC size_t weft_dump(int fd)
{
    wf_dump_threads(fd);
    return wf_dump_routines(fd, false);
}
