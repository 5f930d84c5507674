/* SPDX-License-Identifier: MIT */
/* weft/coro.h - coroutines: a function that its caller resumes and that suspends itself, with a value either way.
 *
 * For implementors of languages and for generators. A coroutine is a stack and nothing else: the scheduler knows nothing
 * of it, and to resume one is a call. What runs inside belongs to the routine (or plain thread) that resumed it: its
 * id, name, local values, errno, priority, deadlines. A waiting call inside (a channel, a mutex, a sleep) parks that
 * routine, which may then continue, inside the coroutine, on another thread.
 *
 * A suspended coroutine belongs to nobody: any routine or plain thread may resume or destroy it next, not only the one
 * that did before. Handing it over needs the same care as any other memory (a channel, a mutex); it is not for two at
 * once. A coroutine may resume others, to any depth.
 *
 *               weft_coro_resume                      weft_coro_destroy
 *   created ------------------------> running          of a created or finished one: gives the stack back
 *              weft_coro_suspend       |   |           of a suspended one: leaves its frames first, with cleanups
 *   suspended <------------------------+   |           of a running one: panics
 *        |  weft_coro_resume           ^   | fn returns, panics, exits
 *        +-----------------------------+   +-----> finished
 *
 * A panic that nothing inside catches (weft_try works inside as everywhere) finishes the coroutine and is raised again
 * in the one that resumed it. weft_exit() inside finishes it likewise and goes on as a weft_exit() of the one that
 * resumed it: it ends the routine, not only the coroutine. Neither C++ exceptions nor longjmp() nor pthread_exit() may
 * leave a coroutine.
 *
 * Stacks have the size of routines' and come from the same place; they have guards, and an overflow is reported. On a
 * plain thread that has created no coroutine itself and has no alternate signal stack it is only SIGSEGV. Coroutines
 * must be destroyed before weft_stop(), which takes the stacks away.
 */
#ifndef WEFT_CORO_H
#define WEFT_CORO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <weft/routine.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_coro weft_coro;

/* Attributes of a coroutine. A zero field means the default. */
typedef struct weft_coro_attr {
    size_t stack_size; /* bytes of virtual stack, rounded up to a power of two; default WEFT_STACK (64 KiB). Another size
                        * costs a mapping, 10 us instead of 25 ns */
} weft_coro_attr;

/* A coroutine that will run fn(arg); nothing runs yet. NULL when out of memory. Never blocks. Cost: with its end ~25 ns in
 * a routine, ~45 ns on a plain thread; no memory besides the stack. */
WEFT_API weft_coro *weft_coro_create(void (*fn)(void *arg), void *arg);

/* The same with attributes, which may be NULL. NULL also for a stack_size that is impossible. */
WEFT_API weft_coro *weft_coro_create_with(const weft_coro_attr *attr, void (*fn)(void *arg), void *arg);

/* Runs the coroutine until it suspends itself or ends. `in` is what its weft_coro_suspend() returns (the first resume
 * starts the function, so its `in` reaches nobody). 0: it has suspended itself, and *out (out may be NULL) is what it
 * gave. -EPIPE: it has finished, in this resume or before; *out is untouched. -EBUSY: it is running, that is, it is the
 * one that calls, or one that waits for the return of a resume of its own. Cost: ~3 ns, and as much to come back. */
WEFT_API int weft_coro_resume(weft_coro *c, void *in, void **out);

/* Suspends the coroutine that calls (the innermost, if they are nested): the resume that it runs in returns with
 * `value`. Returns the next resume's `in`. Panics outside any coroutine, and inside of a scope, deadline or shield that the
 * coroutine has entered, for these belong to the routine that resumed it, and in cleanups that a panic or weft_exit()
 * runs on its way through the coroutine. Memory of this frame that `value` points to
 * stays as it is until the coroutine is resumed. Does not return if the coroutine is destroyed. */
WEFT_API void *weft_coro_suspend(void *value);

/* True once resuming it can only give -EPIPE. */
WEFT_API bool weft_coro_done(const weft_coro *c);

/* Ends a coroutine. If it is suspended, its frames are left first, here and now, as by a panic: cleanup attributes run
 * in code compiled with -fexceptions, and must not suspend (that panics). A panic in one of them is raised again here,
 * when the coroutine is gone. NULL is accepted; one that is running panics. Cost: ~0.5 us if it is suspended. */
WEFT_API void weft_coro_destroy(weft_coro *c);

/* The innermost coroutine that the caller is in; NULL outside. */
WEFT_API weft_coro *weft_coro_current(void);

/* Suspends like weft_coro_suspend(); panics unless c is the innermost coroutine that the caller is in. */
WEFT_API void *weft__coro_yield(weft_coro *c, void *value);

#ifdef __cplusplus
}
#endif

#ifndef __cplusplus

/* ---- generators: coroutines that give values of one type ----
 *
 *     static void count(weft_generator(int) self, int from, int to)
 *     {
 *         for (int i = from; i < to; i++)
 *             weft_gen_yield(self, i);
 *     }
 *     ...
 *     weft_gen_each(int, i, weft_gen_make(int, count, 1, 10))
 *         printf("%d\n", i);
 *
 * weft_generator(T) is a handle, and is a coroutine in all that is said above. T is any complete object type but an
 * array. */
