/* SPDX-License-Identifier: MIT */
/* test_gc_pacer.c - when collections begin, what limits and hints do, what goes back to the system. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include "../support/child.h"
#include "../support/garbage.h"
#include "../support/watch.h"
#include "gc/close.h"
#include "gc/pacer.h"
#include "gc/units.h"

TestSuite(gc_pacer, .timeout = 60);

enum { KIB = 1 << 10, MIB = 1 << 20 };
static const int64_t MS = 1000000;

static weft_gc_info info(void)
{
    weft_gc_info i;
    weft_gc_stats(&i);
    return i;
}

static int64_t goal(void)
{
    return wf_load_relaxed(&wf_heap.goal);
}

/* ---- by itself: no heap, no clock ---- */

static void configure(int percent, size_t limit, size_t hint)
{
    wf_pacer_configure(&(struct wf_pacer_config){percent, limit, hint});
}

static void after_cycle(size_t live, size_t roots, int64_t external)
{
    wf_pacer_cycle(&(struct wf_pacer_cycle){.live_bytes = live, .root_bytes = roots, .external_bytes = external});
}

Test(gc_pacer, the_goal_grows_with_what_lives_with_roots_and_with_external_bytes)
{
    configure(100, 0, 0);
    after_cycle(100 * MIB, 0, 0);
    cr_assert(goal() > 99 * MIB && goal() <= 100 * MIB);
    after_cycle(100 * MIB, 50 * MIB, 0);
    cr_assert(goal() > 149 * MIB && goal() <= 150 * MIB);
    after_cycle(100 * MIB, 50 * MIB, 25 * MIB);
    cr_assert(goal() > 174 * MIB && goal() <= 175 * MIB);
    configure(200, 0, 0);
    after_cycle(100 * MIB, 0, 0);
    cr_assert(goal() > 199 * MIB && goal() <= 200 * MIB);
}

Test(gc_pacer, a_small_heap_may_grow_to_four_mebibytes_by_percent)
{
    configure(100, 0, 0);
    after_cycle(0, 0, 0);
    cr_assert_eq(goal(), 4 * MIB);
    after_cycle(MIB, 0, 0);
    cr_assert_eq(goal(), 3 * MIB);
    configure(50, 0, 0);
    after_cycle(MIB / 2, 0, 0);
    cr_assert_eq(goal(), 3 * MIB / 2);
}

Test(gc_pacer, off_means_never_but_at_the_limit)
{
    configure(-1, 0, 0);
    after_cycle(100 * MIB, 0, 0);
    cr_assert_eq(goal(), INT64_MAX);
    cr_assert_eq(wf_pacer_idle_bytes(), INT64_MAX);
    configure(-1, 200 * MIB, 0);
    after_cycle(100 * MIB, 0, 0);
    cr_assert_eq(goal(), 100 * MIB);
}

Test(gc_pacer, limit_and_hint_bring_the_goal_forward_to_a_sixteenth_at_least)
{
    configure(100, 160 * MIB, 0);
    after_cycle(100 * MIB, 0, 0);
    cr_assert_eq(goal(), 60 * MIB);
    after_cycle(159 * MIB, 0, 0);
    cr_assert_eq(goal(), 10 * MIB);
    configure(100, 0, 200 * MIB); /* a tenth of it is for others */
    after_cycle(100 * MIB, 0, 0);
    cr_assert(goal() > 79 * MIB && goal() <= 80 * MIB);
    cr_assert_eq(wf_load_relaxed(&wf_heap.limit_bytes), 0, "a hint refuses nothing");
}

Test(gc_pacer, the_limit_is_for_stacks_tables_and_external_bytes_too)
{
    configure(100, 100 * MIB, 0);
    wf_pacer_cycle(&(struct wf_pacer_cycle){
        .live_bytes = MIB, .stack_bytes = 10 * MIB, .metadata_bytes = 5 * MIB, .external_bytes = 20 * MIB});
    cr_assert_eq(wf_load_relaxed(&wf_heap.limit_bytes), 65 * MIB);
    wf_pacer_external(40 * MIB);
    cr_assert_eq(wf_load_relaxed(&wf_heap.limit_bytes), 45 * MIB);
    wf_pacer_external(400 * (int64_t)MIB);
    cr_assert_eq(wf_load_relaxed(&wf_heap.limit_bytes), WF_UNIT, "0 would be none");
}

