/* SPDX-License-Identifier: MIT */
/* gcheap_stress.c - threads change a graph of collected objects at random, under every stress knob of the heap; a shadow of
 * the graph in malloc memory says what must be alive, and what it must contain.
 *
 *     gcheap_stress [--seed N] [--rounds N] [--workers N]
 *
 * Each round draws the knobs anew and starts the heap over. Its threads allocate, link, unlink, fill and free early; then
 * all stop at a barrier and collect together as markers, and the heap is verified: the independent marker agrees,
 * everything that the shadow reaches holds its pattern, everything else is gone. Exit: 0 passed, 1 failed.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/rand.h"
#include "../support/collect.h"

enum { WORKERS_MOST = 16, SLOTS = 1500, EDGES = 4, COLLECTIONS = 12, STEPS = 6000, STUCK_AFTER_SECONDS = 100 };

static uint64_t seed = 1;
static unsigned rounds = 6, n_workers = 2, current_round;

#define REQUIRE(x) \
    do { \
        if (!(x)) \
            fail(__LINE__, #x); \
    } while (0)

static _Noreturn void fail(int line, const char *what)
{
    fprintf(stderr, "gcheap_stress.c:%d: round %u, seed %llu: not true: %s\n", line, current_round, (unsigned long long)seed,
            what);
    _exit(1);
}

/* An object's shadow. Words 1 to EDGES of the object are its edges, the rest is filled with its pattern. */
struct shadow {
    char *object; /* NULL: unused slot */
    size_t size;
    enum wf_kind kind;
    unsigned char pattern;
    int to[EDGES]; /* slots, -1: none */
    size_t at[EDGES]; /* where in the target */
    bool root, reached;
};

struct worker {
    struct wf_cache cache;
    struct wf_rand rand;
    struct shadow shadows[SLOTS];
    pthread_t thread;
    unsigned n_roots;
    const void *roots[SLOTS];
};

static struct worker *workers;
static pthread_barrier_t barrier;
static atomic_uint next_roots;
static int64_t n_differences;
static atomic_ullong n_reached;

static uint32_t draw(struct worker *w, uint32_t bound)
{
    return wf_rand_below(&w->rand, bound);
}

static void trace_edges(void *object, struct weft_visitor *visitor)
{
    for (int i = 0; i < EDGES; i++)
        wf_mark_object((struct wf_marker *)visitor, ((void **)object)[1 + i]);
}

static size_t draw_size(struct worker *w)
{
    size_t least = 8 + EDGES * 8;
    switch (draw(w, 40)) {
    case 0:
        return least + draw(w, 200000);
    case 1:
    case 2:
        return least + draw(w, 9000);
    default:
        return least + draw(w, 200);
    }
}

static void check_object(const struct shadow *s)
{
    const unsigned char *bytes = (const unsigned char *)s->object;
    REQUIRE(bytes[0] == s->pattern);
    for (size_t i = 8 + EDGES * 8; i < s->size; i += s->size > 1000 ? 97 : 1)
        REQUIRE(bytes[i] == s->pattern);
}

static void make(struct worker *w, struct shadow *s)
{
    s->size = draw_size(w);
    s->kind = (enum wf_kind)draw(w, WF_KIND_CHANNEL);
    s->object = s->kind == WF_KIND_TRACED ? wf_cache_alloc_traced(&w->cache, s->size, trace_edges)
                                          : wf_cache_alloc(&w->cache, s->size, s->kind);
    REQUIRE(s->object != NULL);
    REQUIRE((uintptr_t)s->object % 16 == 0);
    if (s->kind != WF_KIND_DATA)
        for (size_t i = 0; i < s->size; i++)
            REQUIRE(s->object[i] == 0);
    s->pattern = (unsigned char)(draw(w, 255) + 1);
    s->root = draw(w, 8) == 0;
    memset(s->object, 0, 8 + EDGES * 8);
    s->object[0] = (char)s->pattern;
    memset(s->object + 8 + EDGES * 8, s->pattern, s->size - 8 - EDGES * 8);
    for (int i = 0; i < EDGES; i++)
        s->to[i] = -1;
}

static void link_to(struct worker *w, struct shadow *s)
{
    int edge = (int)draw(w, EDGES), to = (int)draw(w, SLOTS);
    struct shadow *target = &w->shadows[to];
    void **word = (void **)(void *)s->object + 1 + edge;
    if (!target->object || draw(w, 4) == 0) {
        s->to[edge] = -1;
        *word = NULL;
        return;
    }
    s->to[edge] = s->kind == WF_KIND_DATA ? -1 : to;
    s->at[edge] = draw(w, (uint32_t)target->size);
    *word = target->object + s->at[edge];
}

/* Early, and only what nothing points to. */
static void free_lone(struct worker *w, struct shadow *s)
{
    for (int i = 0; i < SLOTS; i++)
        for (int e = 0; e < EDGES; e++)
            if (w->shadows[i].object && w->shadows[i].kind != WF_KIND_DATA && w->shadows[i].to[e] == s - w->shadows)
                return;
    check_object(s);
    REQUIRE(wf_heap_free(s->object) == 0);
    s->object = NULL;
}

static void mutate(struct worker *w)
{
    for (int step = 0; step < STEPS; step++) {
        struct shadow *s = &w->shadows[draw(w, SLOTS)];
        if (!s->object) {
            make(w, s);
            continue;
        }
        switch (draw(w, 64)) {
        case 0:
            free_lone(w, s);
            break;
        case 1:
            s->root = !s->root;
            break;
        case 2:
            check_object(s);
            break;
        case 3:
            if (draw(w, 10) == 0)
                wf_cache_retire(&w->cache); /* as a thread that ends; another begins with the same */
            break;
        default:
            link_to(w, s);
        }
    }
}

