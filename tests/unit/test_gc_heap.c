/* SPDX-License-Identifier: MIT */
/* gc/units.h and gc/span.h: units, spans, and the way from a word to its cell. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "../support/collect.h"

static struct wf_cache cache;

static void start(void)
{
    cr_assert_eq(wf_heap_init(0), 0);
    wf_cache_init(&cache);
}

static void stop(void)
{
    wf_heap_fini();
}

TestSuite(gc_heap, .init = start, .fini = stop, .timeout = 60);

Test(gc_heap, a_second_init_is_refused)
{
    cr_assert_eq(wf_heap_init(0), -EALREADY);
}

Test(gc_heap, can_be_ended_and_begun_again)
{
    for (int i = 0; i < 3; i++) {
        char *p = wf_cache_alloc(&cache, 100, WF_KIND_SCANNED);
        cr_assert_not_null(p);
        wf_heap_fini();
        cr_assert_not(wf_heap_contains((uintptr_t)p));
        start();
    }
}

Test(gc_heap, every_byte_of_every_cell_leads_to_it)
{
    for (unsigned i = 0; i < WF_CLASS_COUNT; i++) {
        size_t size = wf_sizeclasses[i].size;
        for (unsigned n = 0; n < wf_sizeclasses[i].n_cells * 2u; n++) {
            char *p = wf_cache_alloc(&cache, size, WF_KIND_SCANNED);
            for (size_t byte = 0; byte < size; byte += size > 4096 && byte > 64 && byte + 64 < size ? 61 : 1) {
                struct wf_cell cell;
                cr_assert(wf_heap_find((uintptr_t)p + byte, &cell));
                cr_assert(cell.start == p && cell.size == size && !cell.large);
            }
        }
    }
}

Test(gc_heap, what_is_no_object_is_not_found)
{
    struct wf_cell cell;
    int local;
    cr_assert_not(wf_heap_find(0, &cell));
    cr_assert_not(wf_heap_find((uintptr_t)&local, &cell));
    cr_assert_not(wf_heap_find(UINTPTR_MAX, &cell));
    cr_assert_not(wf_heap_find(wf_heap.base - 1, &cell));
    for (uint32_t unit = 0; unit < 40; unit++) /* nothing is allocated yet */
        cr_assert_not(wf_heap_find((uintptr_t)wf_unit_address(unit) + 17, &cell));
    cr_assert_eq(wf_heap_size_of(&local), 0);
    cr_assert_null(wf_heap_base_of(&local));
    cr_assert_eq(wf_heap_size_of(NULL), 0);
}

Test(gc_heap, the_slack_behind_the_last_cell_belongs_to_no_object)
{
    enum { SIZE = 1792 }; /* 36 cells and 1 KiB of slack */
    char *first = wf_cache_alloc(&cache, SIZE, WF_KIND_SCANNED), *last = first;
    for (int i = 1; i < 36; i++)
        last = wf_cache_alloc(&cache, SIZE, WF_KIND_SCANNED);
    cr_assert_eq(last - first, 35 * SIZE);
    struct wf_cell cell;
    for (size_t byte = 0; byte < WF_UNIT - 36 * SIZE; byte++)
        cr_assert_not(wf_heap_find((uintptr_t)last + SIZE + byte, &cell));
    cr_assert_eq(wf_heap_base_of(last + SIZE), last); /* one past the end */
    cr_assert_null(wf_heap_base_of(last + SIZE + 16));
}

Test(gc_heap, one_past_the_end_belongs_to_the_object_unless_another_begins_there)
{
    char *a = wf_cache_alloc(&cache, 64, WF_KIND_SCANNED), *b = wf_cache_alloc(&cache, 64, WF_KIND_SCANNED);
    cr_assert_eq(b, a + 64);
    cr_assert_eq(wf_heap_base_of(b), b);
    cr_assert_eq(wf_heap_base_of(a + 64), b);
    cr_assert_eq(wf_heap_free(b), 0);
    cr_assert_eq(wf_heap_base_of(a + 64), a);
    cr_assert_eq(wf_heap_size_of(a + 64), 64);
}

Test(gc_heap, large_objects_are_found_by_any_byte_and_by_their_end_only)
{
    size_t sizes[] = {WF_SMALL_MOST + 1, WF_UNIT, WF_UNIT + 16, 3 * WF_UNIT - 16, 1 << 20, (5 << 20) + 48};
    for (unsigned i = 0; i < WF_ARRAY_SIZE(sizes); i++) {
        char *p = wf_cache_alloc(&cache, sizes[i], WF_KIND_SCANNED);
        size_t size = (sizes[i] + 15) / 16 * 16;
        cr_assert_eq(wf_heap_size_of(p), size);
        struct wf_cell cell;
        for (size_t byte = 0; byte < size; byte += 1009)
            cr_assert(wf_heap_find((uintptr_t)p + byte, &cell) && cell.start == p && cell.large);
        cr_assert_eq(wf_heap_base_of(p + size), p);
        cr_assert_null(wf_heap_base_of(p + size + 1));
    }
}

Test(gc_heap, a_traced_object_begins_behind_its_head)
{
    char *p = wf_cache_alloc_traced(&cache, 48, NULL);
    cr_assert_eq(wf_heap_base_of(p), p);
    cr_assert_eq(wf_heap_base_of(p + 47), p);
    cr_assert_eq(wf_heap_size_of(p), 48);
}

