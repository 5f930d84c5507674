/* SPDX-License-Identifier: MIT */
/* test_gc.c - weft/gc.h: allocation, early frees, weak handles, cleanups, pacing, limits, what is told. What keeps an object
 * alive: test_gc_roots.c. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>

#include "../support/child.h"
#include "../support/garbage.h"
#include "../support/watch.h"

TestSuite(gc, .timeout = 60);

enum { KIB = 1 << 10, MIB = 1 << 20 };

static weft_gc_info info(void)
{
    weft_gc_info i;
    weft_gc_stats(&i);
    return i;
}

static bool is_all(const char *p, size_t size, char byte)
{
    for (size_t i = 0; i < size; i++)
        if (p[i] != byte)
            return false;
    return true;
}

/* A panic, and its message contains `text`. */
static void expect_panic(int result, const char *text)
{
    cr_assert_eq(result, WEFT_EPANIC);
    cr_assert_not_null(strstr(weft_try_message(), text), "%s", weft_try_message());
}

/* ---- allocation ---- */

Test(gc, objects_are_aligned_and_zeroed_also_where_others_were)
{
    for (int round = 0; round < 2; round++) {
        for (size_t size = 0; size < 300000; size += size < 200 ? 1 : size < 5000 ? 97 : 30011) {
            char *p = weft_alloc(size), *q = weft_alloc(size);
            cr_assert(p != NULL && q != NULL && p != q);
            cr_assert_eq(((uintptr_t)p | (uintptr_t)q) % 16, 0);
            cr_assert_geq(weft_size(p), size);
            cr_assert(is_all(p, size, 0) && is_all(q, size, 0), "size %zu round %d", size, round);
            memset(p, 0x55, size);
            memset(q, 0x66, size);
            cr_assert(is_all(p, size, 0x55));
            weft_free(q);
        }
        weft_gc();
    }
}

Test(gc, size_zero_gives_an_object_of_its_own)
{
    char *p = weft_alloc(0), *q = weft_alloc(0), *r = weft_alloc_data(0);
    cr_assert(p != NULL && q != NULL && r != NULL && p != q);
    cr_assert_eq(weft_base(p), p);
    cr_assert_eq(weft_base(r), r);
}

Test(gc, arrays_that_overflow_and_impossible_sizes_give_null)
{
    volatile size_t most = SIZE_MAX;
    cr_assert_null(weft_new_array(struct node, most));
    cr_assert_null(weft_new_array(struct node, most / sizeof(struct node) + 1));
    cr_assert_null(weft_new_array(char, most / 2 + 1));
    cr_assert_null(weft_new_array(struct node, -1));
    cr_assert_null(weft_alloc(most));
    cr_assert_null(weft_alloc_data(most - 100));
    cr_assert_null(weft__alloc_traced(most - 8, NULL));
    int *few = weft_new_array(int, 1000);
    cr_assert_geq(weft_size(few), 1000 * sizeof(int));
    cr_assert(is_all((char *)few, 1000 * sizeof(int), 0));
    cr_assert_not_null(weft_new_array(int, 0));
}

static void **pointers;

static WF_NOINLINE void fill_pointers(void **to)
{
    for (uint64_t i = 0; i < MANY; i++)
        to[i] = make_node(i);
}

Test(gc, data_is_never_searched)
{
    pointers = weft_alloc_data(MANY * sizeof(void *));
    fill_pointers(pointers);
    cr_assert(dies_down_to(MANY / 4));
    pointers = weft_alloc(MANY * sizeof(void *));
    watched.n = 0;
    fill_pointers(pointers);
    cr_assert_eq(alive_after_gc(), MANY);
}

