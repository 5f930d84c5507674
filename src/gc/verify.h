/* SPDX-License-Identifier: MIT */
/* verify.h - an independent check of a collection and of the heap's structure: for WEFT_DEBUG=gcverify=1 and tests. Slow.
 *
 * With the world stopped, after marking and before closing. It uses memory of its own (mmap).
 */
#ifndef WEFT_GC_VERIFY_H
#define WEFT_GC_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wf_verifier;

/* Marks again, serially, depth first, with a set of addresses, and compares with the states. `roots(verifier, arg)` names
 * the same roots by wf_verify_word and wf_verify_range as the markers were given. Returns in how many cells the two differ
 * (the first few are described on stderr), or -ENOMEM. */
int64_t wf_heap_verify(void (*roots)(struct wf_verifier *v, void *arg), void *arg);
void wf_verify_word(struct wf_verifier *v, uintptr_t word);
void wf_verify_range(struct wf_verifier *v, const void *low, const void *high);
/* A pointer to any byte of an object, as one in an object: not one past the end. */
void wf_verify_object(struct wf_verifier *v, const void *p);

/* Walks units, spans, state bytes, lists of spans with free cells and free runs; stops the program at the first fault.
 * Outside of marking, all caches flushed. */
void wf_heap_check(void);

#endif
