/* SPDX-License-Identifier: MIT */
/* chan.c - make, send, receive, close.
 *
 * Owns:    channels and their buffers, which are collected memory.
 * Callers: users, through the macros of weft/chan.h.
 * Locking: the channel's lock, see chan.h; `nil_lock` guards those who wait on the nil channel.
 *
 * A call is one short function for what is most frequent, which tail-calls one of the others for the rest; none of them
 * is entered with anything on the stack, and those that park end in a tail call themselves (park.h).
 *
 * A waker takes a waiter out of its queue under the lock (the waiter is then the waker's alone), releases the lock,
 * copies the value straight from or to where the waiter has it, says in routine->ret how it went, and readies it. Only
 * values that go through the buffer are copied under the lock.
 */
#include "chan/chan.h"

#include <errno.h>
#include <stdlib.h>
#include <weft/gc.h>

#include "gc/collect.h"
#include "gc/mark.h"
#include "sched/park.h"
#include "sched/sched.h"

/* `used`: link-time optimisation does not see that assembly names it. */
WF_TLS uint32_t wf_chan_unsettled __attribute__((used));
#if !defined(__x86_64__)
WF_NOINLINE void wf_chan_mark_unsettled(void)
{
    wf_chan_unsettled = 1;
}
#endif

/* ---- values ---- */

WF_NOINLINE void *wf_chan_allocate(size_t size)
{
    int saved = errno;
    void *p = malloc(size);
    wf_compiler_barrier(); /* clang knows malloc, and believes that it leaves errno alone */
    errno = saved;
    return p;
}

WF_NOINLINE void wf_chan_copy_any(void *to, const void *from, size_t size)
{
    switch (size) {
    case 0:
        return;
    case 1:
        __builtin_memcpy(to, from, 1);
        return;
    case 2:
        __builtin_memcpy(to, from, 2);
        return;
    case 16:
        __builtin_memcpy(to, from, 16);
        return;
    default:
        memcpy(to, from, size);
        return;
    }
}

/* Relaxed loads and stores of `count` and `limit` under the lock; released because chan.h looks without it. */
WF_INLINE uint64_t count_of(struct weft__chan *c)
{
    return wf_load_relaxed(&c->count);
}

WF_INLINE bool has_room(struct weft__chan *c)
{
    return count_of(c) < wf_load_relaxed(&c->limit);
}

WF_INLINE bool is_closed(struct weft__chan *c)
{
    return (wf_load_relaxed(&c->flags) & WF_CHAN_CLOSED) != 0;
}

/* One value from `value` into the next free cell. The caller counts it. */
WF_INLINE void put(struct weft__chan *c, const void *value)
{
    char *cell = c->write;
    size_t size = c->elem_size;
    wf_chan_copy(cell, value, size);
    cell += size;
    c->write = cell;
    if (WF_UNLIKELY(cell == c->write_end)) {
        if (WF_LIKELY(c->buffer != NULL))
            c->write = c->buffer;
        else
            wf_chan_write_segment_full(c);
    }
}

/* The oldest value into *out, unless that is NULL. The caller counts it, and frees what is returned, unlocked. */
WF_INLINE struct wf_segment *get(struct weft__chan *c, void *out)
{
    char *cell = c->read;
    size_t size = c->elem_size;
    if (WF_LIKELY(out != NULL))
        wf_chan_copy(out, cell, size);
    cell += size;
    c->read = cell;
    if (WF_UNLIKELY(cell == c->read_end)) {
        if (WF_UNLIKELY(c->buffer == NULL))
            return wf_chan_read_segment_done(c);
        c->read = c->buffer;
    }
    return NULL;
}

static void zero(struct weft__chan *c, void *out)
{
    if (out != NULL && c->elem_size != 0)
        memset(out, 0, c->elem_size);
}

/* ---- waking ---- */

/* Ends the wait of a waiter that was taken. */
WF_INLINE void complete(struct wf_thread *thread, struct wf_waiter *w, int status)
{
    struct wf_routine *r = w->routine;
    if (WF_LIKELY(!w->is_select)) {
        r->ret = status;
    } else {
        if (w->status != NULL)
            *w->status = status;
        r->ret = (int32_t)w->index;
    }
    wf_ready(thread, r);
}