Test(gc, realloc_keeps_contents_and_kind)
{
    cr_assert_not_null(pointers = weft_realloc(NULL, MANY * sizeof(void *)));
    fill_pointers(pointers);
    for (size_t n = MANY; n < 40000; n *= 5) {
        void **old = pointers;
        pointers = weft_realloc(pointers, n * sizeof(void *));
        cr_assert(pointers != NULL && (n == MANY) == (pointers == old));
        cr_assert_geq(weft_size(pointers), n * sizeof(void *));
        cr_assert(is_all((char *)(pointers + MANY), (n - MANY) * sizeof(void *), 0));
        old = NULL;
    }
    cr_assert_eq(alive_after_gc(), MANY);
    pointers = weft_realloc(pointers, 2 * sizeof(void *));
    cr_assert(is_node(pointers[1], 1));
    cr_assert(dies_down_to(MANY / 4));

    char *text = weft_realloc(weft_strdup("text"), 5000);
    cr_assert_str_eq(text, "text");
    pointers = (void **)weft_realloc(text, MANY * sizeof(void *)); /* still data */
    watched.n = 0;
    fill_pointers(pointers);
    cr_assert(dies_down_to(MANY / 4));
}

static void realloc_inside(char *p)
{
    weft_keep(weft_realloc(p + 8, 100));
}

static void trace_nothing(void *object, weft_visitor *v)
{
    (void)object, (void)v;
}

static void realloc_traced(void)
{
    weft_keep(weft_realloc(weft_new_traced(struct node, trace_nothing), 100));
}

Test(gc, realloc_refuses_what_is_no_beginning_or_traced)
{
    expect_panic(weft_try(realloc_inside, (char *)weft_alloc(64)), "not the beginning");
    expect_panic(weft_try(realloc_traced), "traced");
}

Test(gc, texts)
{
    char *copy = weft_strdup("a copy"), *empty = weft_strdup("");
    cr_assert_str_eq(copy, "a copy");
    cr_assert_str_eq(empty, "");
    cr_assert_eq(weft_base(copy), copy);
    char *text = weft_sprintf("%d %s %5000s", 7, "x", "end");
    cr_assert_eq(strlen(text), 4 + 5000);
    cr_assert_eq(strncmp(text, "7 x  ", 5), 0);
    cr_assert_str_eq(text + strlen(text) - 4, " end");
    cr_assert_str_eq(weft_sprintf("%s", ""), "");
}

Test(gc, a_freed_object_is_gone_and_its_memory_used_again)
{
    weft_free(NULL);
    char *p = weft_alloc(100 * KIB);
    cr_assert_eq(weft_base(p + 5000), p);
    weft_free(p);
    cr_assert_null(weft_base(p + 5000));
    cr_assert_eq(weft_size(p + 5000), 0);
    size_t before = info().heap_bytes;
    for (int i = 0; i < 1000; i++)
        weft_free(weft_alloc(i % 2 == 0 ? 300 * KIB : 48));
    cr_assert_leq(info().heap_bytes, before + MIB);
    cr_assert_eq(info().cycles, 0);
}

Test(gc, frees_of_what_is_no_object_panic)
{
    static int not_collected[4];
    for (size_t size = 16; size < 200000; size *= 9) {
        char *p = weft_alloc(size);
        expect_panic(weft_try(weft_free, (void *)(p + 8)), "not the beginning");
        weft_free(p);
        expect_panic(weft_try(weft_free, (void *)p), size < 32000 ? "free already" : "weft_free"); /* units may be no span now */
    }
    expect_panic(weft_try(weft_free, (void *)not_collected), "not the beginning");
    void *p = malloc(100);
    expect_panic(weft_try(weft_free, p), "not the beginning");
    free(p);
}

Test(gc, size_and_base_of_any_pointer_inside)
{
    static int not_collected[4];
    for (size_t size = 1; size < 300000; size = size * 3 + 1) {
        char *p = weft_alloc(size);
        size_t usable = weft_size(p);
        cr_assert_geq(usable, size);
        for (size_t i = 0; i < usable; i += usable / 7 + 1) {
            cr_assert_eq(weft_base(p + i), p);
            cr_assert_eq(weft_size(p + i), usable);
        }
        cr_assert_eq(weft_base(p + usable - 1), p);
        void *past = weft_base(p + usable);
        cr_assert(past == p || past == p + usable, "one past the end is the object's, or the next's");
    }
    cr_assert_null(weft_base(NULL));
    cr_assert_null(weft_base(not_collected));
    cr_assert_null(weft_base(&(int){0}));
    cr_assert_eq(weft_size(NULL), 0);
    cr_assert_eq(weft_size(not_collected), 0);
}