Test(gc_pacer, collections_that_take_more_than_half_of_the_time_are_held_back_until_they_do_not)
{
    int64_t now = 1000 * MS;
    configure(100, 64 * MIB, 0);
    for (int i = 0; i < 30; i++, now += 110 * MS) { /* 100 ms each, 10 ms between */
        after_cycle(62 * MIB, 0, 0);
        wf_pacer_ended(now, now + 100 * MS);
        if (i < 5) {
            cr_assert_eq(goal(), 4 * MIB);
            cr_assert_eq(wf_pacer_wait_ns(now + 100 * MS), 0, "a few may");
        }
    }
    int64_t end = now - 10 * MS;
    cr_assert_eq(wf_pacer_wait_ns(end), 100 * MS);
    cr_assert_eq(wf_pacer_wait_ns(end + 60 * MS), 40 * MS);
    cr_assert_eq(wf_pacer_wait_ns(end + 100 * MS), 0);
    after_cycle(62 * MIB, 0, 0);
    cr_assert_gt(goal(), 61 * MIB, "not brought forward");
    now = end + 400 * MS;
    wf_pacer_ended(now, now + 100 * MS);
    cr_assert_eq(wf_pacer_wait_ns(now + 100 * MS), 0);
    after_cycle(62 * MIB, 0, 0);
    cr_assert_eq(goal(), 4 * MIB);
}

/* ---- in a program ---- */

static void *held[64];

Test(gc_pacer, memory_that_must_be_searched_makes_collections_rarer)
{
    enum { SIZE = 64 << 20 };
    held[0] = weft_alloc(1);
    weft_gc();
    size_t before = info().goal_bytes;
    void *outside = calloc(1, SIZE);
    cr_assert_eq(weft_root_add(outside, SIZE), 0);
    weft_gc();
    size_t with = info().goal_bytes;
    cr_assert_geq(with, before + SIZE - 4 * MIB);
    cr_assert_eq(weft_root_remove(outside), 0);
    weft_gc();
    cr_assert_lt(info().goal_bytes, before + MIB);
}

Test(gc_pacer, without_objects_there_is_no_collection)
{
    weft_gc();
    weft_gc();
    cr_assert_eq(info().cycles, 0);
    weft_keep(weft_alloc(1));
    weft_gc();
    cr_assert_eq(info().cycles, 1);
}

Test(gc_pacer, external_bytes_alone_begin_collections)
{
    for (int i = 0; i < 1000; i++)
        weft_external(weft_alloc(16), MIB); /* 16 KiB of objects */
    cr_assert_geq(info().cycles, 5);
    cr_assert_lt(info().external_bytes, 200 * (size_t)MIB);
}

Test(gc_pacer, external_bytes_count_towards_the_limit)
{
    setenv("WEFT_MEMLIMIT", "32MiB", 1);
    held[0] = weft_alloc(16);
    held[1] = weft_alloc_data(10 * MIB);
    cr_assert_not_null(held[1]);
    held[1] = NULL;
    weft_external(held[0], 26 * MIB);
    cr_assert_null(held[1] = weft_alloc_data(10 * MIB));
    weft_external(held[0], -26 * MIB);
    cr_assert_not_null(held[1] = weft_alloc_data(10 * MIB));
}

static struct node *list;

static WF_NOINLINE void fill_to_the_limit(void)
{
    for (struct node *next; (next = weft_new(struct node)) != NULL; list = next)
        next->next = list;
}

