/* SPDX-License-Identifier: MIT */
/* routine.h - the descriptor of a routine, and of a plain thread that waits like one.
 *
 *  wf_spawn                    run (thread.c)                 wf_routine_end
 *  --------> RUNNABLE (fresh) ---------------> RUNNING -----------------------> free
 *                 RUNNABLE    ---------------> RUNNING
 *                    ^    ^                    |    |
 *                    |    +---- weft_yield ----+    | wf_park_unlock, wf_park_call
 *                    |                              v
 *                    +----------- wf_ready ------ WAITING
 *
 * | state    | owner                                  | saved context and stack                           |
 * | RUNNABLE | the queue that holds it                | valid (fresh: none, `start` holds the arguments)  |
 * | RUNNING  | the thread that runs it, alone         | stale                                             |
 * | WAITING  | the object waited on, after the commit | valid after the commit                            |
 *
 * A plain thread that calls weft has a descriptor too (WF_FOREIGN): it never is in a run queue, and wf_ready() wakes
 * its futex. Descriptors live in slabs that are never unmapped, so a stale pointer to one can always be read.
 */
#ifndef WEFT_SCHED_ROUTINE_H
#define WEFT_SCHED_ROUTINE_H

#include <weft/routine.h>

#include "base/atomic.h"
#include "base/compiler.h"
#include "base/spinlock.h"
#include "sched/wait.h"
#include "time/timers.h"

struct wf_routine;
struct wf_thread;
struct wf_worker;
struct wf_future;
struct wf_departure;
struct wf_extra;
struct wf_try;
struct wf_frame;
struct wf_scope;

/* Links of a ring. */
struct wf_link {
    struct wf_link *next, *prev;
};
struct weft_coro;

/* One place in a wait queue: a routine has one of its own, a select brings an array of them. */
struct wf_waiter {
    struct wf_waiter *next, *prev;
    struct wf_routine *routine;
    void *elem;     /* where the value is taken from or put to */
    int *status;    /* select: 0 or -EPIPE goes here when not NULL */
    uint32_t index; /* select: which case */
    bool is_select; /* must win routine->claim before it may be completed */
    bool queued;    /* in a queue; the queue's lock */
};

enum wf_routine_flags {
    WF_STARTED = 1u << 0, /* has a stack and a saved context */
    WF_FOREIGN = 1u << 1, /* a plain thread */
    WF_PINNED = 1u << 2,  /* runs on `home` only */
    WF_HIGH = 1u << 3,
    WF_LOW = 1u << 4,
    WF_SPECIAL = WF_FOREIGN | WF_PINNED | WF_HIGH | WF_LOW, /* wf_ready() takes the slow way */
    WF_OWN_STACK = 1u << 5,                                 /* the stack is not of the default class */
    WF_RESULT_IN_X87 = 1u << 6,                             /* the function may return in st(0) */
    WF_VECTORS_SHIFT = 8,                                   /* fresh: 0 to 8 vector registers may hold arguments */
    WF_VECTORS_MASK = 15u << 8,
    WF_SCOPED = 1u << 12,       /* `frame` is not NULL: its waits may be ended by a scope or a deadline */
    WF_LEAK_TOLD = 1u << 14,    /* set with the world stopped: debug/leaks.c has reported that nothing can wake it */
    WF_CHILD_ERROR = 1u << 13,  /* a scope's child whose function returns int: its error */
    /* Upper half: which pool it belongs to, exactly one bit of every routine. What a thread must not make runnable the
     * quick way is one mask, thread->slow_flags: WF_SPECIAL and the bits of the other pools; all bits without a worker. */
    WF_POOL_SHIFT = 16,
};
#define WF_POOL_FLAGS 0xffff0000u

enum { WF_START_WORDS = 16 };
/* What `pending` may be besides a negative errno. */
enum { WF_PENDING_CANCEL = 1 };

struct WF_ALIGNED_LINE wf_routine {
    /* The switch (offsets in arch/<isa>/offsets.h). */
    void *sp;                /* saved context; valid while RUNNABLE (started) or WAITING. Fresh: the function */
    int32_t ret;             /* what the waiting call returns; the waker writes it before wf_ready() */
    int32_t saved_errno;     /* errno belongs to the routine: the switch keeps it here */
    struct wf_routine *link; /* the queue that holds it */
    uint32_t flags;          /* owner */
    uint32_t stack_slot;     /* default class: slot number, valid once started. Fresh: number of stack words */
    _Atomic uint64_t id;     /* 0: the descriptor is free */
    const struct weft__site *site;
    struct wf_future *future; /* NULL: nobody sees its result; a scope's child: its scope, see scope/scope.h */
    struct wf_extra *extra;   /* name, own stack, locals, stack words: NULL for most */