/* ---- traced objects ---- */

struct traced {
    struct node *seen, *unseen;
    uintptr_t tagged; /* a pointer with its lowest bit set, as language runtimes have them */
};

static void trace(void *object, weft_visitor *v)
{
    struct traced *t = object;
    weft_visit(v, t->seen);
    weft_visit(v, (void *)(t->tagged & ~(uintptr_t)1)); /* NOLINT */
    weft_visit(v, NULL);
    weft_visit(v, v);
}

static struct traced *traced[MANY];

static WF_NOINLINE void make_traced(void)
{
    for (uint64_t i = 0; i < MANY; i++) {
        struct traced *t = traced[i] = weft_new_traced(struct traced, trace);
        cr_assert(t->seen == NULL && t->unseen == NULL && t->tagged == 0);
        cr_assert_eq((uintptr_t)t % 16, 0);
        cr_assert_eq(weft_base(&t->unseen), t);
        t->seen = make_node(i);
        t->unseen = make_node(i + 1000);
        t->tagged = (uintptr_t)make_node(i + 2000) | 1;
        watch(t);
    }
}

Test(gc, a_trace_function_names_the_pointers_that_count)
{
    make_traced();
    cr_assert(dies_down_to(3 * MANY + MANY / 4));
    for (uint64_t i = 0; i < MANY; i++) {
        cr_assert(is_node(traced[i]->seen, i));
        cr_assert(is_node((struct node *)(traced[i]->tagged - 1), i + 2000)); /* NOLINT */
    }
    cr_assert_geq(alive_after_gc(), 3 * MANY);
    weft_free(traced[0]);
    memset(traced, 0, sizeof(traced));
    cr_assert(dies_down_to(MANY));
}

/* ---- weak handles ---- */

static WF_NOINLINE void make_garbage(unsigned n)
{
    for (uint64_t i = 0; i < n; i++)
        make_node(i);
}

Test(gc, weak_handles_give_the_object_as_long_as_it_lives)
{
    static char *object;
    object = weft_alloc(1000);
    weft_weak *whole = weft_weak_make(object), *inner = weft_weak_make(object + 500);
    weft_gc();
    cr_assert_eq(weft_weak_get(whole), object);
    cr_assert_eq(weft_weak_get(inner), object + 500);
    make_garbage(1000);
    cr_assert(dies_down_to(50));
    cr_assert_eq(weft_weak_get(whole), object);
    cr_assert_leq(alive_after_gc(), 50); /* and it stays so */
}

static void weak_of(void *p)
{
    weft_keep(weft_weak_make(p));
}

static void nothing(void *arg)
{
    (void)arg;
}

static void clean_up_int(int *p)
{
    weft_cleanup(p, nothing, NULL);
}

static void external_of(int *p)
{
    weft_external(p, 100);
}

Test(gc, handles_cleanups_and_external_bytes_are_for_collected_memory)
{
    static int not_collected;
    expect_panic(weft_try(weak_of, (void *)&not_collected), "no collected memory");
    expect_panic(weft_try(weak_of, NULL), "no collected memory");
    expect_panic(weft_try(clean_up_int, &not_collected), "no collected memory");
    expect_panic(weft_try(external_of, &not_collected), "no collected memory");
}

/* ---- cleanups ---- */

static _Atomic unsigned n_cleaned[200], n_bad;
static uint64_t collectors_id;

static void clean_up(void *arg)
{
    struct node *n = arg;
    uint64_t tag = n->tag;
    n_bad += !is_node(n, tag) || tag >= 200 || weft_id() == 0 || weft_id() == collectors_id;
    weft_keep(weft_alloc(1000)); /* all of weft may be used */
    weft_yield();
    n_cleaned[tag % 200]++;
}

