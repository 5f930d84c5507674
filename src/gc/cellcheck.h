/* SPDX-License-Identifier: MIT */
/* cellcheck.h - what AddressSanitizer is told about cells: those not handed out may not be touched by the program.
 * Nothing in ordinary builds. */
#ifndef WEFT_GC_CELLCHECK_H
#define WEFT_GC_CELLCHECK_H

#include "base/compiler.h"

#if WF_ASAN
void __asan_poison_memory_region(const volatile void *p, size_t size);
void __asan_unpoison_memory_region(const volatile void *p, size_t size);
#define wf_cell_forbid(p, size) __asan_poison_memory_region(p, size)
#define wf_cell_allow(p, size) __asan_unpoison_memory_region(p, size)
#else
#define wf_cell_forbid(p, size) ((void)(p), (void)(size))
#define wf_cell_allow(p, size) ((void)(p), (void)(size))
#endif

/* Code that reads any word of any object or stack, as the markers do. */
#define WF_READS_ANYTHING __attribute__((no_sanitize("address", "thread", "undefined")))

#endif
