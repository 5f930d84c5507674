/* SPDX-License-Identifier: MIT */
/* weft/panic.h - stop a routine because it found itself in an impossible state, and catch that. */
#ifndef WEFT_PANIC_H
#define WEFT_PANIC_H

#include <weft/future.h>
#include <weft/routine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Ends the calling routine with a message (at most 255 bytes are kept). An enclosing weft_try() gets it; else, in a
 * routine started by weft_async, whoever awaits it; else the process is stopped: the message, the routine's name, id
 * and spawn site on stderr, then SIGABRT (or weft_config.on_panic). On a plain thread outside weft_try(): the process. */
WEFT_API WEFT_NORETURN void weft_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The message of the last panic that weft_try() or weft_try_await() of this routine reported; "" if none. Valid until
 * the next one. */
WEFT_API const char *weft_try_message(void);

#ifdef __cplusplus
}
#endif

#ifndef __cplusplus
/* int weft_try(fn, args...): calls fn(args...) here and now, drops its value. 0, or WEFT_EPANIC if it panicked: frames
 * between are left (cleanup attributes run in code compiled with -fexceptions; one that panics in turn replaces the
 * panic, but in code compiled by clang ends the process). */
#define weft_try(fn, ...) WEFT__TRY(WEFT__CAT(weft__go_, __COUNTER__), fn __VA_OPT__(, ) __VA_ARGS__)
#define WEFT__TRY(g, fn, ...) \
    __extension__({ \
        WEFT__START(g, weft__try_capture, fn, NULL, 0, __VA_ARGS__); \
        weft__go_result(&g); \
    })
#endif

#endif
