/* SPDX-License-Identifier: MIT */
/* mark.h - finds what is reachable, with the world stopped and every cache flushed, on as many threads as take part.
 *
 *     wf_mark_start(64);                     one thread, once; again before the closing pass: marks more
 *     struct wf_marker *m = wf_mark_join();  each thread that helps; NULL: marking is over, or all places are taken
 *     wf_mark_word(m, ...), _range           its share of the roots
 *     wf_mark_drain(m);                      returns when everything that can be reached is marked
 *     ... wf_mark_is_marked(p)               weak references
 *     wf_close_*                             close.h
 *
 * Marking is over when every thread that has joined drains and nothing is left; nobody waits for one that has not joined.
 * So a thread takes root jobs only after it has joined, and drains only when no root job is left for anyone to take.
 *
 * Neither memory nor locks of the host are used, so threads may help from a signal handler (1 KiB of stack).
 */
#ifndef WEFT_GC_MARK_H
#define WEFT_GC_MARK_H

#include "gc/alloc.h"
#include "gc/spanqueue.h"

enum { WF_FOUND_MOST = 32 };

/* A cell that a word points into; its state is on the way into the processor's cache. */
struct wf_found {
    uint8_t *state;
    uint32_t span;
    uint16_t index;
    uint8_t kind;
    uint8_t class_index;
};

/* One marking thread's. All fields belong to it but for `queue`. */
struct wf_marker {
    /* Copies of wf_heap's, fixed during a collection. */
    uintptr_t base;
    size_t heap_bytes;
    const struct wf_unit *units;
    uint8_t *states;
    bool stressed;
    uint32_t found_head, found_tail; /* of `found`: entries, modulo its size */
    struct wf_found found[WF_FOUND_MOST];
    void (*instead)(void *arg, const void *p); /* not NULL: trace functions report to it, the marker is none */
    void *instead_arg;
    uint64_t n_visits, n_scanned; /* spans taken from a queue, cells scanned */
    uint32_t random;
    struct wf_spanqueue queue;
    uint16_t cells[WF_CELLS_MOST]; /* of the span being visited */
};

/* At most n_markers (<= WF_MARKERS_MOST) threads will join. */
void wf_mark_start(unsigned n_markers);
struct wf_marker *wf_mark_join(void);

/* A root: any byte of an object, or one past its end. */
void wf_mark_word(struct wf_marker *m, uintptr_t word);
/* Roots: every aligned word of [low, high). */
void wf_mark_range(struct wf_marker *m, const void *low, const void *high);
/* For trace functions: any byte of an object, or NULL, or no collected memory. */
void wf_mark_object(struct wf_marker *m, const void *p);

/* The same for every aligned word of [low, high). */
void wf_mark_words(struct wf_marker *m, const void *low, const void *high);

void wf_mark_drain(struct wf_marker *m);

/* After draining, before closing. p: any byte of an object. */
bool wf_mark_is_marked(const void *p);

/* Where the markers themselves are: no roots. */
void wf_mark_own_memory(const void **ret_low, const void **ret_high);

/* How many threads joined; spans visited, cells scanned, cells that only the last pass found (marking has ended). */
struct wf_mark_counts {
    unsigned n_markers;
    uint64_t n_visits, n_scanned, n_leftovers;
};
void wf_mark_count(struct wf_mark_counts *ret_counts);

#endif
