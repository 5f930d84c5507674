/* SPDX-License-Identifier: MIT */
/* weft/future.h - a value that is not there yet, to be awaited by any number of routines and plain threads.
 *
 * weft_future(T) is a handle: pass it, copy it, store it. T may be void. NULL is the future that never settles.
 * It settles once: with a value; with a panic, when it is a routine's and that panics; or it fails with a negative
 * errno, when its promise is rejected or it has been cancelled. How it has settled can be asked again and again.
 * A future's memory stays until weft_detach() is called on it, else for the life of the process.
 */
#ifndef WEFT_FUTURE_H
#define WEFT_FUTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/routine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What weft_try() and weft_try_await() give for a panic. No errno has this value. */
#define WEFT_EPANIC (-0x7e01)

struct weft__future;
struct weft__promise;

/* The handle's type is the type of the function that awaits it: that is how one thunk can give back any T. */
#define weft_future(T) __typeof__(__typeof__(T)(*)(struct weft__future *))

extern WEFT_API void (*const weft__await)(void);
extern WEFT_API void (*const weft__future_value)(void);
WEFT_API int weft__future_wait(struct weft__future *f);
struct weft__chan;
WEFT_API struct weft__chan *weft__future_chan(struct weft__future *f);
WEFT_API bool weft__future_done(struct weft__future *f);
WEFT_API void weft__future_detach(struct weft__future *f);
WEFT_API void weft__future_cancel(struct weft__future *f);
WEFT_API int weft__future_timeout(struct weft__future *f, int64_t d);
WEFT_API struct weft__future *weft__promise_make(void);
WEFT_API int weft__promise_reject(struct weft__future *f, int error);

/* An element of the user's array, whose own type is a function pointer. */
typedef struct weft__future *weft__future_element __attribute__((may_alias));
WEFT_API int weft__future_all(const weft__future_element *fs, size_t n);
WEFT_API int weft__future_all_settled(const weft__future_element *fs, size_t n, int *statuses);
WEFT_API int weft__future_race(const weft__future_element *fs, size_t n);
WEFT_API int weft__future_any(const weft__future_element *fs, size_t n);

/* What the thunk behind weft_resolve() is told. */
struct weft__resolve {
    struct weft__future *future;
    uint32_t size; /* of the value */
    int result;    /* out */
};
extern WEFT_API void (*const weft__resolve_thunk)(void);

#ifdef __cplusplus
}
#endif

#define weft__future_of(f) ((struct weft__future *)(uintptr_t)(f))

/* T weft_await(f): waits until f has settled and gives its value; again and again, from many, the same value. A panic
 * in the routine is raised here again; a future that failed makes a panic that names the error. */
#define weft_await(f) WEFT__AWAIT(WEFT__CAT(weft__aw_, __COUNTER__), f)
#define WEFT__AWAIT(x, f) \
    __extension__({ \
        __typeof__(f) x = (f); \
        ((__typeof__(x))weft__launder(weft__await))(weft__future_of(x)); \
    })

#ifndef __cplusplus
/* weft_future(T) weft_async(fn, args...): starts fn(args...) as weft_go does; T is fn's return type. NULL when out of
 * memory. Cost: ~30 ns. */
#define weft_async(fn, ...) WEFT__ASYNC(WEFT__CAT(weft__go_, __COUNTER__), fn __VA_OPT__(, ) __VA_ARGS__)
#define WEFT__ASYNC(g, fn, ...) \
    __extension__({ \
        WEFT__START(g, weft__capture, fn, NULL, (uint32_t)WEFT__GO_FUTURE, __VA_ARGS__); \
        (weft_future(__typeof__((fn)(__VA_ARGS__))))(uintptr_t)g.future; \
    })

/* int weft_try_await(f, T *out): as weft_await, but reports: 0; the error of a future that failed; WEFT_EPANIC with
 * weft_try_message(); or -ETIMEDOUT/-ECANCELED when this wait was ended (then weft_future_done(f) may be false). `out` may
 * be NULL (and must be for void); untouched unless 0 is returned. */
