/* SPDX-License-Identifier: MIT */
/* context.h - what each instruction set supplies: the switch, the first entry, the capture of a call.
 *
 * The switch is reached by a tail call from a public function, so the only frame it saves is that function's caller's
 * view: return address plus callee-saved registers. Nothing of the runtime is left on the stack of a parked routine.
 *
 * Commit. "I am on the wait list" and "my context is saved" are two moments; a waker may come between them. The answer
 * for the whole library: what makes the routine visible is released by the switch itself, after the context is saved
 * and the stack is left: either one 32-bit store (the lock's word, a queue's tail) or a call on the next stack.
 * Nobody who finds a routine in a queue ever has to wait for it.
 */
#ifndef WEFT_ARCH_CONTEXT_H
#define WEFT_ARCH_CONTEXT_H

#include "base/compiler.h"

struct wf_routine;
struct wf_thread;

/* Saves the caller's context in from->sp, continues `to` (whose ret becomes the value it sees), after the stack is left
 * stores `value` to *commit (release) and clears thread->in_rt. Returns from's ret when somebody switches to it. */
int wf_switch(struct wf_routine *from, struct wf_routine *to, struct wf_thread *thread, _Atomic uint32_t *commit,
              uint32_t value);

/* The same, but calls commit(arg) on to's stack instead of the store; it runs with thread->in_rt set. */
int wf_switch_call(struct wf_routine *from, struct wf_routine *to, struct wf_thread *thread, void (*commit)(void *),
                   void *arg);

/* Leaves the current stack for ever. `to` was prepared by wf_context_prepare or saved by a switch. */
_Noreturn void wf_switch_away(struct wf_routine *to, struct wf_thread *thread);

/* Continues, on a stack whose highest usable address is `top` (16-byte aligned), with a fresh routine; the current stack
 * is abandoned (it may be the same one). `words` are the n_words captured stack words. */
_Noreturn void wf_switch_start(struct wf_routine *fresh, struct wf_thread *thread, void *top, void (*fn)(void),
                               const uint64_t *words, uint64_t n_words);

/* Writes the frame of a fresh routine below `top`, such that a switch to the returned sp enters its function. */
void *wf_context_prepare(struct wf_routine *fresh, void *top, void (*fn)(void), const uint64_t *words,
                         uint64_t n_words);

/* The first function on every routine's stack: where its frames end. */
void wf_entry(void);

/* From wf_switch() to here a fresh routine's arguments may be still to be loaded: it is outside the runtime, and its record is
 * not yet that of a started one. */
extern const char wf_entry_end[];

/* The thunk behind weft_go and weft_async: r10 holds a struct weft__go *. Calls wf_capture_call with the frame. */
void wf_capture_thunk(void);
/* The thunk behind weft_try. */
void wf_try_thunk(void);
/* The thunks behind weft_await: void f(struct weft__future *), the value in the ABI's return registers. */
void wf_await_thunk(void);
void wf_value_thunk(void);
/* The thunk behind weft_resolve. */
void wf_resolve_thunk(void);

/* What the capture thunk hands to C. The layout is asserted in arch/x86_64/offsets.h. */
struct wf_captured {
    uint64_t integers[6];
    uint64_t rax;
    uint64_t *words;
    unsigned char vectors[8][16];
};

/* The result registers of a function of any type. */
struct wf_result {
    uint64_t integer[2];
    double vector[2][2];
    long double x87;
    uint64_t has_x87; /* the value is in x87 */
    uint64_t unused;
};

#endif
