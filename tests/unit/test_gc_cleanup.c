/* SPDX-License-Identifier: MIT */
/* test_gc_cleanup.c - what hangs on objects, when they are freed early or moved; the rest of the allocating calls' small print. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <wchar.h>

#include "../support/watch.h"
#include "gc/cleanup.h"
#include "gc/collect.h"
#include "sched/worker.h"

TestSuite(gc_cleanup, .timeout = 60);

enum { MIB = 1 << 20 };

static weft_gc_info info(void)
{
    weft_gc_info i;
    weft_gc_stats(&i);
    return i;
}

static void expect_panic(int result, const char *text)
{
    cr_assert_eq(result, WEFT_EPANIC);
    cr_assert_not_null(strstr(weft_try_message(), text), "%s", weft_try_message());
}

static atomic_uint n_cleaned;

static void count(void *arg)
{
    require(arg == NULL || ((struct node *)arg)->check == check_of(((struct node *)arg)->tag));
    atomic_fetch_add(&n_cleaned, 1);
}

static bool cleaned(unsigned n)
{
    int64_t end = clock_ns() + PATIENCE_SECONDS * INT64_C(1000000000);
    while (atomic_load(&n_cleaned) < n && clock_ns() < end)
        weft_sleep(100000);
    return atomic_load(&n_cleaned) == n;
}

static void free_with_specials(size_t size)
{
    char *p = weft_alloc(size), *other = weft_alloc(size);
    weft_weak *whole = weft_weak_make(p), *inner = weft_weak_make(p + 8), *of_other = weft_weak_make(other);
    weft_cleanup(p, count, make_node(7));
    weft_cleanup(p, count, NULL);
    weft_external(p, 5000);
    weft_external(other, 70);
    cr_assert_eq(info().external_bytes, 5070);
    weft_free(p);
    cr_assert_null(weft_weak_get(whole));
    cr_assert_null(weft_weak_get(inner));
    cr_assert_eq(weft_weak_get(of_other), other);
    cr_assert_eq(info().external_bytes, 70);
    cr_assert(cleaned(2));
    weft_free(other);
    cr_assert_null(weft_weak_get(of_other));
    cr_assert_eq(info().external_bytes, 0);
    cr_assert_eq(wf_cleanups_count(), 1); /* make_node's handle */
    cr_assert_eq(info().cycles, 0);
    for (int i = 0; i < 3; i++)
        weft_gc();
    cr_assert(cleaned(2), "twice");
}

Test(gc_cleanup, a_freed_object_is_gone_for_its_handles_cleanups_and_external_bytes)
{
    weft_await(weft_async(free_with_specials, (size_t)64));
}

Test(gc_cleanup, a_freed_large_object_too)
{
    weft_await(weft_async(free_with_specials, (size_t)MIB));
}

/* What hung on the former does not hang on who gets its memory. */
Test(gc_cleanup, nothing_hangs_on_the_next_object_in_the_same_place)
{
    for (int i = 0; i < 1000; i++) {
        char *p = weft_alloc(2 * MIB);
        weft_weak *w = weft_weak_make(p);
        weft_external(p, 100);
        weft_free(p);
        char *q = weft_alloc(2 * MIB);
        cr_assert_null(weft_weak_get(w));
        weft_free(q);
    }
    cr_assert_eq(info().external_bytes, 0);
    cr_assert_eq(wf_cleanups_count(), 0);
}

Test(gc_cleanup, a_handle_cannot_be_freed)
{
    void *p = weft_alloc(64);
    weft_weak *w = weft_weak_make(p);
    expect_panic(weft_try(weft_free, (void *)w), "weak handle");
    cr_assert_eq(weft_weak_get(w), p);
    void *data = weft_alloc_data(16); /* of the same span, and no handle */
    memset(data, 0x5f, 16);
    weft_free(data);
}