static void reach(struct worker *w, struct shadow *s)
{
    static _Thread_local int stack[SLOTS];
    int depth = 0;
    if (s->reached)
        return;
    s->reached = true;
    stack[depth++] = (int)(s - w->shadows);
    while (depth > 0) {
        struct shadow *next = &w->shadows[stack[--depth]];
        for (int e = 0; e < EDGES; e++)
            if (next->to[e] >= 0 && !w->shadows[next->to[e]].reached) {
                w->shadows[next->to[e]].reached = true;
                stack[depth++] = next->to[e];
            }
    }
}

static void prepare_roots(struct worker *w)
{
    w->n_roots = 0;
    for (int i = 0; i < SLOTS; i++)
        w->shadows[i].reached = false;
    for (int i = 0; i < SLOTS; i++)
        if (w->shadows[i].object && w->shadows[i].root) {
            reach(w, &w->shadows[i]);
            w->roots[w->n_roots++] = w->shadows[i].object + 1 + draw(w, 30);
        }
    for (int i = 0; i < SLOTS; i++)
        if (w->shadows[i].object && w->shadows[i].reached)
            n_reached++;
}

static void name_roots(struct wf_verifier *v, void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < n_workers; i++)
        wf_verify_range(v, workers[i].roots, workers[i].roots + workers[i].n_roots);
}

/* All threads: stopped from the first barrier to the last. */
static void collect(struct worker *w)
{
    bool first = w == &workers[0];
    prepare_roots(w);
    wf_cache_flush(&w->cache);
    pthread_barrier_wait(&barrier);
    if (first) {
        atomic_store(&next_roots, 0);
        wf_mark_start(1 + draw(w, n_workers));
    }
    pthread_barrier_wait(&barrier);
    struct wf_marker *m = wf_mark_join();
    if (m) {
        for (unsigned i = atomic_fetch_add(&next_roots, 1); i < n_workers; i = atomic_fetch_add(&next_roots, 1))
            wf_mark_range(m, workers[i].roots, workers[i].roots + workers[i].n_roots);
        wf_mark_drain(m);
    }
    pthread_barrier_wait(&barrier);
    if (first) {
        REQUIRE(atomic_load(&next_roots) >= n_workers);
        n_differences = wf_heap_verify(name_roots, NULL);
        REQUIRE(n_differences == 0);
        wf_close_start();
    }
    pthread_barrier_wait(&barrier);
    wf_close_part();
    pthread_barrier_wait(&barrier);
    if (first) {
        struct wf_heap_stats stats;
        wf_heap_stats(&stats);
        REQUIRE(stats.live_objects == atomic_load(&n_reached));
        atomic_store(&n_reached, 0);
        wf_heap_check();
        wf_heap_release((int64_t)draw(w, 1000000) * 1000000, 0);
    }
    for (int i = 0; i < SLOTS; i++)
        if (w->shadows[i].object && w->shadows[i].reached)
            check_object(&w->shadows[i]);
        else
            w->shadows[i].object = NULL;
    pthread_barrier_wait(&barrier);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    for (int i = 0; i < COLLECTIONS; i++) {
        mutate(w);
        collect(w);
    }
    return NULL;
}

static void draw_knobs(struct wf_rand *rand)
{
    wf_heap_stress = (struct wf_heap_stress){
        .cells_per_span = wf_rand_below(rand, 2) ? 2 + wf_rand_below(rand, 100) : 0,
        .cells_per_refill = wf_rand_below(rand, 2) ? 1 + wf_rand_below(rand, 3) : 0,
        .poison = wf_rand_below(rand, 2),
        .leftover_every = wf_rand_below(rand, 2) ? 2 + wf_rand_below(rand, 50) : 0,
        .delay_every = wf_rand_below(rand, 2) ? 10 + wf_rand_below(rand, 100) : 0,
    };
}

static void run_round(uint64_t round_seed)
{
    struct wf_rand rand;
    wf_rand_seed(&rand, round_seed);
    draw_knobs(&rand);
    REQUIRE(wf_heap_init(wf_rand_below(&rand, 2) ? (size_t)4 << 30 : 0) == 0);
    memset(workers, 0, n_workers * sizeof *workers);
    for (unsigned i = 0; i < n_workers; i++) {
        wf_cache_init(&workers[i].cache);
        wf_rand_seed(&workers[i].rand, round_seed * 100 + i);
    }
    for (unsigned i = 0; i < n_workers; i++)
        REQUIRE(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    for (unsigned i = 0; i < n_workers; i++)
        pthread_join(workers[i].thread, NULL);
    wf_heap_fini();
}

int main(int argc, char **argv)
{
    const char *procs = getenv("WEFT_PROCS");
    if (procs)
        n_workers = (unsigned)atoi(procs);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--rounds") == 0)
            rounds = (unsigned)atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--workers") == 0)
            n_workers = (unsigned)atoi(argv[i + 1]);
    }
    if (n_workers < 1 || n_workers > WORKERS_MOST)
        n_workers = 2;
    printf("seed %llu rounds %u workers %u\n", (unsigned long long)seed, rounds, n_workers);
    workers = calloc(n_workers, sizeof *workers);
    REQUIRE(workers != NULL);
    pthread_barrier_init(&barrier, NULL, n_workers);
    for (current_round = 0; current_round < rounds; current_round++) {
        alarm(STUCK_AFTER_SECONDS);
        run_round(seed + current_round);
    }
    free(workers);
    return 0;
}
