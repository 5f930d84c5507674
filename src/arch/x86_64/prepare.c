/* SPDX-License-Identifier: MIT */
/* prepare.c - the frames that a switch to a fresh routine or coroutine pops. */
#include "arch/context.h"
#include "arch/coro.h"

void wf_coro_entry(void);

void *wf_context_prepare(struct wf_routine *fresh, void *top, void (*fn)(void), const uint64_t *words, uint64_t n_words)
{
    uint64_t *sp = (uint64_t *)top - 2;
    *sp = 0; /* null return address: ends stack walks; 16-byte aligned */
    *--sp = (uint64_t)(uintptr_t)wf_entry;
    *--sp = 0;                             /* rbp */
    *--sp = (uint64_t)(uintptr_t)fresh;    /* rbx */
    *--sp = (uint64_t)(uintptr_t)fn;       /* r12 */
    *--sp = n_words;                       /* r13 */
    *--sp = (uint64_t)(uintptr_t)words;    /* r14 */
    *--sp = 0;                             /* r15 */
    return sp;
}

void *wf_coro_prepare(void *top, void (*fn)(void *), void *arg)
{
    uint64_t *sp = (uint64_t *)top - 2;
    *sp = 0; /* null return address: ends stack walks; 16-byte aligned */
    *--sp = (uint64_t)(uintptr_t)wf_coro_entry;
    *--sp = 0;                        /* rbp */
    *--sp = (uint64_t)(uintptr_t)arg; /* rbx */
    *--sp = (uint64_t)(uintptr_t)fn;  /* r12 */
    *--sp = 0;                        /* r13 */
    *--sp = 0;                        /* r14 */
    *--sp = 0;                        /* r15 */
    return sp;
}
