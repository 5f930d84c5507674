/* SPDX-License-Identifier: MIT */
/* weft/routine.h - start routines and look at the one that is running.
 *
 * A routine is a function call that runs on its own small stack, scheduled onto a few threads. Every function here may
 * be called from a routine and from any plain thread unless it says otherwise; none needs an init call.
 */
#ifndef WEFT_ROUTINE_H
#define WEFT_ROUTINE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_API __attribute__((visibility("default")))

#define WEFT_NORETURN __attribute__((noreturn))

#ifdef __cplusplus
extern "C" {
#endif

/* errno belongs to the routine, and a routine may wake on another thread; but libc declares that its address never
 * changes, so compilers keep the address over a call. This accessor they must ask each time. */
WEFT_API int *weft__errno_location(void);
#undef errno
#define errno (*weft__errno_location())

/* A pool of workers: weft/runtime.h. */
typedef struct weft_workers weft_workers;

/* Attributes of a routine. A zero field means the default. */
typedef struct weft_go_attr {
    size_t stack_size; /* bytes of virtual stack, rounded up to a power of two; default WEFT_STACK (64 KiB) */
    const char *name;  /* copied, cut to 31 bytes; shown by dumps and reports */
    int priority;      /* > 0 before all others, < 0 when nothing else is runnable (but never starved), 0 normal */
    bool pin;          /* always runs on one and the same thread (for thread-local state of other libraries); which, is
                          settled at the first run: of the worker of its pool that has the fewest of them */
    weft_workers *workers; /* the pool it runs on; default: that of the starting routine, on a plain thread the default one */
} weft_go_attr;

/* Where a routine was started; one static object per call site. */
struct weft__site {
    const char *file;
    const char *function;
    int line;
};

/* What the capture thunk is told; lives in the caller's frame for the length of the call. */
struct weft__go {
    void (*fn)(void);
    const struct weft__site *site;
    const weft_go_attr *attr;
    void *future;        /* in: the scope or the tracker it belongs to, if any; out: the future, if `flags` asks for one */
    uint32_t n_words;    /* low byte: upper bound of the stack words of the arguments; above: how many may be vectors */
    uint32_t flags;      /* WEFT__GO_* */
    int result;          /* out: 0, -ENOMEM, -EAGAIN */
};
enum { WEFT__GO_FUTURE = 1, WEFT__GO_X87 = 2, WEFT__GO_SCOPE = 4, WEFT__GO_ERROR = 8 };

/* Address of the assembly thunk, exported as data so that no lazy binding runs between caller and thunk. */
extern WEFT_API void (*const weft__capture)(void);
extern WEFT_API void (*const weft__try_capture)(void);

/* Lets other runnable routines run; returns when it is this one's turn again. On a plain thread: sched_yield(). */
WEFT_API void weft_yield(void);

/* Number of the calling routine, from 1 and never used twice; 0 on a plain thread. */
WEFT_API uint64_t weft_id(void);

/* Names the calling routine (or thread) in dumps and reports; the first 31 bytes are copied. */
WEFT_API void weft_set_name(const char *name);

/* A key of routine-local values. A zero one is ready for use; keep it in static storage, for it is used by address for
 * ever: static weft_local name = {.destructor = free}; */
typedef struct weft_local {
    void (*destructor)(void *value); /* called with a value that is not NULL when its routine or thread ends; may be NULL */
    uint32_t weft__id;
    bool inherit; /* children that a scope starts see the value of the routine that started them */
} weft_local;

/* The calling routine's (or plain thread's) value; NULL when none was set. Never blocks. Cost: a search among the few
 * keys that this routine has set. An inherited value is the parent's: no destructor is called with it in the child, and it
 * must stay valid until the scope ends. What parent or child set later the other does not see. */
WEFT_API void *weft_local_get(weft_local *key);

/* Sets it; the former value's destructor is not called. 0, or -ENOMEM. At the end of the routine, after its function has
 * returned or was left, the destructors run on it and may use weft like any function; values they set are destroyed in
 * turn, at most four rounds. */
WEFT_API int weft_local_set(weft_local *key, void *value);

/* Ends the calling routine; an awaiting one gets a zero value. On a plain thread: pthread_exit(NULL). */
WEFT_API WEFT_NORETURN void weft_exit(void);

#ifdef __cplusplus
}
#endif

