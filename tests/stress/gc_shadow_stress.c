/* SPDX-License-Identifier: MIT */
/* gc_shadow_stress.c - everything that can be done with collected memory at once, held against a shadow in memory from malloc.
 *
 *     gc_shadow_stress [--seed N] [--rounds N] [--workers N] [--seconds N]
 *
 * A round starts the runtime, lets actors (routines in several pools, and plain threads) work, and stops it. Each actor owns a
 * graph (cycles, shared nodes, interior pointers), a hash map, a vector that is reallocated and freed, weak handles, cleanups,
 * and passes lists on in every way there is. The shadow knows by number what each object must contain and which others its
 * pointers must lead to; it holds no pointer into the heap. What was collected too early differs, is zero or poisoned. What
 * was created in one round is checked in the next.
 *
 * Unless WEFT_DEBUG is set, the seed chooses one of the collector's stress modes: seed modulo the number of modes.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <weft/weft.h>

#include "../support/stress.h"
#include "base/compiler.h"

enum {
    ROUTINES = 8,
    THREADS = 2,
    STEPS = 120,
    SLOTS = 160, /* nodes that an actor's graph has at most */
    ROOTS = 5,
    EDGES = 3,
    KEYS = 200,
    PLACES_LEAST = 16,
    WEAKS = 12,
    CLEANUPS = 40,
    NONE = -1,
};

static const char *const modes[] = {
    "",
    "gcstress=100",
    "gcswitch=5",
    "gcpoison=1",
    "gcverify=1",
    "gctiny=1",
    "gcleftover=3",
    "gcdelay=50",
    "gcstress=300,gcpoison=1,gctiny=1,gcleftover=4",
    "gcswitch=20,gcpoison=1,gcverify=1,gcdelay=100",
    "gcstress=500,gcswitch=50,gcpoison=1,gcverify=1,gctiny=1,gcleftover=5,gcdelay=200",
};

/* ---- objects ---- */

struct node {
    uint64_t serial;
    struct node *edges[EDGES]; /* to any byte of the first 16 of a node, see base_of() */
    uint32_t slot, n_rest;
    uint64_t rest[]; /* n_rest times the serial */
};

struct shadow_node {
    uint64_t serial; /* 0: unused slot */
    int edges[EDGES];
    bool reached;
};

struct entry {
    uint64_t key, copy;
    char *text; /* of the key, data */
};

/* A list that travels with the sum of its values. */
struct link {
    struct link *next;
    uint64_t value;
};
struct parcel {
    struct link *first;
    uint64_t sum;
    unsigned length;
};

struct actor {
    struct wf_rand rand;
    unsigned number;
    struct node **roots;         /* of ROOTS: on the stack, in the heap, or a registered root */
    int root_slots[ROOTS];       /* as all of the following, the shadow */
    struct shadow_node *shadows; /* of SLOTS */
    uint64_t last_serial;
    struct entry **places; /* hash map; in the heap */
    unsigned n_places, n_keys;
    bool *has_key; /* of KEYS */
    unsigned char *vector;
    size_t vector_size;
    unsigned char vector_byte;
    weft_weak **weaks; /* of WEAKS; in the heap */
    uint64_t weak_serials[WEAKS];
    unsigned n_cleanups;
};

static weft_chan(struct parcel) post, narrow, wide;
static weft_local keepsake;
static _Atomic unsigned cleaned[ROUTINES + THREADS][CLEANUPS]; /* of this round */
static unsigned n_registered[ROUTINES + THREADS];
static _Atomic uint64_t n_checks, n_weak_gone, n_cleaned_late, n_cleanups;
static unsigned current_round;
static struct parcel heirloom; /* from round to round */

static uint32_t draw(struct actor *a, uint32_t bound)
{
    return wf_rand_below(&a->rand, bound);
}

/* ---- the graph ---- */

static struct node *base_of(struct node *p)
{
    return (struct node *)(void *)((uintptr_t)p & ~(uintptr_t)15); /* NOLINT: nodes begin at multiples of 16 */
}

static void check_node(const struct node *n, const struct shadow_node *s)
{
    require(n->serial == s->serial);
    for (uint32_t i = 0; i < n->n_rest; i++)
        require(n->rest[i] == n->serial);
}

