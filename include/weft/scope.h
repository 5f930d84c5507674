/* SPDX-License-Identifier: MIT */
/* weft/scope.h - scopes: children that are waited for, deadlines, cancellation.
 *
 *     int err;
 *     weft_deadline(200 * WEFT_MS) {
 *         weft_scope(s, &err) {
 *             weft_scope_go(s, fetch, "a", results);
 *             weft_scope_go(s, fetch, "b", results);
 *         }
 *     }
 *
 * Each of the three blocks takes any statement, as `for` does, and may be left in any way: at its end, by break or
 * continue (which leave the block, not a loop around it), return, goto, a panic. They nest to any depth, and may be used
 * in routines and on plain threads.
 *
 * A routine is inside the blocks that it has entered and not left and, if it was started by weft_scope_go, inside its
 * scope and all that the scope is inside of. Every waiting call of weft looks at them, but the lock calls of mutex and
 * rwmutex, weft_once_do() and the end of a scope: only when it would have to wait, and once more for as long as it waits.
 * What can be done at once is done. If an event and a cancellation come together, exactly one of them counts: a call that
 * returns -ECANCELED or -ETIMEDOUT has had no effect. If several blocks have come to an end, the innermost says with which
 * error.
 *
 * Models: Nathaniel J. Smith, "Notes on structured concurrency" (2018); Martin Sustrik, libdill (2016).
 */
#ifndef WEFT_SCOPE_H
#define WEFT_SCOPE_H

#include <weft/panic.h>
#include <weft/routine.h>
#include <weft/time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Names a scope, for weft_scope_go and weft_cancel: copy it, store it, pass it to routines and threads. It stays valid
 * as a name for ever: one of a scope that has ended is no other scope's. Not to be dereferenced. */
typedef struct weft__scope_name *weft_scope_ref;

/* Cancels a scope: from now on the waiting calls inside it, of its owner, its children and theirs, give -ECANCELED, also
 * those that wait already. From any routine or thread; never waits. Nothing happens if the scope has ended or is cancelled
 * already. Cost: some microseconds, and 0.3 us for each routine inside. */
WEFT_API void weft_cancel(weft_scope_ref s);

/* True if a waiting call here would give -ECANCELED or -ETIMEDOUT: for loops that compute. Cost: a few ns for each block
 * that the caller is inside of; a deadline in which nobody has waited yet costs a look at the clock. */
WEFT_API bool weft_cancelled(void);

/* ---- what the macros are made of ---- */

struct weft__scope_block {
    weft_scope_ref ref; /* NULL: it has been left */
    int *err;
};
struct weft__deadline {
    uint64_t words[20];
};
struct weft__shield {
    uint64_t words[5];
};

#define WEFT__NOT_NULL __attribute__((returns_nonnull)) /* lets the compiler see that the statement runs once */
WEFT_API struct weft__scope_block *weft__scope_enter(struct weft__scope_block *block, int *err) WEFT__NOT_NULL;
WEFT_API void weft__scope_end(struct weft__scope_block *block);
WEFT_API void weft__scope_leave(struct weft__scope_block *block);
WEFT_API struct weft__deadline *weft__deadline_enter(struct weft__deadline *block, int64_t d) WEFT__NOT_NULL;
WEFT_API void weft__deadline_leave(struct weft__deadline *block);
WEFT_API struct weft__shield *weft__shield_enter(struct weft__shield *block) WEFT__NOT_NULL;
WEFT_API void weft__shield_leave(struct weft__shield *block);

#ifdef __cplusplus
}
#endif

/* weft_scope(s [, int *err]) statement: `s` is a weft_scope_ref in it. The block is left only when every child has
 * ended. A return or goto waits for them like the end does; a panic or weft_exit that passes the block cancels the scope
 * first. Then *err is
 *     the first error of a child (by time), WEFT_EPANIC if it was a panic (its message: weft_try_message()),
 *     else -ECANCELED if the scope, or one around it, was cancelled,
 *     else 0;
 * untouched if a panic passes. Without `err` the children's errors are dropped, but a child's panic is raised again here.
 * Panics when out of memory. Cost: about as much as starting and awaiting one routine; allocates nothing (but the first
 * time, memory that is kept). */
