/* SPDX-License-Identifier: MIT */
/* deadlock.c - the report of a program in which nothing can happen any more.
 *
 * The pilot has found that all workers are parked, no timer is pending, and every thread of the process is either the
 * runtime's own or asleep inside weft (pilot.c, judge()).
 */
#include "debug/deadlock.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/assert.h"
#include "debug/dump.h"
#include "sched/park.h"
#include "sched/threads.h"

enum wf_deadlock_mode wf_deadlock_mode;

static void flush_stdout(void)
{
    if (ftrylockfile(stdout) == 0) {
        fflush(stdout);
        funlockfile(stdout);
    }
}

/* Returns how many waits could be ended. */
static size_t end_waits(void)
{
    size_t ended = 0;
    struct wf_thread *thread = wf_enter();
    for (uint32_t i = 0; i < wf_routines_count(); i++)
        if (wf_load_relaxed(&wf_routine_at(i)->id) != 0)
            ended += wf_wait_abort(thread, wf_routine_at(i), -EDEADLK);
    wf_spinlock_lock(&wf_threads.foreign_lock); /* held over the wake-ups, so that none of them leaves meanwhile */
    for (struct wf_thread *t = wf_threads.foreign; t != NULL; t = t->next_all)
        ended += wf_wait_abort(thread, t->current, -EDEADLK);
    wf_spinlock_unlock(&wf_threads.foreign_lock);
    wf_leave(thread);
    return ended;
}

void wf_deadlock_found(void)
{
    if (wf_deadlock_mode == WF_DEADLOCK_OFF)
        return;
    if (wf_deadlock_mode == WF_DEADLOCK_ERROR && end_waits() > 0)
        return;
    flush_stdout();
    wf_message("deadlock: every routine waits and nothing can wake one");
    size_t n = wf_dump_threads(STDERR_FILENO) + wf_dump_routines(STDERR_FILENO, true);
    if (n == 0)
        wf_message("main has ended, and there is no routine");
    wf_message("%zu waiting; set WEFT_DEBUG=deadlock=off to go on waiting", n);
    _exit(2);
}
