/* SPDX-License-Identifier: MIT */
/* weft/time.h - clock, sleep, timers, tickers.
 *
 * Times are nanoseconds of a clock that never goes back. Nothing here ever fires early. A timer is never freed: it stays for
 * the life of the process (128 bytes), so in a loop prefer weft_timer_reset() to weft_timer_start(). The channels of tickers
 * and of weft_after_chan() are collected memory like all channels; a ticker's lives until it is stopped, the other until it
 * has had its value, and both as long as somebody holds them. In a select, weft_after() costs less than weft_after_chan().
 */
#ifndef WEFT_TIME_H
#define WEFT_TIME_H

#include <stdint.h>

#include <weft/chan.h>
#include <weft/routine.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int64_t weft_duration; /* nanoseconds */
typedef int64_t weft_time;     /* nanoseconds since some moment before the process began */

#define WEFT_NS INT64_C(1)
#define WEFT_US INT64_C(1000)
#define WEFT_MS INT64_C(1000000)
#define WEFT_SEC INT64_C(1000000000)
#define WEFT_MIN INT64_C(60000000000)
#define WEFT_HOUR INT64_C(3600000000000)

/* Monotonic. */
WEFT_API weft_time weft_now(void);

/* Waits at least d; 0 at once when d <= 0. 0, or -ETIMEDOUT/-ECANCELED when the wait was ended from outside. */
WEFT_API int weft_sleep(weft_duration d);

/* A function that runs once, later, in a routine of its own. */
typedef struct weft_timer weft_timer;

/* True (1) if the function will not run because of this call; 0 if it was not pending: it has been started already, or
 * the timer was stopped before. NULL is accepted: 0. */
WEFT_API int weft_timer_stop(weft_timer *t);

/* Lets the function run in d from now, whatever the timer's state: pending (1), or already started or stopped (0). Of
 * stop, reset and expiry that happen at once exactly one gets the pending timer. -EAGAIN or -ENOMEM, and the timer is
 * stopped, if the runtime had to be started for it and could not be. */
WEFT_API int weft_timer_reset(weft_timer *t, weft_duration d);

/* A channel of capacity 1 that gets the time every d; ticks that find it full are dropped, and those that are late
 * are not made up for. NULL when out of memory; d <= 0 panics. */
WEFT_API weft_chan(weft_time) weft_ticker_make(weft_duration d);

/* void weft_ticker_stop(c): once it has returned, no tick is sent any more (one may still be in the channel). The
 * channel is not closed. A channel that is no running ticker is left alone. */
#define weft_ticker_stop(c) weft__ticker_stop(WEFT__ANY_CHAN(c))

/* A channel of capacity 1 that gets the time once, d from now. NULL when out of memory. */
WEFT_API weft_chan(weft_time) weft_after_chan(weft_duration d);

WEFT_API weft_timer *weft__timer_start(const struct weft__site *site, weft_duration d, void (*fn)(void *), void *arg);
WEFT_API void weft__ticker_stop(struct weft__chan *c);

#ifdef __cplusplus
}
#endif

/* weft_timer *weft_timer_start(weft_duration d, void (*fn)(void *), void *arg): runs fn(arg) in a routine of its own, d
 * from now (d <= 0: now). NULL when out of memory, or when the runtime cannot be started. */
#define weft_timer_start(d, fn, arg) WEFT__TIMER_START(WEFT__CAT(weft__timer_, __COUNTER__), d, fn, arg)
#define WEFT__TIMER_START(x, d, fn, arg) \
    __extension__({ \
        static const struct weft__site x = {__FILE__, #fn, __LINE__}; \
        weft__timer_start(&x, d, fn, arg); \
    })

#endif