static void walk(struct actor *a, struct node *p, int slot)
{
    struct shadow_node *s = &a->shadows[slot];
    struct node *n = base_of(p);
    require((int)n->slot == slot);
    if (s->reached)
        return;
    s->reached = true;
    check_node(n, s);
    for (int e = 0; e < EDGES; e++) {
        require((n->edges[e] == NULL) == (s->edges[e] == NONE));
        if (s->edges[e] != NONE)
            walk(a, n->edges[e], s->edges[e]);
    }
}

/* The whole graph against its shadow; what the shadow does not reach is forgotten. */
static void check_graph(struct actor *a)
{
    for (int i = 0; i < SLOTS; i++)
        a->shadows[i].reached = false;
    for (int r = 0; r < ROOTS; r++) {
        require((a->roots[r] == NULL) == (a->root_slots[r] == NONE));
        if (a->roots[r] != NULL)
            walk(a, a->roots[r], a->root_slots[r]);
    }
    for (int i = 0; i < SLOTS; i++)
        if (!a->shadows[i].reached)
            a->shadows[i].serial = 0;
    n_checks++;
}

static int free_slot(struct actor *a)
{
    int first = (int)draw(a, SLOTS);
    for (int i = 0; i < SLOTS; i++)
        if (a->shadows[(first + i) % SLOTS].serial == 0)
            return (first + i) % SLOTS;
    return NONE;
}

static void visit_node(void *object, weft_visitor *v)
{
    struct node *n = object;
    for (int e = 0; e < EDGES; e++)
        weft_visit(v, n->edges[e]);
}

static struct node *make_node(struct actor *a, int slot)
{
    uint32_t n_rest = draw(a, 50) == 0 ? draw(a, 9000) : draw(a, 30);
    size_t size = sizeof(struct node) + n_rest * sizeof(uint64_t);
    struct node *n = draw(a, 8) == 0 ? weft__alloc_traced(size, visit_node) : weft_alloc(size);
    require(n != NULL && n->edges[0] == NULL && n->edges[EDGES - 1] == NULL && n->serial == 0);
    struct shadow_node *s = &a->shadows[slot];
    *s = (struct shadow_node){.serial = ++a->last_serial << 8 | a->number, .edges = {NONE, NONE, NONE}};
    n->serial = s->serial;
    n->slot = (uint32_t)slot;
    n->n_rest = n_rest;
    for (uint32_t i = 0; i < n_rest; i++)
        n->rest[i] = n->serial;
    return n;
}

/* A node some random steps from a random root. */
static struct node *stroll(struct actor *a, int *ret_slot)
{
    int r = (int)draw(a, ROOTS), slot = a->root_slots[r];
    struct node *n = a->roots[r];
    if (n == NULL)
        return NULL;
    n = base_of(n);
    for (unsigned steps = draw(a, 20); steps > 0; steps--) {
        unsigned e = draw(a, EDGES);
        if (n->edges[e] == NULL)
            break;
        n = base_of(n->edges[e]);
        slot = a->shadows[slot].edges[e];
    }
    *ret_slot = slot;
    return n;
}

static void change_graph(struct actor *a)
{
    int from_slot = NONE, to_slot = NONE;
    struct node *from = stroll(a, &from_slot), *to = NULL;
    switch (draw(a, 8)) {
    case 0:
        break; /* cut */
    case 1:
    case 2:
    case 3:
        to = stroll(a, &to_slot); /* a cycle, or shared */
        break;
    default:
        to_slot = free_slot(a);
        to = to_slot != NONE ? make_node(a, to_slot) : NULL;
    }
    if (to != NULL)
        to = (struct node *)(void *)((char *)to + draw(a, 16)); /* NOLINT: inside */
    if (from == NULL || draw(a, 10) == 0) {
        unsigned r = draw(a, ROOTS);
        a->roots[r] = to;
        a->root_slots[r] = to != NULL ? to_slot : NONE;
        return;
    }
    unsigned e = draw(a, EDGES);
    from->edges[e] = to;
    a->shadows[from_slot].edges[e] = to != NULL ? to_slot : NONE;
}

/* ---- weak handles ---- */

static void use_weaks(struct actor *a)
{
    unsigned i = draw(a, WEAKS);
    if (a->weaks[i] != NULL) {
        struct node *n = weft_weak_get(a->weaks[i]);
        if (n != NULL)
            require(n->serial == a->weak_serials[i]); /* alive or not: not yet anything else */
        else
            n_weak_gone++;
        for (int s = 0; s < SLOTS; s++)
            if (a->shadows[s].reached && a->shadows[s].serial == a->weak_serials[i])
                require(n != NULL);
    }
    int slot;
    struct node *n = stroll(a, &slot);
    if (n != NULL) {
        a->weaks[i] = weft_weak_make(n);
        require(a->weaks[i] != NULL);
        a->weak_serials[i] = n->serial;
    }
}

