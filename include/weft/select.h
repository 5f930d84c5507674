/* SPDX-License-Identifier: MIT */
/* weft/select.h - wait for whichever of several things comes first.
 *
 *     switch (weft_select(weft_on_recv(a, &x), weft_on_send(b, y, &status), weft_after(50 * WEFT_MS))) {
 *     case 0: ... a value came from a
 *     case 1: ... y was sent to b (status 0), or b is closed (status -EPIPE)
 *     case 2: ... neither within 50 ms
 *     default: ... a negative errno: -ECANCELED, -ETIMEDOUT, -ENOMEM
 *     }
 *
 * One case runs, and its index is returned. If several are ready, each has the same chance; also if the select had to
 * wait and several of its cases are on the channel that became ready. A nil channel is never ready, a closed one always
 * is. Output and status of the cases that did not run are untouched. A send case never meets a receive case of the same
 * select. With no case at all, or only nil channels, a select waits for ever.
 */
#ifndef WEFT_SELECT_H
#define WEFT_SELECT_H

#include <weft/chan.h>
#include <weft/future.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One case. Made by weft_on_recv and the like; the members are the library's. One of all zeroes is never ready. */
typedef struct weft_case {
    struct weft__chan *weft__chan;
    union {
        void *out;
        const void *value;
        int64_t duration_ns;
    } weft__arg;
    int *weft__status;
    uint32_t weft__kind;
} weft_case;

enum {
    WEFT__CASE_NEVER = 0,
    WEFT__CASE_RECV,
    WEFT__CASE_SEND,
    WEFT__CASE_AFTER,
    WEFT__CASE_OTHERWISE
};

/* Runs one of n cases and returns its index, or a negative errno: -ECANCELED or -ETIMEDOUT when the wait was ended from
 * outside, -ENOMEM, -EINVAL for more than INT_MAX cases. `cases` is only read, and only during the call. */
WEFT_API int weft_select_n(const weft_case *cases, size_t n);

/* weft_case weft_on_done(f): ready once the future f has settled; look at it with weft_await or weft_try_await. NULL is
 * never ready. Panics when out of memory. Cost: a small channel for each future that has not settled yet. */
#define weft_on_done(f) weft__on_recv(weft__future_chan((struct weft__future *)(uintptr_t)(f)), NULL, NULL)

/* weft_after(weft_duration d): ready once d has passed since the select began to wait; at once when d <= 0. Of several, the
 * earliest counts. */
static inline weft_case weft_after(int64_t d)
{
    weft_case made;
    made.weft__chan = NULL;
    made.weft__arg.duration_ns = d;
    made.weft__status = NULL;
    made.weft__kind = WEFT__CASE_AFTER;
    return made;
}

static inline weft_case weft__on_recv(struct weft__chan *c, void *out, int *status)
{
    weft_case made;
    made.weft__chan = c;
    made.weft__arg.out = out;
    made.weft__status = status;
    made.weft__kind = WEFT__CASE_RECV;
    return made;
}

static inline weft_case weft__on_send(struct weft__chan *c, const void *value, int *status)
{
    weft_case made;
    made.weft__chan = c;
    made.weft__arg.value = value;
    made.weft__status = status;
    made.weft__kind = WEFT__CASE_SEND;
    return made;
}

static inline weft_case weft__on_otherwise(void)
{
    weft_case made;
    made.weft__chan = NULL;
    made.weft__arg.out = NULL;
    made.weft__status = NULL;
    made.weft__kind = WEFT__CASE_OTHERWISE;
    return made;
}

#ifdef __cplusplus
}
#endif

/* weft_otherwise: runs if no other case is ready; such a select never waits. */
#define weft_otherwise weft__on_otherwise()

/* int weft_select(cases...): weft_select_n over the cases written here. */
#define weft_select(...) WEFT__SELECT(WEFT__CAT(weft__se_, __COUNTER__), __VA_ARGS__)
#define WEFT__SELECT(x, ...) \
    __extension__({ \
        const weft_case x[] = {__VA_ARGS__}; \
        weft_select_n(x, sizeof(x) / sizeof(weft_case)); \
    })

#ifndef __cplusplus

/* weft_on_recv(c, T *out [, int *status]): receives from c; out may be NULL. The status is 0, or -EPIPE when c is closed
 * and drained (then *out is zeroed). */
#define weft_on_recv(c, out, ...) \
    __extension__(weft__on_recv(WEFT__CHAN_OF(c), (WEFT__ELEM(c) *){out}, WEFT__STATUS(__VA_ARGS__)))

/* weft_on_send(c, T value [, int *status]): sends to c. The status is 0, or -EPIPE when c is closed. The value is evaluated
 * here, once, whether the case runs or not, and kept until the enclosing block ends: inside weft_select(...) that is long
 * enough; an array of cases must not outlive the block that made it. */
#define weft_on_send(c, ...) \
    __extension__(weft__on_send_pair(WEFT__CHAN_OF(c), &(WEFT__SEND_PAIR(c)){.value = __VA_ARGS__}, \
                                     __builtin_offsetof(WEFT__SEND_PAIR(c), status)))
/* Value and status in one initializer, so that the commas of a brace literal need no parentheses. */
#define WEFT__SEND_PAIR(c) \
    struct { \
        WEFT__ELEM(c) value; \
        int *status; \
    }
static inline weft_case weft__on_send_pair(struct weft__chan *c, const void *pair, size_t status_offset)
{
    return weft__on_send(c, pair, *(int *const *)(uintptr_t)((const char *)pair + status_offset));
}

/* weft_on_send_from(c, const T *p [, int *status]): the same, but the value is read from *p when the case runs. */
#define weft_on_send_from(c, p, ...) \
    __extension__(weft__on_send(WEFT__CHAN_OF(c), (const WEFT__ELEM(c) *){p}, WEFT__STATUS(__VA_ARGS__)))

#else

/* C++: the same cases but weft_on_send, whose temporary would not live long enough. */
#define weft_on_recv(c, out, ...) WEFT__ON_RECV(WEFT__CAT(weft__se_, __COUNTER__), c, out __VA_OPT__(, ) __VA_ARGS__)
#define WEFT__ON_RECV(x, c, out, ...) \
    __extension__({ \
        auto x = (c); \
        WEFT__ELEM(x) *WEFT__CAT(x, _out) = (out); \
        weft__on_recv(WEFT__CHAN_OF(x), WEFT__CAT(x, _out), WEFT__STATUS(__VA_ARGS__)); \
    })
#define weft_on_send_from(c, p, ...) \
    WEFT__ON_SEND_FROM(WEFT__CAT(weft__se_, __COUNTER__), c, p __VA_OPT__(, ) __VA_ARGS__)
#define WEFT__ON_SEND_FROM(x, c, p, ...) \
    __extension__({ \
        auto x = (c); \
        const WEFT__ELEM(x) *WEFT__CAT(x, _from) = (p); \
        weft__on_send(WEFT__CHAN_OF(x), WEFT__CAT(x, _from), WEFT__STATUS(__VA_ARGS__)); \
    })

#endif

/* The optional last argument of a case. */
#define WEFT__STATUS(...) (0 __VA_OPT__(? (int *)0 : __VA_ARGS__))

#endif
