/* SPDX-License-Identifier: MIT */
/* gc/mark.h, close.h, verify.h: what is kept and what is not, with one marker and with several. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/rand.h"
#include "../support/collect.h"

static struct wf_cache cache;

static void start(void)
{
    cr_assert_eq(wf_heap_init(0), 0);
    wf_cache_init(&cache);
}

TestSuite(gc_mark, .init = start, .fini = wf_heap_fini, .timeout = 120);

static void *scanned(size_t size)
{
    void *p = wf_cache_alloc(&cache, size, WF_KIND_SCANNED);
    cr_assert_not_null(p);
    return p;
}

static uint64_t live_objects(void)
{
    struct wf_heap_stats stats;
    wf_heap_stats(&stats);
    return stats.live_objects;
}

/* Collects from these roots, with the verifier, and returns how many objects are left. */
static uint64_t kept(unsigned n_markers, size_t n_roots, const void *const *roots)
{
    cr_assert_eq(collect_all(&cache, roots, n_roots, n_markers), 0);
    return live_objects();
}

#define KEPT(n_markers, ...) \
    kept(n_markers, sizeof((const void *[]){__VA_ARGS__}) / sizeof(void *), (const void *const[]){__VA_ARGS__})

/* ---- single objects and single words ---- */

Test(gc_mark, nothing_is_kept_without_roots)
{
    for (int i = 0; i < 1000; i++)
        scanned(100);
    cr_assert_eq(kept(1, 0, NULL), 0);
    cr_assert_eq(wf_load_relaxed(&wf_heap.used_units), 0);
}

Test(gc_mark, any_byte_of_an_object_keeps_it_and_only_it)
{
    size_t sizes[] = {16, 48, 64, 208, 1024, 1792, 20480, 32768, 70000, 200000};
    for (unsigned i = 0; i < WF_ARRAY_SIZE(sizes); i++)
        for (size_t byte = 1; byte < sizes[i]; byte += sizes[i] > 1000 ? 1009 : 1) {
            scanned(sizes[i]);
            char *p = scanned(sizes[i]);
            scanned(sizes[i]);
            cr_assert_eq(KEPT(1, p + byte), 1, "size %zu byte %zu", sizes[i], byte);
            cr_assert_eq(wf_heap_base_of(p), p);
        }
}

Test(gc_mark, a_root_one_past_the_end_keeps_the_object)
{
    size_t sizes[] = {16, 64, 1024, 1792, 32768, WF_UNIT, 3 * WF_UNIT};
    for (unsigned i = 0; i < WF_ARRAY_SIZE(sizes); i++) {
        char *p = NULL;
        for (size_t n = 0; n < 2 * WF_UNIT / sizes[i] + 1; n++) { /* also the last of a span, and of the heap */
            p = scanned(sizes[i]);
            memset(p, 0, 16);
        }
        cr_assert_geq(KEPT(1, p + sizes[i]), 1);
        cr_assert_eq(wf_heap_base_of(p), p, "size %zu", sizes[i]);
        cr_assert_leq(KEPT(1, p + sizes[i]), 2);
    }
}

Test(gc_mark, a_root_at_the_first_byte_keeps_the_object_before_as_well)
{
    char *before = scanned(64), *p = scanned(64);
    cr_assert_eq(p, before + 64);
    cr_assert_eq(KEPT(1, p), 2);
}

Test(gc_mark, a_word_in_the_heap_one_past_the_end_keeps_nothing)
{
    char *before = scanned(64), **holder = scanned(64);
    scanned(64);
    cr_assert_eq((char *)holder, before + 64);
    holder[3] = (char *)(holder + 8);
    cr_assert_eq(KEPT(1, (char *)holder + 8), 2); /* the holder, and the one after it that the word points to */
    char *lone = scanned(1024), **other = scanned(128);
    wf_cache_flush(&cache);
    other[0] = lone + 1024;
    cr_assert_eq(KEPT(1, (char *)other + 8), 1);
}

Test(gc_mark, words_in_pointer_free_objects_keep_nothing)
{
    void **data = wf_cache_alloc(&cache, 64, WF_KIND_DATA), **large = wf_cache_alloc(&cache, 1 << 20, WF_KIND_DATA);
    memset(data, 0, 64);
    data[2] = scanned(64);
    large[9] = scanned(64);
    cr_assert_eq(KEPT(1, (char *)data + 8, (char *)large + 8), 2);
}

