/* SPDX-License-Identifier: MIT */
/* assert.h - three grades of check, and the way the library stops the program.
 *
 * WF_CHECK        always on: what would otherwise corrupt memory.
 * WF_ASSERT       debug_level >= 1.
 * WF_ASSERT_SLOW  debug_level >= 2: walks structures.
 */
#ifndef WEFT_BASE_ASSERT_H
#define WEFT_BASE_ASSERT_H

#include "base/compiler.h"

/* Prints one line "weft: fatal: ..." on stderr and raises SIGABRT. Async-signal-safe but for the formatting. */
_Noreturn void wf_fatal(const char *format, ...) WF_PRINTF(1, 2);

/* Prints one line "weft: ..." on stderr with a single write. */
void wf_message(const char *format, ...) WF_PRINTF(1, 2);

#define WF_CHECK(x) \
    do { \
        if (WF_UNLIKELY(!(x))) \
            wf_fatal("%s:%d: check failed: %s", __FILE__, __LINE__, #x); \
    } while (0)

#if WF_DEBUG_LEVEL >= 1
#define WF_ASSERT(x) WF_CHECK(x)
#else
#define WF_ASSERT(x) ((void)sizeof(!(x)))
#endif
#if WF_DEBUG_LEVEL >= 2
#define WF_ASSERT_SLOW(x) WF_CHECK(x)
#else
#define WF_ASSERT_SLOW(x) ((void)sizeof(!(x)))
#endif

#endif
