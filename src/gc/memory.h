/* SPDX-License-Identifier: MIT */
/* memory.h - the system calls by which the collected heap gets and gives back memory. They go through here so that tests can
 * make any of them fail. All are rare, none is made while memory is marked. They set errno as the kernel does. */
#ifndef WEFT_GC_MEMORY_H
#define WEFT_GC_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For the library's own tables: zeroed memory. NULL: none. errno is kept. */
void *wf_memory_map(size_t size);
void wf_memory_unmap(void *p, size_t size);

/* Address space without memory, at `hint` if that is not NULL and nothing else is there. NULL: none. */
void *wf_memory_reserve(void *hint, size_t size);
/* [p, p + size), whole pages of a reservation, may be read and written from now on. */
bool wf_memory_enable(void *p, size_t size);
/* madvise(2). */
bool wf_memory_advise(void *p, size_t size, int advice);
/* mremap(2) that may move. NULL: refused, and nothing has changed. */
void *wf_memory_resize(void *p, size_t size, size_t new_size);

/* Knobs of tests: the n-th call from now on fails with ENOMEM, from 1; 0: none. With `all`, so do all that follow it. */
struct wf_memory_faults {
    uint64_t n;
    bool all;
    _Atomic uint64_t n_calls; /* so far */
};
extern struct wf_memory_faults wf_memory_faults;

#endif
