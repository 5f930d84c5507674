/* SPDX-License-Identifier: MIT */
/* thread.c - the life of an OS thread in weft: the scheduler loop on its own stack, the wait for a worker, and the
 * slow side of entering the runtime.
 *
 * Owns:    struct wf_thread of the runtime's threads and of attached plain threads.
 * Locking: wf_threads.lock and .foreign_lock guard the lists; nothing of the runtime is called under the first.
 */
#define _GNU_SOURCE
#include "sched/threads.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/futex.h"
#include "base/membarrier.h"
#include "sched/hooks.h"
#include "sched/idle.h"
#include "sched/memory.h"
#include "sched/park.h"
#include "sched/pilot.h"
#include "sched/ranges.h"
#include "sched/sanitizer.h"
#include "sched/world.h"
#include "stack/overflow.h"
#include "time/clock.h"

/* `used`: link-time optimisation does not see that assembly names it. */
WF_TLS struct wf_thread *wf_thread_tls __attribute__((visibility("hidden"), used));
struct wf_threads wf_threads;
_Atomic uint32_t wf_stress_attn;

static struct wf_thread *thread_create_block(uint32_t flags)
{
    struct wf_thread_block *b;
    void *memory = wf_memory_take(sizeof(*b) + WF_CACHELINE);
    if (memory == NULL)
        return NULL;
    b = (struct wf_thread_block *)(((uintptr_t)memory + WF_CACHELINE - 1) & ~(uintptr_t)(WF_CACHELINE - 1)); /* NOLINT */
    memset(b, 0, sizeof(*b));
    b->thread.memory = memory;
    b->thread.tls = b->thread.few_tls;
    b->self.flags = WF_STARTED | flags;
    b->thread.current = &b->self;
    b->thread.scheduler = &b->self;
    b->thread.syscall_fd = -1;
    b->thread.slow_flags = WF_ALL_SLOW;
    b->thread.start_flags = wf_pool_flag(wf_default_pool);
    wf_store_relaxed(&b->thread.attn, (wf_fences_needed() ? WF_ATTN_FENCE : 0) | wf_load_relaxed(&wf_stress_attn));
    wf_rand_seed(&b->thread.rand, (uint64_t)(uintptr_t)b ^ (uint64_t)wf_now_ns());
    return &b->thread;
}

static void thread_destroy_block(struct wf_thread *thread)
{
    if (thread->syscall_fd >= 0)
        close(thread->syscall_fd);
    if (thread->tls != thread->few_tls)
        wf_memory_give(thread->tls);
    wf_memory_give(thread->memory);
}

/* ---- the scheduler loop ---- */

bool wf_guard_attend(struct wf_thread *thread)
{
    for (unsigned spins = 0;; spins++) {
        uint32_t attn = wf_load_acquire(&thread->attn);
        if ((attn & WF_ATTN_FENCE) != 0) {
            wf_fence_seq_cst();
            attn = wf_load_acquire(&thread->attn);
        }
        if ((attn & WF_ATTN_STOP) != 0) {
            wf_world_attend(thread);
            continue;
        }
        if ((attn & WF_ATTN_HOLD) == 0)
            return (attn & WF_ATTN_LOST) != 0;
        if (spins > 100)
            sched_yield();
        else
            wf_cpu_relax();
    }
}

static void bind_or_refill(struct wf_thread *thread, struct wf_worker *worker, struct wf_routine *r)
{
    if ((r->flags & WF_PINNED) != 0 && r->extra->home == NULL) {
        r->extra->home = thread;
        wf_add_relaxed(&thread->n_homed, 1);
    }
    if ((r->flags & WF_STARTED) != 0)
        return;
    if (worker->n_free_stacks == 0 && (r->flags & WF_OWN_STACK) == 0) {
        uint32_t want = wf_stack_cache / 2 > 0 ? wf_stack_cache / 2 : 1;
        worker->n_free_stacks = wf_arena_take(worker->free_stacks, want);
        WF_CHECK(worker->n_free_stacks > 0); /* never more descriptors than slots, less what is cached: routine.c */
    }
    wf_stack_bind(thread, worker, r);
}

