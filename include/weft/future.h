/* SPDX-License-Identifier: MIT */
/* weft/future.h - the result of a routine, to be awaited by any number of others.
 *
 * weft_future(T) is a handle: pass it, copy it, store it. T may be void. NULL is the future that never settles.
 * A future's memory stays until weft_detach() is called on it or the collector takes it over.
 */
#ifndef WEFT_FUTURE_H
#define WEFT_FUTURE_H

#include <stdbool.h>

#include <weft/routine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What weft_try() and weft_try_await() give for a panic. No errno has this value. */
#define WEFT_EPANIC (-0x7e01)

struct weft__future;

/* The handle's type is the type of the function that awaits it: that is how one stub can give back any T. */
#define weft_future(T) __typeof__(__typeof__(T)(*)(struct weft__future *))

extern WEFT_API void (*const weft__await)(void);
extern WEFT_API void (*const weft__future_value)(void);
WEFT_API int weft__future_wait(struct weft__future *f);
struct weft__chan;
WEFT_API struct weft__chan *weft__future_chan(struct weft__future *f);
WEFT_API bool weft__future_done(struct weft__future *f);
WEFT_API void weft__future_detach(struct weft__future *f);

#ifdef __cplusplus
}
#endif

#define weft__future_of(f) ((struct weft__future *)(uintptr_t)(f))

/* T weft_await(f): waits until f has settled and gives its value; again and again, from many, the same value. A panic
 * in the routine is raised here again. */
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

/* int weft_try_await(f, T *out): as weft_await, but reports: 0, -ETIMEDOUT/-ECANCELED when this wait was ended, or
 * WEFT_EPANIC with weft_try_message(). `out` may be NULL (and must be for void); untouched unless 0 is returned. */
#define weft_try_await(f, out) WEFT__TRY_AWAIT(WEFT__CAT(weft__aw_, __COUNTER__), f, out)
#define WEFT__TRY_AWAIT(x, f, out) \
    __extension__({ \
        __typeof__(f) x = (f); \
        __typeof__(x((struct weft__future *)0)) *WEFT__CAT(x, _out) = (out); \
        int WEFT__CAT(x, _error) = weft__future_wait(weft__future_of(x)); \
        if (WEFT__CAT(x, _error) == 0 && WEFT__CAT(x, _out) != NULL) \
            *(WEFT__STORED(x) *)WEFT__CAT(x, _out) = \
                ((__typeof__(WEFT__STORED(x)(*)(struct weft__future *)))weft__launder(weft__future_value))( \
                    weft__future_of(x)); \
        WEFT__CAT(x, _error); \
    })
/* The awaited type, with char in place of void so that it can be assigned. */
#define WEFT__STORED(x) \
    __typeof__(__builtin_choose_expr( \
        __builtin_types_compatible_p(__typeof__(x((struct weft__future *)0)), void), (char)0, x((struct weft__future *)0)))

/* bool weft_future_done(f): true once weft_await(f) would not wait. */
#define weft_future_done(f) weft__future_done(weft__future_of(f))

/* void weft_detach(f): nobody will look at f again; it is given back when its routine ends. A panic of it that nobody has
 * been told of by then is one that nobody sees: it stops the process (weft/panic.h). */
#define weft_detach(f) weft__future_detach(weft__future_of(f))
#endif

#endif
