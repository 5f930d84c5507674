/* SPDX-License-Identifier: MIT */
/* memory.h - malloc that ends the program when there is no memory. */
#ifndef WORDCOUNT_MEMORY_H
#define WORDCOUNT_MEMORY_H

#include <stdio.h>
#include <stdlib.h>

static inline void *must_realloc(void *old, size_t size)
{
    void *p = realloc(old, size);
    if (p == NULL) {
        fputs("wordcount: out of memory\n", stderr);
        exit(1);
    }
    return p;
}

static inline void *must_alloc(size_t size)
{
    return must_realloc(NULL, size);
}

#endif