static void run(struct wf_thread *thread, struct wf_routine *r)
{
    struct wf_worker *worker = thread->worker;
    bind_or_refill(thread, worker, r);
    wf_store_relaxed(&worker->tick, wf_load_relaxed(&worker->tick) + 1);
    thread->current = r;
    WF_SWITCH(thread->scheduler, r, thread, &thread->no_commit, 0);
}

static void unmap_dead_stack(struct wf_worker *worker)
{
    int saved = errno;
    wf_own_stack_unmap(worker->dead_stack, worker->dead_stack_size);
    worker->dead_stack = NULL;
    errno = saved;
}

static bool must_leave(struct wf_thread *thread)
{
    return (wf_load_acquire(&wf_threads.stopping) != 0 || wf_load_acquire(&thread->pool->leaving) != 0) &&
           wf_load_relaxed(&thread->n_pinned) == 0;
}

/* Sleeps until it is given a worker. False: leave. */
static bool wait_for_worker(struct wf_thread *thread)
{
    wf_swap_seq_cst(&thread->wake, 0); /* before the look at `stopping`: [S1], pairs with wf_threads_stop */
    wf_spinlock_lock(&wf_threads.lock);
    if (thread->worker != NULL || must_leave(thread)) {
        wf_spinlock_unlock(&wf_threads.lock);
        return thread->worker != NULL;
    }
    struct wf_pool *pool = thread->pool;
    thread->next_spare = pool->spare;
    pool->spare = thread;
    thread->is_spare = true;
    wf_spinlock_unlock(&wf_threads.lock);
    /* A routine that was parked on the way here went to the injection queue, or pinned ones wait for this thread to have
     * a worker: see that somebody looks. */
    wf_idle_wake_inject(pool);
    wf_pilot_wake(); /* [Z2] */
    wf_doze_begin(thread);
    while (wf_load_acquire(&thread->wake) == 0)
        wf_world_doze(thread, WF_FUTEX_FOREVER);
    wf_doze_end(thread);
    return thread->worker != NULL;
}

static WF_NOINLINE void attend_in_loop(struct wf_thread *thread)
{
    if (wf_guard_attend(thread))
        wf_and_release(&thread->attn, ~(uint32_t)WF_ATTN_LOST);
    if ((wf_load_relaxed(&thread->attn) & WF_ATTN_STRESS) != 0)
        wf_hooks.after_switch(thread);
}

static void loop(struct wf_thread *thread)
{
    for (;;) {
        wf_store_relaxed(&thread->in_rt, 1);
        wf_compiler_barrier();
        if (thread->current != thread->scheduler) /* a seizer may be reading it */
            thread->current = thread->scheduler;
        if (wf_load_acquire(&thread->attn) != 0)
            attend_in_loop(thread);
        struct wf_worker *worker = thread->worker;
        if (worker == NULL) {
            if (!wait_for_worker(thread))
                return;
            continue;
        }
        if (worker->dead_stack != NULL)
            unmap_dead_stack(worker);
        struct wf_routine *r = wf_find_work(thread);
        if (r != NULL)
            run(thread, r);
        else if (must_leave(thread))
            return;
    }
}

static void *thread_main(void *arg)
{
    struct wf_thread *thread = arg;
    wf_thread_tls = thread;
    thread->errno_address = &errno;
    wf_store_relaxed(&thread->tid, gettid());
    prctl(PR_SET_TIMERSLACK, 1ul);
    if (thread->pool->nice != 0)
        setpriority(PRIO_PROCESS, 0, thread->pool->nice); /* of this thread alone; refused: as it is */
    wf_signal_stack_create(&thread->signal_stack);
    wf_world_note_thread(thread);
    wf_sanitizer_thread(thread->scheduler);
    wf_doze_end(thread); /* begun in thread_start */
    loop(thread);
    /* It stays on the list until it is joined: stopped for good. Its thread-local variables go. */
    wf_store_relaxed(&thread->n_tls, 0);
    void *signal_stack = thread->signal_stack;
    wf_thread_tls = NULL;
    wf_doze_begin(thread);
    wf_signal_stack_destroy(signal_stack);
    return NULL;
}

