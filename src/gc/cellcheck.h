/* SPDX-License-Identifier: MIT */
/* cellcheck.h - what memory checkers are told: that the program may not touch cells that are not handed out (nor what is free,
 * nor what lies behind a large object), and that markers look at words which may never have been written.
 *
 * AddressSanitizer is told by every allocation. Valgrind is not in sight of the quick way: under it cells are taken one at a
 * time, so the slow way sees each. A small object may be used up to weft_size(), so only what is behind its cell is behind it.
 */
#ifndef WEFT_GC_CELLCHECK_H
#define WEFT_GC_CELLCHECK_H

#include "config.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

/* Set once by wf_heap_init: somebody is to be told. */
extern bool wf_cells_watched;

#if WF_HAVE_VALGRIND
#include <valgrind/memcheck.h>
#define wf_on_valgrind() (RUNNING_ON_VALGRIND != 0)
#define wf_valgrind_forbid(p, size) (wf_cells_watched ? (void)VALGRIND_MAKE_MEM_NOACCESS(p, size) : (void)0)
#define wf_valgrind_allow(p, size) (wf_cells_watched ? (void)VALGRIND_MAKE_MEM_DEFINED(p, size) : (void)0)
#define wf_cell_unwritten(p, size) (wf_cells_watched ? (void)VALGRIND_MAKE_MEM_UNDEFINED(p, size) : (void)0)
#define wf_begin_reading_anything() VALGRIND_DISABLE_ERROR_REPORTING
#define wf_end_reading_anything() VALGRIND_ENABLE_ERROR_REPORTING
#else
#define wf_on_valgrind() false
#define wf_valgrind_forbid(p, size) ((void)0)
#define wf_valgrind_allow(p, size) ((void)0)
#define wf_cell_unwritten(p, size) ((void)0)
#define wf_begin_reading_anything() ((void)0)
#define wf_end_reading_anything() ((void)0)
#endif

#if WF_ASAN
void __asan_poison_memory_region(const volatile void *p, size_t size);
void __asan_unpoison_memory_region(const volatile void *p, size_t size);
#define wf_cell_hand_out(p, size) __asan_unpoison_memory_region(p, size)
#define wf_asan_forbid(p, size) __asan_poison_memory_region(p, size)
#else
#define wf_cell_hand_out(p, size) ((void)(p), (void)(size))
#define wf_asan_forbid(p, size) ((void)(p), (void)(size))
#endif

/* wf_cell_hand_out: the quick way; the others are for the slow ones. */
WF_INLINE void wf_cell_forbid(const void *p, size_t size)
{
    wf_asan_forbid(p, size);
    wf_valgrind_forbid(p, size);
}
WF_INLINE void wf_cell_allow(const void *p, size_t size)
{
    wf_cell_hand_out(p, size);
    wf_valgrind_allow(p, size);
}

/* Code that reads any word of any object or stack, as the markers do. */
#define WF_READS_ANYTHING __attribute__((no_sanitize("address", "thread", "undefined")))

#endif
