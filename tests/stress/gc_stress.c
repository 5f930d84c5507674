/* SPDX-License-Identifier: MIT */
/* gc_stress.c - no object that can be reached is lost or changed while collections come at any moment.
 *
 *     gc_stress [--seed N] [--rounds N] [--workers N] [--seconds N]
 *
 * Actors (routines in two pools, and plain threads) build trees in collected memory, change them, look at them, pass subtrees
 * on (channels, select, futures, coroutines, routines' arguments) and drop them. Each tree has a shadow in memory from malloc,
 * which holds no pointers into the heap: the sum over all values and shapes, known to its owner and passed along. An object
 * that was collected too early is overwritten by the next, or is zeroed, and the sum differs. Meanwhile a routine and a plain
 * thread collect every millisecond. Every fourth seed runs with the verifier.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <weft/weft.h>

#include "../support/stress.h"

enum { ROUTINES = 12, THREADS = 2, DEPTH = 6, TREES = 6, STEPS = 60 };

struct tree {
    struct tree *left, *right;
    uint64_t value;
    unsigned char *blob; /* data, or NULL; inside it: the last byte */
    uint64_t room[];     /* 0 to 40 words, each the value */
};

/* How a tree travels: the sum goes with it. */
struct parcel {
    struct tree *tree;
    uint64_t sum;
};

struct actor {
    struct wf_rand rand;
    struct tree **trees; /* of TREES; in the heap, or a root from malloc */
    uint64_t *sums;      /* the shadow, from malloc */
};

static weft_chan(struct parcel) post, narrow, wide;
static atomic_bool over;
static _Atomic uint64_t n_checked, n_passed, n_forced;

/* ---- trees ---- */

static unsigned n_words(uint64_t value)
{
    return (unsigned)(value >> 58) % 41;
}

static struct tree *build(struct wf_rand *rand, unsigned depth)
{
    uint64_t high = wf_rand_next(rand), value = high << 32 | wf_rand_next(rand);
    unsigned n = n_words(value), length = (unsigned)value % 300;
    struct tree *t = weft_alloc(sizeof(*t) + n * sizeof(t->room[0]));
    require(t != NULL);
    require(t->left == NULL && t->right == NULL && t->blob == NULL);
    t->value = value;
    for (unsigned i = 0; i < n; i++)
        t->room[i] = value;
    if (value % 3 == 0) {
        unsigned char *blob = weft_alloc_data(length + 1);
        require(blob != NULL);
        memset(blob, (int)(value & 0xff), length + 1);
        t->blob = blob + length;
    }
    if (depth > 0 && value % 7 != 0)
        t->left = build(rand, depth - 1);
    if (depth > 0 && value % 11 != 0)
        t->right = build(rand, depth - 1);
    return t;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    return (a ^ b * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9);
}

static uint64_t sum_of(const struct tree *t)
{
    if (t == NULL)
        return 1;
    for (unsigned i = 0; i < n_words(t->value); i++)
        require(t->room[i] == t->value);
    if (t->blob != NULL)
        for (unsigned i = 0; i <= (unsigned)t->value % 300; i++)
            require(t->blob[-(int)i] == (t->value & 0xff));
    return mix(mix(t->value, sum_of(t->left)), sum_of(t->right) + 1);
}

/* One random node's subtree is replaced, or two are exchanged; old nodes stay in use around it. */
static void change(struct wf_rand *rand, struct tree *t)
{
    for (unsigned depth = DEPTH; t != NULL && depth > 0; depth--) {
        uint32_t r = wf_rand_next(rand);
        struct tree **side = r & 1 ? &t->left : &t->right;
        if (r % 8 == 0) {
            *side = build(rand, depth - 1);
            return;
        }
        if (r % 8 == 1) {
            struct tree *old = t->left;
            t->left = t->right;
            t->right = old;
        }
        t = *side;
    }
}

/* ---- ways ---- */

static struct parcel same(struct parcel p)
{
    weft_yield();
    require(sum_of(p.tree) == p.sum);
    return p;
}

static uint64_t sum_in_routine(struct tree *t, int a, int b, int c, int d, int e, int f, struct tree *again)
{
    require(a + b + c + d + e + f == 21 && t == again);
    return sum_of(again);
}

static void carry_in_coroutine(void *arg)
{
    struct parcel p = *(struct parcel *)arg;
    do {
        require(sum_of(p.tree) == p.sum);
        struct parcel mine = {build(&(struct wf_rand){p.sum | 1}, 2), 0};
        mine.sum = sum_of(mine.tree);
        struct parcel *next = weft_coro_suspend(&p);
        require(sum_of(mine.tree) == mine.sum);
        p = *next;
    } while (p.tree != NULL);
}

static struct parcel through_coroutine(struct parcel p)
{
    struct parcel none = {NULL, 1};
    void *out = NULL;
    weft_coro *c = weft_coro_create(carry_in_coroutine, &p);
    require(c != NULL);
    require(weft_coro_resume(c, NULL, &out) == 0);
    weft_yield();
    struct parcel got = *(struct parcel *)out;
    require(weft_coro_resume(c, &none, NULL) == -EPIPE);
    weft_coro_destroy(c);
    return got;
}

