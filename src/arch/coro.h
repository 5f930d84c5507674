/* SPDX-License-Identifier: MIT */
/* coro.h - what each instruction set supplies for coroutines: a switch of stacks that the scheduler knows nothing of.
 *
 * Like the routines' switch it is reached by a tail call and saves the return address and the callee-saved registers;
 * errno, the thread and the routine stay as they are. The context is published by the store of its sp to *save, after
 * everything else of it is on the stack.
 */
#ifndef WEFT_ARCH_CORO_H
#define WEFT_ARCH_CORO_H

#include "arch/context.h"
#include "base/compiler.h"

/* Saves the caller's context to *save and continues the one at `load`, whose own switch then returns `value`: into a
 * coroutine, and out of it. */
int wf_coro_enter(void **save, void *load, void *value);
void *wf_coro_leave(void **save, void *load, int value);

/* The same, but call fn() on the other stack, as if the code that switched away there had called it instead. */
int wf_coro_enter_call(void **save, void *load, void (*fn)(void));
void wf_coro_leave_call(void **save, void *load, void (*fn)(void));

/* Writes the frame of a fresh coroutine below `top` (16-byte aligned), such that a switch to the returned sp calls
 * fn(arg), which must not return. */
void *wf_coro_prepare(void *top, void (*fn)(void *), void *arg);

/* The thunk behind weft_gen_make: r10 holds a struct weft__go *. Calls wf_coro_capture with the frame. */
void wf_coro_capture_thunk(void);

/* Calls fn with captured arguments: the registers, and n_words at call->words. */
void wf_captured_call(const struct wf_captured *call, void (*fn)(void), uint64_t n_words);

#endif
