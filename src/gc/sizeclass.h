/* SPDX-License-Identifier: MIT */
/* sizeclass.h - the sizes that cells come in, and how many units a span of each takes.
 *
 * Multiples of 16 up to 128, then 8 per doubling up to 1 KiB, then 4 per doubling up to 32 KiB: a request wastes at most
 * 15 bytes below 256, 1/9 of the cell below 1 KiB and 1/5 above. A span's slack behind its last cell is at most 1/16.
 *
 * [RECIPROCAL] A cell's number is x / d, where x is the offset in the span and d the cell's size, both in grains.
 * x * magic >> 26 with magic = ceil(2^26 / d) is exact as long as x * (magic * d - 2^26) < 2^26; x < 2^14 (4 units), and
 * magic * d - 2^26 < d <= 2^11, so the product stays below 2^25. A magic of 0 gives cell 0 for every x: large objects
 * and free units need no branch of their own.
 */
#ifndef WEFT_GC_SIZECLASS_H
#define WEFT_GC_SIZECLASS_H

#include "base/compiler.h"

enum {
    WF_GRAIN = 16,         /* bytes; cells begin at multiples of it */
    WF_UNIT_SHIFT = 16,
    WF_UNIT = 1 << WF_UNIT_SHIFT, /* bytes: what spans are made of */
    WF_SMALL_MOST = 32768, /* larger requests get a span of their own */
    WF_CLASS_COUNT = 52,
    WF_CELLS_MOST = WF_UNIT / WF_GRAIN, /* of a span */
    WF_SPAN_UNITS_MOST = 4,
    WF_LINE = 64, /* states are handled by the cache line */
    WF_MAGIC_SHIFT = 26,
};

struct wf_sizeclass {
    uint32_t size;    /* bytes of a cell */
    uint32_t magic;   /* [RECIPROCAL] */
    uint16_t n_cells; /* of a span */
    uint8_t n_units;  /* of a span */
    uint8_t n_lines;  /* of state bytes: one per cell, and one that stays 0 for the slack behind the last */
};

extern const struct wf_sizeclass wf_sizeclasses[WF_CLASS_COUNT];

/* Class by size in grains, rounded up; sizes up to WF_GRAINS_MOST. */
enum { WF_GRAINS_MOST = 1024 }; /* bytes */
extern const uint8_t wf_class_of_grains[WF_GRAINS_MOST / WF_GRAIN + 1];

/* The smallest class whose cells hold `size` <= WF_SMALL_MOST bytes; 0 is as good as 1. */
WF_INLINE unsigned wf_class_of(size_t size)
{
    if (WF_LIKELY(size <= WF_GRAINS_MOST))
        return wf_class_of_grains[(size + WF_GRAIN - 1) / WF_GRAIN];
    size--;
    unsigned log = 63 - (unsigned)__builtin_clzl(size);
    return 32 + (log - 10) * 4 + (unsigned)((size >> (log - 2)) & 3);
}

#endif
