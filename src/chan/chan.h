/* SPDX-License-Identifier: MIT */
/* chan.h - a channel from the inside: its state, and the steps that chan.c and select.c are made of.
 *
 * Locking: one spin lock per channel guards all of it. Everything that passes through a channel happens under its lock
 * or between two critical sections of it (a waiter is unlinked under the lock, its value is copied after), so the lock
 * is what gives every memory order that weft/chan.h promises: the k-th receive and the (k+C)-th send are critical
 * sections in that order, and so are close and the receive that finds it. The value of a parked peer travels with the
 * peer: unlinking gives it to the waker, wf_ready() gives it back.
 *
 * Without the lock one may only find that a channel is blocked, that is, that the try form would give -EAGAIN:
 *
 *   send is blocked: !closed, !unbounded, receivers empty, count >= limit       (wf_chan_send_blocked)
 *   recv is blocked: !closed, senders empty, count == 0                         (wf_chan_recv_blocked)
 *
 * Each is decided by one load, that of `count` (capacity > 0: the queue is then empty anyway) or of the queue
 * (capacity 0: count is 0 always); `flags` is read after it, and closing is for ever, so it was not closed at the time
 * of that load either. A stale waiter makes a channel look ready that is not; then the lock decides.
 *
 * That load is the moment at which a try form that found the channel blocked takes effect, which needs one thing more:
 * what this thread did to other channels before must be visible to others by then. Releasing a spin lock is a plain
 * store, and a processor may do a later load first; two routines that each send on one channel and then look at the
 * other's could both find nothing. wf_chan_lock() therefore marks the thread, and who has found a channel blocked asks
 * wf_chan_settled(), which fences if the mark is set; then it looks again. A loop that only polls fences once.
 */
#ifndef WEFT_CHAN_CHAN_H
#define WEFT_CHAN_CHAN_H

#include <string.h>

#include <weft/chan.h>

#include "base/atomic.h"
#include "base/spinlock.h"
#include "chan/waitq.h"
#include "sched/thread.h"

enum { WF_CHAN_CLOSED = 1, WF_CHAN_UNBOUNDED = 2 };

struct wf_segment;
struct weft_visitor;

/* A collected object of WF_KIND_CHANNEL: freed when nobody can reach it and nobody waits on it (a waiter's `waits_on` is
 * a root, a select has its channels in its frame). Inside the runtime no collection can come, so whoever got hold of a
 * channel there, from a waiter or a timer or `waits_on`, may use it until it leaves. The buffer, or the segments, are
 * collected objects without pointers of their own: the record names what is in the cells that are in use.
 *
 * Invariants (while `lock` is held):
 *   receivers and senders are never both non-empty, but for stale waiters and selects with cases of both kinds
 *     (capacity 0);
 *   count > 0 implies that no receiver waits; a sender that waits implies count == capacity;
 *   0 < elem_size implies: read in [buffer, read_end), write in [buffer, write_end) of a bounded channel;
 *   closed implies limit == 0 and both queues empty.
 * Verified by wf_chan_check(). */
struct weft__chan {
    /* Written by every operation; lock. Those that are atomic are also read without it. */
    struct wf_spinlock lock;
    _Atomic uint32_t flags;    /* WF_CHAN_CLOSED is set once; WF_CHAN_UNBOUNDED immutable after init */
    _Atomic uint64_t n_locked; /* how often the lock was taken: [S1] in select.c */
    _Atomic uint64_t count;    /* values in the buffer */
    _Atomic uint64_t limit;    /* a send may put its value into the buffer while count < limit: the capacity; 0 when
                                  closed, or when an unbounded channel has no segment to write to */
    char *read, *write;        /* the next value to receive, the next free cell */
    struct wf_waitq receivers, senders;

    /* Seldom or never written; lock. */
    WF_ALIGNED_LINE size_t elem_size;        /* immutable after init */
    size_t capacity;                         /* immutable after init; WEFT_UNBOUNDED */
    char *buffer;                            /* immutable after init; NULL when unbounded, or nothing is to be stored */
    char *read_end, *write_end;              /* where `read` and `write` wrap; immutable when bounded */
    struct wf_segment *first, *last, *spare; /* unbounded.c */
};
_Static_assert(sizeof(struct weft__chan) == 2 * WF_CACHELINE, "what operations write fits one line");

/* ---- lock ---- */

/* Nonzero: this thread has changed a channel since its last full fence. */
extern WF_TLS uint32_t wf_chan_unsettled;

/* Of the thread that runs this, whatever the compiler knows of thread-locals from before wf_enter(). */
#if defined(__x86_64__)
WF_INLINE void wf_chan_mark_unsettled(void)
{
    void *slot;
    __asm__ volatile("movq wf_chan_unsettled@gottpoff(%%rip), %0\n\tmovl $1, %%fs:(%0)" : "=r"(slot) : : "memory");
}
#else
void wf_chan_mark_unsettled(void);
#endif

/* The caller holds the lock. */
void wf_chan_check(struct weft__chan *c);