static struct parcel through_channel(struct wf_rand *rand, struct parcel p)
{
    struct parcel got = p;
    switch (wf_rand_next(rand) % 3) {
    case 0: /* somebody else's, if there is one */
        if (weft_chan_try_send(post, p) == 0 && weft_chan_try_recv(post, &got) != 0)
            got = (struct parcel){NULL, 1};
        break;
    case 1:
        require(weft_chan_send(wide, p) == 0);
        if (weft_chan_try_recv(wide, &got) != 0)
            got = (struct parcel){NULL, 1};
        break;
    default: /* a rendezvous with whoever else is here */
        if (weft_select(weft_on_send(narrow, p), weft_on_recv(narrow, &got), weft_after(200 * WEFT_US)) == 0)
            got = (struct parcel){NULL, 1};
    }
    n_passed++;
    return got;
}

static struct parcel pass(struct wf_rand *rand, struct parcel p)
{
    switch (wf_rand_next(rand) % 4) {
    case 0: {
        weft_future(struct parcel) f = weft_async(same, p);
        struct parcel got = weft_await(f);
        weft_detach(f);
        return got;
    }
    case 1: {
        weft_future(uint64_t) f = weft_async(sum_in_routine, p.tree, 1, 2, 3, 4, 5, 6, p.tree);
        p.tree = NULL;
        uint64_t sum = weft_await(f);
        weft_detach(f);
        require(sum == p.sum);
        return (struct parcel){NULL, 1};
    }
    case 2:
        return through_coroutine(p);
    default:
        return through_channel(rand, p);
    }
}

/* ---- actors ---- */

static void step(struct actor *a)
{
    unsigned i = wf_rand_next(&a->rand) % TREES;
    require(sum_of(a->trees[i]) == a->sums[i]);
    n_checked++;
    switch (wf_rand_next(&a->rand) % 6) {
    case 0:
        a->trees[i] = build(&a->rand, DEPTH);
        break;
    case 1:
        a->trees[i] = NULL;
        break;
    case 2:
    case 3:
        change(&a->rand, a->trees[i]);
        break;
    default: {
        struct parcel got = pass(&a->rand, (struct parcel){a->trees[i], a->sums[i]});
        a->trees[i] = got.tree;
        a->sums[i] = got.sum;
        require(sum_of(got.tree) == got.sum);
        return;
    }
    }
    a->sums[i] = sum_of(a->trees[i]);
}

static void act(unsigned round, unsigned number)
{
    struct actor a;
    struct tree *on_stack[TREES] = {NULL};
    bool registered = number % 3 == 0;
    seed_actor(&a.rand, round, number);
    a.sums = malloc(TREES * sizeof(*a.sums));
    a.trees = number % 3 == 1 ? on_stack : registered ? calloc(TREES, sizeof(*a.trees)) : weft_new_array(struct tree *, TREES);
    require(a.sums != NULL && a.trees != NULL);
    if (registered)
        require(weft_root_add(a.trees, TREES * sizeof(*a.trees)) == 0);
    for (int i = 0; i < TREES; i++)
        a.sums[i] = 1;
    for (int i = 0; i < STEPS; i++)
        step(&a);
    for (int i = 0; i < TREES; i++)
        require(sum_of(a.trees[i]) == a.sums[i]);
    if (registered) {
        require(weft_root_remove(a.trees) == 0);
        free(a.trees);
    }
    weft_keep(on_stack);
    free(a.sums);
}

struct job {
    unsigned round, number;
};

static void *act_in_thread(void *arg)
{
    struct job *job = arg;
    act(job->round, job->number);
    return NULL;
}

static void collect_in_routine(void)
{
    while (!over) {
        weft_gc();
        n_forced++;
        weft_sleep(WEFT_MS);
    }
}

static void *collect_in_thread(void *arg)
{
    while (!over) {
        weft_gc();
        n_forced++;
        pause_thread_ms(1);
    }
    return arg;
}

static void drain(weft_chan(struct parcel) c)
{
    struct parcel p;
    while (weft_chan_try_recv(c, &p) == 0)
        require(sum_of(p.tree) == p.sum);
}

static void run_round(unsigned round, weft_workers *pool)
{
    pthread_t threads[THREADS];
    struct job jobs[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        jobs[i] = (struct job){round, ROUTINES + i};
        require(pthread_create(&threads[i], NULL, act_in_thread, &jobs[i]) == 0);
    }
    weft_scope(s)
        for (unsigned i = 0; i < ROUTINES; i++)
            weft_scope_go_with(s, weft_attr(.workers = i % 4 == 0 ? pool : NULL), act, round, i);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    drain(post);
    drain(wide);
}

int main(int argc, char **argv)
{
    read_stress_options(argc, argv);
    if (stress.seed % 4 == 0)
        setenv("WEFT_DEBUG", "gcverify=1", 1);
    if (stress.workers != 0)
        require(weft_start(&(weft_config){.procs = stress.workers}) == 0);
    pthread_t collector;
    post = weft_chan_make(struct parcel, 4);
    narrow = weft_chan_make(struct parcel, 0);
    wide = weft_chan_make(struct parcel, WEFT_UNBOUNDED);
    weft_workers *pool = weft_workers_create(2, NULL);
    require(pool != NULL);
    weft_future(void) routine = weft_async(collect_in_routine);
    require(pthread_create(&collector, NULL, collect_in_thread, NULL) == 0);
    for (unsigned round = 0; stress_goes_on(round); round++)
        run_round(round, pool);
    over = true;
    pthread_join(collector, NULL);
    weft_await(routine);
    weft_gc_info info;
    weft_gc_stats(&info);
    require(weft_stop() == 0);
    printf("%llu checks, %llu passed on, %llu collections (%llu forced), longest pause %lld us\n",
           (unsigned long long)n_checked, (unsigned long long)n_passed, (unsigned long long)info.cycles,
           (unsigned long long)n_forced, (long long)info.pause_most_ns / 1000);
    return 0;
}
