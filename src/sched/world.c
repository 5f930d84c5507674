/* SPDX-License-Identifier: MIT */
/* world.c - see world.h.
 *
 * Owns:    `world`; the disposition of WF_STOP_SIGNAL.
 * Callers: gc/collect.c (stop, resume), thread.c and guard.c (polls), rt/init.c.
 * Locking: one initiator at a time, by a CAS on `initiator`. The lists of threads are walked under their locks, which
 *          are never held while waiting.
 *
 * First polls, then signals: a thread that calls weft often stops by itself within a microsecond, and a signal costs three
 * and may interrupt system calls. So the signal is sent after POLITE_NS, and again every RESEND_NS as long as it has not
 * taken effect: it may have come while the thread was inside the runtime, or a debugger may have swallowed it.
 *
 * A thread that a signal stops may hold a lock of the host (malloc's, stdio's, the loader's). So nobody inside the runtime may
 * wait for one: what is allocated there is the runtime's own (memory.h), threads are made in a doze (thread.c). As the last
 * resort a stop that takes too long is given up: all go on, the lock is released, and the next attempt has more patience;
 * `given_up` counts that.
 *
 * A thread that does not stop at all, because it blocks the signal or somebody has replaced its handler, is named on stderr.
 * One that is no more, though it never said so, is noticed by its signal and taken off the list.
 */
#define _GNU_SOURCE
#include "sched/world.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/futex.h"
#include "base/membarrier.h"
#include "base/perturb.h"
#include "sched/hooks.h"
#include "sched/memory.h"
#include "sched/threads.h"
#include "time/clock.h"

enum { POLITE_NS = 5000, RESEND_NS = 1000000, SPINS = 200, RED_ZONE = 128, MOST_PATIENCE = 6 };
static const int64_t PATIENCE_NS = 100000000; /* a busy machine deschedules threads for tens of them */

static struct {
    _Atomic uint32_t initiator; /* 1: somebody stops, has stopped, or holds the world */
    _Atomic uint32_t stopping;  /* 1: new threads must stop too. [W1] */
    _Atomic uint32_t number;    /* of the latest stop, from 1 */
    _Atomic uint32_t ended;     /* futex: number of the latest stop that is over */
    _Atomic uint32_t forking;   /* 1: who is not known yet must keep away from the loader's lock. [F1] */
    _Atomic uint32_t at_loader; /* how many threads are in a dl_iterate_phdr() of weft's. [F2] */
    struct sigaction previous;  /* immutable after init */
    bool installed;
    /* Of who has claimed the world: */
    int64_t wanted_ns;         /* when the stop that has not come about yet was first tried; 0: none is wanted */
    int64_t say_after_ns;      /* when who hinders it is to be named next, after `wanted_ns` */
    struct wf_thread *last;    /* seen running by the latest look; only its address counts, it may be gone */
    struct wf_thread *gone;    /* have ended unnoticed: off their list, to be forgotten */
    uint32_t n_sent;
} world;

struct wf_world_stats wf_world_stats;
struct wf_world_tuning wf_world_tuning = {.silence_ns = 1000000000};
void (*_Atomic wf_world_help)(void);

/* ---- the stopped thread ---- */

/* Until the world goes on. Async-signal-safe. [W3] `stopped` is the number of the stop that this thread obeys: one that has
 * not yet noticed the end of the last stop has an old number. It may however have seen the last STOP and read the number of
 * a stop that is only just being asked for, and then see no STOP: before it runs on it takes the number back, and looks
 * again. Either the initiator, behind its heavy fence, sees 0, or this thread sees STOP. */