/* ---- cleanups ---- */

struct mark {
    unsigned round, actor, index, check;
};

static void clean(void *arg)
{
    struct mark *m = arg;
    require(m->check == (m->round ^ m->actor << 8 ^ m->index << 16 ^ 0x5a5a5a5a));
    if (weft_new(struct link) == NULL) /* it may do anything */
        abort();
    if (m->round != current_round) {
        n_cleaned_late++;
        return;
    }
    require(atomic_fetch_add(&cleaned[m->actor][m->index], 1) == 0);
    n_cleanups++;
}

static WF_NOINLINE void drop_with_cleanup(struct actor *a)
{
    if (a->n_cleanups == CLEANUPS)
        return;
    struct mark *m = weft_new(struct mark);
    void *gap = weft_alloc(16), *object = weft_alloc(32 + draw(a, 300));
    require(m != NULL && gap != NULL && object != NULL);
    *m = (struct mark){current_round, a->number, a->n_cleanups++, 0};
    m->check = m->round ^ m->actor << 8 ^ m->index << 16 ^ 0x5a5a5a5a;
    weft_cleanup(object, clean, m);
    weft_external(object, (ptrdiff_t)draw(a, 100000));
}

/* ---- the hash map ---- */

static unsigned place_of(struct entry **places, unsigned n_places, uint64_t key)
{
    unsigned i = (unsigned)(key * 2654435761u) % n_places;
    while (places[i] != NULL && places[i]->key != key)
        i = (i + 1) % n_places;
    return i;
}

static void grow_map(struct actor *a)
{
    unsigned n = a->n_places == 0 ? PLACES_LEAST : a->n_places * 2;
    struct entry **places = weft_new_array(struct entry *, n);
    require(places != NULL);
    for (unsigned i = 0; i < a->n_places; i++)
        if (a->places[i] != NULL)
            places[place_of(places, n, a->places[i]->key)] = a->places[i];
    a->places = places;
    a->n_places = n;
}

static void put(struct actor *a, uint64_t key)
{
    if ((a->n_keys + 1) * 2 > a->n_places)
        grow_map(a);
    struct entry *e = weft_new(struct entry);
    require(e != NULL);
    e->key = e->copy = key;
    e->text = weft_sprintf("key %llu of %u", (unsigned long long)key, a->number);
    require(e->text != NULL);
    struct entry **place = &a->places[place_of(a->places, a->n_places, key)];
    if (*place != NULL) {
        weft_free((*place)->text);
        weft_free(*place);
    } else {
        a->n_keys++;
    }
    *place = e;
    a->has_key[key] = true;
}

static void check_map(struct actor *a)
{
    char text[64];
    unsigned n = 0;
    for (uint64_t key = 0; key < KEYS; key++) {
        const struct entry *e = a->n_places != 0 ? a->places[place_of(a->places, a->n_places, key)] : NULL;
        require((e != NULL) == a->has_key[key]);
        if (e == NULL)
            continue;
        snprintf(text, sizeof(text), "key %llu of %u", (unsigned long long)key, a->number);
        require(e->key == key && e->copy == key && strcmp(e->text, text) == 0);
        n++;
    }
    require(n == a->n_keys);
}

static void use_map(struct actor *a)
{
    if (draw(a, 12) == 0) {
        a->places = NULL;
        a->n_places = a->n_keys = 0;
        memset(a->has_key, 0, KEYS * sizeof(*a->has_key));
    }
    for (unsigned i = draw(a, 20); i > 0; i--)
        put(a, draw(a, KEYS));
    check_map(a);
}

/* ---- memory that is resized, freed, and gone through to its end ---- */

static void use_vector(struct actor *a)
{
    for (size_t i = 0; i < a->vector_size; i++)
        require(a->vector[i] == a->vector_byte);
    if (draw(a, 4) == 0) {
        weft_free(a->vector);
        a->vector = NULL;
        a->vector_size = 0;
    }
    size_t size = draw(a, 10) == 0 ? draw(a, 300000) : draw(a, 3000);
    unsigned char *p = a->vector != NULL ? weft_realloc(a->vector, size) : weft_alloc_data(size);
    require(p != NULL && weft_size(p) >= size && weft_base(p + size / 2) == p);
    for (size_t i = 0; i < size && i < a->vector_size; i++)
        require(p[i] == a->vector_byte);
    a->vector = p;
    a->vector_size = size;
    a->vector_byte = (unsigned char)draw(a, 256);
    memset(p, a->vector_byte, size);
}