void wf_chan_finish(struct wf_thread *thread, struct weft__chan *c, const struct wf_chan_rest *rest)
{
    if (rest->to != NULL)
        wf_chan_copy(rest->to, rest->from, c->elem_size);
    if (rest->peer != NULL)
        complete(thread, rest->peer, 0);
    if (WF_UNLIKELY(rest->unused != NULL))
        wf_heap_free(rest->unused);
}

/* ---- waiting ---- */

WF_INLINE void enqueue(struct wf_waitq *q, struct wf_routine *self, void *elem)
{
    struct wf_waiter *w = &self->wait.waiter;
    w->routine = self;
    w->elem = elem;
    w->is_select = false;
    wf_waitq_push(q, w);
}

/* The wait was begun but must not be. The lock is held. */
static WF_COLD int refuse(struct wf_thread *thread, struct wf_routine *self, struct wf_spinlock *lock)
{
    wf_store_relaxed(&self->waits_on, 0); /* before the unlock: see wf_waitq_take */
    wf_spinlock_unlock(lock);
    return wf_wait_refused(thread, self);
}

static struct wf_spinlock nil_lock;

static WF_COLD int wait_on_nil(void)
{
    struct wf_thread *thread = wf_enter();
    struct wf_routine *self = thread->current;
    wf_spinlock_lock(&nil_lock);
    if (wf_wait_begin(self, WF_WAIT_CHAN_NIL, NULL))
        return refuse(thread, self, &nil_lock);
    return wf_park_unlock(thread, &nil_lock);
}

/* ---- steps ---- */

int wf_chan_send_step(struct weft__chan *c, const void *value, struct wf_chan_rest *ret_rest)
{
    *ret_rest = (struct wf_chan_rest){0};
    if (is_closed(c))
        return -EPIPE;
    struct wf_waiter *w = wf_waitq_take(&c->receivers);
    if (w != NULL) {
        *ret_rest = (struct wf_chan_rest){.peer = w, .to = w->elem, .from = value};
        return 0;
    }
    if (has_room(c)) {
        put(c, value);
        wf_store_release(&c->count, count_of(c) + 1);
        return 0;
    }
    return (wf_load_relaxed(&c->flags) & WF_CHAN_UNBOUNDED) != 0 ? -ENOSPC : -EAGAIN;
}

/* A value has left the buffer: the sender that waits longest puts its own in. NULL: nobody waits. */
WF_INLINE struct wf_waiter *refill(struct weft__chan *c)
{
    struct wf_waiter *w = wf_waitq_take(&c->senders);
    if (w != NULL)
        put(c, w->elem);
    else
        wf_store_release(&c->count, count_of(c) - 1);
    return w;
}

int wf_chan_recv_step(struct weft__chan *c, void *out, struct wf_chan_rest *ret_rest)
{
    *ret_rest = (struct wf_chan_rest){0};
    if (count_of(c) > 0) {
        ret_rest->unused = get(c, out);
        ret_rest->peer = refill(c);
        return 0;
    }
    struct wf_waiter *w = wf_waitq_take(&c->senders);
    if (w != NULL) {
        *ret_rest = (struct wf_chan_rest){.peer = w, .to = out, .from = w->elem};
        return 0;
    }
    if (!is_closed(c))
        return -EAGAIN;
    zero(c, out);
    return -EPIPE;
}

/* wf_enter() and wf_chan_lock() if neither has to call anything, so that the caller needs no stack frame. NULL: one of them
 * has; do it again, properly. */
WF_INLINE struct wf_thread *try_enter_and_lock(struct weft__chan *c)
{
    struct wf_thread *thread = wf_thread_self();
    if (WF_UNLIKELY(thread == NULL))
        return NULL;
    wf_store_relaxed(&thread->in_rt, 1);
    wf_compiler_barrier();
    if (WF_UNLIKELY(wf_load_acquire(&thread->attn) != 0))
        return NULL;
    uint32_t unlocked = 0;
    if (WF_UNLIKELY(!wf_cas_acquire(&c->lock.word, &unlocked, 1)))
        return NULL;
    wf_chan_note_locked(c);
    return thread;
}