static WF_NOINLINE void make_with_cleanups(void)
{
    for (uint64_t i = 0; i < 200; i++) {
        struct node *arg = make_node(i); /* first: see below */
        weft_cleanup(weft_alloc(i % 10 == 0 ? 100000 : 32), clean_up, arg);
    }
}

static unsigned sum_cleaned(void)
{
    unsigned n = 0;
    for (int i = 0; i < 200; i++)
        n += n_cleaned[i];
    return n;
}

static void collect_once(void)
{
    collectors_id = weft_id();
    clear_stack();
    weft_gc();
}

Test(gc, cleanups_run_once_in_another_routine_with_a_live_argument)
{
    make_with_cleanups();
    cr_assert_eq(sum_cleaned(), 0);
    cr_assert_eq(watched.n, 200);
    int64_t end = clock_ns() + PATIENCE_SECONDS * INT64_C(1000000000);
    do
        weft_await(weft_async(collect_once));
    while (sum_cleaned() < 190 && clock_ns() < end);
    cr_assert_geq(sum_cleaned(), 190, "%u", sum_cleaned());
    cr_assert_eq(n_bad, 0);
    for (int i = 0; i < 5; i++)
        weft_await(weft_async(collect_once));
    for (int i = 0; i < 200; i++)
        cr_assert_leq(n_cleaned[i], 1);
    cr_assert(dies_down_to(60)); /* the arguments are let go */
}

/* As a root it would also keep the neighbour just below, as one past that one's end. */
Test(gc, an_argument_that_lies_behind_its_object_does_not_keep_it)
{
    for (uint64_t i = 0; i < 200; i++) {
        void *object = weft_alloc(32);
        weft_cleanup(object, clean_up, make_node(i));
    }
    int64_t end = clock_ns() + PATIENCE_SECONDS * INT64_C(1000000000);
    do
        weft_await(weft_async(collect_once));
    while (sum_cleaned() < 190 && clock_ns() < end);
    cr_assert_geq(sum_cleaned(), 190, "%u", sum_cleaned());
}

Test(gc, cleanups_wait_as_long_as_the_object_lives)
{
    static void *object;
    object = weft_alloc(32);
    weft_cleanup(object, clean_up, make_node(5));
    for (int i = 0; i < 5; i++)
        cr_assert_eq(alive_after_gc(), 1); /* the argument */
    cr_assert_eq(sum_cleaned(), 0);
}

/* ---- pacing ---- */

Test(gc, garbage_is_collected_by_itself_and_the_heap_stays_small)
{
    allocate(64 * MIB, 64);
    allocate(64 * MIB, 5000);
    allocate(64 * MIB, MIB);
    cr_assert_geq(info().cycles, 10);
    cr_assert_lt(info().heap_bytes, 48 * MIB);
}

static WF_NOINLINE void hold_outside(void)
{
    for (int i = 0; i < 100; i++)
        weft_external(weft_alloc(64), MIB);
}

Test(gc, memory_outside_brings_a_collection_forward_and_goes_with_its_object)
{
    weft_gc();
    uint64_t before = info().cycles;
    hold_outside();
    cr_assert_geq(info().external_bytes, (size_t)MIB);
    allocate(MIB, 100); /* by itself a quarter of what begins a collection */
    cr_assert_gt(info().cycles, before);
    int64_t end = clock_ns() + PATIENCE_SECONDS * INT64_C(1000000000);
    while (info().external_bytes > 10 * (size_t)MIB && clock_ns() < end)
        alive_after_gc();
    cr_assert_leq(info().external_bytes, 10 * (size_t)MIB);
}

Test(gc, memory_outside_can_be_taken_back)
{
    static void *object;
    object = weft_alloc(64);
    weft_external(object, 1000);
    weft_external(object, 500);
    cr_assert_eq(info().external_bytes, 1500);
    weft_external(object, -1500);
    cr_assert_eq(info().external_bytes, 0);
    weft_gc();
    cr_assert_eq(info().external_bytes, 0);
}