/* Only the end is held while others run. */
static WF_NOINLINE void go_through_backwards(struct actor *a)
{
    uint32_t n = 2 + 2 * draw(a, 40); /* of 8 bytes: whole cells or not */
    uint64_t *p = weft_new_array(uint64_t, n), *at = p + n;
    require(p != NULL);
    for (uint32_t i = 0; i < n; i++)
        p[i] = n - i;
    __asm__ volatile("" : "+r"(at), "=r"(p)); /* the beginning is forgotten */
    weft_yield();
    if (draw(a, 4) == 0)
        weft_gc();
    for (uint32_t i = 1; i <= n; i++)
        require(*--at == i);
}

/* ---- what travels ---- */

static struct parcel make_parcel(struct actor *a)
{
    struct parcel p = {.length = draw(a, 40)};
    for (unsigned i = 0; i < p.length; i++) {
        struct link *l = weft_new(struct link);
        require(l != NULL);
        l->next = p.first;
        l->value = wf_rand_next(&a->rand) * UINT64_C(0x9e3779b97f4a7c15);
        p.sum += l->value;
        p.first = l;
    }
    return p;
}

static void check_parcel(struct parcel p)
{
    uint64_t sum = 0;
    unsigned length = 0;
    for (const struct link *l = p.first; l != NULL; l = l->next, length++)
        sum += l->value;
    require(sum == p.sum && length == p.length);
}

static struct parcel *boxed(struct parcel p)
{
    struct parcel *box = weft_new(struct parcel);
    require(box != NULL);
    *box = p;
    return box;
}

static struct parcel *carry(struct parcel *box)
{
    require(weft_local_set(&keepsake, box) == 0);
    weft_yield();
    return weft_local_get(&keepsake);
}

static void generate(weft_generator(struct link *) self, struct parcel *box)
{
    for (struct link *l = box->first; l != NULL; l = l->next)
        weft_gen_yield(self, l);
}

static void through_generator(struct parcel p)
{
    uint64_t sum = 0;
    weft_gen_each(struct link *, l, weft_gen_make(struct link *, generate, boxed(p))) {
        sum += l->value;
        weft_yield();
    }
    require(sum == p.sum);
}

static void pass(struct actor *a)
{
    struct parcel p = make_parcel(a), got = {0};
    switch (draw(a, 6)) {
    case 0:
        if (weft_chan_try_send(post, p) != 0)
            weft_chan_try_recv(post, &got);
        break;
    case 1:
        require(weft_chan_send(wide, p) == 0);
        weft_chan_try_recv(wide, &got);
        break;
    case 2:
        weft_select(weft_on_send(narrow, p), weft_on_recv(narrow, &got), weft_after(100 * WEFT_US));
        break;
    case 3: {
        weft_future(struct parcel *) f = weft_async(carry, boxed(p));
        got = *weft_await(f);
        weft_detach(f);
        require(got.sum == p.sum);
        break;
    }
    case 4:
        through_generator(p);
        break;
    default: {
        struct parcel *before = weft_local_get(&keepsake);
        if (before != NULL)
            check_parcel(*before);
        require(weft_local_set(&keepsake, boxed(p)) == 0);
    }
    }
    check_parcel(got);
}

/* ---- actors ---- */

static void step(struct actor *a)
{
    switch (draw(a, 12)) {
    case 0:
        use_weaks(a);
        break;
    case 1:
        drop_with_cleanup(a);
        break;
    case 2:
        use_map(a);
        break;
    case 3:
        use_vector(a);
        break;
    case 4:
        go_through_backwards(a);
        break;
    case 5:
    case 6:
        pass(a);
        break;
    case 7:
        check_graph(a);
        break;
    default:
        for (int i = 0; i < 8; i++)
            change_graph(a);
        check_graph(a);
    }
}

