/* SPDX-License-Identifier: MIT */
/* pacer.h - how much may be allocated before the next collection, how much spans may occupy, how much memory is kept.
 *
 *   growth = (live + roots + external) * WEFT_GC / 100, so that goal = live + growth; the goal is at least 4 MiB * WEFT_GC / 100
 *
 * `live` is what the last collection left, `roots` the bytes that it searched outside the heap (stacks of waiting routines,
 * static data: they make a collection dearer, so there are fewer), `external` what weft_external() was told.
 *
 * Limit. WEFT_MEMLIMIT is for everything: spans, tables beside the heap, stacks of routines, external bytes. What is not spans
 * is subtracted, the rest is the limit of spans (wf_heap.limit_bytes), at which an allocation first collects and then fails.
 * Before that the goal shrinks to the room that is left, but not below a sixteenth of the limit.
 *
 * Hint. What the cgroup grants is for the whole process, whose other memory nobody knows: it shrinks the goal the same way
 * (a tenth is left for others), but no allocation fails because of it.
 *
 * Collector's time. The nearer the limit, the more often it is collected, up to all the time (Go's issue 58106). So, as Go
 * has it: an account goes up by the time that collections take and down by the time between them, never below 0 nor above
 * SECOND. At the top more than half of the last second or so went to collections: then the goal is not shrunk, and who
 * meets the limit waits, before it collects once more, for as long as the last collection took. What the program drops
 * meanwhile is found then, so nobody is told that there is no memory while there is some. */
#ifndef WEFT_GC_PACER_H
#define WEFT_GC_PACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wf_pacer_config {
    int percent;        /* < 0: no collections but those at the limit */
    size_t limit_bytes; /* 0: none */
    size_t hint_bytes;  /* 0: none */
};
/* Before the first allocation, and at every start of the runtime. */
void wf_pacer_configure(const struct wf_pacer_config *config);

/* What a collection has found. */
struct wf_pacer_cycle {
    size_t live_bytes;
    size_t root_bytes;     /* searched */
    size_t stack_bytes;    /* of routines: the memory that they occupy */
    size_t metadata_bytes; /* tables beside the heap */
    int64_t external_bytes;
};
/* The world is stopped: the next goal, limit of spans, and what is kept. */
void wf_pacer_cycle(const struct wf_pacer_cycle *cycle);
/* It took from start to end; one collection at a time. */
void wf_pacer_ended(int64_t start_ns, int64_t end_ns);

/* weft_external has been told of more or less. Any thread. */
void wf_pacer_external(int64_t external_bytes);

/* For how long who meets the limit is to wait before it collects. */
int64_t wf_pacer_wait_ns(int64_t now_ns);
/* Room for spans within the limit and the reservation, as the last collection left it. */
size_t wf_pacer_room(void);
/* What may stay resident: the goal and a tenth. */
size_t wf_pacer_keep_bytes(void);
/* When so much was allocated since the last collection, it is worth a collection that nobody waits for. INT64_MAX: never. */
int64_t wf_pacer_idle_bytes(void);

#endif
