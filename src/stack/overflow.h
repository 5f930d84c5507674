/* SPDX-License-Identifier: MIT */
/* overflow.h - says which routine overflowed its stack or touched a bad address, before the process ends by it.
 *
 * Handlers for SIGSEGV and SIGBUS, on an alternate stack of each thread. What a fault leads to:
 *
 * (A plain thread counts as a routine while it is in a coroutine; the current stack is then the coroutine's.)
 *
 *   in the guard of the current routine's own stack    report; then the handler found at install, if there was one;
 *                                                      then SIGABRT
 *   elsewhere, in a routine, no handler found          report; then SIGABRT
 *   everything else                                    the handler found at install, or the default action: as if
 *                                                      this one were not there
 *
 * A wild pointer that happens to fall into the guard of another routine's stack is a wild pointer.
 */
#ifndef WEFT_STACK_OVERFLOW_H
#define WEFT_STACK_OVERFLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The routine that was running. Pointers stay valid until the process ends or the routine does. */
struct wf_fault {
    uint64_t id;            /* 0: a plain thread, in a coroutine */
    const char *name;     /* NULL or "": none */
    const char *file;     /* where it was started; NULL: not known */
    const char *function; /* what was started; NULL: not known */
    int line;
    const char *stack_low;  /* lowest usable address; its guard is the WF_GUARD_SIZE bytes below */
    const char *stack_high; /* one past the highest */
    size_t stack_size;      /* as the user counts it: what .stack_size would say */
    bool own_stack;         /* of a size asked for; else of the default size */
    bool in_coroutine;      /* it was in a coroutine, and the stack is that one's */
};

struct wf_overflow_hooks {
    /* The routine running on the calling thread, which faulted at `address`; false: none, it is a plain thread or in the
     * scheduler's loop. Async-signal-safe: called in the handler. */
    bool (*describe)(const void *address, struct wf_fault *ret_fault);
    /* Writes the calls that led to the fault at `pc`, after the line that reports it; may be NULL. In the handler too. */
    void (*trace)(uintptr_t pc, uintptr_t sp);
};

/* Installs the handlers, remembers those it finds. 0 or a negative errno. Not twice without an uninstall. */
int wf_overflow_install(const struct wf_overflow_hooks *hooks);
/* Puts back what was found, unless somebody has installed another handler meanwhile, who may chain to ours: then ours
 * stays and passes everything on. */
void wf_overflow_uninstall(void);

/* Gives the calling thread an alternate signal stack with a guard, unless it has one: *ret_stack is then NULL. 0, or a
 * negative errno (the thread then runs without). */
int wf_signal_stack_create(void **ret_stack);
/* On the same thread; NULL is accepted. */
void wf_signal_stack_destroy(void *stack);

#endif
