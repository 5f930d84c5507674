/* SPDX-License-Identifier: MIT */
/* The promises of gc/sizeclass.h, for every size and every offset. */
#include <criterion/criterion.h>

#include "gc/sizeclass.h"

Test(gc_sizeclass, every_reciprocal_divides_every_offset_of_a_span_exactly)
{
    for (unsigned i = 0; i < WF_CLASS_COUNT; i++) {
        const struct wf_sizeclass *class = &wf_sizeclasses[i];
        for (uint64_t grains = 0; grains < (uint64_t)WF_SPAN_UNITS_MOST * WF_UNIT / WF_GRAIN; grains++)
            cr_assert_eq(grains * class->magic >> WF_MAGIC_SHIFT, grains / (class->size / WF_GRAIN), "class %u grains %lu", i,
                         (unsigned long)grains);
    }
}

Test(gc_sizeclass, each_size_gets_the_smallest_class_that_holds_it)
{
    for (size_t size = 0; size <= WF_SMALL_MOST; size++) {
        unsigned i = wf_class_of(size);
        cr_assert_lt(i, WF_CLASS_COUNT);
        cr_assert_geq(wf_sizeclasses[i].size, size);
        if (i > 0)
            cr_assert_lt(wf_sizeclasses[i - 1].size, size, "size %zu", size);
    }
}

Test(gc_sizeclass, a_cell_wastes_no_more_than_the_header_says)
{
    for (size_t size = 1; size <= WF_SMALL_MOST; size++) {
        size_t cell = wf_sizeclasses[wf_class_of(size)].size, waste = cell - size;
        cr_assert(waste < 16 || (size <= 1024 ? waste * 9 < cell : waste * 5 < cell), "size %zu cell %zu", size, cell);
    }
}

Test(gc_sizeclass, spans_hold_their_cells_with_little_slack)
{
    for (unsigned i = 0; i < WF_CLASS_COUNT; i++) {
        const struct wf_sizeclass *class = &wf_sizeclasses[i];
        size_t bytes = (size_t)class->n_units * WF_UNIT, cells = (size_t)class->n_cells * class->size;
        cr_assert(class->n_units >= 1 && class->n_units <= WF_SPAN_UNITS_MOST);
        cr_assert(class->size % WF_GRAIN == 0);
        cr_assert(cells <= bytes && bytes - cells < class->size && (bytes - cells) * 16 <= bytes, "class %u", i);
        /* The slack's offsets divide to n_cells, which has a state byte of its own. */
        cr_assert((size_t)class->n_lines * WF_LINE >= class->n_cells + (bytes > cells ? 1u : 0u));
        cr_assert(class->n_lines <= WF_LINE);
    }
}