#define weft_try_await(f, out) WEFT__TRY_AWAIT(WEFT__CAT(weft__aw_, __COUNTER__), f, out)
#define WEFT__TRY_AWAIT(x, f, out) \
    __extension__({ \
        __typeof__(f) x = (f); \
        WEFT__OUT(WEFT__CAT(x, _out), __typeof__(x((struct weft__future *)0)), out); \
        int WEFT__CAT(x, _error) = weft__future_wait(weft__future_of(x)); \
        if (WEFT__CAT(x, _error) == 0 && WEFT__CAT(x, _out) != NULL) \
            WEFT__STORE(WEFT__CAT(x, _out), 0, x); \
        WEFT__CAT(x, _error); \
    })
/* Where a value goes; not in sight of the compiler, which would warn of the errors after which nothing is stored. */
#define WEFT__OUT(name, T, out) \
    T *name = (out); \
    __asm__("" : "+r"(name))
/* The awaited type, with char in place of void so that it can be assigned. */
#define WEFT__STORED(x) \
    __typeof__(__builtin_choose_expr( \
        __builtin_types_compatible_p(__typeof__(x((struct weft__future *)0)), void), (char)0, x((struct weft__future *)0)))
/* Stores the value of x, which has settled with one, at to[i]. */
#define WEFT__STORE(to, i, x) \
    (((WEFT__STORED(x) *)(to))[i] = ((__typeof__(WEFT__STORED(x)(*)(struct weft__future *)))weft__launder( \
         weft__future_value))(weft__future_of(x)))

/* bool weft_future_done(f): true once weft_await(f) would not wait. */
#define weft_future_done(f) weft__future_done(weft__future_of(f))

/* void weft_detach(f): nobody will look at f again; it is given back when its routine ends. A panic of it that nobody has
 * been told of by then is one that nobody sees: it stops the process (weft/panic.h). Of a promise's future: nor will
 * anybody use the promise; it is given back if it has settled, and otherwise stays. */
#define weft_detach(f) weft__future_detach(weft__future_of(f))

/* void weft_future_cancel(f): asks f to come to an end, and does not wait for it. A promise's future fails with -ECANCELED
 * at once. Of a routine's, the routine's waiting calls give -ECANCELED from now on, those of its scopes' children too
 * (not inside weft_shield); when it has ended, f fails with -ECANCELED if any of its waits was ended by that; if not, it
 * was faster, and f has its value. No effect on a future that has settled, on NULL, or when repeated. From any routine
 * or thread. Cost: a system call or two when it is a routine's. */
#define weft_future_cancel(f) weft__future_cancel(weft__future_of(f))

/* ---- promises: a future that is settled by hand.
 *
 * weft_promise(T) is a handle like a future's, for T as weft_async() allows: at most 16 bytes, void included. Any
 * number may hold it; the first to settle it does. One that nobody settles keeps those who await it waiting for ever. */
#define weft_promise(T) __typeof__(__typeof__(T)(*)(struct weft__promise *))

/* weft_promise(T) weft_promise_make(T): NULL when out of memory. */
#define weft_promise_make(T) \
    __extension__({ \
        _Static_assert(sizeof(T) <= 16, "a promise's value has at most 16 bytes"); \
        (weft_promise(T))(uintptr_t)weft__promise_make(); \
    })

/* weft_future(T) weft_promise_future(p): always the same one. NULL for NULL. */
#define weft_promise_future(p) WEFT__PROMISE_FUTURE(WEFT__CAT(weft__pr_, __COUNTER__), p)
#define WEFT__PROMISE_FUTURE(x, p) \
    __extension__({ \
        __typeof__(p) x = (p); \
        (weft_future(WEFT__PROMISED(x)))(uintptr_t)x; \
    })
#define WEFT__PROMISED(x) __typeof__(x((struct weft__promise *)0))

/* int weft_resolve(p, T value): settles with a value, which is converted to T as by an assignment; weft_resolve(p) for
 * void. 0, or -EALREADY: it had settled, the value is dropped. Never waits. NULL panics. */
