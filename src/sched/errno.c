/* SPDX-License-Identifier: MIT */
/* errno.c - the accessor behind errno in files that include weft's headers. */
#include <errno.h>
static int *libc_location(void)
{
    return &errno; /* libc's own macro: weft's headers come after this */
}

#include "base/compiler.h"

#include <weft/routine.h>

WF_PUBLIC int *weft__errno_location(void)
{
    __asm__ volatile(""); /* never merged with another call */
    return libc_location();
}
