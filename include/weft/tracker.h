/* SPDX-License-Identifier: MIT */
/* weft/tracker.h - counts routines that live, can be closed, and waited on until the last of them has ended.
 *
 *     static weft_tracker connections;
 *     while (...)
 *         weft_tracker_go(&connections, serve, fd);
 *     weft_tracker_close(&connections);        // from now on nothing is started any more
 *     weft_tracker_wait(&connections);         // until the last serve() has returned
 *
 * Memory of zeroes is a tracker: open and empty. It lives wherever the program puts it and owns nothing. Unlike a wait
 * group it may be empty for a while without letting the waiting go: only closing it makes empty final. It must not be
 * copied or moved, and may be freed as soon as a weft_tracker_wait() has returned 0, though the leave that let it go has
 * not returned yet. Every function may be called from routines and plain threads.
 */
#ifndef WEFT_TRACKER_H
#define WEFT_TRACKER_H

#include <weft/future.h>
#include <weft/routine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The members are the library's. */
typedef struct weft_tracker {
    uint64_t state;
    void *waiters;
} weft_tracker;

/* Counts one more: 0; -EPIPE: it is closed. For work that is not a routine of its own; each is ended by
 * weft_tracker_leave(). Never waits; one atomic operation. */
WEFT_API int weft_tracker_enter(weft_tracker *t);

/* Counts one less. The last to leave a closed tracker lets all waiting go. Panics when nobody is in it. Never waits. */
WEFT_API void weft_tracker_leave(weft_tracker *t);

/* From now on nobody enters. Closing it again does nothing. */
WEFT_API void weft_tracker_close(weft_tracker *t);

/* Waits until it is closed and empty: 0; or -ECANCELED, -ETIMEDOUT when the wait was ended. What those did that were
 * counted is visible then. */
WEFT_API int weft_tracker_wait(weft_tracker *t);

/* How many are in it, at some moment during the call. */
WEFT_API size_t weft_tracker_count(const weft_tracker *t);

WEFT_API int weft__tracker_started(weft_tracker *t, int refused, int error);
extern WEFT_API void (*const weft__tracker_refuse)(void);

#ifdef __cplusplus
}
#endif

#ifndef __cplusplus
/* int weft_tracker_go(weft_tracker *t, fn, args...): as weft_go, and the routine counts until it has ended, by whatever
 * way. -EPIPE: t is closed, nothing was started (the arguments have been evaluated all the same). */
#define weft_tracker_go(t, fn, ...) WEFT__TRACKER_GO(WEFT__CAT(weft__go_, __COUNTER__), t, fn __VA_OPT__(, ) __VA_ARGS__)
#define WEFT__TRACKER_GO(g, t, fn, ...) \
    __extension__({ \
        weft_tracker *WEFT__CAT(g, _tracker) = (t); \
        int WEFT__CAT(g, _refused) = weft_tracker_enter(WEFT__CAT(g, _tracker)); \
        WEFT__START_IN(g, WEFT__CAT(g, _refused) == 0 ? weft__capture : weft__tracker_refuse, WEFT__CAT(g, _tracker), \
                       fn, NULL, (uint32_t)WEFT__GO_FUTURE, __VA_ARGS__); \
        weft__tracker_started(WEFT__CAT(g, _tracker), WEFT__CAT(g, _refused), weft__go_result(&g)); \
    })
#endif

#endif
