/* SPDX-License-Identifier: MIT */
/* garbage.h - objects that nobody wants. */
#ifndef WEFT_TESTS_GARBAGE_H
#define WEFT_TESTS_GARBAGE_H

#include <weft/gc.h>

#include "base/compiler.h"
#include "expect.h"

/* So many bytes in objects of `each`, written at both ends and dropped. */
static WF_NOINLINE __attribute__((unused)) void allocate(size_t bytes, size_t each)
{
    for (size_t done = 0; done < bytes; done += each) {
        char *p = weft_alloc(each);
        require(p != NULL);
        p[0] = p[each - 1] = 1;
    }
}

#endif
