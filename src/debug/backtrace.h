/* SPDX-License-Identifier: MIT */
/* backtrace.h - which calls led here: addresses first, names and lines when they are printed.
 *
 * Names and lines come from libdw where it is installed (option `backtrace`), else exported names, modules and offsets
 * from the dynamic linker. Printing never takes the process down and ends within some seconds.
 */
#ifndef WEFT_DEBUG_BACKTRACE_H
#define WEFT_DEBUG_BACKTRACE_H

#include <stddef.h>
#include <stdint.h>

/* wf_hooks.trace_take: the calling frames, from the one that `caller` is a return address in; all of them when it is not
 * found. Addresses within the calls. Returns how many, at most `most`. Takes some KiB of stack. */
size_t wf_backtrace_take(uintptr_t *ret_trace, size_t most, const void *caller);

/* wf_hooks.trace_print: a line "weft:   #0 function at file:line" on stderr for each, WF_TRACE_MOST at most. */
void wf_backtrace_print(const uintptr_t *trace, size_t n);

/* wf_overflow_hooks.trace: the frames that were interrupted at `pc`, their stack pointer being `sp`, by the signal whose
 * handler calls it. */
void wf_backtrace_fault(uintptr_t pc, uintptr_t sp);

#endif
