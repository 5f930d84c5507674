/* SPDX-License-Identifier: MIT */
/* weft/chan.h - channels: typed queues between routines, and the way they meet.
 *
 * weft_chan(T) is a handle to a channel of T: pass it, copy it, store it, compare it with ==, send it through another
 * channel. T is any complete object type but an array. NULL is the nil channel: sending to it and receiving from it
 * wait for ever, the try forms give -EAGAIN, its length and capacity are 0, closing it panics.
 *
 * Every call may be made from a routine and from any plain thread; a waiting routine is parked, a waiting plain thread
 * sleeps. The waiting calls are cancellation points: -ECANCELED or -ETIMEDOUT when the wait was ended from outside. That
 * is looked at only when the call has to wait; what can be done at once is done. After such an error it is as if the
 * call had not been made, and *out is untouched.
 *
 * Waiters are served in the order in which they began to wait. Memory order is that of Go's channels: what happens before
 * a send is visible after its receive; the k-th receive on a channel of capacity C happens before the (k+C)-th send
 * completes; close happens before the receive that returns -EPIPE. All calls that send, receive, close or select are
 * linearizable: they take effect at one moment between call and return.
 *
 * A channel is collected memory (weft/gc.h): there is no call that frees it. It lives for as long as a handle to it can be
 * found, or somebody waits on it. Handles that lie in memory from malloc are not found unless that memory is a root.
 */
#ifndef WEFT_CHAN_H
#define WEFT_CHAN_H

#include <stddef.h>
#include <stdint.h>

#include <weft/routine.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weft__chan;

/* A capacity: the channel grows as needed, a send never waits. It may give -ENOMEM then. No size that a computation
 * gone wrong is likely to give (-1 is not it). */
#define WEFT_UNBOUNDED (SIZE_MAX / 3 * 2)

WEFT_API struct weft__chan *weft__chan_make(size_t elem_size, size_t capacity);
WEFT_API int weft__chan_send(struct weft__chan *c, const void *value);
WEFT_API int weft__chan_recv(struct weft__chan *c, void *out);
WEFT_API int weft__chan_try_send(struct weft__chan *c, const void *value);
WEFT_API int weft__chan_try_recv(struct weft__chan *c, void *out);
WEFT_API void weft__chan_close(struct weft__chan *c);
WEFT_API size_t weft__chan_len(struct weft__chan *c);
WEFT_API size_t weft__chan_cap(struct weft__chan *c);

#ifdef __cplusplus
}
#endif

/* ---- how the handle is typed ----
 * It is a pointer to a function that returns T: distinct for distinct T, compatible between mentions, and the compiler
 * finds T again as the type of a call that is never made. */
#ifdef __cplusplus
#define WEFT__AUTO auto
#define WEFT__BARE(T) __typeof__(T)
#define WEFT__CHECK_ELEMENT(T) 0
#else
#define WEFT__AUTO __auto_type
#define WEFT__BARE(T) __typeof__(((void)0, *(__typeof__(T) *)0)) /* without qualifiers */
#define WEFT__CHECK_ELEMENT(T) \
    (0 * sizeof(struct { \
         _Static_assert(__builtin_types_compatible_p(__typeof__(T), WEFT__BARE(T)), \
                        "an array cannot be an element: put it into a struct"); \
         int weft__unused; \
     }))
#endif
#define WEFT__ELEM(c) __typeof__((c)((struct weft__chan *)0))
#define WEFT__CHAN_OF(c) ((struct weft__chan *)(uintptr_t)(c))
/* The same for calls that do not depend on T: refuses what is not a channel. */
#define WEFT__ANY_CHAN(c) ((void)sizeof(WEFT__ELEM(c) *), WEFT__CHAN_OF(c))

#define weft_chan(T) __typeof__(WEFT__BARE(T)(*)(struct weft__chan *))