static void wait_for_resume(struct wf_thread *thread)
{
    for (;;) {
        if ((wf_load_acquire(&thread->attn) & WF_ATTN_STOP) == 0) {
            wf_store_relaxed(&thread->stopped, 0);
            wf_perturb(); /* the next stop */
            wf_fence_seq_cst(); /* [W3] pairs with the heavy fence of wf_world_stop */
            if ((wf_load_acquire(&thread->attn) & WF_ATTN_STOP) == 0)
                return;
        }
        uint32_t stop = wf_load_acquire(&world.number);
        wf_perturb(); /* the end of the stop, and the next */
        wf_store_release(&thread->stopped, stop); /* [W3] pairs with is_stopped */
        void (*help)(void) = wf_load_acquire(&wf_world_help);
        if (help != NULL)
            help();
        wf_futex_wait(&world.ended, stop - 1, WF_FUTEX_FOREVER);
    }
}

WF_NOINLINE void wf_world_attend(struct wf_thread *thread)
{
    __builtin_unwind_init(); /* callee-saved registers into this frame */
    if (wf_load_relaxed(&thread->dozing) == 0) /* else current->sp is what it showed when it went to sleep */
        thread->stop_sp = wf_stack_pointer();
    wait_for_resume(thread);
    wf_compiler_barrier(); /* not a tail call, which would first take the registers out of this frame again */
}

static void chain(int signal, siginfo_t *info, void *context)
{
    if ((world.previous.sa_flags & SA_SIGINFO) != 0)
        world.previous.sa_sigaction(signal, info, context);
    else if (world.previous.sa_handler != SIG_DFL && world.previous.sa_handler != SIG_IGN)
        world.previous.sa_handler(signal);
}

/* Whether the thread, outside the runtime, stands on the stack that its descriptors say. [W4] Not so for some instructions on
 * the way from one stack to another (into a coroutine and out of it, and where a fresh routine loads its arguments), and in
 * a handler of the user's on a signal stack: what it left behind begins who knows where. */
static bool stands_where_it_says(const struct wf_thread *thread, const char *pc, const char *sp)
{
    const struct wf_routine *r = thread->current;
    const char *low, *high;
    if (r == thread->scheduler && (r->flags & WF_FOREIGN) == 0)
        return true; /* nothing of the user's; perhaps in thread_main, where it waits for the initiator's dl_iterate_phdr() */
    if (pc >= (const char *)(uintptr_t)wf_switch && pc < wf_entry_end)
        return false; /* on the way to a fresh routine `wait` still holds its arguments */
    if (r->wait.coro != NULL) {
        low = wf_hooks.coro_stack_low(r->wait.coro);
        high = (const char *)r->wait.coro;
    } else if ((r->flags & WF_FOREIGN) != 0) {
        low = thread->stack_low;
        high = thread->stack_high;
    } else if ((r->flags & WF_OWN_STACK) != 0) {
        low = r->extra->own_stack;
        high = low + r->extra->own_stack_size;
    } else {
        low = wf_arena_low(r->stack_slot);
        high = wf_arena_top(r->stack_slot);
    }
    return low <= sp && sp <= high;
}

/* ThreadSanitizer keeps signals back until the thread is about to block, and calls the handler there, on the thread's own stack,
 * with the registers of long ago. Then what is live begins here, and registers are what it would be at a poll. */
static const char *called_late(const struct wf_thread *thread, const char *pc)
{
#if WF_TSAN
    const char *here = __builtin_frame_address(0);
    return stands_where_it_says(thread, pc, here) ? wf_stack_pointer() : NULL;
#else
    (void)thread, (void)pc;
    return NULL;
#endif
}