/* ---- making them ---- */

static void take_off_list(struct wf_thread *thread)
{
    wf_spinlock_lock(&wf_threads.lock);
    struct wf_thread **at = &wf_threads.all;
    while (*at != thread)
        at = &(*at)->next_all;
    *at = thread->next_all;
    wf_sub_relaxed(&wf_threads.n_all, 1);
    wf_spinlock_unlock(&wf_threads.lock);
}

/* pthread_create() takes locks of the host's; who waits for them is as good as stopped. The caller may be in the midst of any
 * waking call, where its own stack begins is noted here; but it holds no spinlock that is worth the name: another who waited
 * for that would be waited for, and the stop be given up for once. */
static WF_NOINLINE int create_dozing(struct wf_thread *self, struct wf_thread *thread)
{
    bool inside = self != NULL && wf_load_relaxed(&self->in_rt) != 0;
    if (!inside)
        return pthread_create(&thread->pthread, NULL, thread_main, thread);
    __builtin_unwind_init();
    self->current->sp = wf_stack_pointer(); /* running, so it is stale and nobody's */
    wf_doze_begin(self);
    int error = pthread_create(&thread->pthread, NULL, thread_main, thread);
    wf_doze_end(self);
    return error;
}

static struct wf_thread *thread_start(struct wf_pool *pool, struct wf_worker *worker)
{
    struct wf_thread *self = wf_thread_self();
    if (self != NULL && self->pool != NULL && self->pool->nice > pool->nice)
        return NULL; /* a thread inherits its maker's niceness and may not lower it: this is for the pilot */
    if (wf_load_relaxed(&wf_threads.n_all) >= WF_THREADS_MAX || wf_load_relaxed(&wf_threads.stopping) != 0)
        return NULL;
    struct wf_thread *thread = thread_create_block(0);
    if (thread == NULL)
        return NULL;
    thread->pool = pool;
    thread->start_flags = wf_pool_flag(pool);
    wf_thread_set_worker(thread, worker);
    if (worker != NULL)
        wf_store_release(&worker->thread, thread);
    wf_store_relaxed(&thread->dozing, 1); /* until it has begun: nobody is to wait for what does not run yet */
    wf_spinlock_lock(&wf_threads.lock);
    thread->next_all = wf_threads.all;
    wf_threads.all = thread;
    wf_world_register(thread);
    wf_add_relaxed(&wf_threads.n_all, 1);
    wf_spinlock_unlock(&wf_threads.lock);

    sigset_t all, old;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGABRT);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    sigdelset(&all, WF_STOP_SIGNAL);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* the program's signals go to the program's threads */
    int error = create_dozing(self, thread);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error == 0)
        return thread;

    take_off_list(thread);
    if (worker != NULL)
        wf_store_release(&worker->thread, NULL);
    thread_destroy_block(thread);
    return NULL;
}

static struct wf_thread *pop_spare(struct wf_pool *pool)
{
    wf_spinlock_lock(&wf_threads.lock);
    struct wf_thread *thread = pool->spare;
    if (thread != NULL) {
        pool->spare = thread->next_spare;
        thread->is_spare = false;
    }
    wf_spinlock_unlock(&wf_threads.lock);
    return thread;
}

static struct wf_thread **find_wanting_locked(struct wf_pool *pool)
{
    struct wf_thread **at = &pool->spare;
    while (*at != NULL && wf_load_relaxed(&(*at)->n_pinned) == 0)
        at = &(*at)->next_spare;
    return at;
}

