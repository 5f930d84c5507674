/* SPDX-License-Identifier: MIT */
/* memory.c - see memory.h.
 *
 * Owns:    the count of calls.
 * Callers: whoever keeps tables or the heap: units.c, collect.c, roots.c, cleanup.c, verify.c.
 */
#define _GNU_SOURCE
#include "gc/memory.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/atomic.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

struct wf_memory_faults wf_memory_faults;

static bool fails(void)
{
    uint64_t n = wf_add_relaxed(&wf_memory_faults.n_calls, 1) + 1, chosen = wf_memory_faults.n;
    if (chosen == 0 || (n != chosen && !(wf_memory_faults.all && n > chosen)))
        return false;
    errno = ENOMEM;
    return true;
}

void *wf_memory_map(size_t size)
{
    int saved = errno;
    void *p = fails() ? MAP_FAILED
                      : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    errno = saved;
    return p != MAP_FAILED ? p : NULL;
}

void wf_memory_unmap(void *p, size_t size)
{
    if (!fails()) /* refused where it would need one mapping more: then the address space is lost */
        munmap(p, size);
}

void *wf_memory_reserve(void *hint, size_t size)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (hint != NULL ? MAP_FIXED_NOREPLACE : 0);
    void *p = fails() ? MAP_FAILED : mmap(hint, size, PROT_NONE, flags, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (hint != NULL && p != hint) { /* a kernel that takes the flag for a hint */
        munmap(p, size);
        return NULL;
    }
    return p;
}

bool wf_memory_enable(void *p, size_t size)
{
    return !fails() && mprotect(p, size, PROT_READ | PROT_WRITE) == 0;
}

bool wf_memory_advise(void *p, size_t size, int advice)
{
    return !fails() && madvise(p, size, advice) == 0;
}

void *wf_memory_resize(void *p, size_t size, size_t new_size)
{
    void *moved = fails() ? MAP_FAILED : mremap(p, size, new_size, MREMAP_MAYMOVE);
    return moved != MAP_FAILED ? moved : NULL;
}