/* weft_chan(T) weft_chan_make(T, size_t cap): a new channel. cap 0: a rendezvous, each send waits for its receive;
 * WEFT_UNBOUNDED: grows. NULL when out of memory; a capacity that no machine has memory for, or negative, panics. */
#define weft_chan_make(T, cap) \
    ((weft_chan(T))(uintptr_t)weft__chan_make(sizeof(__typeof__(T)) + WEFT__CHECK_ELEMENT(T), (size_t)(1 * (cap))))

/* int weft_chan_send(c, T value): waits until a receiver takes the value or the buffer has room. 0, -EPIPE when the
 * channel is closed (then, or while waiting), -ENOMEM (unbounded only), -ETIMEDOUT, -ECANCELED. The value is converted
 * to T as by an assignment; a brace literal will do. */
#define weft_chan_send(c, ...) WEFT__CHAN_SEND(weft__chan_send, WEFT__CAT(weft__ch_, __COUNTER__), c, __VA_ARGS__)

/* int weft_chan_try_send(c, T value): the same without waiting: -EAGAIN where it would have to. An unbounded channel may need
 * memory, which may need a collection, like weft_alloc(). */
#define weft_chan_try_send(c, ...) \
    WEFT__CHAN_SEND(weft__chan_try_send, WEFT__CAT(weft__ch_, __COUNTER__), c, __VA_ARGS__)
#define WEFT__CHAN_SEND(call, x, c, ...) \
    __extension__({ \
        WEFT__AUTO x = (c); \
        WEFT__ELEM(x) WEFT__CAT(x, _value) = __VA_ARGS__; \
        call(WEFT__CHAN_OF(x), &WEFT__CAT(x, _value)); \
    })

/* int weft_chan_recv(c, T *out): waits for a value; out may be NULL. 0, -EPIPE when the channel is closed and drained
 * (*out is zeroed), -ETIMEDOUT, -ECANCELED. */
#define weft_chan_recv(c, out) WEFT__CHAN_RECV(weft__chan_recv, WEFT__CAT(weft__ch_, __COUNTER__), c, out)

/* int weft_chan_try_recv(c, T *out): the same without waiting: -EAGAIN, *out untouched, where it would have to. */
#define weft_chan_try_recv(c, out) WEFT__CHAN_RECV(weft__chan_try_recv, WEFT__CAT(weft__ch_, __COUNTER__), c, out)
#define WEFT__CHAN_RECV(call, x, c, out) \
    __extension__({ \
        WEFT__AUTO x = (c); \
        WEFT__ELEM(x) *WEFT__CAT(x, _out) = (out); \
        call(WEFT__CHAN_OF(x), WEFT__CAT(x, _out)); \
    })

/* void weft_chan_close(c): from now on sends give -EPIPE, those already waiting too; receivers get what is in the buffer,
 * then -EPIPE. A second close panics. */
#define weft_chan_close(c) weft__chan_close(WEFT__ANY_CHAN(c))

/* size_t weft_chan_len(c): values in the buffer now; weft_chan_cap(c): what the channel was made with. */
#define weft_chan_len(c) weft__chan_len(WEFT__ANY_CHAN(c))
#define weft_chan_cap(c) weft__chan_cap(WEFT__ANY_CHAN(c))

/* weft_chan_each(T, var, c) statement: receives into `var` and runs the statement, until the channel is closed and
 * drained (or the wait is ended from outside). c is evaluated once; break, continue and return work as in any loop. */
#define weft_chan_each(T, var, c) WEFT__CHAN_EACH(WEFT__CAT(weft__ch_, __COUNTER__), T, var, c)
/* One declaration: `var` is a T and x a pointer to a function returning T, which is what weft_chan(T) is. */
#define WEFT__CHAN_EACH(x, T, var, c) \
    for (WEFT__BARE(T) var, (*x)(struct weft__chan *) = (c); weft__chan_recv(WEFT__CHAN_OF(x), &var) == 0;)

#endif
