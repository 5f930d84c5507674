/* SPDX-License-Identifier: MIT */
/* memory.h - memory of the runtime's own, for what is allocated or freed inside of it.
 *
 * Not malloc: a signal may stop a thread of the user's that holds malloc's lock (world.h), and who then waits for that lock
 * inside the runtime is waited for himself. The lock here is only ever held inside the runtime, or by a thread that cannot
 * be stopped because it is not, or no longer, known. Outside the runtime malloc is as good as ever: who waits there can be
 * stopped too.
 *
 * Sizes are rounded up to powers of two; what is given back is kept for the next of its size; more than LARGE_BYTES has
 * a mapping of its own.
 */
#ifndef WEFT_SCHED_MEMORY_H
#define WEFT_SCHED_MEMORY_H

#include <stddef.h>

/* Not zeroed, aligned to 16 bytes; NULL when out of memory. From any thread, inside the runtime or outside; leaves errno
 * alone. */
void *wf_memory_take(size_t size);
/* NULL is accepted. */
void wf_memory_give(void *p);
/* A copy of the text in such memory. */
char *wf_memory_text(const char *text);

/* Zeroed pages of the system's that stay until munmap(), looked through by the leak checker; NULL when out of memory. Any
 * thread; sets errno. */
void *wf_memory_pages(size_t size);

/* Around fork(): no other thread is in the midst of it. */
void wf_memory_lock(void);
void wf_memory_unlock(void);

#endif