struct weft__generator;

/* A pointer to a function that returns T, as in weft/chan.h: the compiler finds T again. */
#define weft_generator(T) __typeof__(WEFT__GEN_BARE(T)(*)(struct weft__generator *))
#define WEFT__GEN_BARE(T) __typeof__(((void)0, *(__typeof__(T) *)0)) /* without qualifiers */
#define WEFT__GEN_ELEM(g) __typeof__((g)((struct weft__generator *)0))
#define WEFT__GEN_CORO(g) ((weft_coro *)(uintptr_t)(g))

/* weft_generator(T) weft_gen_make(T, fn, args...): a generator of what fn(self, args...) yields, where `self` is that
 * generator: fn's first parameter is a weft_generator(T), and it returns void. The arguments are evaluated here, converted
 * as in a plain call, and copied, within the limits of weft_go. NULL when out of memory. Cost: ~20 ns. */
#define weft_gen_make(T, ...) weft_gen_make_with(NULL, T, __VA_ARGS__)

/* The same with a const weft_coro_attr * first. */
#define weft_gen_make_with(attr, T, fn, ...) \
    WEFT__GEN_MAKE(WEFT__CAT(weft__go_, __COUNTER__), attr, T, fn, \
                   (weft_generator(T))0 __VA_OPT__(, ) __VA_ARGS__)
#define WEFT__GEN_MAKE(g, attr, T, fn, ...) \
    __extension__({ \
        _Static_assert(__builtin_types_compatible_p(__typeof__((fn)(__VA_ARGS__)), void), \
                       "a generator's function returns void"); \
        const weft_coro_attr *WEFT__CAT(g, _attr) = (attr); \
        WEFT__START(g, weft__gen_capture, fn, (const weft_go_attr *)(const void *)WEFT__CAT(g, _attr), 0, __VA_ARGS__); \
        (weft_generator(T))(uintptr_t)g.future; \
    })

/* void weft_gen_yield(self, T value): gives a value to whoever takes the next one, and returns when that one takes
 * another. In the generator's own function and those that it calls, not in another coroutine inside. */
#define weft_gen_yield(self, ...) WEFT__GEN_YIELD(WEFT__CAT(weft__gen_, __COUNTER__), self, __VA_ARGS__)
#define WEFT__GEN_YIELD(x, self, ...) \
    __extension__({ \
        __auto_type x = (self); \
        WEFT__GEN_ELEM(x) WEFT__CAT(x, _value) = __VA_ARGS__; \
        (void)weft__coro_yield(WEFT__GEN_CORO(x), &WEFT__CAT(x, _value)); \
    })

/* int weft_gen_next(g, T *out): runs the generator up to its next value; out may be NULL. 0, or -EPIPE when its function
 * has returned (*out is then untouched), -EBUSY as weft_coro_resume(). */
#define weft_gen_next(g, out) WEFT__GEN_NEXT(WEFT__CAT(weft__gen_, __COUNTER__), g, out)
#define WEFT__GEN_NEXT(x, g, out) \
    __extension__({ \
        __auto_type x = (g); \
        WEFT__GEN_ELEM(x) *WEFT__CAT(x, _out) = (out); \
        weft__gen_next(WEFT__GEN_CORO(x), WEFT__CAT(x, _out), sizeof(WEFT__GEN_ELEM(x))); \
    })

/* void weft_gen_destroy(g): as weft_coro_destroy(). */
#define weft_gen_destroy(g) weft_coro_destroy(WEFT__GEN_CORO(1 ? (g) : (__typeof__(g))0))

/* weft_gen_each(T, var, g) statement: runs the statement for each value in `var`, then destroys the generator, however
 * the statement is left: at the end, by break, return or goto, by a panic. g is evaluated once and is of T exactly. */
#define weft_gen_each(T, var, g) WEFT__GEN_EACH(WEFT__CAT(weft__gen_, __COUNTER__), T, var, g)
#define WEFT__GEN_EACH(x, T, var, g) \
    for (struct weft__gen_loop x __attribute__((cleanup(weft__gen_close))) = \
             {WEFT__GEN_CORO(1 ? (g) : (weft_generator(T))0), true}; \
         x.goes_on; x.goes_on = false) \
        for (WEFT__GEN_BARE(T) var; weft__gen_next(x.coro, &var, sizeof(var)) == 0;)

struct weft__gen_loop {
    weft_coro *coro;
    bool goes_on;
};

static inline void weft__gen_close(struct weft__gen_loop *loop)
{
    weft_coro_destroy(loop->coro);
}

static inline int weft__gen_next(weft_coro *c, void *out, size_t size)
{
    void *value;
    int error = weft_coro_resume(c, NULL, &value);
    if (error == 0 && out != NULL)
        memcpy(out, value, size);
    return error;
}

/* Address of the assembly thunk, which finds a weft_coro_attr where weft_go's finds its attributes. */
extern WEFT_API void (*const weft__gen_capture)(void);

#endif /* !__cplusplus */

#endif