bool wf_thread_is_wanting(struct wf_pool *pool)
{
    if (wf_load_relaxed(&pool->n_pinned) == 0)
        return false;
    wf_spinlock_lock(&wf_threads.lock);
    bool found = *find_wanting_locked(pool) != NULL;
    wf_spinlock_unlock(&wf_threads.lock);
    return found;
}

struct wf_thread *wf_thread_take_wanting(struct wf_pool *pool)
{
    wf_spinlock_lock(&wf_threads.lock);
    struct wf_thread **at = find_wanting_locked(pool);
    struct wf_thread *thread = *at;
    if (thread != NULL) {
        *at = thread->next_spare;
        thread->is_spare = false;
    }
    wf_spinlock_unlock(&wf_threads.lock);
    return thread;
}

void wf_thread_give_worker(struct wf_thread *thread, struct wf_worker *worker)
{
    wf_thread_set_worker(thread, worker);
    wf_store_release(&worker->thread, thread);
    wf_store_release(&thread->wake, 1);
    wf_futex_wake(&thread->wake, 1);
}

void wf_thread_put_spare(struct wf_thread *thread)
{
    wf_spinlock_lock(&wf_threads.lock);
    thread->next_spare = thread->pool->spare;
    thread->pool->spare = thread;
    thread->is_spare = true;
    wf_spinlock_unlock(&wf_threads.lock);
}

/* A thread asleep as a spare, taken off the list; a new one starts without a worker and becomes a spare by itself, so
 * it is waited for: a hand-off is rare. */
struct wf_thread *wf_thread_take_spare(struct wf_pool *pool)
{
    struct wf_thread *thread = pop_spare(pool);
    if (thread != NULL)
        return thread;
    if (thread_start(pool, NULL) == NULL)
        return NULL;
    struct wf_thread *self = wf_thread_self();
    for (unsigned i = 0; i < 1000 && thread == NULL; i++) {
        wf_doze_begin(self); /* the new one may have to stand still first, and so may we */
        usleep(20);
        wf_doze_end(self);
        thread = pop_spare(pool);
    }
    return thread;
}

bool wf_thread_for_worker(struct wf_worker *worker)
{
    int saved = errno;
    struct wf_thread *spare = pop_spare(worker->pool);
    bool done = true;
    if (spare != NULL)
        wf_thread_give_worker(spare, worker);
    else
        done = thread_start(worker->pool, worker) != NULL;
    errno = saved;
    return done;
}

void wf_threads_stop(void)
{
    wf_store_seq_cst(&wf_threads.stopping, 1); /* [S1] then wake: a sleeper resets `wake`, then looks at `stopping` */
    for (;;) {
        wf_spinlock_lock(&wf_threads.lock);
        struct wf_thread *thread = wf_threads.all;
        if (thread != NULL)
            wf_threads.all = thread->next_all;
        for (struct wf_thread *t = thread; t != NULL; t = t->next_all) {
            if (t->worker == NULL)
                t->is_spare = false;
            wf_store_release(&t->wake, 1);
            wf_futex_wake(&t->wake, 1);
        }
        wf_spinlock_unlock(&wf_threads.lock);
        if (thread == NULL)
            break;
        pthread_join(thread->pthread, NULL);
        thread_destroy_block(thread);
    }
    for (struct wf_pool *pool = NULL; (pool = wf_pool_next(pool)) != NULL;)
        pool->spare = NULL;
    wf_store_relaxed(&wf_threads.n_all, 0);
    wf_store_relaxed(&wf_threads.stopping, 0);
}

/* Has a thread of the pool leave. It stays on the list until it has: one that was asked to stop must be let go, too. */
static struct wf_thread *dismiss_one(struct wf_pool *pool)
{
    wf_spinlock_lock(&wf_threads.lock);
    pool->spare = NULL;
    struct wf_thread *thread = wf_threads.all;
    while (thread != NULL && thread->pool != pool)
        thread = thread->next_all;
    if (thread != NULL) {
        wf_store_release(&thread->wake, 1);
        wf_futex_wake(&thread->wake, 1);
    }
    wf_spinlock_unlock(&wf_threads.lock);
    return thread;
}