Test(gc_mark, misaligned_words_are_not_pointers)
{
    char *holder = scanned(64), *p = scanned(64);
    memcpy(holder + 12, &p, sizeof p);
    cr_assert_eq(KEPT(1, holder + 8), 1);
}

Test(gc_mark, cycles_die_and_live_as_a_whole)
{
    void **ring[100];
    for (int i = 0; i < 100; i++)
        ring[i] = scanned(32);
    for (int i = 0; i < 100; i++)
        *ring[i] = ring[(i + 1) % 100];
    cr_assert_eq(KEPT(1, (char *)ring[50] + 8), 100);
    cr_assert_eq(kept(1, 0, NULL), 0);
}

/* ---- traced objects ---- */

struct traced {
    void *named, *hidden;
    size_t n_more;
    void *more[];
};

static void trace(void *object, struct weft_visitor *visitor)
{
    struct traced *t = object;
    wf_mark_object((struct wf_marker *)visitor, t->named);
    for (size_t i = 0; i < t->n_more; i++)
        wf_mark_object((struct wf_marker *)visitor, t->more[i]);
}

Test(gc_mark, a_trace_function_names_what_is_kept)
{
    struct traced *t = wf_cache_alloc_traced(&cache, sizeof *t, trace);
    t->named = (char *)scanned(64) + 20;
    t->hidden = scanned(128); /* of another class: not one past the end of the named one */
    cr_assert_eq(KEPT(1, t), 2);
    cr_assert_eq(wf_heap_size_of(t->hidden), 0);
}

Test(gc_mark, large_objects_are_traced_too)
{
    enum { N = 50000 };
    for (unsigned n_markers = 1; n_markers <= 2; n_markers++) {
        struct traced *t = wf_cache_alloc_traced(&cache, sizeof *t + N * sizeof(void *), trace);
        t->n_more = N;
        for (size_t i = 0; i < N; i++)
            t->more[i] = scanned(64);
        t->hidden = scanned(64);
        cr_assert_eq(KEPT(n_markers, &t->hidden), N + 1);
    }
}

Test(gc_mark, traced_objects_in_a_list_are_followed)
{
    struct traced *head = NULL;
    for (int i = 0; i < 100000; i++) {
        struct traced *t = wf_cache_alloc_traced(&cache, sizeof *t, trace);
        t->named = head;
        head = t;
    }
    cr_assert_eq(KEPT(1, &head->hidden), 100000);
    cr_assert_eq(KEPT(2, &head->hidden), 100000);
}

/* ---- shapes ---- */

struct link {
    struct link *next;
    size_t number;
};

static struct link *list(size_t n)
{
    struct link *head = NULL;
    for (size_t i = 0; i < n; i++) {
        struct link *link = scanned(sizeof *link);
        link->next = head;
        link->number = i;
        head = link;
    }
    return head;
}

static void check_list(const struct link *head, size_t n)
{
    for (const struct link *link = head; link; link = link->next)
        cr_assert_eq(link->number, --n);
    cr_assert_eq(n, 0);
}

Test(gc_mark, a_list_of_ten_million_needs_no_stack)
{
    enum { N = 10000000 };
    struct link *head = list(N);
    struct collect c = {.roots = (const void *[]){(char *)head + 8}, .n_roots = 1};
    for (c.n_markers = 1; c.n_markers <= 4; c.n_markers *= 2) {
        wf_cache_flush(&cache);
        collect_run(&c);
        cr_assert_eq(live_objects(), N);
    }
    check_list(head, N);
}

Test(gc_mark, every_word_of_a_large_array_counts)
{
    enum { N = 3000000 };
    for (unsigned n_markers = 1; n_markers <= 4; n_markers *= 2) {
        size_t n = N + n_markers; /* the end is no multiple of anything */
        void **array = scanned(n * sizeof *array);
        for (size_t i = 0; i < n; i += 37)
            array[i] = scanned(32);
        array[n - 1] = scanned(32);
        uint64_t expected = 1 + (n + 36) / 37 + ((n - 1) % 37 != 0);
        if ((n - 1) % 37 == 0)
            expected = 1 + (n + 36) / 37; /* the last was overwritten */
        cr_assert_eq(KEPT(n_markers, array), expected);
    }
}

/* A random graph: objects of every kind and size, edges to any byte; a copy of its shape lies outside the heap. */
enum { GRAPH_NODES = 60000, GRAPH_EDGES = 6, GRAPH_ROOTS = 40 };