/* What everybody does who has just taken the lock. */
WF_INLINE void wf_chan_note_locked(struct weft__chan *c)
{
    wf_store_release(&c->n_locked, wf_load_relaxed(&c->n_locked) + 1); /* [S1] */
    wf_chan_mark_unsettled();
    if (WF_DEBUG_LEVEL >= 2)
        wf_chan_check(c);
}

WF_INLINE void wf_chan_lock(struct weft__chan *c)
{
    wf_spinlock_lock(&c->lock);
    wf_chan_note_locked(c);
}

WF_INLINE void wf_chan_unlock(struct weft__chan *c)
{
    wf_spinlock_unlock(&c->lock);
}

/* After looks without the lock that found nothing. True: what they found counts. False: this thread had changes that
 * others might not have seen by then; now they have, so look again. */
WF_INLINE bool wf_chan_settled(void)
{
    if (WF_LIKELY(wf_chan_unsettled == 0))
        return true;
    wf_fence_seq_cst();
    wf_chan_unsettled = 0;
    return false;
}

/* True: somebody asks for this thread's worker, so go the way of wf_enter(), even if there is nothing to do: a routine
 * that only looks must not keep others from running. */
WF_INLINE bool wf_chan_disturbed(void)
{
    struct wf_thread *thread = wf_thread_self();
    return thread != NULL && WF_UNLIKELY((wf_load_relaxed(&thread->attn) & (WF_ATTN_HOLD | WF_ATTN_LOST)) != 0);
}

/* ---- looks without the lock ---- */

/* Acquire: the loads stay in this order, see above. */
WF_INLINE bool wf_chan_send_blocked(struct weft__chan *c)
{
    return wf_load_acquire(&c->receivers.first) == NULL && wf_load_acquire(&c->count) >= wf_load_acquire(&c->limit) &&
           wf_load_acquire(&c->flags) == 0;
}

WF_INLINE bool wf_chan_recv_blocked(struct weft__chan *c)
{
    return wf_load_acquire(&c->count) == 0 && wf_load_acquire(&c->senders.first) == NULL &&
           (wf_load_acquire(&c->flags) & WF_CHAN_CLOSED) == 0;
}

/* ---- values ---- */

void wf_chan_copy_any(void *to, const void *from, size_t size);

/* Most values are an int or a pointer. */
WF_INLINE void wf_chan_copy(void *to, const void *from, size_t size)
{
    if (size == 8)
        __builtin_memcpy(to, from, 8);
    else if (size == 4)
        __builtin_memcpy(to, from, 4);
    else
        wf_chan_copy_any(to, from, size);
}

/* ---- steps of an operation; the lock is held ----
 * All return 0 when the value went through, -EPIPE, or -EAGAIN when the call would have to wait; a send also -ENOSPC
 * when an unbounded channel needs a segment first (wf_chan_add_segment, outside the runtime). What is left to do when the
 * lock has been released goes into *ret_rest. */
struct wf_chan_rest {
    struct wf_waiter *peer; /* was waiting, is to be completed; NULL: nobody */
    void *to;               /* NULL: nothing left to copy */
    const void *from;
    struct wf_segment *unused; /* to be freed, or NULL */
};
int wf_chan_send_step(struct weft__chan *c, const void *value, struct wf_chan_rest *ret_rest);
int wf_chan_recv_step(struct weft__chan *c, void *out, struct wf_chan_rest *ret_rest);

/* Does it. Inside the runtime, the lock is not held. */
void wf_chan_finish(struct wf_thread *thread, struct weft__chan *c, const struct wf_chan_rest *rest);

/* Closes c and wakes all who wait. False: it is closed already. Inside the runtime, the lock is not held. */
bool wf_chan_close_inside(struct wf_thread *thread, struct weft__chan *c);

/* malloc that leaves errno alone. */
void *wf_chan_allocate(size_t size);

/* ---- unbounded.c ---- */

/* `write` has reached `write_end`, `read` has reached `read_end`; the lock is held. The second returns a segment that
 * the caller frees when the lock is released, or NULL. */
void wf_chan_write_segment_full(struct weft__chan *c);
struct wf_segment *wf_chan_read_segment_done(struct weft__chan *c);
/* Outside the runtime, and may collect. 0: there is, or was, a segment to write to; -ENOMEM. */
int wf_chan_add_segment(struct weft__chan *c);

/* Names what the values of an unbounded channel hold, and its segments. */
void wf_chan_trace_segments(const struct weft__chan *c, struct weft_visitor *v);

/* ---- for rt/init.c: wf_channel_trace; names the buffer and what the values in it hold. Those who wait are no part of
 * that: they keep the channel, not the other way round (but see debug/leaks.c) ---- */
void wf_chan_trace(void *object, struct weft_visitor *v);

/* ---- for rt/init.c: wf_wait_kinds[].abort of WF_WAIT_CHAN_SEND, WF_WAIT_CHAN_RECV, WF_WAIT_CHAN_NIL ---- */
bool wf_chan_send_abort(struct wf_routine *r, void *object);
bool wf_chan_recv_abort(struct wf_routine *r, void *object);
bool wf_chan_nil_abort(struct wf_routine *r, void *object);

#endif