#define weft_resolve(p, ...) WEFT__RESOLVE(WEFT__CAT(weft__pr_, __COUNTER__), p __VA_OPT__(, ) __VA_ARGS__)
#define WEFT__RESOLVE(x, p, ...) \
    __extension__({ \
        __typeof__(p) x = (p); \
        _Static_assert(__builtin_types_compatible_p(WEFT__PROMISED(x), void) != (0 __VA_OPT__(+1)), \
                       "weft_resolve() takes a value of the promise's type, and none for void"); \
        WEFT__KEPT(x) WEFT__CAT(x, _value) = WEFT__CAT(WEFT__INITIAL, __VA_OPT__(_GIVEN))(__VA_ARGS__); \
        struct weft__resolve WEFT__CAT(x, _how) = {weft__future_of(x), sizeof(WEFT__KEPT(x)), 0}; \
        __builtin_call_with_static_chain( \
            ((WEFT__RESOLVER(WEFT__KEPT(x)))weft__launder(weft__resolve_thunk))( \
                WEFT__CAT(x, _value), 0, 0, 0, 0, 0, 1, 0., 0., 0., 0., 0., 0., 0., 1.), \
            (void *)&WEFT__CAT(x, _how)); \
        __asm__("" : "+m"(WEFT__CAT(x, _how))); \
        WEFT__CAT(x, _how).result; \
    })
#define WEFT__INITIAL(...) 0
#define WEFT__INITIAL_GIVEN(...) __VA_ARGS__
/* The promised type, with char in place of void. */
#define WEFT__KEPT(x) \
    __typeof__(__builtin_choose_expr(__builtin_types_compatible_p(WEFT__PROMISED(x), void), (char)0, \
                                     x((struct weft__promise *)0)))
/* Behind the value come as many numbers as there are registers: by the last of each kind the thunk knows whether the value
 * is in a register at all. */
#define WEFT__RESOLVER(T) \
    void (*)(T, int, int, int, int, int, int, double, double, double, double, double, double, double, double)

/* int weft_reject(p, int error): settles with a negative errno. 0; -EALREADY: it had settled; -EINVAL: the error is none
 * (from -4095 to -1). Never waits. NULL panics. */
#define weft_reject(p, error) WEFT__REJECT(WEFT__CAT(weft__pr_, __COUNTER__), p, error)
#define WEFT__REJECT(x, p, error) \
    __extension__({ \
        __typeof__(p) x = (p); \
        (void)sizeof(WEFT__PROMISED(x) *); \
        weft__promise_reject(weft__future_of(x), (error)); \
    })

/* ---- several futures of one type: `fs` is an array, or a pointer to the first, of n weft_future(T).
 *
 * These wait, and where one of the futures decides the result, the others are cancelled (weft_future_cancel) and waited
 * for: when the call returns, every future in the array has settled and every routine behind them has ended. A routine
 * that never waits, or is in weft_shield, therefore delays the return. The same happens when the caller's own wait is
 * ended; then the result is -ECANCELED or -ETIMEDOUT. It must not be the caller's own future.
 * A future that has settled before the call counts as if it settled during it, in the order of the array. One may stand
 * in the array several times. NULL never settles, and is not waited for once the result is known.
 * `out` may be NULL, and must be for void; the error of a panic is WEFT_EPANIC with weft_try_message().
 * -ENOMEM, -EINVAL (more than INT_MAX): nothing has been waited for or cancelled. Cost: O(1) for each future; beyond 8 of
 * them one allocation. */

/* int weft_all(fs, n, T *out): waits until all have their value: 0, and out[i] is that of fs[i]. Or the error of the first
 * in time that has none; then `out` is untouched. n == 0: 0. */