/* ---- send ---- */

/* The lock is held, no receiver is there to be served. */
static WF_NOINLINE int send_or_wait(struct wf_thread *thread, struct weft__chan *c, const void *value);

/* An unbounded channel needs memory. The lock is held. */
static WF_COLD int send_after_growing(struct wf_thread *thread, struct weft__chan *c, const void *value)
{
    wf_chan_unlock(c);
    wf_leave(thread);
    int error = wf_chan_add_segment(c);
    return error != 0 ? error : weft__chan_send(c, value);
}

static WF_NOINLINE int send_or_wait(struct wf_thread *thread, struct weft__chan *c, const void *value)
{
    if (has_room(c)) {
        put(c, value);
        wf_store_release(&c->count, count_of(c) + 1);
        wf_chan_unlock(c);
        wf_leave(thread);
        return 0;
    }
    if (WF_UNLIKELY(wf_load_relaxed(&c->flags) != 0)) {
        if (!is_closed(c))
            return send_after_growing(thread, c, value);
        wf_chan_unlock(c);
        wf_leave(thread);
        return -EPIPE;
    }
    struct wf_routine *self = thread->current;
    if (WF_UNLIKELY(wf_wait_begin(self, WF_WAIT_CHAN_SEND, c)))
        return refuse(thread, self, &c->lock);
    enqueue(&c->senders, self, (void *)(uintptr_t)value);
    return wf_park_unlock(thread, &c->lock);
}

/* A receiver was seen waiting. The lock is held. */
static WF_NOINLINE int send_to_receiver(struct wf_thread *thread, struct weft__chan *c, const void *value)
{
    struct wf_waiter *w = wf_waitq_take(&c->receivers);
    if (WF_UNLIKELY(w == NULL))
        return send_or_wait(thread, c, value);
    wf_chan_unlock(c);
    if (WF_LIKELY(w->elem != NULL))
        wf_chan_copy(w->elem, value, c->elem_size);
    complete(thread, w, 0);
    wf_leave(thread);
    return 0;
}

/* The lock is held. */
WF_INLINE int send_locked(struct wf_thread *thread, struct weft__chan *c, const void *value)
{
    return wf_waitq_first(&c->receivers) != NULL ? send_to_receiver(thread, c, value) : send_or_wait(thread, c, value);
}

static WF_NOINLINE int send_slow(struct weft__chan *c, const void *value)
{
    struct wf_thread *thread = wf_enter();
    wf_chan_lock(c);
    return send_locked(thread, c, value);
}

WF_PUBLIC int weft__chan_send(struct weft__chan *c, const void *value)
{
    if (WF_UNLIKELY(c == NULL))
        return wait_on_nil();
    struct wf_thread *thread = try_enter_and_lock(c);
    return WF_LIKELY(thread != NULL) ? send_locked(thread, c, value) : send_slow(c, value);
}

/* ---- receive ---- */

static WF_NOINLINE int recv_or_wait(struct wf_thread *thread, struct weft__chan *c, void *out)
{
    if (WF_UNLIKELY(is_closed(c))) {
        wf_chan_unlock(c);
        zero(c, out);
        wf_leave(thread);
        return -EPIPE;
    }
    struct wf_routine *self = thread->current;
    if (WF_UNLIKELY(wf_wait_begin(self, WF_WAIT_CHAN_RECV, c)))
        return refuse(thread, self, &c->lock);
    enqueue(&c->receivers, self, out);
    return wf_park_unlock(thread, &c->lock);
}

/* The buffer is empty and a sender was seen waiting. The lock is held. */
static WF_NOINLINE int recv_from_sender(struct wf_thread *thread, struct weft__chan *c, void *out)
{
    struct wf_waiter *w = wf_waitq_take(&c->senders);
    if (WF_UNLIKELY(w == NULL))
        return recv_or_wait(thread, c, out);
    wf_chan_unlock(c);
    if (WF_LIKELY(out != NULL))
        wf_chan_copy(out, w->elem, c->elem_size);
    complete(thread, w, 0);
    wf_leave(thread);
    return 0;
}

