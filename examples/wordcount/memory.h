/* SPDX-License-Identifier: MIT */
/* memory.h - collected memory, or the end of the program: nobody here frees anything. */
#ifndef WORDCOUNT_MEMORY_H
#define WORDCOUNT_MEMORY_H

#include <stdio.h>
#include <stdlib.h>
#include <weft/weft.h>

/* must(weft_new(T)) and the like. */
static inline void *must(void *p)
{
    if (p == NULL) {
        fputs("wordcount: out of memory\n", stderr);
        exit(1);
    }
    return p;
}

#endif
