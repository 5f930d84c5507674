/* SPDX-License-Identifier: MIT */
/* memory.h - reads all writable memory of the process, as far as it is there. */
#ifndef WEFT_DEBUG_MEMORY_H
#define WEFT_DEBUG_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wf_excluded {
    uintptr_t low, high;
};

/* Calls fn with copies of what private writable mappings hold, page by page, without the `excluded` ranges, and without mappings of
 * more than 64 GiB, which are the reservations of tools. Pages that were never touched are not. Needs neither malloc nor
 * locks; one call at a time. False: the kernel does not let us. */
bool wf_memory_each(const struct wf_excluded *excluded, size_t n_excluded,
                    void (*fn)(void *arg, const void *low, const void *high), void *arg);

#endif