/* The buffer is not empty and senders wait; so the channel is bounded. The lock is held. */
static WF_NOINLINE int recv_and_refill(struct wf_thread *thread, struct weft__chan *c, void *out)
{
    get(c, out);
    struct wf_waiter *w = refill(c);
    wf_chan_unlock(c);
    if (WF_LIKELY(w != NULL))
        complete(thread, w, 0);
    wf_leave(thread);
    return 0;
}

/* The buffer is not empty and nobody waits to send. The lock is held. */
static WF_NOINLINE int recv_buffered(struct wf_thread *thread, struct weft__chan *c, void *out)
{
    struct wf_segment *done = get(c, out);
    wf_store_release(&c->count, count_of(c) - 1);
    wf_chan_unlock(c);
    if (WF_UNLIKELY(done != NULL))
        wf_heap_free(done);
    wf_leave(thread);
    return 0;
}

/* The lock is held. */
WF_INLINE int recv_locked(struct wf_thread *thread, struct weft__chan *c, void *out)
{
    bool buffered = count_of(c) > 0;
    if (wf_waitq_first(&c->senders) != NULL)
        return buffered ? recv_and_refill(thread, c, out) : recv_from_sender(thread, c, out);
    return buffered ? recv_buffered(thread, c, out) : recv_or_wait(thread, c, out);
}

static WF_NOINLINE int recv_slow(struct weft__chan *c, void *out)
{
    struct wf_thread *thread = wf_enter();
    wf_chan_lock(c);
    return recv_locked(thread, c, out);
}

WF_PUBLIC int weft__chan_recv(struct weft__chan *c, void *out)
{
    if (WF_UNLIKELY(c == NULL))
        return wait_on_nil();
    struct wf_thread *thread = try_enter_and_lock(c);
    return WF_LIKELY(thread != NULL) ? recv_locked(thread, c, out) : recv_slow(c, out);
}

/* ---- the try forms ---- */

/* There is somebody to meet, or no room. The lock is held. */
static WF_NOINLINE int try_send_any(struct wf_thread *thread, struct weft__chan *c, const void *value)
{
    struct wf_chan_rest rest;
    int result = wf_chan_send_step(c, value, &rest);
    if (WF_UNLIKELY(result == -ENOSPC))
        return send_after_growing(thread, c, value); /* a send on an unbounded channel does not wait either */
    wf_chan_unlock(c);
    wf_chan_finish(thread, c, &rest);
    wf_leave(thread);
    return result;
}

static WF_NOINLINE int try_send_locked(struct weft__chan *c, const void *value)
{
    struct wf_thread *thread = wf_enter();
    wf_chan_lock(c);
    if (wf_waitq_first(&c->receivers) != NULL || !has_room(c))
        return try_send_any(thread, c, value);
    put(c, value);
    wf_store_release(&c->count, count_of(c) + 1);
    wf_chan_unlock(c);
    wf_leave(thread);
    return 0;
}

WF_PUBLIC int weft__chan_try_send(struct weft__chan *c, const void *value)
{
    if (WF_UNLIKELY(c == NULL))
        return -EAGAIN;
    while (wf_chan_send_blocked(c) && !wf_chan_disturbed())
        if (wf_chan_settled())
            return -EAGAIN;
    return try_send_locked(c, value);
}

/* There is somebody to meet, or no value. The lock is held. */
static WF_NOINLINE int try_recv_any(struct wf_thread *thread, struct weft__chan *c, void *out)
{
    struct wf_chan_rest rest;
    int result = wf_chan_recv_step(c, out, &rest);
    wf_chan_unlock(c);
    wf_chan_finish(thread, c, &rest);
    wf_leave(thread);
    return result;
}

static WF_NOINLINE int try_recv_locked(struct weft__chan *c, void *out)
{
    struct wf_thread *thread = wf_enter();
    wf_chan_lock(c);
    if (wf_waitq_first(&c->senders) == NULL && count_of(c) > 0)
        return recv_buffered(thread, c, out);
    return try_recv_any(thread, c, out);
}