#define weft_scope(s, ...) WEFT__SCOPE(WEFT__CAT(weft__sc_, __COUNTER__), s, (0 __VA_OPT__(? (int *)0 : __VA_ARGS__)))
/* The outer loop ends the scope on the usual ways out; the cleanup does on the others. */
#define WEFT__SCOPE(x, s, err) \
    for (struct weft__scope_block x __attribute__((cleanup(weft__scope_leave))) = {NULL, NULL}, \
         *WEFT__CAT(x, _in) = weft__scope_enter(&x, err); \
         WEFT__CAT(x, _in) != NULL; weft__scope_end(&x), WEFT__CAT(x, _in) = NULL) \
        for (weft_scope_ref s __attribute__((unused)) = x.ref; WEFT__CAT(x, _in) != NULL; WEFT__CAT(x, _in) = NULL)

/* weft_deadline(weft_duration d) statement: d after its beginning, the waiting calls inside give -ETIMEDOUT. Of nested
 * ones the earliest counts; one inside of a scope does not hold for children that are started inside of it, for they may
 * outlive it. Never early. If nobody inside waits within the first 128 ms, or if d is 8 s or more, it may be late by up to
 * 128 ms. Plain threads keep their deadlines over weft_stop(). Cost: 6 ns if nobody waits; with the first wait a timer is
 * armed, some 50 ns (30 if d is 8 s or more), which then serves all that are inside. */
#define weft_deadline(d) WEFT__DEADLINE(WEFT__CAT(weft__de_, __COUNTER__), d)
#define WEFT__DEADLINE(x, d) \
    for (int64_t WEFT__CAT(x, _d) = (d), WEFT__CAT(x, _once) = 1; WEFT__CAT(x, _once); WEFT__CAT(x, _once) = 0) \
        for (struct weft__deadline x __attribute__((cleanup(weft__deadline_leave))), \
             *WEFT__CAT(x, _in) = weft__deadline_enter(&x, WEFT__CAT(x, _d)); \
             WEFT__CAT(x, _in) != NULL; WEFT__CAT(x, _in) = NULL)

/* weft_shield statement: the waiting calls of this routine in it are neither cancelled nor timed out by what is around
 * it; scopes and deadlines inside count as always. For work that must be finished, such as clean-up. weft_stop() ends its
 * waits all the same. */
#define weft_shield WEFT__SHIELD(WEFT__CAT(weft__sh_, __COUNTER__))
#define WEFT__SHIELD(x) \
    for (struct weft__shield x __attribute__((cleanup(weft__shield_leave))), \
         *WEFT__CAT(x, _in) = weft__shield_enter(&x); \
         WEFT__CAT(x, _in) != NULL; WEFT__CAT(x, _in) = NULL)

#ifndef __cplusplus

/* int weft_scope_go(s, fn, args...): runs fn(args...) in a new routine that is a child of s, as weft_go does. If fn
 * returns int, anything but 0 is an error: the first one is the scope's, and cancels it. Values of other types are
 * dropped. A panic counts as an error. The child gets the caller's routine-local values that are marked inheritable. May be
 * called by whoever can be sure that s has not ended (its owner inside the block, its children); otherwise it panics. 0,
 * or -ENOMEM / -EAGAIN: no child was started, and that is an error of the scope as well. */
#define weft_scope_go(s, fn, ...) \
    WEFT__SCOPE_GO(WEFT__CAT(weft__go_, __COUNTER__), s, NULL, fn __VA_OPT__(, ) __VA_ARGS__)

/* The same with attributes: weft_scope_go_with(s, weft_attr(.name = "x"), fn, args...). -EINVAL for impossible ones, which
 * is an error of the scope as well. */
#define weft_scope_go_with(s, attr, fn, ...) \
    WEFT__SCOPE_GO(WEFT__CAT(weft__go_, __COUNTER__), s, attr, fn __VA_OPT__(, ) __VA_ARGS__)

#define WEFT__SCOPE_GO(g, s, attr, fn, ...) \
    __extension__({ \
        weft_scope_ref WEFT__CAT(g, _scope) = (s); \
        WEFT__START_IN(g, weft__capture, WEFT__CAT(g, _scope), fn, attr, \
                       WEFT__GO_SCOPE | (__builtin_types_compatible_p(__typeof__((fn)(__VA_ARGS__)), int) \
                                             ? (uint32_t)WEFT__GO_ERROR \
                                             : 0u), \
                       __VA_ARGS__); \
        weft__go_result(&g); \
    })

#endif /* !__cplusplus */

#endif
