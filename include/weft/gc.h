/* SPDX-License-Identifier: MIT */
/* weft/gc.h - collected memory: allocate, and forget about freeing.
 *
 * An object lives as long as a pointer to it, or to anything inside it up to one past its last byte, can be found in
 *   - the stacks and registers of routines, and of plain threads that have used weft;
 *   - static data of the program and its libraries, static thread-local variables of those threads;
 *   - other collected objects (not those from weft_alloc_data), channels and what is in them, arguments and results of
 *     routines, promises, routine-local values;
 *   - memory named by weft_root_add(), and weft_root() in a block that has not been left.
 * One past the last byte counts in roots only: in other collected objects the pointer must point inside.
 * Not in: memory from malloc or mmap, files, pointers that are hidden (xored, compressed, at addresses that are no multiple
 * of 8), thread-local variables of libraries loaded by dlopen.
 *
 * Objects never move. Everything here may be called from routines and plain threads; a call that allocates may wait for a
 * collection, which stops all threads that use weft. Programs need nothing of this: memory from malloc works as ever.
 *
 * Pacing: a collection begins when what was allocated since the last one reaches WEFT_GC percent (100) of what it left
 * alive, and of the stacks and static data that it searched; WEFT_MEMLIMIT, or the cgroup's limit, brings it forward. A
 * program that has gone idle is collected once more after a while, and memory that it is not going to need soon goes back
 * to the system. Sources of the design: Boehm and Weiser, "Garbage collection
 * in an uncooperative environment" (1988); Knyszek and Clements, "Green Tea" (2025).
 */
#ifndef WEFT_GC_H
#define WEFT_GC_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/routine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- allocation: aligned to 16 bytes; NULL only if a memory limit is set and was still reached after a full collection,
 * or the system has no memory left, or `size` exceeds what can be addressed (then at once). errno is left alone. No call here
 * is a cancellation point. Near a limit more than half of the time may go to collections: then who meets the limit waits
 * before the next one for as long as the last one took ---- */

/* `size` bytes, zeroed; searched for pointers. Size 0 gives an object of its own. Cost: 3 ns for up to 64 bytes. */
WEFT_API void *weft_alloc(size_t size) __attribute__((malloc, alloc_size(1)));

/* The same without pointers inside: never searched, not zeroed. For text, numbers, pixels. */
WEFT_API void *weft_alloc_data(size_t size) __attribute__((malloc, alloc_size(1)));

/* Like realloc: the contents up to the smaller of both sizes, zeroes behind (not weft_alloc_data's), the same kind of object.
 * It stays where it is if there is room and it would not be more than twice too large; else the old one is freed, so nobody
 * else may hold it, and weak handles, cleanups and external bytes go with the object (a handle of what is cut off gives NULL).
 * p NULL: weft_alloc. NULL when there is no memory: the old one is still there. */
WEFT_API void *weft_realloc(void *p, size_t size) __attribute__((alloc_size(2)));

/* Texts, never searched. NULL as above; weft_sprintf also where vsnprintf fails. */
WEFT_API char *weft_strdup(const char *s);
WEFT_API char *weft_sprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Optional: the object is not used any more. Its memory may be used again at once; its weak handles give NULL from now on, its
 * cleanups run, its external bytes are gone. NULL is accepted; a pointer that is not the beginning of an object, or a second
 * time, or a weak handle, panics. */
WEFT_API void weft_free(void *p);

/* Usable bytes from the object's beginning, and the beginning; 0 and NULL when p points to no collected memory. Any pointer
 * into the object will do. */
WEFT_API size_t weft_size(const void *p);
WEFT_API void *weft_base(const void *p);

/* Names the pointers of an object of its own type. */
typedef struct weft_visitor weft_visitor;
typedef void (*weft_trace_fn)(void *object, weft_visitor *v);
/* Called by a trace function for each pointer in its object; NULL, and what is no collected memory, are accepted. */
WEFT_API void weft_visit(weft_visitor *v, const void *p);
WEFT_API void *weft__alloc_traced(size_t size, weft_trace_fn trace);
WEFT_API void *weft__alloc_array(size_t size, size_t n);

/* ---- collections ---- */

/* A full collection, now; returns when it is over: every object that could not be reached when it was called is gone. Calls at
 * the same time share one, and there is none as long as there are no objects; it is never left out for any other reason,
 * because a pointer that was dropped leaves no trace. */
WEFT_API void weft_gc(void);

typedef struct weft_gc_info {
    uint64_t cycles;           /* collections since the start of the process */
    size_t heap_bytes;         /* in spans: what the system has given for objects */
    size_t live_bytes;         /* found alive by the last collection */
    size_t live_objects;
    size_t allocated_bytes;    /* since the last collection */
    size_t external_bytes;     /* weft_external */
    size_t goal_bytes;         /* the next collection begins when so much is in use */
    size_t limit_bytes;        /* WEFT_MEMLIMIT; 0: none */
    int64_t pause_ns;          /* of the last collection: from the request until all went on */
    int64_t stop_ns, roots_ns, mark_ns, close_ns; /* its parts */
    int64_t pause_total_ns, pause_most_ns;
    uint64_t pauses[24];       /* histogram: pauses[i] counts those below 2^i microseconds, and not below 2^(i-1) */
} weft_gc_info;
WEFT_API void weft_gc_stats(weft_gc_info *out);

