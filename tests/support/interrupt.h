/* SPDX-License-Identifier: MIT */
/* interrupt.h - holds the runtime's threads up at random instructions, so that windows of a few nanoseconds between two
 * steps of a protocol become microseconds and are hit.
 *
 * A thread sends SIGFPE, which weft neither blocks nor handles, to one thread of the runtime after the other; the handler
 * burns some time. Under ThreadSanitizer, which cannot stand signals in the middle of its own work, nothing happens.
 */
#ifndef WEFT_TESTS_INTERRUPT_H
#define WEFT_TESTS_INTERRUPT_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/rand.h"
#include "expect.h"
#include "sched/threads.h"

enum { INTERRUPTED_AT_ONCE = 64 };

static struct {
    pthread_t thread;
    atomic_bool over;
    _Atomic int64_t most_ns; /* an interruption lasts up to so long */
    atomic_ulong count;
} interrupter;

static inline void hold_up(int signo)
{
    static atomic_uint state = 1;
    (void)signo;
    unsigned r = atomic_fetch_add_explicit(&state, 0x9e3779b9u, memory_order_relaxed);
    r ^= r >> 15;
    int64_t end = clock_ns() + (int64_t)(r % 1024) * atomic_load(&interrupter.most_ns) / 1024;
    while (clock_ns() < end)
        ;
}

static inline unsigned list_threads(int *tids)
{
    unsigned n = 0;
    wf_spinlock_lock(&wf_threads.lock);
    for (struct wf_thread *t = wf_threads.all; t != NULL && n < INTERRUPTED_AT_ONCE; t = t->next_all)
        if (wf_load_relaxed(&t->tid) != 0)
            tids[n++] = wf_load_relaxed(&t->tid);
    wf_spinlock_unlock(&wf_threads.lock);
    return n;
}

static inline void *interrupt_until_over(void *arg)
{
    int tids[INTERRUPTED_AT_ONCE];
    (void)arg;
    while (!atomic_load(&interrupter.over)) {
        unsigned n = list_threads(tids);
        for (unsigned i = 0; i < n; i++) {
            syscall(SYS_tgkill, getpid(), tids[i], SIGFPE);
            atomic_fetch_add(&interrupter.count, 1);
            hold_up(0);
        }
    }
    return NULL;
}

/* The runtime runs until after end_interruptions(). */
static inline void begin_interruptions(int64_t most_ns)
{
    struct sigaction action = {.sa_handler = hold_up, .sa_flags = SA_RESTART | SA_ONSTACK};
    if (WF_TSAN)
        return;
    require(sigaction(SIGFPE, &action, NULL) == 0);
    atomic_store(&interrupter.most_ns, most_ns);
    atomic_store(&interrupter.over, false);
    require(pthread_create(&interrupter.thread, NULL, interrupt_until_over, NULL) == 0);
}

static inline void end_interruptions(void)
{
    if (WF_TSAN)
        return;
    atomic_store(&interrupter.over, true);
    require(pthread_join(interrupter.thread, NULL) == 0);
}

#endif