    /* What it waits on: object | kind << 48, one word so that both are of one wait. Written by the routine before it
     * parks, 0 by wf_ready(); read by dumps and wf_wait_abort(). */
    _Atomic uint64_t waits_on;
    /* Not 0: waits end at once; negative: with this (-ECANCELED after weft_stop), WF_PENDING_CANCEL: with -ECANCELED
     * unless shielded. [P1] in park.h. */
    _Atomic int32_t pending;
    _Atomic uint32_t claim; /* sched/claim.h; never reset, also not on reuse */

    union {
        /* Fresh: the captured call. */
        struct {
            uint64_t integers[6];
            uint64_t words[WF_START_WORDS]; /* stack words; when there are more, all of them go to extra->words */
            _Alignas(16) unsigned char vectors[8][16];
        } start;
        /* Started. */
        struct {
            struct wf_waiter waiter;
            struct wf_try *try_top; /* innermost weft_try; kept between waits */
            struct weft_coro *coro; /* innermost coroutine it is in; kept between waits */
            uint64_t scratch[4];    /* the wait's own: what a semaphore asked for, and the like */
            struct wf_timer timer;
        } wait;
    };

    /* Scopes and deadlines: scope/frame.h. All zero but while the routine is in one, so a spawn need not touch it. */
    WF_ALIGNED_LINE struct wf_frame *frame; /* owner: the innermost block; a child begins with its scope's */
    struct wf_scope *scopes;                /* cancel_lock: the scopes that it has entered and not left, innermost first */
    struct wf_link sibling;                 /* scope's lock: the children of one scope */
    struct wf_spinlock cancel_lock;
    uint32_t shields;                       /* owner under cancel_lock: weft_shield blocks that it is in */
    bool thread_ends;                       /* owner: a plain thread that leaves its frames by pthread_exit */
    _Atomic uint32_t cancel_felt;           /* 1: a wait was ended by WF_PENDING_CANCEL */
#if WF_TSAN || WF_ASAN
    void *sanitizer;     /* TSan: its fibre context; ASan: the saved fake stack */
    void *sanitizer_low; /* ASan: bounds of its stack */
    size_t sanitizer_size;
#endif
};

/* What few routines need. Made at spawn, or when a routine names itself or catches a panic. */
struct wf_extra {
    char name[32];
    void *own_stack; /* WF_OWN_STACK: see stack/arena.h */
    size_t own_stack_size;
    struct wf_thread *home;  /* WF_PINNED: the thread, chosen at the first run: whoever drives the worker it was placed on */
    uint64_t *words;         /* wf_memory: stack words of a fresh routine with more than 8 of them */
    char *panic_message;     /* wf_memory: what weft_try_message returns */
    int panic_error;         /* ... and the error that this panic carried, or 0: scope/panic.h, wf_panic_error */
    struct wf_departure *departures; /* panics and exits on their way through its frames, the last first: scope/panic.c */
    uint32_t n_departures;
    struct wf_local *locals; /* wf_memory: scope/local.c */
    uint32_t n_locals;
};

/* routine.c: descriptors come from a slab that is never unmapped while the runtime runs. There are never more of them
 * than stack slots (less what workers may cache), so that a routine that could be started finds a stack. */
int wf_routines_init(uint32_t most, uint32_t reserve_slots, uint32_t n_workers);
/* Sets so many more slots aside for what a new worker may cache. 0, or -ENOMEM: descriptors count on them already. */
int wf_routines_reserve(uint32_t slots);
void wf_routines_fini(void);
/* Takes a descriptor for `worker`'s free list or straight from the slab (worker NULL). NULL: none left or no memory. */
struct wf_routine *wf_routine_alloc_slow(struct wf_worker *worker);
/* Gives some of a worker's free list back when it has grown too long; or one descriptor. */
void wf_routine_free(struct wf_worker *worker, struct wf_routine *r);
/* A stack slot that belongs to no descriptor, counted so that routines still find theirs. False: none left. */
bool wf_slot_borrow(uint32_t *ret_slot);
void wf_slot_return(uint32_t slot);
/* Descriptor by index, for walks over all; indexes below wf_routines_count() are readable. A free one has id 0. */
uint32_t wf_routines_count(void);
struct wf_routine *wf_routine_at(uint32_t index);
/* A scope's child: its `future` is its scope, with the lowest bit set. */
static inline bool wf_routine_is_child(const struct wf_routine *r)
{
    return ((uintptr_t)r->future & 1) != 0;
}
/* r->extra, made on first use; NULL when out of memory. The routine itself or its spawner only. */
struct wf_extra *wf_routine_extra(struct wf_routine *r);
/* With all it holds but the own stack. */
void wf_extra_free(struct wf_extra *extra);

#endif