Test(gc, numbers_are_plausible)
{
    static void *kept[1000];
    for (int i = 0; i < 1000; i++)
        kept[i] = weft_alloc(1024);
    weft_keep((void *)kept);
    for (int i = 0; i < 3; i++) {
        allocate(64 * KIB, 64);
        weft_gc();
    }
    weft_gc_info i = info();
    uint64_t sum = 0;
    for (int k = 0; k < 24; k++)
        sum += i.pauses[k];
    cr_assert_geq(i.cycles, 3);
    cr_assert_eq(sum, i.cycles);
    cr_assert_geq(i.live_bytes, 1000 * 1024);
    cr_assert_lt(i.live_bytes, 1000 * 1024 + MIB);
    cr_assert(i.live_objects >= 1000 && i.live_objects < 3000);
    cr_assert_geq(i.heap_bytes, i.live_bytes);
    cr_assert_gt(i.goal_bytes, i.live_bytes);
    cr_assert_eq(i.limit_bytes, 0);
    cr_assert(i.pause_ns > 0 && i.pause_ns <= i.pause_most_ns && i.pause_most_ns <= i.pause_total_ns);
    cr_assert(i.stop_ns >= 0 && i.roots_ns >= 0 && i.mark_ns >= 0 && i.close_ns >= 0);
    cr_assert_leq(i.stop_ns + i.roots_ns + i.mark_ns + i.close_ns, i.pause_ns);
    allocate(MIB, 4096);
    cr_assert_geq(info().allocated_bytes, 512 * (size_t)KIB);
}

Test(gc, collections_can_be_left_to_the_program)
{
    setenv("WEFT_GC", "off", 1);
    allocate(48 * MIB, 4096);
    cr_assert_eq(info().cycles, 0);
    cr_assert_geq(info().heap_bytes, 48 * (size_t)MIB);
    weft_gc();
    cr_assert_eq(info().cycles, 1);
    cr_assert_lt(info().live_bytes, (size_t)MIB);
}

static void *blocks[64];

static WF_NOINLINE int fill_blocks(void)
{
    int n = 0;
    while (n < 64 && (blocks[n] = weft_alloc(512 * KIB)) != NULL)
        memset(blocks[n++], 1, 512 * KIB);
    return n;
}

static void limit_is_kept(void)
{
    int n = fill_blocks();
    cr_assert(n >= 16 && n <= 32, "%d blocks", n);
    weft_gc_info i = info();
    cr_assert_eq(i.limit_bytes, 16 * (size_t)MIB);
    cr_assert_leq(i.heap_bytes, i.limit_bytes);
    cr_assert_geq(i.cycles, 1);
    uint64_t before = i.cycles;
    cr_assert_null(weft_alloc(512 * KIB));
    cr_assert_gt(info().cycles, before, "it gave up without a look");
    memset(blocks, 0, sizeof(blocks));
    clear_stack();
    cr_assert_geq(fill_blocks(), 16);
    memset(blocks, 0, sizeof(blocks));
    allocate(100 * MIB, 200);
    allocate(100 * MIB, 100 * KIB);
}

Test(gc, a_limit_is_kept_and_what_was_dropped_is_there_again)
{
    setenv("WEFT_MEMLIMIT", "16MiB", 1);
    limit_is_kept();
}

Test(gc, a_limit_collects_also_when_collections_are_off)
{
    setenv("WEFT_MEMLIMIT", "16MiB", 1);
    setenv("WEFT_GC", "off", 1);
    limit_is_kept();
}

Test(gc, small_objects_meet_the_limit_too)
{
    static struct node *list;
    setenv("WEFT_MEMLIMIT", "8MiB", 1);
    size_t n = 0;
    for (struct node *next; (next = weft_new(struct node)) != NULL; list = next, n++)
        next->next = list;
    cr_assert_geq(n, 4 * MIB / 32);
    cr_assert_leq(n, 8 * MIB / sizeof(struct node));
    list = NULL;
    clear_stack();
    allocate(20 * MIB, 32);
}

/* ---- many at once ---- */