#define WEFT__CAT_(a, b) a##b
#define WEFT__CAT(a, b) WEFT__CAT_(a, b)

#ifndef __cplusplus

/* ---- counting arguments; __VA_OPT__ is in gcc >= 8 and clang >= 6 in every C mode ---- */
#define WEFT__SELECT_N(_0, _1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, _13, _14, _15, _16, n, ...) n
#define WEFT__COUNT(...) \
    WEFT__SELECT_N(_0 __VA_OPT__(, ) __VA_ARGS__, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)

/* For one argument: upper bound of the stack words it can take after conversion to its parameter's type, plus 256 if it
 * can come in a vector register. A pointer stays one word; a number may become a _Complex long double (4 words) or a
 * _Complex double (2 vectors); a structure keeps its size. Aggregates beyond 16 bytes are refused: other ABIs pass them
 * by hidden pointer. */
#define WEFT__CLASS(a) __builtin_classify_type(((void)0, (a)))
#define WEFT__SIZE(a) sizeof(__typeof__(((void)0, (a))))
#define WEFT__WORDS(a) \
    +(sizeof(struct { \
          _Static_assert(WEFT__CLASS(a) < 12 || WEFT__SIZE(a) <= 16, \
                         "a structure argument of a routine may have 16 bytes at most: pass a pointer"); \
          int weft__unused; \
      }) * 0 + \
      (WEFT__CLASS(a) == 5 ? 1u : 256u + (WEFT__SIZE(a) <= 32 ? 4u : (unsigned)(WEFT__SIZE(a) / 8 + 1))))
#define WEFT__WORDS_0()
#define WEFT__WORDS_1(a) WEFT__WORDS(a)
#define WEFT__WORDS_2(a, ...) WEFT__WORDS(a) WEFT__WORDS_1(__VA_ARGS__)
#define WEFT__WORDS_3(a, ...) WEFT__WORDS(a) WEFT__WORDS_2(__VA_ARGS__)
#define WEFT__WORDS_4(a, ...) WEFT__WORDS(a) WEFT__WORDS_3(__VA_ARGS__)
#define WEFT__WORDS_5(a, ...) WEFT__WORDS(a) WEFT__WORDS_4(__VA_ARGS__)
#define WEFT__WORDS_6(a, ...) WEFT__WORDS(a) WEFT__WORDS_5(__VA_ARGS__)
#define WEFT__WORDS_7(a, ...) WEFT__WORDS(a) WEFT__WORDS_6(__VA_ARGS__)
#define WEFT__WORDS_8(a, ...) WEFT__WORDS(a) WEFT__WORDS_7(__VA_ARGS__)
#define WEFT__WORDS_9(a, ...) WEFT__WORDS(a) WEFT__WORDS_8(__VA_ARGS__)
#define WEFT__WORDS_10(a, ...) WEFT__WORDS(a) WEFT__WORDS_9(__VA_ARGS__)
#define WEFT__WORDS_11(a, ...) WEFT__WORDS(a) WEFT__WORDS_10(__VA_ARGS__)
#define WEFT__WORDS_12(a, ...) WEFT__WORDS(a) WEFT__WORDS_11(__VA_ARGS__)
#define WEFT__WORDS_13(a, ...) WEFT__WORDS(a) WEFT__WORDS_12(__VA_ARGS__)
#define WEFT__WORDS_14(a, ...) WEFT__WORDS(a) WEFT__WORDS_13(__VA_ARGS__)
#define WEFT__WORDS_15(a, ...) WEFT__WORDS(a) WEFT__WORDS_14(__VA_ARGS__)
#define WEFT__WORDS_16(a, ...) WEFT__WORDS(a) WEFT__WORDS_15(__VA_ARGS__)
#define WEFT__WORDS_OF(...) (0 WEFT__CAT(WEFT__WORDS_, WEFT__COUNT(__VA_ARGS__))(__VA_ARGS__))