struct shape {
    char *object;
    size_t size;
    enum wf_kind kind;
    uint32_t to[GRAPH_EDGES]; /* 0: no edge */
    bool reached;
};

static struct shape shapes[GRAPH_NODES];
static uint32_t graph_roots[GRAPH_ROOTS], stack[GRAPH_NODES];

static void trace_all(void *object, struct weft_visitor *visitor)
{
    for (int i = 0; i < GRAPH_EDGES; i++)
        wf_mark_object((struct wf_marker *)visitor, ((void **)object)[1 + i]);
}

static void make_node(struct shape *shape, struct wf_rand *rand)
{
    shape->size = 64 + (wf_rand_below(rand, 8) ? wf_rand_below(rand, 200) : wf_rand_below(rand, 60000) >> wf_rand_below(rand, 8));
    unsigned kind = wf_rand_below(rand, 8);
    shape->kind = kind < 5 ? WF_KIND_SCANNED : kind < 6 ? WF_KIND_DATA : WF_KIND_TRACED;
    shape->object = shape->kind == WF_KIND_TRACED ? wf_cache_alloc_traced(&cache, shape->size, trace_all)
                                                  : wf_cache_alloc(&cache, shape->size, shape->kind);
    cr_assert_not_null(shape->object);
    shape->reached = false;
}

static void connect_node(struct shape *shape, struct wf_rand *rand)
{
    void **words = (void **)(void *)shape->object;
    words[0] = (void *)(shape - shapes);
    for (int i = 0; i < GRAPH_EDGES; i++) {
        uint32_t to = wf_rand_below(rand, 3) ? 0 : wf_rand_below(rand, GRAPH_NODES);
        shape->to[i] = shape->kind == WF_KIND_DATA ? 0 : to;
        words[1 + i] = to ? shapes[to].object + wf_rand_below(rand, (uint32_t)shapes[to].size) : NULL;
    }
}

static uint64_t reach_shapes(void)
{
    size_t depth = 0;
    uint64_t n = 0;
    for (int i = 0; i < GRAPH_ROOTS; i++) {
        if (shapes[graph_roots[i]].reached)
            continue;
        shapes[graph_roots[i]].reached = true;
        stack[depth++] = graph_roots[i];
        while (depth > 0) {
            struct shape *shape = &shapes[stack[--depth]];
            n++;
            for (int e = 0; e < GRAPH_EDGES; e++)
                if (shape->to[e] && !shapes[shape->to[e]].reached) {
                    shapes[shape->to[e]].reached = true;
                    stack[depth++] = shape->to[e];
                }
        }
    }
    return n;
}

static void check_graph(unsigned n_markers, uint64_t seed)
{
    struct wf_rand rand;
    const void *roots[GRAPH_ROOTS];
    wf_rand_seed(&rand, seed);
    for (int i = 0; i < GRAPH_NODES; i++)
        make_node(&shapes[i], &rand);
    for (int i = 0; i < GRAPH_NODES; i++)
        connect_node(&shapes[i], &rand);
    for (int i = 0; i < GRAPH_ROOTS; i++) {
        graph_roots[i] = wf_rand_below(&rand, GRAPH_NODES);
        roots[i] = shapes[graph_roots[i]].object + 1 + wf_rand_below(&rand, 60);
    }
    uint64_t n_expected = reach_shapes();
    cr_assert_eq(kept(n_markers, GRAPH_ROOTS, roots), n_expected, "markers %u seed %lu", n_markers, (unsigned long)seed);
    for (int i = 0; i < GRAPH_NODES; i++)
        if (shapes[i].reached) {
            cr_assert_eq(*(void **)(void *)shapes[i].object, (void *)(uintptr_t)i);
            cr_assert_geq(wf_heap_size_of(shapes[i].object), shapes[i].size);
        }
    /* Everything may be taken again: overlaps with what is alive would show in the next round. */
    for (int i = 0; i < GRAPH_NODES; i++)
        if (!shapes[i].reached)
            memset(wf_cache_alloc(&cache, shapes[i].size, WF_KIND_SCANNED), 0xff, shapes[i].size);
    for (int i = 0; i < GRAPH_NODES; i++)
        if (shapes[i].reached)
            cr_assert_eq(*(void **)(void *)shapes[i].object, (void *)(uintptr_t)i);
}

Test(gc_mark, random_graphs_keep_exactly_what_is_reachable)
{
    for (uint64_t seed = 1; seed <= 6; seed++)
        for (unsigned n_markers = 1; n_markers <= 4; n_markers *= 2)
            check_graph(n_markers, seed * 10 + n_markers);
}

