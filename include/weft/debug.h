/* SPDX-License-Identifier: MIT */
/* weft/debug.h - look into a running program. */
#ifndef WEFT_DEBUG_H
#define WEFT_DEBUG_H

#include <weft/routine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Writes one line for each routine to descriptor `fd`: name, id, state, what it waits on, where it was started. The
 * others go on running meanwhile, so the picture is of slightly different moments. Returns the number of routines. */
WEFT_API size_t weft_dump(int fd);

/* Writes what is in force on this machine: workers, stacks and their guards, membarrier. */
WEFT_API void weft_doctor(int fd);

#ifdef __cplusplus
}
#endif
#endif