/* The list is all that there is, so every attempt is a full collection in vain. */
Test(gc_pacer, at_the_limit_half_of_the_time_is_left_and_what_was_dropped_is_there_at_once)
{
    setenv("WEFT_MEMLIMIT", "64MiB", 1);
    fill_to_the_limit();
    int64_t end = clock_ns() + PATIENCE_SECONDS * INT64_C(1000000000);
    while (wf_pacer_wait_ns(clock_ns()) == 0 && clock_ns() < end)
        cr_assert_null(weft_alloc(MIB));
    cr_assert_lt(clock_ns(), end, "it never took too long");
    int64_t start = clock_ns(), paused = info().pause_total_ns;
    uint64_t cycles = info().cycles;
    while (clock_ns() < start + 700 * MS || info().cycles < cycles + 20) /* so the ends of the time do not count for much */
        cr_assert_null(weft_alloc(MIB));
    int64_t took = clock_ns() - start;
    cr_assert_lt(info().pause_total_ns - paused, took * 65 / 100);
    list = NULL;
    clear_stack();
    cr_assert_not_null(weft_alloc(MIB));
    for (int i = 0; i < 32; i++)
        cr_assert_not_null(held[i] = weft_alloc(MIB));
}

Test(gc_pacer, what_can_never_be_granted_is_refused_at_once)
{
    weft_keep(weft_alloc(16));
    cr_assert_null(weft_alloc(PTRDIFF_MAX));
    cr_assert_null(weft_alloc_data(PTRDIFF_MAX - 100));
    cr_assert_null(weft_alloc((size_t)1 << 60));
    cr_assert_eq(info().cycles, 0);
}

static size_t resident(void)
{
    struct wf_heap_stats stats;
    wf_heap_stats(&stats);
    return stats.resident_bytes;
}

Test(gc_pacer, a_program_of_plain_threads_gives_memory_back_when_it_collects)
{
    for (int i = 0; i < 48; i++) {
        held[i] = weft_alloc_data(2 * MIB);
        memset(held[i], 1, 2 * MIB);
    }
    cr_assert_geq(resident(), 96 * (size_t)MIB);
    memset(held, 0, sizeof(held));
    clear_stack();
    int64_t end = clock_ns() + PATIENCE_SECONDS * INT64_C(1000000000);
    while (resident() > 24 * MIB && clock_ns() < end)
        weft_gc();
    cr_assert_leq(resident(), 24 * (size_t)MIB);
}

Test(gc_pacer, each_pause_is_in_its_bin)
{
    for (unsigned round = 1; round <= 5; round++) {
        weft_gc_info before = info();
        allocate(100 * KIB, 64);
        weft_gc();
        weft_gc_info after = info();
        cr_assert_eq(after.cycles, before.cycles + 1);
        unsigned bin = 0;
        for (; bin < 24 && after.pauses[bin] == before.pauses[bin]; bin++)
            ;
        cr_assert_lt(bin, 24);
        cr_assert_lt(after.pause_ns, INT64_C(1000) << bin);
        cr_assert(bin == 0 || after.pause_ns >= INT64_C(1000) << (bin - 1));
        cr_assert_eq(after.pause_total_ns, before.pause_total_ns + after.pause_ns);
    }
}

/* ---- who stopped last ---- */

static atomic_uint running;
static atomic_uint done;

static void compute(void)
{
    weft_set_name("crunch");
    atomic_store(&running, 1);
    while (atomic_load_explicit(&done, memory_order_relaxed) == 0)
        ;
}

static void traced_run(void)
{
    setenv("WEFT_DEBUG", "gctrace=1", 1);
    weft_keep(weft_alloc(1));
    require(weft_go(compute) == 0);
    while (atomic_load(&running) == 0)
        pause_thread_ms(1);
    for (int i = 0; i < 5; i++)
        weft_gc();
    atomic_store(&done, 1);
}

Test(gc_pacer, the_trace_names_the_routine_that_stopped_last)
{
    struct ending e = run_in_child(traced_run, 20);
    cr_assert_eq(e.exit_status, 0, "signal %d: %s", e.signal, e.text);
    cr_assert(says(&e, "\"crunch\" on thread "), "%s", e.text);
}