Test(gc_cleanup, many_of_one_object_take_no_more_room)
{
    char *p = weft_alloc(64);
    weft_weak *first = weft_weak_make(p);
    for (int i = 0; i < 100000; i++) {
        weft_external(p, i % 2 == 0 ? 300 : -100);
        cr_assert_eq(weft_weak_make(p), first);
    }
    cr_assert_eq(info().external_bytes, 100000 / 2 * 200);
    cr_assert_leq(wf_cleanups_count(), 2);
    weft_external(p, -(100000 / 2 * 200));
    cr_assert_leq(wf_cleanups_count(), 1);
}

static WF_NOINLINE void make_many(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char *p = weft_alloc(48);
        weft_keep(weft_weak_make(p));
        weft_external(p, 1);
        weft_cleanup(p, count, NULL);
    }
}

Test(gc_cleanup, a_hundred_thousand_objects_with_all_three)
{
    enum { N = 100000 };
    make_many(N);
    int64_t end = clock_ns() + PATIENCE_SECONDS * INT64_C(1000000000);
    while (atomic_load(&n_cleaned) < N - 20 && clock_ns() < end) {
        clear_stack();
        weft_gc();
        weft_await(weft_async(weft_yield)); /* the runtime runs, so cleanups do */
        pause_thread_ms(1);
    }
    cr_assert_geq(atomic_load(&n_cleaned), N - 20);
    cr_assert_leq(info().external_bytes, 20);
    cr_assert_leq(wf_cleanups_count(), 60);
}

/* ---- realloc ---- */

Test(gc_cleanup, realloc_stays_where_there_is_room_and_little_waste)
{
    char *p = weft_alloc(100);
    memset(p, 1, 100);
    cr_assert_eq(weft_realloc(p, 112), p);
    cr_assert_eq(weft_realloc(p, 60), p);
    char *again = weft_realloc(p, 112);
    cr_assert_eq(again, p);
    for (int i = 0; i < 112; i++)
        cr_assert_eq(again[i], i < 60, "%d", i); /* zeroes behind what was kept */
    char *small = weft_realloc(again, 16);
    cr_assert_neq(small, p);
    cr_assert_eq(small[15], 1);
    char *large = weft_alloc_data(10 * MIB);
    cr_assert_eq(weft_realloc(large, 6 * MIB), large);
    cr_assert_neq(weft_realloc(large, MIB), large);
    char *empty = weft_realloc(weft_alloc(16), 0);
    cr_assert_not_null(empty);
    cr_assert_neq(empty, weft_alloc(0));
}

Test(gc_cleanup, what_hangs_on_an_object_moves_with_it)
{
    weft_await(weft_async(weft_yield));
    char *p = weft_alloc(64);
    weft_weak *whole = weft_weak_make(p), *inner = weft_weak_make(p + 40);
    weft_cleanup(p, count, NULL);
    weft_external(p, 1234);
    char *q = weft_realloc(p, 5000);
    cr_assert_neq(q, p);
    cr_assert_eq(weft_weak_get(whole), q);
    cr_assert_eq(weft_weak_get(inner), q + 40);
    cr_assert_eq(info().external_bytes, 1234);
    q = weft_realloc(q, 16);
    cr_assert_eq(weft_weak_get(whole), q);
    cr_assert_null(weft_weak_get(inner));
    weft_gc();
    pause_thread_ms(20);
    cr_assert_eq(atomic_load(&n_cleaned), 0);
    weft_free(q);
    cr_assert(cleaned(1));
    cr_assert_null(weft_weak_get(whole));
    cr_assert_eq(info().external_bytes, 0);
}

/* ---- texts, errno ---- */