static void on_stop_signal(int signal, siginfo_t *info, void *context)
{
    struct wf_thread *thread = wf_thread_self();
    bool ours = info->si_code == SI_TKILL && info->si_pid == getpid();
    if (!ours)
        chain(signal, info, context);
    if (WF_TSAN)
        __builtin_unwind_init();
    if (thread == NULL || (wf_load_relaxed(&thread->attn) & WF_ATTN_STOP) == 0)
        return;
    if (wf_load_relaxed(&thread->in_rt) != 0 || wf_load_relaxed(&thread->dozing) != 0)
        return; /* it will poll */
    int saved = errno;
    const ucontext_t *u = context;
#if defined(__x86_64__)
    const char *sp = (const char *)(uintptr_t)u->uc_mcontext.gregs[REG_RSP];
    const char *pc = (const char *)(uintptr_t)u->uc_mcontext.gregs[REG_RIP];
#else
#error "the stack pointer of an interrupted thread"
#endif
    const char *late = called_late(thread, pc);
    if (late == NULL && !stands_where_it_says(thread, pc, sp)) {
        errno = saved;
        return; /* asked again soon */
    }
    wf_perturb(); /* the initiator's look */
    thread->stop_sp = (void *)(uintptr_t)(late != NULL ? late : sp - RED_ZONE);
    thread->stop_context = u;
    wait_for_resume(thread);
    thread->stop_context = NULL;
    errno = saved;
}

/* ---- the initiator ---- */

void wf_world_register(struct wf_thread *thread)
{
    if (wf_load_seq_cst(&world.stopping) != 0)
        wf_or_seq_cst(&thread->attn, WF_ATTN_STOP);
}

/* [W2] after the heavy fence. */
static bool is_stopped(struct wf_thread *thread)
{
    if (wf_load_acquire(&thread->stopped) == wf_load_relaxed(&world.number)) /* [W3] */
        return true;
    return wf_load_acquire(&thread->in_rt) == 0 && wf_load_relaxed(&thread->dozing) != 0;
}

/* The kernel does not know the thread: it has ended without the end that weft is told of, as one may that first used weft in a
 * destructor of the last round, or by a bare exit(2). */
static bool is_gone(struct wf_thread *t, int result)
{
    return result != 0 && errno == ESRCH && (t->current->flags & WF_FOREIGN) != 0;
}

/* False: there is no such thread any more. */
static bool signal_thread(struct wf_thread *thread, int64_t now)
{
    int tid = wf_load_relaxed(&thread->tid);
    if (tid == 0 || wf_load_relaxed(&thread->in_rt) != 0 || now < thread->signal_after_ns)
        return true;
    wf_world_stats.resent += thread->signalled;
    wf_world_stats.signals++;
    thread->signalled = true;
    thread->signal_after_ns = now + RESEND_NS;
    if (wf_world_tuning.lose_every != 0 && ++world.n_sent % wf_world_tuning.lose_every == 0)
        return true;
    int saved = errno;
    bool gone = is_gone(thread, (int)syscall(SYS_tgkill, getpid(), tid, WF_STOP_SIGNAL));
    errno = saved;
    return !gone;
}

/* How many threads of the list are still to be waited for. */
static unsigned press_list(struct wf_spinlock *lock, struct wf_thread **first, struct wf_thread *self, int64_t now)
{
    unsigned running = 0;
    if (!wf_spinlock_try_lock(lock))
        return 1; /* who holds it may be stopped: see patience */
    for (struct wf_thread **at = first, *t; (t = *at) != NULL; at = t == *at ? &t->next_all : at) {
        if (t == self || is_stopped(t))
            continue;
        running++;
        world.last = t;
        wf_world_stats.last.tid = wf_load_relaxed(&t->tid);
        if (signal_thread(t, now))
            continue;
        *at = t->next_all;
        t->next_all = world.gone;
        world.gone = t;
        wf_sub_relaxed(&wf_threads.n_foreign, 1);
        wf_world_stats.vanished++;
    }
    struct wf_thread *pilot = wf_threads.pilot;
    if (lock == &wf_threads.lock)
        running += pilot != NULL && pilot != self && wf_load_acquire(&pilot->in_rt) != 0 && !is_stopped(pilot);
    wf_spinlock_unlock(lock);
    return running;
}

static unsigned press(struct wf_thread *self, int64_t now)
{
    unsigned running = press_list(&wf_threads.lock, &wf_threads.all, self, now);
    return running + press_list(&wf_threads.foreign_lock, &wf_threads.foreign, self, now);
}

static void forget_gone(void)
{
    for (struct wf_thread *t; (t = world.gone) != NULL;) {
        world.gone = t->next_all;
        wf_thread_forget_foreign(t);
    }
}

