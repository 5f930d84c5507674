/* SPDX-License-Identifier: MIT */
/* thread.h - an OS thread as weft sees it, and the guard word that lets others take its worker away.
 *
 * Guard protocol ([G1]-[G4]). A thread is inside the runtime from wf_enter() to wf_leave() (or to the switch that
 * continues user code): then, and only then, it touches its worker's private fields.
 *
 *   thread:  [G1] in_rt = 1 (relaxed)     compiler barrier   [G2] load attn; 0: go on, else wf_enter_slow()
 *            ... private fields ...       [G2'] in_rt = 0 (release)
 *   seizer:  [G3] attn |= HOLD (seq_cst)  wf_heavy_fence()   [G4] load in_rt (acquire); 1: give up (clear HOLD),
 *                                                            0: the worker's private fields are the seizer's until it
 *                                                            clears HOLD; it may set LOST meanwhile and keep the worker.
 *
 * Invariant: never are a thread between [G2] and [G2'] and a seizer between [G4] and its clearing of HOLD at the same
 * worker. Proof: the heavy fence puts a full barrier between [G1] and [G2] of the thread or before or after both. If
 * [G1] is before it, [G4] sees 1. If [G2] is after it, [G2] sees HOLD and waits. [G2'] release pairs with [G4] acquire:
 * the seizer sees all that the thread did. Clearing HOLD (release) pairs with the acquire load in wf_enter_slow.
 * Where membarrier is refused, WF_ATTN_FENCE is always set and wf_enter_slow fences between [G1] and a second [G2].
 *
 * The guard does not nest: weft must not be called from a signal handler.
 */
#ifndef WEFT_SCHED_THREAD_H
#define WEFT_SCHED_THREAD_H

#include <pthread.h>

#include "base/rand.h"
#include "base/spinlock.h"
#include "sched/pool.h"
#include "sched/routine.h"

enum { WF_FEW_TLS_RANGES = 16 };

enum wf_attn {
    WF_ATTN_HOLD = 1,  /* somebody looks at, or uses, the worker: wait */
    WF_ATTN_LOST = 2,  /* the worker was taken: give up the CPU at once */
    WF_ATTN_STOP = 8,  /* the world is to stand still: world.h */
    WF_ATTN_FENCE = 4, /* membarrier is refused: fence for yourself */
    WF_ATTN_STRESS = 16, /* for good: every switch goes by the scheduler loop, which calls hooks.after_switch */
};

struct wf_thread {
    /* Written by this thread. */
    _Atomic uint32_t in_rt;
    _Atomic uint32_t attn;        /* written by seizers */
    int *errno_address;           /* immutable */
    struct wf_worker *worker;     /* NULL: none (plain thread, or spare). Written by this thread inside the runtime,
                                       or by a seizer that holds it */
    struct wf_routine *current;   /* the routine that runs here, &scheduler, or a plain thread's own descriptor */
    _Atomic uint32_t no_commit;   /* where a switch that has nothing to publish stores */
    uint32_t slow_flags;          /* what wf_ready() must not do the quick way here: see WF_POOL_SHIFT. Goes with `worker` */
    uint32_t start_flags;         /* immutable: the bit of the pool that what is started here belongs to */
    struct wf_routine *scheduler; /* the context of the thread's own stack: the loop in thread.c */

    WF_ALIGNED_LINE _Atomic uint32_t wake; /* futex: 1 = there is something for you */
    _Atomic uint32_t n_pinned;             /* length of `pinned`, readable as a hint */
    struct wf_spinlock pinned_lock;
    struct wf_routine *pinned_head, *pinned_tail; /* pinned_lock: runnable routines that run only here */
    struct wf_thread *next_spare;                 /* threads lock */
    struct wf_thread *next_all;                   /* threads lock */
    pthread_t pthread;
    _Atomic int tid;
    int syscall_fd;         /* pilot only: /proc/self/task/<tid>/syscall, -1 not opened, -2 not there */
    bool counts_as_blocked; /* plain thread asleep: in wf_threads.n_foreign_blocked */
    bool is_spare;          /* threads lock: on the list of spares */
    struct wf_pool *pool;   /* immutable; NULL: a plain thread, or the pilot */
    _Atomic uint32_t n_homed; /* pinned routines that have this thread for a home */
    struct wf_rand rand;
    void *signal_stack;
    bool asked_for_signal_stack; /* plain thread: it has created a coroutine */

    bool attached_without_start; /* plain thread: it has only used what needs no worker */

    uint32_t exit_rounds; /* plain thread: how often its end has been announced */
    void *memory;         /* immutable: what it lies in, of wf_memory_take() */

    void *cache; /* plain thread: its share of the collected heap: gc/collect.c; NULL: none yet */

    /* Standing still: world.h. */
    _Atomic uint32_t stopped;  /* number of the stop that it obeys */
    _Atomic uint32_t dozing;   /* 1: asleep in weft, outside the runtime, or not begun; it polls before it does anything */
    void *stop_sp;             /* the lowest address of its live stack */
    const void *stop_context;  /* a signal stopped it: its registers, a ucontext_t */
    int64_t signal_after_ns;   /* initiator only, as `signalled` */
    bool signalled;
    const void *stack_low;     /* as stack_high: the lowest, as far as it may grow */
    const void *stack_high;    /* one past the highest address of its own stack; immutable after it is entered into its list */
    struct wf_tls_range {
        const void *low;
        size_t size;
    } few_tls[WF_FEW_TLS_RANGES];
    struct wf_tls_range *tls;  /* its thread-local variables, one range a module: few_tls, or wf_memory; likewise */
    _Atomic uint32_t n_tls; /* released when the entry is written: a thread that has not begun counts as stopped */
    uint64_t tls_unloads;      /* how many libraries had been unloaded by then */
};