WF_PUBLIC int weft__chan_try_recv(struct weft__chan *c, void *out)
{
    if (WF_UNLIKELY(c == NULL))
        return -EAGAIN;
    while (wf_chan_recv_blocked(c) && !wf_chan_disturbed())
        if (wf_chan_settled())
            return -EAGAIN;
    return try_recv_locked(c, out);
}

/* ---- a channel's life ---- */

/* More than any address space has. */
static const size_t most_bytes = (size_t)1 << 47;

/* Cursors that never reach their end, for channels without a buffer and values that take no memory. */
static char nowhere[2];

WF_PUBLIC struct weft__chan *weft__chan_make(size_t elem_size, size_t capacity)
{
    bool unbounded = capacity == WEFT_UNBOUNDED;
    size_t bytes = 0;
    char *buffer = NULL;
    if (!unbounded &&
        (capacity > PTRDIFF_MAX || __builtin_mul_overflow(capacity, elem_size, &bytes) || bytes > most_bytes))
        wf_misuse("weft_chan_make: absurd capacity: %zu elements of %zu bytes", capacity, elem_size);
    if (bytes != 0 && (buffer = wf_gc_new(bytes, WF_KIND_DATA)) == NULL)
        return NULL;
    struct weft__chan *c = wf_gc_new(sizeof(*c), WF_KIND_CHANNEL); /* a line's multiple: aligned to it */
    if (c == NULL) {
        weft_free(buffer);
        return NULL;
    }
    c->elem_size = elem_size;
    c->capacity = capacity;
    c->buffer = buffer;
    c->read = c->write = buffer != NULL ? buffer : nowhere;
    c->read_end = c->write_end = buffer != NULL ? buffer + bytes : nowhere + 1;
    wf_store_relaxed(&c->flags, unbounded ? WF_CHAN_UNBOUNDED : 0); /* relaxed: nobody else has the channel yet */
    wf_store_relaxed(&c->limit, !unbounded ? capacity : elem_size != 0 ? 0 : UINT64_MAX);
    return c;
}

/* Takes everybody out of the queue; linked by `next`, in their order. */
static struct wf_waiter *take_all(struct wf_waitq *q)
{
    struct wf_waiter *all = NULL, **end = &all, *w;
    while ((w = wf_waitq_take(q)) != NULL) {
        *end = w;
        end = &w->next;
    }
    *end = NULL;
    return all;
}

/* `c` NULL: senders, who have nothing to be zeroed. */
static void tell_closed(struct wf_thread *thread, struct weft__chan *c, struct wf_waiter *all)
{
    while (all != NULL) {
        struct wf_waiter *w = all;
        all = w->next;
        if (all != NULL) {
            __builtin_prefetch(all->elem);
            __builtin_prefetch(all->next);
        }
        if (c != NULL)
            zero(c, w->elem);
        complete(thread, w, -EPIPE);
    }
}

bool wf_chan_close_inside(struct wf_thread *thread, struct weft__chan *c)
{
    wf_chan_lock(c);
    if (is_closed(c)) {
        wf_chan_unlock(c);
        return false;
    }
    wf_store_release(&c->flags, wf_load_relaxed(&c->flags) | WF_CHAN_CLOSED); /* before limit: see chan.h */
    wf_store_release(&c->limit, 0);
    struct wf_waiter *receivers = take_all(&c->receivers);
    struct wf_waiter *senders = take_all(&c->senders);
    wf_chan_unlock(c);
    tell_closed(thread, c, receivers);
    tell_closed(thread, NULL, senders);
    return true;
}

WF_PUBLIC void weft__chan_close(struct weft__chan *c)
{
    if (c == NULL)
        wf_misuse("weft_chan_close: the channel is nil");
    struct wf_thread *thread = wf_enter();
    if (!wf_chan_close_inside(thread, c))
        wf_misuse("weft_chan_close: channel %p is closed already", (void *)c);
    wf_leave(thread);
}

WF_PUBLIC size_t weft__chan_len(struct weft__chan *c)
{
    return c != NULL ? (size_t)wf_load_acquire(&c->count) : 0;
}

WF_PUBLIC size_t weft__chan_cap(struct weft__chan *c)
{
    return c != NULL ? c->capacity : 0;
}