Test(gc_mark, marks_that_were_left_over_are_found_by_the_last_pass)
{
    wf_heap_stress.leftover_every = 3;
    for (unsigned n_markers = 1; n_markers <= 4; n_markers *= 2) {
        check_graph(n_markers, n_markers);
        struct wf_mark_counts counts;
        wf_mark_count(&counts);
        cr_assert_gt(counts.n_leftovers, 0);
    }
}

/* ---- taking part ---- */

Test(gc_mark, nobody_joins_when_marking_is_over_or_all_places_are_taken)
{
    cr_assert_null(wf_mark_join());
    wf_mark_start(1);
    struct wf_marker *m = wf_mark_join();
    cr_assert_not_null(m);
    cr_assert_null(wf_mark_join());
    wf_mark_drain(m);
    wf_mark_start(2);
    m = wf_mark_join();
    wf_mark_drain(m); /* waits for nobody */
    cr_assert_null(wf_mark_join());
    wf_close_start();
    cr_assert(wf_close_part());
    cr_assert_not(wf_close_part());
}

Test(gc_mark, marking_may_go_on_before_the_heap_is_closed)
{
    void **a = scanned(64), **b = scanned(64);
    *a = scanned(64);
    *b = scanned(64);
    void *dead = scanned(64);
    wf_cache_flush(&cache);
    void *roots[] = {a, (char *)b + 8};
    for (int i = 0; i < 2; i++) {
        wf_mark_start(1);
        struct wf_marker *m = wf_mark_join();
        wf_mark_range(m, &roots[i], &roots[i] + 1);
        wf_mark_drain(m);
        cr_assert(wf_mark_is_marked(a));
        cr_assert(wf_mark_is_marked((char *)*a + 7));
        cr_assert_eq(wf_mark_is_marked(b), i == 1);
        cr_assert_eq(wf_mark_is_marked(*b), i == 1);
        cr_assert_not(wf_mark_is_marked(dead));
    }
    wf_close_start();
    cr_assert(wf_close_part());
    cr_assert_eq(live_objects(), 4);
}

static void one_root(struct wf_verifier *v, void *arg)
{
    wf_verify_word(v, (uintptr_t)arg);
}

Test(gc_mark, the_verifier_notices_a_mark_too_few_and_one_too_many)
{
    struct link *head = list(1000);
    void *dead = scanned(64);
    wf_cache_flush(&cache);
    wf_mark_start(1);
    struct wf_marker *m = wf_mark_join();
    wf_mark_word(m, (uintptr_t)&head->number);
    wf_mark_drain(m);
    cr_assert_eq(wf_heap_verify(one_root, &head->number), 0);
    struct wf_cell cell;
    cr_assert(wf_heap_find((uintptr_t)head->next->next, &cell));
    *cell.state = WF_WHITE;
    cr_assert_eq(wf_heap_verify(one_root, &head->number), 1);
    *cell.state = WF_BLACK;
    cr_assert(wf_heap_find((uintptr_t)dead, &cell));
    *cell.state = WF_BLACK;
    cr_assert_eq(wf_heap_verify(one_root, &head->number), 1);
}

Test(gc_mark, the_verifier_agrees_about_words_behind_a_large_object)
{
    char *p = scanned(WF_UNIT + 100);
    for (size_t at = WF_UNIT + 96; at < 2 * WF_UNIT; at += 1009)
        KEPT(1, p + at); /* compares */
}

Test(gc_mark, the_closing_pass_counts_what_lives_and_what_died)
{
    void **root = scanned(64);
    root[0] = wf_cache_alloc(&cache, 100000, WF_KIND_DATA);
    root[1] = wf_cache_alloc(&cache, 112, WF_KIND_DATA);
    for (int i = 0; i < 10; i++)
        scanned(1024);
    scanned(1 << 20);
    cr_assert_eq(KEPT(2, root), 3);
    struct wf_heap_stats stats;
    wf_heap_stats(&stats);
    cr_assert_eq(stats.dead_objects, 11);
    cr_assert_eq(stats.live_bytes, 64 + 100000 + 112);
    cr_assert_eq(stats.live_data_bytes, 100000 + 112);
    cr_assert_eq(stats.used_bytes, 4 * WF_UNIT);
    cr_assert_eq(stats.n_collections, 1);
    cr_assert_geq(stats.resident_bytes, stats.used_bytes);
}
