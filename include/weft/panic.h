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
 * routine started by weft_async, whoever awaits it (when its future is, or later is, detached without anybody having
 * seen the panic: nobody); else the process is stopped: the message, the routine's name, id, spawn site and backtrace on
 * stderr, then SIGABRT (or weft_config.on_panic). On a plain thread outside weft_try(): the process. Needs some KiB of
 * stack: less is a stack overflow, and reported as one. */
WEFT_API WEFT_NORETURN void weft_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What weft_defer keeps; lives in the block's frame. */
struct weft__defer {
    void (*fn)(void *);
    void *arg;
    uint64_t begun; /* weft__n_departures when the block began */
};
/* The slow way of weft__defer_run: something was raised since the block began, perhaps by the caller. */
WEFT_API void weft__defer_end(struct weft__defer *d);
/* How many panics and exits have ever been raised in the process. */
extern WEFT_API uint64_t weft__n_departures;
#define WEFT__N_DEPARTURES __atomic_load_n(&weft__n_departures, __ATOMIC_RELAXED)

/* clang, and any compiler of C++, end the process when a cleanup that runs because of a panic panics in turn: there the
 * library calls fn and takes its panic over. */
static inline __attribute__((always_inline)) void weft__defer_run(struct weft__defer *d)
{
#if defined(__clang__) || defined(__cplusplus)
    if (__builtin_expect(WEFT__N_DEPARTURES != d->begun, 0)) {
        weft__defer_end(d);
        return;
    }
#endif
    d->fn(d->arg);
}

/* The message of the last panic that weft_try() or weft_try_await() of this routine reported; "" if none. Valid until
 * the next one. */
WEFT_API const char *weft_try_message(void);

#ifdef __cplusplus
}
#endif

/* weft_defer(fn, arg); runs fn(arg) at the end of the enclosing block, whichever way it is left: by its last statement,
 * break, return, goto, and, in code compiled with -fexceptions, by a panic or weft_exit() that passes; the last one
 * first. arg is a pointer, evaluated here; fn takes it and returns nothing (in C: or a scalar, which is dropped). fn may
 * wait and use weft_try(); a panic or weft_exit() of its own replaces the one that was passing. A declaration: may stand
 * several times in a block, not as the body of an `if`, and after a label only where the compiler takes declarations
 * there (`label:;` always works). A goto or switch must not jump over it into its block. A panic that nobody can see ends
 * the process where it is raised, before any of them. Cost: the call, inlined where fn is known. */
#ifdef __cplusplus
extern "C++" {
template <typename P> struct weft__defer_argument {
    typedef P *type;
};
template <typename P>
inline struct weft__defer weft__defer_of(void (*fn)(P *), typename weft__defer_argument<P>::type arg)
{
    struct weft__defer d = {(void (*)(void *))(void (*)(void))fn, (void *)arg, WEFT__N_DEPARTURES};
    return d;
}
}
#define WEFT__DEFER_INIT(fn, arg) weft__defer_of(fn, arg)
#else
#define WEFT__DEFER_INIT(fn_, arg_) \
    { \
        ((void)sizeof(char[sizeof(__typeof__((fn_)(arg_))) <= 8 ? 1 : -1]), (void (*)(void *))(void (*)(void))(fn_)), \
            (void *)(uintptr_t)(1 ? (arg_) : (const volatile void *)0), WEFT__DEFER_BEGUN \
    }
#ifdef __clang__
#define WEFT__DEFER_BEGUN WEFT__N_DEPARTURES
#else
#define WEFT__DEFER_BEGUN 0 /* gcc does not ask */
#endif
#endif
#define weft_defer(fn, arg) WEFT__DEFER(WEFT__CAT(weft__defer_, __COUNTER__), fn, arg)
#define WEFT__DEFER(d, fn, arg) \
    __attribute__((cleanup(weft__defer_run), unused)) struct weft__defer d = WEFT__DEFER_INIT(fn, arg)

#ifndef __cplusplus
/* int weft_try(fn, args...): calls fn(args...) here and now, drops its value. 0, or WEFT_EPANIC if it panicked: frames
 * between are left (defers and cleanup attributes run in code compiled with -fexceptions; one that panics in turn
 * replaces the panic; but a cleanup attribute or destructor that does so ends the process without a report in code
 * compiled by clang, and in C++: use weft_defer for what may panic). A C++ catch (...) must rethrow, and not wait before
 * (C++ keeps what is caught in thread-local storage); no noexcept function may be left. */
#define weft_try(fn, ...) WEFT__TRY(WEFT__CAT(weft__go_, __COUNTER__), fn __VA_OPT__(, ) __VA_ARGS__)
#define WEFT__TRY(g, fn, ...) \
    __extension__({ \
        WEFT__START(g, weft__try_capture, fn, NULL, 0, __VA_ARGS__); \
        weft__go_result(&g); \
    })
#endif

#endif
