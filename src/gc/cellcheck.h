/* SPDX-License-Identifier: MIT */
/* cellcheck.h - what memory checkers are told: AddressSanitizer, that the program may not touch cells that are not handed
 * out; Valgrind, that markers look at words which may never have been written. */
#ifndef WEFT_GC_CELLCHECK_H
#define WEFT_GC_CELLCHECK_H

#include "config.h"

#include "base/compiler.h"

#if WF_HAVE_VALGRIND
#include <valgrind/memcheck.h>
#define wf_begin_reading_anything() VALGRIND_DISABLE_ERROR_REPORTING
#define wf_end_reading_anything() VALGRIND_ENABLE_ERROR_REPORTING
#else
#define wf_begin_reading_anything() ((void)0)
#define wf_end_reading_anything() ((void)0)
#endif

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