/* p is reachable at least until here. Costs nothing. */
static inline void weft_keep(const void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

/* ---- roots ---- */

/* Memory outside the collected heap that holds pointers: `size` bytes from addr, seen as words. The same range twice is one.
 * 0, -EINVAL (NULL, not aligned to 8, size 0, or past the end of the address space), -ENOMEM. */
WEFT_API int weft_root_add(void *addr, size_t size);
/* 0, -ENOENT. */
WEFT_API int weft_root_remove(void *addr);

/* ---- what happens when objects are gone ---- */

/* A handle that does not keep p alive: weft_weak_get gives p as long as it lives, then NULL. Handles are collected memory
 * themselves; the same p gives the same handle as long as somebody holds that. weft_weak_make: NULL when out of memory; panics when
 * p is no collected memory. weft_weak_get: NULL for NULL. */
typedef struct weft_weak weft_weak;
WEFT_API weft_weak *weft_weak_make(void *p);
WEFT_API void *weft_weak_get(weft_weak *w);

/* Runs fn(arg) once after p is gone, in a routine for cleanups (not while some other routine waits for memory, and never inside
 * another call). That runs them one after the other; if one waits, computes for long, or ends it (weft_exit, a panic that does
 * not end the process), another goes on with the rest some 20 ms later. `arg` is kept alive if it points into an object; it
 * must not lead to p, or p stays for ever. In no certain order. Not run at the end of the process; what is due when the
 * runtime does not run waits for the next weft_start(). Starts the runtime if need be. Panics when p is no collected memory,
 * fn is NULL, or out of memory. */
WEFT_API void weft_cleanup(void *p, void (*fn)(void *arg), void *arg);

/* Memory outside the heap that lives and dies with p: `bytes` more (or less) of it count when the next collection is
 * planned, and towards WEFT_MEMLIMIT. May wait for a collection. */
WEFT_API void weft_external(void *p, ptrdiff_t bytes);

/* Routines that wait and can never be woken, because what they wait on cannot be reached by anybody who may run again: a
 * full collection that finds them, then calls report for each (NULL: only counts). Returns how many. They, and what they
 * hold, are kept, and found again by the next call. In linear time; memory for the search comes from the system, and without
 * it, or when the kernel does not let a process look at its own memory, none is found. May find fewer than there are:
 * the search is conservative, and takes those for alive who sleep, have a deadline, wait in a coroutine, on a stack of
 * a size of their own (weft_go_with) or for several futures, and all plain threads; here it looks also into memory from
 * malloc, and leftovers in what was freed count. Never names one that can be woken, unless what leads to it is hidden
 * (see above). The strings are valid during the call. WEFT_DEBUG=leak=1 does it in every collection and at weft_stop(),
 * and prints a line on stderr for each new one; leak=wake also ends those waits that can be ended with -EDEADLK (not
 * those for mutexes, once and a scope's children). */
typedef struct weft_leak {
    uint64_t routine_id;
    const char *name;      /* "" if it has none */
    const char *waits;     /* "receives from a channel" */
    const void *object;    /* what it waits on */
    const char *file;      /* where it was started */
    int line;
    const char *function;
} weft_leak;
typedef void (*weft_leak_fn)(const weft_leak *leak, void *arg);
WEFT_API size_t weft_leaks(weft_leak_fn report, void *arg);

static inline void weft__keep_root(void *guard)
{
    weft_keep(*(void **)guard);
}

#ifdef __cplusplus
}
#endif

/* T *weft_new(T), T *weft_new_array(T, n): zeroed, searched for pointers. n that overflows gives NULL. */
#define weft_new(T) ((__typeof__(T) *)weft_alloc(sizeof(__typeof__(T))))
#define weft_new_array(T, n) ((__typeof__(T) *)weft__alloc_array(sizeof(__typeof__(T)), (size_t)(1 * (n))))

/* T *weft_new_traced(T, void trace(void *object, weft_visitor *v)): only the pointers that `trace` visits count. It is
 * called while the world stands still, perhaps in a signal handler: it must only look at the object and call
 * weft_visit(). NULL: none of its pointers count. */
#define weft_new_traced(T, trace) ((__typeof__(T) *)weft__alloc_traced(sizeof(__typeof__(T)), trace))

/* weft_root(p); as a declaration in a block: what p points to now stays alive until the block is left, in any way. */
#define weft_root(p) WEFT__ROOT(WEFT__CAT(weft__root_, __COUNTER__), p)
#define WEFT__ROOT(x, p) \
    void *x __attribute__((cleanup(weft__keep_root), unused)) = (void *)(uintptr_t)(p)

#endif