void wf_threads_end(struct wf_pool *pool)
{
    struct wf_thread *self = wf_thread_self();
    __builtin_unwind_init();
    self->current->sp = wf_stack_pointer();
    wf_store_seq_cst(&pool->leaving, 1); /* [S1] as in wf_threads_stop */
    for (struct wf_thread *thread; (thread = dismiss_one(pool)) != NULL;) {
        wf_doze_begin(self); /* it may have to stand still first */
        pthread_join(thread->pthread, NULL);
        wf_doze_end(self);
        take_off_list(thread);
        thread_destroy_block(thread);
    }
    wf_store_relaxed(&pool->leaving, 0);
}

uint32_t wf_threads_spare(void)
{
    uint32_t n = 0;
    wf_spinlock_lock(&wf_threads.lock);
    for (struct wf_pool *pool = NULL; (pool = wf_pool_next(pool)) != NULL;)
        for (struct wf_thread *t = pool->spare; t != NULL; t = t->next_spare)
            n++;
    wf_spinlock_unlock(&wf_threads.lock);
    return n;
}

/* ---- plain threads ---- */

static pthread_key_t foreign_key;
static pthread_once_t foreign_once = PTHREAD_ONCE_INIT;

/* ThreadSanitizer forgets the thread in the last round. */
enum { EXIT_ROUNDS = WF_TSAN ? PTHREAD_DESTRUCTOR_ITERATIONS - 1 : PTHREAD_DESTRUCTOR_ITERATIONS };

/* Called in each round of destructors of thread-specific values, of which there are PTHREAD_DESTRUCTOR_ITERATIONS. Others of
 * the program's may come after ours, allocate, wait, and hold pointers: so the thread stays known until the last round. One
 * that uses weft for the first time in a destructor may never come here: it is found out by wf_world_stop(), by its signal. */
static void foreign_exit(void *arg)
{
    struct wf_thread *thread = arg;
    if (thread->current->extra != NULL && thread->current->extra->n_locals > 0)
        wf_hooks.end_locals();
    if (thread->current->frame != NULL) /* children and timers would go on using this thread and its stack */
        wf_fatal("a thread ended inside a weft_scope, weft_deadline or weft_shield in code compiled without -fexceptions");
    if (++thread->exit_rounds < EXIT_ROUNDS && pthread_setspecific(foreign_key, thread) == 0)
        return;
    wf_enter(); /* it is not to vanish while the world stands still */
    wf_hooks.cache_retire(thread->cache);
    thread->cache = NULL;
    wf_spinlock_lock(&wf_threads.foreign_lock);
    struct wf_thread **at = &wf_threads.foreign;
    while (*at != thread)
        at = &(*at)->next_all;
    *at = thread->next_all;
    wf_sub_relaxed(&wf_threads.n_foreign, 1);
    wf_spinlock_unlock(&wf_threads.foreign_lock);
    wf_thread_tls = NULL;
    wf_signal_stack_destroy(thread->signal_stack);
    wf_pilot_wake(); /* [Z2] */
    if (thread->current->extra != NULL)
        wf_extra_free(thread->current->extra);
    thread_destroy_block(thread);
}

void wf_thread_forget_foreign(struct wf_thread *thread)
{
    wf_hooks.cache_retire(thread->cache);
    if (thread->current->extra != NULL)
        wf_extra_free(thread->current->extra);
    thread_destroy_block(thread);
}

void wf_thread_forget_self(void)
{
    if (wf_thread_tls != NULL && (wf_thread_tls->current->flags & WF_FOREIGN) != 0)
        pthread_setspecific(foreign_key, NULL);
    wf_thread_tls = NULL;
}

static void make_foreign_key(void)
{
    WF_CHECK(pthread_key_create(&foreign_key, foreign_exit) == 0);
}