/* The thunk's address seen as a pointer to fn's own type: the compiler checks and converts the arguments as in fn(...). */
static inline __attribute__((always_inline)) void (*weft__launder(void (*thunk)(void)))(void)
{
    __asm__("" : "+r"(thunk));
    return thunk;
}
static inline int weft__go_result(const struct weft__go *g) { return g->result; }

#if defined(__GNUC__) && !defined(__clang__)
#define WEFT__CAN_RETURN(fn) \
    _Static_assert(!__builtin_has_attribute(fn, noreturn), "a noreturn function cannot be a routine: wrap it"); \
    _Static_assert(!__builtin_has_attribute(fn, const), "the compiler would drop the call of a const function: wrap it")
#else
#define WEFT__CAN_RETURN(fn) _Static_assert(1, "")
#endif

/* The value may come back on the x87 stack, and must not stay there. */
#define WEFT__X87(T) \
    (__builtin_types_compatible_p(T, long double) || \
             (sizeof(T) == 16 && !__builtin_types_compatible_p(T, __int128) && \
              !__builtin_types_compatible_p(T, unsigned __int128) && \
              !__builtin_types_compatible_p(T, _Complex double)) \
         ? (uint32_t)WEFT__GO_X87 \
         : 0u)

#define WEFT__START(g, thunk, fn_, attr_, flags_, ...) \
    WEFT__START_IN(g, thunk, NULL, fn_, attr_, flags_ __VA_OPT__(, ) __VA_ARGS__)
/* `in`: the scope or tracker. */
#define WEFT__START_IN(g, thunk, in_, fn_, attr_, flags_, ...) \
    WEFT__CAN_RETURN(fn_); \
    _Static_assert(sizeof(__typeof__((fn_)(__VA_ARGS__))) <= 16, \
                   "a routine's function returns at most 16 bytes, in registers"); \
    static const struct weft__site WEFT__CAT(g, _site) = {__FILE__, #fn_, __LINE__}; \
    struct weft__go g = {.fn = (void (*)(void))(fn_), \
                         .site = &WEFT__CAT(g, _site), \
                         .attr = (attr_), \
                         .future = (in_), \
                         .n_words = (uint32_t)WEFT__WORDS_OF(__VA_ARGS__), \
                         .flags = (flags_) | WEFT__X87(__typeof__((fn_)(__VA_ARGS__)))}; \
    __builtin_call_with_static_chain(((__typeof__(&*(fn_)))weft__launder(thunk))(__VA_ARGS__), (void *)&g); \
    __asm__("" : "+m"(g))

#define WEFT__GO(g, attr, fn, ...) \
    __extension__({ \
        WEFT__START(g, weft__capture, fn, attr, 0, __VA_ARGS__); \
        weft__go_result(&g); \
    })

/* int weft_go(fn, args...): runs fn(args...) in a new routine, for any function type. Arguments are evaluated here,
 * converted as in a plain call, and copied. fn's value is dropped. Returns 0, or with nothing started -ENOMEM, -EAGAIN, or, in
 * a plain thread that is late for a weft_stop() under way, -ECANCELED. Never blocks. A packed structure of at most 16 bytes is returned in memory all the same, which no compiler
 * tells: do not start functions that return one. Cost: ~20 ns. Not for functions that return structures in memory or take structures beyond
 * 16 bytes (compile errors), nor for noreturn functions (an error with gcc; with clang the caller's next statement
 * is dropped by the compiler: wrap such a function). */
#define weft_go(fn, ...) WEFT__GO(WEFT__CAT(weft__go_, __COUNTER__), NULL, fn __VA_OPT__(, ) __VA_ARGS__)

/* int weft_go_with(const weft_go_attr *attr, fn, args...): the same with attributes. -EINVAL for impossible ones. */
#define weft_go_with(attr, fn, ...) \
    WEFT__GO(WEFT__CAT(weft__go_, __COUNTER__), attr, fn __VA_OPT__(, ) __VA_ARGS__)

/* Builds a weft_go_attr in place: weft_attr(.stack_size = 1 << 20, .name = "parser"). */
#define weft_attr(...) (&(const weft_go_attr){__VA_ARGS__})

#endif /* !__cplusplus */

#endif