Test(gc_cleanup, allocating_calls_leave_errno_alone)
{
    static void *kept;
    setenv("WEFT_MEMLIMIT", "8MiB", 1);
    errno = EXFULL;
    cr_assert_str_eq(weft_sprintf("%m"), strerror(EXFULL));
    cr_assert_eq(errno, EXFULL);
    int most = INT_MAX;
    __asm__("" : "+r"(most)); /* hidden from the compiler's warning */
    cr_assert_null(weft_sprintf("%*d%*d", most, 1, 10, 1)); /* longer than INT_MAX */
    cr_assert_eq(errno, EXFULL);
    cr_assert_null(weft_sprintf("%ls", (const wchar_t[]){0x110000, 0}));
    cr_assert_eq(errno, EXFULL);
    cr_assert_null(weft_alloc(100 * MIB));
    cr_assert_null(kept = weft_realloc(weft_alloc(16), 100 * MIB));
    cr_assert_null(weft_new_array(int, SIZE_MAX / 2));
    cr_assert_null(weft_new_array(int, -1));
    weft_gc();
    weft_keep(weft_strdup("x"));
    weft_external(weft_alloc(16), 100 * MIB);
    cr_assert_eq(errno, EXFULL);
}

/* ---- no cancellation points ---- */

static int allocate_to_the_end(void)
{
    require(weft_sleep(1) == -ECANCELED);
    for (int i = 0; i < 3000; i++) {
        char *p = weft_alloc(10000);
        require(p != NULL);
        weft_external(p, 10);
        if (i % 1000 == 0)
            weft_gc();
    }
    require(weft_realloc(weft_strdup("abc"), 70000) != NULL);
    return 0;
}

static int in_dead_blocks(void)
{
    int error = 1;
    weft_scope(s)
    {
        weft_cancel(s);
        error = allocate_to_the_end();
    }
    weft_deadline(-1)
        for (int i = 0; i < 1000; i++)
            require(weft_alloc(10000) != NULL);
    return error;
}

Test(gc_cleanup, a_cancelled_routine_allocates_as_any_other)
{
    cr_assert_eq(weft_await(weft_async(in_dead_blocks)), 0);
}

/* ---- caches ---- */

static uint32_t cache_number(void)
{
    weft_keep(weft_alloc(32));
    struct wf_thread *thread = wf_enter();
    uint32_t number = wf_gc_cache(thread)->number;
    wf_leave(thread);
    return number;
}

Test(gc_cleanup, caches_of_workers_that_are_gone_are_used_again)
{
    uint32_t most = 0;
    for (int run = 0; run < 40; run++) {
        uint32_t number = weft_await(weft_async(cache_number));
        most = number > most ? number : most;
        cr_assert_eq(weft_stop(), 0);
    }
    cr_assert_leq(most, 8, "%u caches", most + 1);
}

static void *own_cache_number(void *ret)
{
    *(uint32_t *)ret = cache_number();
    return NULL;
}

static void use_cache(weft_barrier *b)
{
    cache_number();
    weft_barrier_wait(b);
}

Test(gc_cleanup, retired_workers_leave_theirs_to_others)
{
    for (int round = 0; round < 20; round++) {
        weft_barrier b;
        weft_barrier_init(&b, 5);
        cr_assert_eq(weft_set_procs(4), 0);
        for (int i = 0; i < 4; i++)
            cr_assert_eq(weft_go(use_cache, &b), 0);
        weft_barrier_wait(&b);
        cr_assert_eq(weft_set_procs(1), 0);
        int64_t end = clock_ns() + PATIENCE_SECONDS * INT64_C(1000000000);
        while (wf_load_acquire(&wf_default_pool->reach) != 1 && clock_ns() < end)
            pause_thread_ms(1);
        cr_assert_eq(wf_load_acquire(&wf_default_pool->reach), 1);
    }
    uint32_t number = 99;
    pthread_t t;
    cr_assert_eq(pthread_create(&t, NULL, own_cache_number, &number), 0);
    pthread_join(t, NULL);
    cr_assert_leq(number, 8);
}

/* ---- cleanups that do not come back ---- */

static void end_routine(void *arg)
{
    count(arg);
    weft_exit();
}

static void wait_for_stop(void *arg)
{
    while (weft_sleep(WEFT_HOUR) != -ECANCELED)
        ;
    count(arg);
}

static WF_NOINLINE void free_with_cleanup(void (*fn)(void *), unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char *p = weft_alloc(64);
        weft_cleanup(p, fn, NULL);
        weft_free(p);
    }
}