static struct wf_thread *attach(void)
{
    int saved = errno;
    pthread_once(&foreign_once, make_foreign_key);
    struct wf_thread *thread = thread_create_block(WF_FOREIGN);
    if (thread == NULL)
        wf_fatal("out of memory while a thread used weft for the first time");
    thread->errno_address = &errno;
    thread->pthread = pthread_self();
    wf_store_relaxed(&thread->tid, gettid());
    pthread_setspecific(foreign_key, thread);
    wf_world_note_thread(thread);
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, WF_STOP_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &stop, NULL);
    wf_spinlock_lock(&wf_threads.foreign_lock);
    thread->next_all = wf_threads.foreign;
    wf_threads.foreign = thread;
    wf_world_register(thread);
    wf_add_relaxed(&wf_threads.n_foreign, 1);
    wf_spinlock_unlock(&wf_threads.foreign_lock);
    wf_thread_tls = thread;
    errno = saved;
    return thread;
}

struct wf_thread *wf_thread_adopt(void)
{
    struct wf_thread *thread = thread_create_block(WF_FOREIGN);
    if (thread == NULL)
        return NULL;
    thread->errno_address = &errno;
    wf_thread_tls = thread;
    wf_spinlock_lock(&wf_threads.lock);
    wf_threads.pilot = thread;
    wf_world_register(thread);
    wf_spinlock_unlock(&wf_threads.lock);
    return thread;
}

void wf_thread_abandon(struct wf_thread *thread)
{
    wf_spinlock_lock(&wf_threads.lock);
    wf_threads.pilot = NULL;
    wf_spinlock_unlock(&wf_threads.lock);
    wf_thread_tls = NULL;
    if (thread != NULL)
        thread_destroy_block(thread);
}

WF_COLD struct wf_thread *wf_thread_attach(void)
{
    wf_hooks.ensure_prepared();
    struct wf_thread *thread = attach();
    thread->attached_without_start = true;
    return thread;
}

/* ---- entering the slow way ---- */

/* The worker is gone: queue the routine for the others and become a spare thread. Returns on whichever thread the
 * routine continues. */
static WF_NOINLINE void give_up_cpu(struct wf_thread *thread)
{
    struct wf_routine *self = thread->current;
    self->link = NULL;
    if ((self->flags & WF_PINNED) != 0) {
        /* It may only run here: the thread will ask for a worker. */
        wf_add_seq_cst(&thread->pool->n_pinned, 1);
        wf_spinlock_lock(&thread->pinned_lock);
        wf_pinned_append_locked(thread, self);
        thread->current = thread->scheduler;
        WF_SWITCH(self, thread->scheduler, thread, &thread->pinned_lock.word, 0);
        return;
    }
    enum wf_priority priority = (self->flags & WF_HIGH) != 0  ? WF_PRIORITY_HIGH
                                : (self->flags & WF_LOW) != 0 ? WF_PRIORITY_LOW
                                                              : WF_PRIORITY_NORMAL;
    struct wf_inject *inject = &thread->pool->inject;
    wf_spinlock_lock(&inject->lock);
    wf_inject_append_locked(inject, self, self, 1, priority);
    thread->current = thread->scheduler;
    WF_SWITCH(self, thread->scheduler, thread, &inject->lock.word, 0);
}

WF_COLD struct wf_thread *wf_enter_slow(struct wf_thread *thread)
{
    if (thread == NULL) {
        wf_hooks.ensure_started(); /* a failure is reported by the call that needs a worker: weft_go, a timer */
        thread = attach();
    }
    for (;;) {
        wf_store_relaxed(&thread->in_rt, 1);
        wf_compiler_barrier();
        if (!wf_guard_attend(thread)) {
            if ((wf_load_relaxed(&thread->attn) & WF_ATTN_STRESS) != 0 && thread->worker != NULL)
                thread->worker->budget = 1;
            return thread;
        }
        give_up_cpu(thread);
        thread = wf_thread_self();
    }
}