/* ---- who hinders it ---- */

/* A small file of /proc as text. False: there is none. */
static bool read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, size - 1) : -1;
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    return n > 0;
}

static const char *reason_for(const struct wf_thread *t, const char *status)
{
    struct sigaction now;
    const char *blocked = strstr(status, "\nSigBlk:"), *state = strstr(status, "\nState:\t");
    if (wf_load_relaxed(&t->in_rt) != 0)
        return "it is inside a call of weft";
    if (sigaction(WF_STOP_SIGNAL, NULL, &now) == 0 && now.sa_sigaction != on_stop_signal)
        return "somebody has replaced the handler of SIGURG, by which weft stops threads; install yours before weft is first "
               "used, then it is called for signals of others";
    if (blocked != NULL && (strtoull(blocked + 8, NULL, 16) >> (WF_STOP_SIGNAL - 1) & 1) != 0)
        return "it blocks SIGURG, by which weft stops threads: leave that out of pthread_sigmask()";
    if (state != NULL && (state[8] == 'T' || state[8] == 't'))
        return "a debugger has stopped it";
    if (state != NULL && state[8] == 'D')
        return "it is in a system call that cannot be interrupted";
    return "it is in a signal handler on a stack of its own, or gets no CPU";
}

static struct wf_thread *find_running(struct wf_thread *first, const struct wf_thread *self)
{
    while (first != NULL && (first == self || is_stopped(first)))
        first = first->next_all;
    return first;
}

/* One line for the first thread that has not stopped. */
static WF_COLD void say_who(const struct wf_thread *self, int64_t waited_ns)
{
    char path[64], name[32], status[2048];
    const char *reason = "";
    int tid = 0;
    struct wf_spinlock *locks[] = {&wf_threads.lock, &wf_threads.foreign_lock};
    for (unsigned i = 0; i < WF_ARRAY_SIZE(locks) && tid == 0; i++) {
        if (!wf_spinlock_try_lock(locks[i]))
            continue;
        struct wf_thread *t = find_running(i == 0 ? wf_threads.all : wf_threads.foreign, self);
        if (t != NULL) {
            tid = wf_load_relaxed(&t->tid);
            snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
            read_file(path, status, sizeof(status));
            reason = reason_for(t, status);
        }
        wf_spinlock_unlock(locks[i]);
    }
    if (tid == 0)
        return;
    snprintf(path, sizeof(path), "/proc/self/task/%d/comm", tid);
    if (read_file(path, name, sizeof(name)))
        name[strcspn(name, "\n")] = 0;
    wf_message("a collection has been waiting %.1f s for thread %d (%s) to stand still: %s", (double)waited_ns / 1e9, tid, name,
               reason);
    wf_add_relaxed(&wf_world_stats.named, 1);
}

/* Rarely, and rarer each time. */
static void complain(const struct wf_thread *self, int64_t now)
{
    if (now - world.wanted_ns < world.say_after_ns)
        return;
    int saved = errno;
    say_who(self, now - world.wanted_ns);
    errno = saved;
    world.say_after_ns *= 10;
}

/* ---- asking ---- */

static void ask_list(struct wf_thread *first, struct wf_thread *self, int64_t signal_after_ns)
{
    for (struct wf_thread *t = first; t != NULL; t = t->next_all) {
        t->signalled = false;
        t->signal_after_ns = signal_after_ns;
        if (t != self)
            wf_or_seq_cst(&t->attn, WF_ATTN_STOP); /* [W1] */
    }
}

static void ask(struct wf_thread *self, int64_t signal_after_ns)
{
    wf_store_seq_cst(&world.stopping, 1);
    wf_spinlock_lock(&wf_threads.lock);
    ask_list(wf_threads.all, self, signal_after_ns);
    if (wf_threads.pilot != NULL && wf_threads.pilot != self)
        wf_or_seq_cst(&wf_threads.pilot->attn, WF_ATTN_STOP);
    wf_spinlock_unlock(&wf_threads.lock);
    wf_spinlock_lock(&wf_threads.foreign_lock);
    ask_list(wf_threads.foreign, self, signal_after_ns);
    wf_spinlock_unlock(&wf_threads.foreign_lock);
}

