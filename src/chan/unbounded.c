/* SPDX-License-Identifier: MIT */
/* unbounded.c - the buffer of a channel that grows: a list of segments.
 *
 * Owns:    the segments of each unbounded channel, one spare among them.
 * Callers: chan.c, at the end of a segment.
 * Locking: the channel's lock; memory is taken and given back without it.
 *
 * Values are read from `first` and written to `last`; the fast paths only move the channel's cursors and come here when
 * one has reached the end of its segment. The reader's segment becomes the spare, the writer takes the spare, so a
 * channel that is kept short allocates nothing. A writer without a spare sets limit to 0: that sends the next send to
 * its slow path, where it may allocate and fail.
 *
 *   first == NULL: no value was ever sent;  last->next == NULL;
 *   limit == 0 (and not closed)  if and only if  first == NULL or write == write_end.
 */
#include "chan/chan.h"
#include "gc/collect.h"
#include "gc/mark.h"

#include <errno.h>
#include <stdlib.h>

struct wf_segment {
    struct wf_segment *next;
    _Alignas(16) char cells[];
};

/* Little memory for a short channel, few allocations for a long one. */
enum { SEGMENT_BYTES = 2048, SEGMENT_CELLS_MIN = 8 };

static size_t segment_size(size_t elem_size)
{
    size_t cells = SEGMENT_BYTES / elem_size;
    return (cells > SEGMENT_CELLS_MIN ? cells : (size_t)SEGMENT_CELLS_MIN) * elem_size;
}

static void write_to(struct weft__chan *c, struct wf_segment *segment)
{
    segment->next = NULL;
    if (c->last != NULL)
        c->last->next = segment;
    c->last = segment;
    c->write = segment->cells;
    c->write_end = segment->cells + segment_size(c->elem_size);
}

static void read_from(struct weft__chan *c, struct wf_segment *segment)
{
    c->first = segment;
    c->read = segment->cells;
    c->read_end = segment->cells + segment_size(c->elem_size);
}

WF_NOINLINE void wf_chan_write_segment_full(struct weft__chan *c)
{
    struct wf_segment *spare = c->spare;
    if (spare == NULL) {
        wf_store_release(&c->limit, 0);
        return;
    }
    c->spare = NULL;
    write_to(c, spare);
}

WF_NOINLINE struct wf_segment *wf_chan_read_segment_done(struct weft__chan *c)
{
    struct wf_segment *done = c->first;
    bool open = (wf_load_relaxed(&c->flags) & WF_CHAN_CLOSED) == 0;
    if (done->next == NULL) {
        /* Writer and reader stand at the end of the same segment: begin it again. */
        read_from(c, done);
        c->write = c->read;
        if (open)
            wf_store_release(&c->limit, UINT64_MAX);
        return NULL;
    }
    read_from(c, done->next);
    if (open && wf_load_relaxed(&c->limit) == 0) {
        write_to(c, done);
        wf_store_release(&c->limit, UINT64_MAX);
        return NULL;
    }
    if (c->spare != NULL)
        return done;
    c->spare = done;
    return NULL;
}

WF_READS_ANYTHING void wf_chan_trace_segments(const struct weft__chan *c, struct weft_visitor *v)
{
    struct wf_marker *m = (struct wf_marker *)(void *)v;
    bool empty = wf_load_relaxed(&c->count) == 0;
    wf_mark_object(m, c->spare);
    for (const struct wf_segment *s = c->first; s != NULL; s = s->next) {
        const char *low = s == c->first ? c->read : s->cells;
        const char *high = s == c->last ? c->write : s->cells + segment_size(c->elem_size);
        wf_mark_object(m, s);
        if (!empty)
            wf_mark_words(m, low, high);
    }
}

WF_COLD int wf_chan_add_segment(struct weft__chan *c)
{
    struct wf_segment *segment = wf_gc_new(sizeof(*segment) + segment_size(c->elem_size), WF_KIND_DATA);
    if (segment == NULL)
        return -ENOMEM;
    struct wf_thread *thread = wf_enter();
    wf_chan_lock(c);
    /* Others may have been quicker, or the channel closed: then it is kept as the spare, or not needed. */
    if (wf_load_relaxed(&c->limit) == 0 && (wf_load_relaxed(&c->flags) & WF_CHAN_CLOSED) == 0) {
        bool first = c->first == NULL;
        write_to(c, segment);
        if (first)
            read_from(c, segment);
        wf_store_release(&c->limit, UINT64_MAX);
        segment = NULL;
    } else if (c->spare == NULL) {
        c->spare = segment;
        segment = NULL;
    }
    wf_chan_unlock(c);
    if (segment != NULL)
        wf_heap_free(segment);
    wf_leave(thread);
    return 0;
}