static void churn(uint64_t tag, int rounds)
{
    struct node *list = NULL;
    for (int i = 0; i < rounds; i++) {
        struct node *n = weft_new(struct node);
        *n = (struct node){.next = i % 50 == 0 ? NULL : list, .tag = tag + (uint64_t)i, .check = check_of(tag + (uint64_t)i)};
        list = n;
        if (i % 1000 == 0)
            weft_gc();
        if (i % 500 == 499) {
            uint64_t expected = tag + (uint64_t)i;
            for (const struct node *p = list; p != NULL; p = p->next)
                require(is_node(p, expected--));
            weft_yield();
        }
    }
}

static void *churn_on_thread(void *arg)
{
    churn((uintptr_t)arg, 5000);
    return NULL;
}

static void churn_everywhere(void)
{
    pthread_t threads[2];
    for (uintptr_t i = 0; i < 2; i++)
        require(pthread_create(&threads[i], NULL, churn_on_thread, (void *)(i << 20)) == 0);
    weft_workers *pool = weft_workers_create(2, NULL);
    weft_scope(s)
        for (uint64_t i = 0; i < 8; i++)
            weft_scope_go_with(s, weft_attr(.workers = i % 2 == 0 ? pool : NULL), churn, i << 24, 5000);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    require(weft_workers_destroy(pool) == 0);
}

Test(gc, routines_pools_and_threads_collect_at_once)
{
    churn_everywhere();
    cr_assert_geq(info().cycles, 5);
}

/* ---- told on stderr; in children ---- */

static void mixed_workload(void)
{
    make_traced();
    make_with_cleanups();
    hold_outside();
    make_garbage(1000);
    churn_everywhere();
    for (int i = 0; i < 3; i++)
        alive_after_gc();
    weft_gc_info i = info();
    printf("cycles %llu\n", (unsigned long long)i.cycles);
}

static void verified(void)
{
    setenv("WEFT_DEBUG", "gcverify=1", 1);
    mixed_workload();
}

Test(gc, the_verifier_agrees_over_a_mixed_workload)
{
    struct ending e = run_in_child(verified, 40);
    cr_assert_eq(e.exit_status, 0, "signal %d: %s", e.signal, e.text);
    cr_assert(says(&e, "cycles "));
    cr_assert_not(says(&e, "gcverify"), "%s", e.text);
}

static void traced_run(void)
{
    setenv("WEFT_DEBUG", "gctrace=1", 1);
    make_garbage(10);
    weft_gc();
    weft_gc();
}

Test(gc, a_trace_line_for_each_collection)
{
    struct ending e = run_in_child(traced_run, 20);
    cr_assert_eq(e.exit_status, 0, "signal %d: %s", e.signal, e.text);
    const char *line = e.text;
    for (unsigned i = 1; i <= 2; i++) {
        unsigned cycle = 0, objects = 0, markers = 0, before = 0, kib = 0, goal = 0, given_up = 99;
        int stop, roots, mark, close_us, pause_us, n = 0;
        float share = -1;
        line = strstr(line, "gc ");
        cr_assert_not_null(line, "%s", e.text);
        cr_assert_eq(sscanf(line,
                            "gc %u: stop %d roots %d mark %d close %d pause %d us, live %u -> %u KiB in %u objects, goal %u KiB, "
                            "%u markers, %f %% of the time, %u stops given up, last to stop: %n",
                            &cycle, &stop, &roots, &mark, &close_us, &pause_us, &before, &kib, &objects, &goal, &markers,
                            &share, &given_up, &n),
                     13, "%s", line);
        cr_assert(n > 0 && before >= kib && goal >= 4096 && given_up < 5, "%s", line);
        cr_assert(share >= 0 && share <= 100, "%s", line);
        cr_assert_eq(cycle, i);
        cr_assert(markers >= 1 && objects >= 10 && pause_us >= stop + roots + mark + close_us);
        line += n;
        cr_assert(strncmp(line, "none\n", 5) == 0 || strncmp(line, "thread ", 7) == 0 || strncmp(line, "routine ", 8) == 0,
                  "%s", line);
    }
    cr_assert_null(strstr(line, "gc "));
}