/* 0 or WF_ATTN_STRESS: what threads are made with. */
extern _Atomic uint32_t wf_stress_attn;

/* A thread and the descriptor its own stack is known by: the scheduler loop's, or the plain thread's. */
struct wf_thread_block {
    struct wf_thread thread;
    struct wf_routine self;
};
static inline struct wf_thread *wf_thread_of_foreign(struct wf_routine *self)
{
    return &wf_container_of(self, struct wf_thread_block, self)->thread;
}

/* The calling thread, NULL before it first used weft. Never keep it over anything that can park. */
extern WF_TLS struct wf_thread *wf_thread_tls;

/* volatile asm: the compiler may neither fold two reads into one nor keep the slot's address over a call. */
WF_INLINE struct wf_thread *wf_thread_self(void)
{
    struct wf_thread *thread;
#if defined(__x86_64__)
    __asm__ volatile("movq wf_thread_tls@gottpoff(%%rip), %0\n\tmovq %%fs:(%0), %0" : "=r"(thread));
#else
    __asm__ volatile("" ::: "memory");
    thread = wf_thread_tls;
    __asm__ volatile("" : "+r"(thread));
#endif
    return thread;
}

/* The slow side of wf_enter: attaches a plain thread, waits for a seizer, gives up a lost worker (the routine then
 * continues on another thread). Returns the thread we are on, inside the runtime. Starts the runtime if need be. */
struct wf_thread *wf_enter_slow(struct wf_thread *thread);

/* [G1][G2] */
WF_INLINE struct wf_thread *wf_enter_as(struct wf_thread *thread)
{
    wf_store_relaxed(&thread->in_rt, 1);
    wf_compiler_barrier();
    if (WF_UNLIKELY(wf_load_acquire(&thread->attn) != 0))
        return wf_enter_slow(thread);
    return thread;
}

/* Every public function that touches the scheduler begins with it. */
WF_INLINE struct wf_thread *wf_enter(void)
{
    struct wf_thread *thread = wf_thread_self();
    return WF_LIKELY(thread != NULL) ? wf_enter_as(thread) : wf_enter_slow(NULL);
}

/* The calling plain thread is entered into its list; the runtime need not run. */
struct wf_thread *wf_thread_attach(void);

/* wf_enter() for calls that need no worker: the runtime is not started. */
WF_INLINE struct wf_thread *wf_enter_without_start(void)
{
    struct wf_thread *thread = wf_thread_self();
    return wf_enter_as(WF_LIKELY(thread != NULL) ? thread : wf_thread_attach());
}

/* Waits while somebody holds this thread's worker or the world stands still. True: the worker was taken. Inside the
 * runtime. */
bool wf_guard_attend(struct wf_thread *thread);

/* [G2'] */
WF_INLINE void wf_leave(struct wf_thread *thread)
{
    wf_store_release(&thread->in_rt, 0);
}

/* The descriptor of the calling routine or plain thread. Unlike the thread it may be kept: a routine changes only that. */
WF_INLINE struct wf_routine *wf_current(void)
{
    struct wf_thread *thread = wf_thread_self();
    if (WF_UNLIKELY(thread == NULL)) {
        thread = wf_enter(); /* attaches it */
        wf_leave(thread);
    }
    return thread->current;
}

/* pinned_lock is held; wf_threads.n_pinned is counted by the caller before. */
static inline void wf_pinned_append_locked(struct wf_thread *home, struct wf_routine *r)
{
    r->link = NULL;
    if (home->pinned_head == NULL)
        home->pinned_head = r;
    else
        home->pinned_tail->link = r;
    home->pinned_tail = r;
    wf_store_relaxed(&home->n_pinned, wf_load_relaxed(&home->n_pinned) + 1);
}

/* Every routine has a bit of it. */
#define WF_ALL_SLOW (WF_POOL_FLAGS | WF_SPECIAL)

/* The field is plain for those who may touch it; a waker of pinned routines reads it as a hint. */
static inline void wf_thread_set_worker(struct wf_thread *thread, struct wf_worker *worker)
{
    thread->slow_flags = worker == NULL ? WF_ALL_SLOW : WF_SPECIAL | (WF_POOL_FLAGS & ~wf_pool_flag(thread->pool));
    __atomic_store_n(&thread->worker, worker, __ATOMIC_RELAXED);
}
static inline struct wf_worker *wf_thread_worker_hint(struct wf_thread *thread)
{
    return __atomic_load_n(&thread->worker, __ATOMIC_RELAXED);
}

/* Below all that the calling function has on its stack, callee-saved registers too if it has called
 * __builtin_unwind_init(). */
#if defined(__x86_64__)
#define wf_stack_pointer() \
    __extension__({ \
        void *wf_sp; \
        __asm__ volatile("movq %%rsp, %0" : "=r"(wf_sp)); \
        wf_sp; \
    })
#else
#error "the stack pointer"
#endif

/* Around a sleep of a thread: outside the runtime, with a poll behind. Its current->sp is valid, or it shows nothing. */
static inline void wf_doze_begin(struct wf_thread *thread)
{
    wf_store_relaxed(&thread->dozing, 1); /* the release of in_rt publishes it */
    wf_leave(thread);
}
static inline void wf_doze_end(struct wf_thread *thread)
{
    wf_store_relaxed(&thread->in_rt, 1);
    wf_compiler_barrier();
    if (WF_UNLIKELY(wf_load_acquire(&thread->attn) != 0))
        wf_guard_attend(thread);
    wf_store_relaxed(&thread->dozing, 0);
}

/* Asks for `thread`'s worker: true: held ([G4]), end it with wf_guard_release. */
bool wf_guard_seize(struct wf_thread *thread);
void wf_guard_release(struct wf_thread *thread, bool lost);

#endif