static void act(unsigned number)
{
    struct actor a = {.number = number, .root_slots = {NONE, NONE, NONE, NONE, NONE}};
    struct node *on_stack[ROOTS] = {NULL};
    bool registered = number % 3 == 0;
    seed_actor(&a.rand, current_round, number);
    a.shadows = calloc(SLOTS, sizeof(*a.shadows));
    a.has_key = calloc(KEYS, sizeof(*a.has_key));
    a.roots = registered ? calloc(ROOTS, sizeof(*a.roots)) : number % 3 == 1 ? on_stack : weft_new_array(struct node *, ROOTS);
    a.weaks = weft_new_array(weft_weak *, WEAKS);
    require(a.shadows != NULL && a.has_key != NULL && a.roots != NULL && a.weaks != NULL);
    if (registered)
        require(weft_root_add(a.roots, ROOTS * sizeof(*a.roots)) == 0);
    for (int i = 0; i < STEPS; i++)
        step(&a);
    check_graph(&a);
    check_map(&a);
    if (registered) {
        require(weft_root_remove(a.roots) == 0);
        free(a.roots);
    }
    weft_keep(on_stack);
    n_registered[number] = a.n_cleanups;
    free(a.shadows);
    free(a.has_key);
}

static void *act_in_thread(void *arg)
{
    act((unsigned)(uintptr_t)arg);
    return NULL;
}

static void drain(weft_chan(struct parcel) c)
{
    struct parcel p;
    while (weft_chan_try_recv(c, &p) == 0) {
        check_parcel(p);
        heirloom = p;
    }
}

/* Whatever cannot be reached is collected in the end, but for what stray words keep. */
static void await_cleanups(void)
{
    unsigned n = 0, done = 0;
    int64_t end = clock_ns() + INT64_C(3000000000);
    do {
        weft_gc();
        pause_thread_ms(1);
        n = done = 0;
        for (unsigned i = 0; i < ROUTINES + THREADS; i++) {
            n += n_registered[i];
            for (unsigned c = 0; c < CLEANUPS; c++)
                done += atomic_load(&cleaned[i][c]);
        }
    } while (done < n / 2 && clock_ns() < end);
    require(done >= n / 2);
}

static void run_round(void)
{
    pthread_t threads[THREADS];
    struct wf_rand rand;
    seed_actor(&rand, current_round, 1000);
    unsigned procs = stress.workers != 0 ? stress.workers : 1 + wf_rand_below(&rand, 4);
    require(weft_start(&(weft_config){.procs = procs}) == 0);
    check_parcel(heirloom);
    weft_workers *pools[3] = {NULL, NULL, NULL};
    for (unsigned i = 1; i < 1 + wf_rand_below(&rand, 3); i++)
        pools[i] = weft_workers_create(1 + wf_rand_below(&rand, 2), NULL);
    for (uintptr_t i = 0; i < THREADS; i++)
        require(pthread_create(&threads[i], NULL, act_in_thread, (void *)(ROUTINES + i)) == 0); /* NOLINT */
    weft_scope(s)
        for (unsigned i = 0; i < ROUTINES; i++)
            weft_scope_go_with(s, weft_attr(.workers = pools[i % 3]), act, i);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    drain(post);
    drain(wide);
    await_cleanups();
    for (unsigned i = 1; i < 3; i++)
        if (pools[i] != NULL)
            weft_workers_destroy(pools[i]);
    require(weft_stop() == 0);
    check_parcel(heirloom);
}

int main(int argc, char **argv)
{
    read_stress_options(argc, argv);
    const char *mode = modes[stress.seed % WF_ARRAY_SIZE(modes)];
    if (setenv("WEFT_DEBUG", mode, 0) != 0 || getenv("WEFT_DEBUG") == NULL)
        return 1;
    printf("WEFT_DEBUG=%s\n", getenv("WEFT_DEBUG"));
    fflush(stdout);
    require(weft_start(NULL) == 0);
    post = weft_chan_make(struct parcel, 4);
    narrow = weft_chan_make(struct parcel, 0);
    wide = weft_chan_make(struct parcel, WEFT_UNBOUNDED);
    require(weft_stop() == 0);
    for (; stress_goes_on(current_round); current_round++) {
        memset(cleaned, 0, sizeof(cleaned));
        memset(n_registered, 0, sizeof(n_registered));
        run_round();
    }
    weft_gc_info info;
    weft_gc_stats(&info);
    printf("%u rounds, %llu graphs checked, %llu collections, %llu weak handles gone, %llu cleanups, %llu a round later, "
           "longest pause %lld us\n",
           current_round, (unsigned long long)n_checks, (unsigned long long)info.cycles, (unsigned long long)n_weak_gone,
           (unsigned long long)n_cleanups, (unsigned long long)n_cleaned_late, (long long)info.pause_most_ns / 1000);
    return 0;
}
