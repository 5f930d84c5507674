/* SPDX-License-Identifier: MIT */
/* watch.c - the handler only notes the request and wakes the pilot, which does the printing. */
#define _GNU_SOURCE
#include "debug/watch.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <weft/debug.h>

#include "base/assert.h"
#include "sched/pilot.h"
#include "sched/runq.h"
#include "sched/threads.h"

static struct {
    int signal;
    struct sigaction former;
    _Atomic uint32_t dump_wanted;
    int64_t trace_ns, next_trace_ns;
} watch;

static void on_signal(int signal)
{
    (void)signal;
    wf_store_seq_cst(&watch.dump_wanted, 1);
    wf_pilot_wake();
}

void wf_watch_start(int dump_signal, unsigned trace_ms)
{
    watch.signal = dump_signal;
    watch.trace_ns = (int64_t)trace_ms * 1000000;
    watch.next_trace_ns = 0;
    if (dump_signal == 0)
        return;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    if (sigaction(dump_signal, &action, &watch.former) != 0)
        watch.signal = 0;
}

void wf_watch_stop(void)
{
    if (watch.signal != 0)
        sigaction(watch.signal, &watch.former, NULL);
    watch.signal = 0;
}

static void trace_line(void)
{
    static const char *const states[] = {"unused", "running", "searching", "napping", "parked", "retired"};
    char line[900];
    int n = 0;
    uint64_t started = 0, ended = 0;
    uint32_t injected = 0;
    for (struct wf_pool *pool = NULL; (pool = wf_pool_next(pool)) != NULL;) {
        started += wf_load_relaxed(&pool->n_started_outside);
        injected += wf_load_relaxed(&pool->inject.length[WF_PRIORITY_NORMAL]);
        if (pool != wf_default_pool && wf_load_relaxed(&pool->size) > 0 && n < (int)sizeof(line) - 64)
            n += snprintf(line + n, sizeof(line) - (size_t)n, "; %.31s", pool->name);
        for (uint32_t i = 0; i < wf_load_acquire(&pool->n_slots); i++) {
            struct wf_worker *w = &pool->workers[i];
            started += wf_load_relaxed(&w->n_started);
            ended += wf_load_relaxed(&w->n_ended);
            if (n < (int)sizeof(line) - 64 && i < wf_load_relaxed(&pool->reach))
                n += snprintf(line + n, sizeof(line) - (size_t)n, " %u:%s/%u", i, states[wf_load_relaxed(&w->state)],
                              wf_private_length(w) + wf_ring_length(&w->ring) + (wf_load_relaxed(&w->next) != NULL));
        }
    }
    wf_message("sched: started %llu ended %llu injected %u threads %u workers%s", (unsigned long long)started,
               (unsigned long long)ended, injected,
               wf_load_relaxed(&wf_threads.n_all), line);
}

void wf_watch_round(int64_t now_ns)
{
    if (wf_load_relaxed(&watch.dump_wanted) != 0) {
        wf_store_relaxed(&watch.dump_wanted, 0);
        weft_dump(STDERR_FILENO);
    }
    if (watch.trace_ns > 0 && now_ns >= watch.next_trace_ns) {
        watch.next_trace_ns = now_ns + watch.trace_ns;
        trace_line();
    }
}
