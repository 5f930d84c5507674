/* SPDX-License-Identifier: MIT */
/* gc/alloc.h: what an allocation promises, caches, early frees, accounting. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "../support/collect.h"

static struct wf_cache cache;

static void start(void)
{
    cr_assert_eq(wf_heap_init(0), 0);
    wf_cache_init(&cache);
}

TestSuite(gc_alloc, .init = start, .fini = wf_heap_fini, .timeout = 60);

static bool is_zero(const char *p, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (p[i])
            return false;
    return true;
}

Test(gc_alloc, objects_are_aligned_zeroed_and_apart_also_in_memory_used_before)
{
    for (int round = 0; round < 3; round++) {
        for (size_t size = 0; size <= 40000; size += size < 300 ? 1 : 531)
            for (int i = 0; i < 5; i++) {
                size_t head = i & 1 ? 0 : WF_TRACED_HEAD; /* in front of the object; which has a byte at least */
                char *p = wf_cache_alloc(&cache, head != 0 ? head + size + 1 : size, i & 1 ? WF_KIND_SCANNED : WF_KIND_TRACED);
                cr_assert_eq((uintptr_t)p % 16, 0);
                size_t usable = wf_heap_size_of(p + head);
                cr_assert_geq(usable, size);
                cr_assert(is_zero(p, head + usable), "size %zu round %d", size, round);
                memset(p + head, 0x77, usable); /* overlapping ones would not be zero */
            }
        cr_assert_eq(collect_all(&cache, NULL, 0, 1), 0);
    }
}

Test(gc_alloc, cells_that_were_not_handed_out_are_free_after_a_flush)
{
    char *p = wf_cache_alloc(&cache, 64, WF_KIND_SCANNED);
    cr_assert_gt(wf_heap_size_of(p + 64), 0); /* held ready */
    wf_cache_flush(&cache);
    cr_assert_eq(wf_heap_base_of(p + 64), p); /* one past the end, no object begins there */
    cr_assert_eq(wf_heap_base_of(p), p);
    cr_assert_eq(wf_load_relaxed(&wf_heap.allocated_since), 64);
    wf_heap_check();
}

Test(gc_alloc, a_collection_makes_holes_that_are_filled_again)
{
    enum { N = 5000 };
    static const void *roots[N];
    for (int i = 0; i < N; i++) {
        char *p = wf_cache_alloc(&cache, 48, WF_KIND_SCANNED);
        memset(p, i & 0xff, 48);
        memset(p, 0, 8);
        roots[i] = i % 3 == 0 ? p + 8 : NULL;
    }
    cr_assert_eq(collect_all(&cache, roots, N, 1), 0);
    size_t used = wf_load_relaxed(&wf_heap.used_units);
    for (int i = 0; i < N * 2 / 3; i++)
        cr_assert(is_zero(wf_cache_alloc(&cache, 48, WF_KIND_SCANNED), 48));
    cr_assert_eq(wf_load_relaxed(&wf_heap.used_units), used);
    for (int i = 0; i < N; i += 3)
        for (int byte = 8; byte < 48; byte++)
            cr_assert_eq(((const unsigned char *)roots[i])[byte - 8], i & 0xff);
}

Test(gc_alloc, published_bytes_reach_the_goal_and_say_so)
{
    wf_store_relaxed(&wf_heap.goal, 1 << 20);
    size_t n = 0;
    while (!cache.goal_passed) {
        cr_assert_not_null(wf_cache_alloc(&cache, 256, WF_KIND_DATA));
        cr_assert_lt(++n * 256, 2 << 20);
    }
    cr_assert_geq(n * 256 + 64 * 256, 1 << 20);
    cr_assert_leq(n * 256, (1 << 20) + (64 << 10));
    wf_cache_flush(&cache);
    cr_assert_eq(wf_load_relaxed(&wf_heap.allocated_since), (int64_t)n * 256);
    cr_assert_not(cache.goal_passed);
    cr_assert_eq(collect_all(&cache, NULL, 0, 1), 0);
    cr_assert_eq(wf_load_relaxed(&wf_heap.allocated_since), 0);
}

Test(gc_alloc, a_large_object_is_counted_at_once)
{
    wf_store_relaxed(&wf_heap.goal, 1 << 20);
    wf_cache_alloc(&cache, 2 << 20, WF_KIND_DATA);
    cr_assert(cache.goal_passed);
}

Test(gc_alloc, what_is_freed_early_cannot_be_freed_twice)
{
    char *small = wf_cache_alloc(&cache, 64, WF_KIND_SCANNED), *large = wf_cache_alloc(&cache, 1 << 20, WF_KIND_SCANNED);
    char *traced = wf_cache_alloc_traced(&cache, 64, NULL);
    int local;
    cr_assert_eq(wf_heap_free(small + 8), -EINVAL);
    cr_assert_eq(wf_heap_free(large + 16), -EINVAL);
    cr_assert_eq(wf_heap_free(&local), -EINVAL);
    cr_assert_eq(wf_heap_free(NULL), -EINVAL);
    cr_assert_eq(wf_heap_free(small), 0);
    cr_assert_eq(wf_heap_free(small), -EALREADY);
    cr_assert_eq(wf_heap_free(traced), 0);
    cr_assert_eq(wf_heap_free(traced), -EALREADY);
    cr_assert_eq(wf_heap_free(large), 0);
    cr_assert_neq(wf_heap_free(large), 0);
    wf_cache_flush(&cache);
    wf_heap_check();
}