/* A running routine's, or plain thread's, sp is stale: now it is where its thread stands. The scheduler's own stack holds
 * nothing of the user's. */
static void show_list(struct wf_thread *first, struct wf_thread *self)
{
    for (struct wf_thread *t = first; t != NULL; t = t->next_all)
        if (t == self || wf_load_relaxed(&t->dozing) == 0)
            t->current->sp = t->stop_sp;
}

bool wf_world_try_claim(void)
{
    uint32_t none = 0;
    return wf_cas_acquire(&world.initiator, &none, 1);
}

struct wf_thread *wf_world_wait_unclaimed(struct wf_thread *thread)
{
    wf_leave(thread);
    while (wf_load_relaxed(&world.initiator) != 0) {
        thread = wf_enter(); /* stops here if it is asked to */
        wf_leave(thread);
        sched_yield();
    }
    return wf_enter();
}

bool wf_world_claim(struct wf_thread **thread)
{
    if (wf_world_try_claim())
        return true;
    *thread = wf_world_wait_unclaimed(*thread);
    return false;
}

static void note_stop(struct wf_thread *self, int64_t took_ns)
{
    struct wf_world_stats *stats = &wf_world_stats;
    unsigned i = 0;
    while (i < WF_STOP_TIMES - 1 && took_ns >= (int64_t)1000 << i)
        i++;
    stats->times[i]++;
    stats->stops++;
    stats->last_stop_ns = took_ns;
    stats->last.routine_id = 0;
    stats->last.routine_name[0] = '\0';
    const struct wf_routine *r = NULL;
    for (struct wf_thread *t = wf_threads.all; t != NULL && r == NULL; t = t->next_all)
        r = t == world.last && t != self ? t->current : NULL;
    if (r == NULL || r == world.last->scheduler)
        return;
    stats->last.routine_id = wf_load_relaxed(&r->id);
    if (r->extra != NULL)
        memcpy(stats->last.routine_name, r->extra->name, sizeof(stats->last.routine_name));
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

const char *wf_last_to_stop_text(const struct wf_last_to_stop *last, char *text, size_t size)
{
    char name[32];
    int n = 0;
    if (last->tid == 0) {
        snprintf(text, size, "none");
        return text;
    }
    read_thread_name(last->tid, name, sizeof(name));
    if (last->routine_id != 0)
        n = snprintf(text, size, "routine %llu \"%.31s\" on ", (unsigned long long)last->routine_id, last->routine_name);
    snprintf(text + n, size - (size_t)n, "thread %d \"%s\"", last->tid, name);
    return text;
}

/* Its own function for those who look with a debugger for what two threads wait for. */
static WF_NOINLINE void give_up(void)
{
    wf_world_stats.given_up++;
    wf_world_resume();
}

WF_NOINLINE bool wf_world_stop(struct wf_thread *self, unsigned attempt)
{
    int64_t patience = PATIENCE_NS << (attempt < MOST_PATIENCE ? attempt : MOST_PATIENCE);
    __builtin_unwind_init();
    self->stop_sp = wf_stack_pointer();
    self->stop_context = NULL;
    int64_t start = wf_now_ns();
    if (world.wanted_ns == 0) {
        world.wanted_ns = start;
        world.say_after_ns = wf_world_tuning.silence_ns;
    }
    world.last = NULL;
    wf_world_stats.last.tid = 0;
    wf_add_seq_cst(&world.number, 1); /* before STOP: [W3] */
    wf_perturb(); /* those that still obey the last stop */
    ask(self, start + POLITE_NS);
    wf_heavy_fence();
    int64_t now = start;
    for (unsigned round = 0; press(self, now) > 0; round++) {
        complain(self, now);
        if (now - start > patience) {
            give_up();
            return false;
        }
        if (round < SPINS)
            wf_cpu_relax();
        else
            sched_yield();
        now = wf_now_ns();
    }
    show_list(wf_threads.all, self);
    show_list(wf_threads.foreign, self);
    note_stop(self, wf_now_ns() - start);
    world.wanted_ns = 0;
    return true;
}

static void let_go_list(struct wf_thread *first)
{
    for (struct wf_thread *t = first; t != NULL; t = t->next_all)
        wf_and_acq_rel(&t->attn, ~(uint32_t)WF_ATTN_STOP);
}

void wf_world_resume(void)
{
    wf_store_relaxed(&wf_world_help, NULL);
    wf_store_seq_cst(&world.stopping, 0);
    wf_spinlock_lock(&wf_threads.lock);
    let_go_list(wf_threads.all);
    if (wf_threads.pilot != NULL)
        wf_and_acq_rel(&wf_threads.pilot->attn, ~(uint32_t)WF_ATTN_STOP);
    wf_spinlock_unlock(&wf_threads.lock);
    wf_spinlock_lock(&wf_threads.foreign_lock);
    let_go_list(wf_threads.foreign);
    wf_spinlock_unlock(&wf_threads.foreign_lock);
    wf_store_seq_cst(&world.ended, wf_load_relaxed(&world.number));
    wf_futex_wake(&world.ended, INT32_MAX);
}

/* Not the stopped ones, which wait for `ended`. One that is only just about to sleep is missed: it does not help. */
static unsigned wake_dozing(struct wf_spinlock *lock, struct wf_thread **first, unsigned n)
{
    if (n == 0 || !wf_spinlock_try_lock(lock))
        return 0;
    unsigned n_woken = 0;
    for (struct wf_thread *t = *first; t != NULL && n_woken < n; t = t->next_all)
        if (wf_load_relaxed(&t->dozing) != 0 && wf_futex_wake(&t->wake, 1) == 1)
            n_woken++;
    wf_spinlock_unlock(lock);
    return n_woken;
}

void wf_world_call_helpers(unsigned n)
{
    n -= (unsigned)wf_futex_wake(&world.ended, (int)n); /* they look at wf_world_help again */
    n -= wake_dozing(&wf_threads.lock, &wf_threads.all, n);
    wake_dozing(&wf_threads.foreign_lock, &wf_threads.foreign, n);
}

int wf_world_doze(struct wf_thread *thread, int64_t deadline_ns)
{
    int error = wf_futex_wait(&thread->wake, 0, deadline_ns);
    if (WF_LIKELY(wf_load_relaxed(&wf_world_help) == NULL))
        return error;
    /* This stop has counted it as stopped. The next one must not while it helps: hence in_rt, which is seen by all before
     * the locked instruction by which the helper joins the markers. */
    wf_store_relaxed(&thread->in_rt, 1);
    wf_compiler_barrier();
    void (*help)(void) = wf_load_acquire(&wf_world_help);
    if (help != NULL)
        help();
    wf_leave(thread);
    return error;
}

void wf_world_unclaim(void)
{
    forget_gone();
    wf_store_release(&world.initiator, 0);
}

void wf_world_hold(void)
{
    while (!wf_world_try_claim())
        sched_yield();
}

void wf_world_release(void)
{
    wf_store_release(&world.initiator, 0);
}

/* ---- fork ---- */

static bool somebody_inside(const struct wf_thread *first, const struct wf_thread *self)
{
    for (const struct wf_thread *t = first; t != NULL; t = t->next_all)
        if (t != self && wf_load_acquire(&t->in_rt) != 0 && !is_stopped((struct wf_thread *)(uintptr_t)t))
            return true;
    return false;
}

void wf_world_loader_begin(void)
{
    wf_add_seq_cst(&world.at_loader, 1); /* [F2] inside the runtime, where a fork waits for us before it looks at this */
}

void wf_world_loader_end(void)
{
    wf_sub_seq_cst(&world.at_loader, 1);
}

/* [F1], [F2] one of the two sees the other. */
void wf_world_loader_begin_unknown(void)
{
    wf_add_seq_cst(&world.at_loader, 1);
    while (wf_load_seq_cst(&world.forking) != 0) {
        wf_sub_seq_cst(&world.at_loader, 1);
        sched_yield();
        wf_add_seq_cst(&world.at_loader, 1);
    }
}

/* The locks of the lists are held if it is quiet. */
static bool is_quiet(struct wf_thread *self)
{
    wf_spinlock_lock(&wf_threads.foreign_lock);
    if (!somebody_inside(wf_threads.foreign, self) && wf_load_seq_cst(&world.at_loader) == 0) {
        wf_spinlock_lock(&wf_threads.lock);
        return true;
    }
    wf_spinlock_unlock(&wf_threads.foreign_lock);
    return false;
}

/* Asks, as for a stop, but sends no signal: those in the user's code go on until they come to a poll. They may hold malloc's
 * lock, which fork() takes next. Threads that are only just becoming known are kept out by the locks of the lists. Given up
 * for a moment when it takes too long: somebody may have come to a poll in a callback of dl_iterate_phdr(), whose lock
 * another waits for. */
void wf_world_before_fork(void)
{
    struct wf_thread *self = wf_thread_self();
    wf_world_hold();
    for (;;) {
        wf_add_seq_cst(&world.number, 1);
        wf_store_seq_cst(&world.forking, 1); /* [F1] */
        ask(self, INT64_MAX);
        wf_heavy_fence(); /* [W2] */
        int64_t end = wf_now_ns() + PATIENCE_NS;
        bool quiet;
        while (!(quiet = is_quiet(self)) && wf_now_ns() < end)
            sched_yield();
        if (quiet)
            break;
        wf_store_seq_cst(&world.forking, 0);
        wf_world_resume();
        nanosleep(&(struct timespec){.tv_nsec = RESEND_NS}, NULL);
    }
    wf_memory_lock();
}

void wf_world_after_fork_in_parent(void)
{
    wf_memory_unlock();
    wf_spinlock_unlock(&wf_threads.lock);
    wf_spinlock_unlock(&wf_threads.foreign_lock);
    wf_store_seq_cst(&world.forking, 0);
    wf_world_resume();
    wf_world_release();
}

void wf_world_after_fork_in_child(void)
{
    struct wf_thread *self = wf_thread_self(), *all = wf_threads.foreign;
    wf_threads.foreign = self;
    wf_store_relaxed(&wf_threads.n_foreign, self != NULL);
    wf_store_relaxed(&wf_threads.n_foreign_blocked, 0);
    for (struct wf_thread *t = all, *next; t != NULL; t = next) {
        next = t->next_all;
        if (t == self)
            continue;
        t->next_all = world.gone;
        world.gone = t;
    }
    wf_memory_unlock();
    forget_gone();
    if (self != NULL) {
        self->next_all = NULL;
        wf_store_relaxed(&self->tid, gettid());
    }
    wf_spinlock_unlock(&wf_threads.lock);
    wf_spinlock_unlock(&wf_threads.foreign_lock);
    wf_store_seq_cst(&world.forking, 0);
    wf_store_seq_cst(&world.at_loader, 0); /* of threads that were waiting for `forking` */
    wf_world_resume();
    wf_world_release();
}

/* ---- set-up ---- */

int wf_world_init(void)
{
    if (world.installed)
        return 0;
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART, .sa_sigaction = on_stop_signal};
    sigfillset(&action.sa_mask);
    sigdelset(&action.sa_mask, SIGSEGV);
    sigdelset(&action.sa_mask, SIGBUS);
    if (sigaction(WF_STOP_SIGNAL, NULL, &world.previous) != 0 || sigaction(WF_STOP_SIGNAL, &action, NULL) != 0)
        return -errno;
    world.installed = true;
    return 0;
}