Test(gc_cleanup, one_that_ends_its_routine_or_waits_holds_up_no_other)
{
    free_with_cleanup(end_routine, 3);
    free_with_cleanup(count, 3);
    cr_assert(cleaned(6));
    free_with_cleanup(wait_for_stop, 3);
    free_with_cleanup(count, 3);
    cr_assert(cleaned(9));
    cr_assert_eq(weft_stop(), 0);
    cr_assert(cleaned(12));
}

/* A plain thread that uses nothing else of weft, and does not wait in it either. */
Test(gc_cleanup, they_run_in_a_program_that_only_allocates)
{
    int64_t end = clock_ns() + PATIENCE_SECONDS * INT64_C(1000000000);
    free_with_cleanup(count, 10);
    while (atomic_load(&n_cleaned) < 10 && clock_ns() < end)
        pause_thread_ms(1);
    cr_assert_eq(atomic_load(&n_cleaned), 10);
}

Test(gc_cleanup, what_is_due_while_the_runtime_does_not_run_waits_for_it)
{
    static char *objects[10];
    int64_t end = clock_ns() + PATIENCE_SECONDS * INT64_C(1000000000);
    for (int i = 0; i < 10; i++) {
        objects[i] = weft_alloc(64);
        weft_cleanup(objects[i], count, NULL);
    }
    cr_assert_eq(weft_stop(), 0);
    for (int i = 0; i < 10; i++)
        weft_free(objects[i]);
    pause_thread_ms(10);
    cr_assert_eq(atomic_load(&n_cleaned), 0);
    cr_assert_eq(weft_start(NULL), 0);
    while (atomic_load(&n_cleaned) < 10 && clock_ns() < end)
        pause_thread_ms(1);
    cr_assert_eq(atomic_load(&n_cleaned), 10);
}

/* ---- strange arguments ---- */

static void cleanup_without_function(void)
{
    weft_cleanup(weft_alloc(16), NULL, NULL);
}

static void visit_nothing(void *object, weft_visitor *v)
{
    (void)object, (void)v;
}

Test(gc_cleanup, strange_arguments_are_answered)
{
    static void *words[4];
    expect_panic(weft_try(cleanup_without_function), "weft_cleanup");
    cr_assert_null(weft_weak_get(NULL));
    cr_assert_eq(weft_root_add(words, SIZE_MAX), -EINVAL);
    cr_assert_eq(weft_root_add(words, SIZE_MAX - (uintptr_t)words + 1), -EINVAL);
    struct node *untraced = weft_new_traced(struct node, NULL);
    untraced->next = (struct node *)(void *)words; /* no function to be called */
    cr_assert_eq(weft_base(untraced), untraced);
    weft_gc();
    cr_assert_eq(untraced->next, (void *)words);
    char *p = weft_alloc(16);
    weft_external(p, -100);
    cr_assert_eq(info().external_bytes, 0);
    weft_keep(p);
}

/* In front of a traced object lies its function: one past the end of another. */
Test(gc_cleanup, the_end_of_a_traced_object_is_not_its_neighbours)
{
    struct node *t[40];
    for (int i = 0; i < 40; i++)
        t[i] = weft_new_traced(struct node, visit_nothing);
    for (int i = 0; i < 40; i++) {
        char *past = (char *)t[i] + weft_size(t[i]);
        void *base = weft_base(past);
        cr_assert(base == NULL || base == t[i], "%d", i);
    }
    cr_assert_eq(weft_base((char *)t[20] + weft_size(t[20])), t[20]);
    struct nothing {
        char none[0];
    } *empty[40];
    for (int i = 0; i < 40; i++)
        empty[i] = weft_new_traced(struct nothing, visit_nothing);
    for (int i = 0; i < 40; i++)
        cr_assert_eq(weft_base(empty[i]), empty[i], "%d", i);
    for (int i = 0; i < 40; i++)
        weft_free(empty[i]);
}