Test(gc_heap, units_of_dead_objects_are_joined_and_used_again)
{
    enum { N = 40 };
    char *objects[N];
    for (int i = 0; i < N; i++)
        objects[i] = wf_cache_alloc(&cache, 3 << 20, WF_KIND_DATA);
    size_t used = wf_load_relaxed(&wf_heap.used_units), n_units = wf_load_relaxed(&wf_heap.n_units);
    for (int i = 0; i < N; i += 2)
        cr_assert_eq(wf_heap_free(objects[i]), 0);
    wf_units_check();
    for (int i = 1; i < N; i += 2)
        cr_assert_eq(wf_heap_free(objects[i]), 0);
    wf_units_check();
    cr_assert_eq(wf_load_relaxed(&wf_heap.used_units), used - N * 48);
    cr_assert_not_null(wf_cache_alloc(&cache, (size_t)N * 3 << 20, WF_KIND_DATA)); /* all of them in a row */
    cr_assert_eq(wf_load_relaxed(&wf_heap.n_units), n_units);
}

Test(gc_heap, the_limit_is_kept_and_can_be_raised)
{
    wf_store_relaxed(&wf_heap.limit_bytes, 8 << 20);
    size_t n = 0;
    while (wf_cache_alloc(&cache, 1000, WF_KIND_SCANNED))
        n++;
    cr_assert_eq(wf_load_relaxed(&wf_heap.used_units), (8 << 20) / WF_UNIT);
    cr_assert_eq(n, (8 << 20) / WF_UNIT * (WF_UNIT / 1024));
    cr_assert_null(wf_cache_alloc(&cache, 100000, WF_KIND_DATA));
    wf_store_relaxed(&wf_heap.limit_bytes, 9 << 20);
    cr_assert_not_null(wf_cache_alloc(&cache, 1000, WF_KIND_SCANNED));
    cr_assert_null(wf_cache_alloc(&cache, 2 << 20, WF_KIND_DATA));
}

Test(gc_heap, absurd_sizes_are_refused)
{
    cr_assert_null(wf_cache_alloc(&cache, SIZE_MAX, WF_KIND_SCANNED));
    cr_assert_null(wf_cache_alloc(&cache, SIZE_MAX - 15, WF_KIND_DATA));
    cr_assert_null(wf_cache_alloc(&cache, (size_t)1 << 50, WF_KIND_DATA));
    cr_assert_null(wf_cache_alloc_traced(&cache, SIZE_MAX - 8, NULL));
}

/* Bytes of the object's whole 2 MiB that are resident. */
static size_t resident(const char *p, size_t size)
{
    unsigned char pages[1024];
    size_t n = 0;
    for (size_t at = 0; at < size; at += sizeof pages * 4096) {
        size_t left = size - at < sizeof pages * 4096 ? size - at : sizeof pages * 4096;
        cr_assert_eq(mincore((void *)(p + at), left, pages), 0);
        for (size_t i = 0; i < left / 4096; i++)
            n += pages[i] & 1;
    }
    return n * 4096;
}

Test(gc_heap, memory_of_dead_objects_is_given_back_at_a_pace_and_is_zero_again)
{
    enum { SIZE = 80 << 20 };
    wf_store_relaxed(&wf_heap.limit_bytes, (size_t)1 << 30); /* drops the pages at once */
    char *p = wf_cache_alloc(&cache, SIZE, WF_KIND_DATA);
    memset(p, 0xa5, SIZE);
    cr_assert_eq(resident(p, SIZE), SIZE);
    cr_assert_eq(wf_heap_free(p), 0);
    cr_assert_eq(wf_heap_release(1000000000, (size_t)1 << 30), 0); /* below what is to be kept */
    size_t first = wf_heap_release(2000000000, 0);
    cr_assert(first > 0 && first <= 64 << 20, "%zu", first);
    cr_assert_eq(wf_heap_release(2000000001, 0), 0); /* too early */
    cr_assert_leq(resident(p, SIZE), SIZE - first);
    cr_assert_gt(wf_heap_release(3000000000, 0), 0);
    cr_assert_leq(resident(p, SIZE), 4 << 20); /* the ends are no whole 2 MiB */
    wf_units_check();
    char *again = wf_cache_alloc(&cache, SIZE, WF_KIND_SCANNED);
    cr_assert_eq(again, p);
    for (size_t i = 0; i < SIZE; i += 512)
        cr_assert_eq(again[i], 0);
}

Test(gc_heap, a_full_reservation_is_no_fault)
{
    wf_heap_fini();
    wf_heap_stress.reserve_units = 100;
    start();
    unsigned n = 0;
    while (wf_cache_alloc(&cache, 60000, WF_KIND_SCANNED))
        n++;
    cr_assert_eq(n, 99); /* unit 0 is never used; the zones help each other out */
    cr_assert_null(wf_cache_alloc(&cache, 16, WF_KIND_SCANNED));
    cr_assert_eq(collect_all(&cache, NULL, 0, 1), 0);
    cr_assert_eq(wf_load_relaxed(&wf_heap.used_units), 0);
    cr_assert_not_null(wf_cache_alloc(&cache, 16, WF_KIND_SCANNED));
}

#if !WF_ASAN
Test(gc_heap, little_address_space_is_enough)
{
    wf_heap_fini();
    struct rlimit limit = {(size_t)1 << 30, (size_t)1 << 30};
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    start();
    cr_assert_lt(wf_heap.reserved_units << WF_UNIT_SHIFT, (size_t)1 << 30);
    char *p = wf_cache_alloc(&cache, 100 << 20, WF_KIND_SCANNED);
    cr_assert_not_null(p);
    p[(100 << 20) - 1] = 1;
    cr_assert_null(wf_cache_alloc(&cache, (size_t)1 << 30, WF_KIND_SCANNED));
    cr_assert_eq(collect_all(&cache, NULL, 0, 2), 0);
}
#endif