#define weft_all(fs, n, out) WEFT__ALL(WEFT__CAT(weft__fs_, __COUNTER__), fs, n, out)
#define WEFT__ALL(x, fs, n, out) \
    __extension__({ \
        WEFT__SEVERAL(x, fs, n, out); \
        int WEFT__CAT(x, _error) = weft__future_all(WEFT__ELEMENTS(x), WEFT__CAT(x, _n)); \
        for (size_t WEFT__CAT(x, _i) = 0; WEFT__CAT(x, _error) == 0 && WEFT__CAT(x, _out) != NULL && \
                                          WEFT__CAT(x, _i) < WEFT__CAT(x, _n); \
             WEFT__CAT(x, _i)++) \
            WEFT__STORE(WEFT__CAT(x, _out), WEFT__CAT(x, _i), x[WEFT__CAT(x, _i)]); \
        WEFT__CAT(x, _error); \
    })
#define WEFT__SEVERAL(x, fs, n, out) \
    __typeof__(*(fs)) const *x = (fs); \
    size_t WEFT__CAT(x, _n) = (size_t)(n); \
    WEFT__OUT(WEFT__CAT(x, _out), __typeof__(x[0]((struct weft__future *)0)), out)
#define WEFT__ELEMENTS(x) ((const weft__future_element *)(const void *)x)

/* int weft_all_settled(fs, n, int *statuses, T *out): waits until all have settled, however: 0. statuses[i] is what
 * weft_try_await() would give for fs[i], out[i] its value where that is 0 and untouched where it is not. statuses may be
 * NULL. When the wait was ended, both are untouched. */
#define weft_all_settled(fs, n, statuses, out) \
    WEFT__ALL_SETTLED(WEFT__CAT(weft__fs_, __COUNTER__), fs, n, statuses, out)
#define WEFT__ALL_SETTLED(x, fs, n, statuses, out) \
    __extension__({ \
        WEFT__SEVERAL(x, fs, n, out); \
        int WEFT__CAT(x, _error) = weft__future_all_settled(WEFT__ELEMENTS(x), WEFT__CAT(x, _n), (statuses)); \
        for (size_t WEFT__CAT(x, _i) = 0; WEFT__CAT(x, _error) == 0 && WEFT__CAT(x, _out) != NULL && \
                                          WEFT__CAT(x, _i) < WEFT__CAT(x, _n); \
             WEFT__CAT(x, _i)++) \
            if (weft__future_wait(weft__future_of(x[WEFT__CAT(x, _i)])) == 0) \
                WEFT__STORE(WEFT__CAT(x, _out), WEFT__CAT(x, _i), x[WEFT__CAT(x, _i)]); \
        WEFT__CAT(x, _error); \
    })

/* int weft_race(fs, n, T *out): waits for the first to settle: its index, and *out is its value; or its error. n == 0:
 * -EINVAL. */
#define weft_race(fs, n, out) WEFT__FIRST(WEFT__CAT(weft__fs_, __COUNTER__), weft__future_race, fs, n, out)

/* int weft_any(fs, n, T *out): waits for the first to have its value: its index, and *out is the value; when none has
 * one, the error of the last in time. n == 0: -EINVAL. */
#define weft_any(fs, n, out) WEFT__FIRST(WEFT__CAT(weft__fs_, __COUNTER__), weft__future_any, fs, n, out)
#define WEFT__FIRST(x, call, fs, n, out) \
    __extension__({ \
        WEFT__SEVERAL(x, fs, n, out); \
        int WEFT__CAT(x, _index) = call(WEFT__ELEMENTS(x), WEFT__CAT(x, _n)); \
        if (WEFT__CAT(x, _index) >= 0 && WEFT__CAT(x, _out) != NULL) \
            WEFT__STORE(WEFT__CAT(x, _out), 0, x[WEFT__CAT(x, _index)]); \
        WEFT__CAT(x, _index); \
    })

/* int weft_timeout(f, weft_duration d): waits until f has settled, however: 0; look at it with weft_try_await. -ETIMEDOUT
 * when it has not after d, or when a weft_deadline around the call has passed: f is then cancelled, but not waited for.
 * -ECANCELED: the wait was ended, f is left alone. NULL never settles. d <= 0 does not wait: f has settled, or is cancelled.
 */
#define weft_timeout(f, d) weft__future_timeout(weft__future_of(f), (d))
#endif

#endif