/* The world is stopped, so the lock is free. Values of less than a word hold no pointer. */
WF_READS_ANYTHING void wf_chan_trace(void *object, struct weft_visitor *v)
{
    const struct weft__chan *c = object;
    struct wf_marker *m = (struct wf_marker *)(void *)v;
    if (c->buffer == NULL) {
        wf_chan_trace_segments(c, v);
        return;
    }
    wf_mark_object(m, c->buffer);
    if (c->elem_size < sizeof(void *) || wf_load_relaxed(&c->count) == 0)
        return;
    if (c->read < c->write) {
        wf_mark_words(m, c->read, c->write);
        return;
    }
    wf_mark_words(m, c->read, c->read_end);
    wf_mark_words(m, c->buffer, c->write);
}

/* ---- ending a wait from outside ---- */

/* Inside the runtime: `c` was alive when waits_on named it, and no collection has come since. Under the lock, waits_on
 * is this wait if and only if the routine's waiter is queued here: it was set under the lock, and whoever took the
 * waiter out has cleared it before releasing the lock. */
static bool abort_wait(struct wf_routine *r, struct weft__chan *c, struct wf_waitq *q, enum wf_wait_kind kind)
{
    wf_chan_lock(c);
    bool waits = wf_load_relaxed(&r->waits_on) == wf_wait_pack(kind, c);
    if (waits) {
        wf_waitq_remove(q, &r->wait.waiter);
        wf_store_relaxed(&r->waits_on, 0);
    }
    wf_chan_unlock(c);
    return waits;
}

bool wf_chan_send_abort(struct wf_routine *r, void *object)
{
    struct weft__chan *c = object;
    return abort_wait(r, c, &c->senders, WF_WAIT_CHAN_SEND);
}

bool wf_chan_recv_abort(struct wf_routine *r, void *object)
{
    struct weft__chan *c = object;
    return abort_wait(r, c, &c->receivers, WF_WAIT_CHAN_RECV);
}

bool wf_chan_nil_abort(struct wf_routine *r, void *object)
{
    wf_spinlock_lock(&nil_lock);
    bool waits = wf_load_relaxed(&r->waits_on) == wf_wait_pack(WF_WAIT_CHAN_NIL, object);
    if (waits)
        wf_store_relaxed(&r->waits_on, 0);
    wf_spinlock_unlock(&nil_lock);
    return waits;
}

/* ---- checks ---- */

/* How many wait for certain: not counting selects. */
static size_t check_queue(struct wf_waitq *q)
{
    struct wf_waiter *first = wf_waitq_first(q), *w = first;
    size_t plain = 0;
    if (first == NULL)
        return 0;
    do {
        WF_CHECK(w->queued);
        WF_CHECK(w->next->prev == w);
        if (!w->is_select)
            plain++;
        w = w->next;
    } while (w != first);
    return plain;
}

void wf_chan_check(struct weft__chan *c)
{
    size_t receivers = check_queue(&c->receivers), senders = check_queue(&c->senders);
    uint64_t flags = wf_load_relaxed(&c->flags), count = count_of(c), limit = wf_load_relaxed(&c->limit);
    WF_CHECK(receivers == 0 || senders == 0);
    WF_CHECK(receivers == 0 || count == 0);
    WF_CHECK(senders == 0 || count == c->capacity);
    if ((flags & WF_CHAN_CLOSED) != 0) {
        WF_CHECK(limit == 0);
        WF_CHECK(wf_waitq_first(&c->receivers) == NULL);
        WF_CHECK(wf_waitq_first(&c->senders) == NULL);
    }
    if ((flags & WF_CHAN_UNBOUNDED) != 0)
        return;
    WF_CHECK(count <= c->capacity);
    if (c->elem_size == 0 || c->capacity == 0)
        return;
    WF_CHECK(c->read >= c->buffer);
    WF_CHECK(c->read < c->read_end);
    WF_CHECK(c->write >= c->buffer);
    WF_CHECK(c->write < c->write_end);
    size_t ahead = (size_t)(c->write - c->read);
    if (c->write < c->read)
        ahead += c->capacity * c->elem_size;
    WF_CHECK(ahead == count % c->capacity * c->elem_size);
}