Test(gc_alloc, early_frees_keep_a_program_in_the_memory_it_has)
{
    enum { N = 20000 };
    static void *held[N];
    for (int i = 0; i < N; i++)
        held[i] = wf_cache_alloc(&cache, 100, WF_KIND_SCANNED);
    size_t used = wf_load_relaxed(&wf_heap.used_units);
    for (int round = 0; round < 20; round++)
        for (int i = 0; i < N; i++) {
            cr_assert_eq(wf_heap_free(held[i]), 0);
            held[i] = wf_cache_alloc(&cache, 100, WF_KIND_SCANNED);
            cr_assert(is_zero(held[i], 100));
            memset(held[i], 0xff, 100);
        }
    cr_assert_leq(wf_load_relaxed(&wf_heap.used_units), used * 2);
    wf_cache_flush(&cache);
    wf_heap_check();
}

static void *free_all(void *arg)
{
    for (void **p = arg; *p; p++)
        cr_assert_eq(wf_heap_free(*p), 0);
    return NULL;
}

Test(gc_alloc, another_thread_may_free)
{
    enum { N = 30000 };
    static void *batches[4][N + 1];
    pthread_t thread;
    for (int batch = 0; batch < 4; batch++) {
        for (int i = 0; i < N; i++) {
            batches[batch][i] = wf_cache_alloc(&cache, 32, WF_KIND_SCANNED);
            cr_assert(is_zero(batches[batch][i], 32));
            memset(batches[batch][i], 0xee, 32);
        }
        if (batch > 0)
            pthread_join(thread, NULL);
        cr_assert_eq(pthread_create(&thread, NULL, free_all, batches[batch]), 0);
    }
    pthread_join(thread, NULL);
    wf_cache_flush(&cache);
    wf_heap_check();
    cr_assert_eq(collect_all(&cache, NULL, 0, 1), 0);
    cr_assert_eq(wf_load_relaxed(&wf_heap.used_units), 0);
}

static void *allocate_much(void *arg)
{
    struct wf_cache *own = arg;
    for (int i = 0; i < 200000; i++) {
        size_t size = 16u + (unsigned)i * 7919u % 3000;
        char *p = wf_cache_alloc(own, size, WF_KIND_SCANNED);
        if (!is_zero(p, size))
            return p;
        memset(p, 0x5a, size);
    }
    return NULL;
}

Test(gc_alloc, caches_of_several_threads_never_share_a_cell)
{
    static struct wf_cache caches[3];
    pthread_t threads[3];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++) {
            wf_cache_init(&caches[i]);
            cr_assert_eq(pthread_create(&threads[i], NULL, allocate_much, &caches[i]), 0);
        }
        for (int i = 0; i < 3; i++) {
            void *overlapping;
            pthread_join(threads[i], &overlapping);
            cr_assert_null(overlapping);
            wf_cache_flush(&caches[i]);
        }
        cr_assert_eq(collect_all(&cache, NULL, 0, 2), 0);
    }
}

Test(gc_alloc, what_a_retired_cache_leaves_serves_the_others)
{
    for (int thread = 0; thread < 1000; thread++) {
        struct wf_cache passing;
        wf_cache_init(&passing);
        for (int i = 0; i < 10; i++)
            memset(wf_cache_alloc(&passing, 64, WF_KIND_SCANNED), 0x11, 64);
        wf_cache_retire(&passing);
    }
    cr_assert_leq(wf_load_relaxed(&wf_heap.used_units), 1000 * 10 * 64 / WF_UNIT + 2);
    wf_heap_check();
    cr_assert_eq(wf_load_relaxed(&wf_heap.allocated_since), 1000 * 10 * 64);
}

Test(gc_alloc, poison_finds_a_write_to_a_dead_object, .signal = SIGABRT)
{
    wf_heap_fini();
    wf_heap_stress.poison = true;
    start();
    const void *root = (char *)wf_cache_alloc(&cache, 64, WF_KIND_DATA) + 1; /* keeps the span */
    char *dead = wf_cache_alloc(&cache, 64, WF_KIND_DATA);
    collect_all(&cache, &root, 1, 1);
    wf_cell_allow(dead, 64);
    dead[13] = 1;
    for (int i = 0; i < 2000; i++)
        wf_cache_alloc(&cache, 64, WF_KIND_DATA);
}

Test(gc_alloc, without_a_write_poison_is_silent)
{
    wf_heap_fini();
    wf_heap_stress.poison = true;
    start();
    for (int round = 0; round < 4; round++) {
        const void *root = (char *)wf_cache_alloc(&cache, 64, WF_KIND_DATA) + 1;
        for (int i = 0; i < 5000; i++) {
            size_t size = 16u + (unsigned)i % 700;
            memset(wf_cache_alloc(&cache, size, i & 1 ? WF_KIND_DATA : WF_KIND_SCANNED), 3, size);
        }
        cr_assert_eq(collect_all(&cache, &root, 1, 1), 0);
    }
}
