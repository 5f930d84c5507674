/* SPDX-License-Identifier: MIT */
/* explore.h - goes through all executions of a small concurrent program under a weak memory model.
 *
 * The memory is that of C11's release, acquire and relaxed operations, read-modify-writes and sequentially consistent fences,
 * told by views: a location is the list of all that was stored there; a thread has seen each list up to some place, and a load
 * gives any entry from there on; an acquiring load of a releasing store takes over how far the storing thread had seen. Store
 * buffers, and processors that reorder, show as loads of old entries. With `strong`, every load acquires and every store
 * releases, which allows all that x86 allows (and a little more): what is found there matters on x86, too.
 *
 * Not in the model: loads that see stores which come later (load buffering), and stores that come into a list before what is
 * there already. So a violation that is found is one; that none is found is no proof for such processors.
 *
 * A program is a function that does one step of one thread: at most one access of memory, or one model_choose(). All states
 * that can be reached are visited once.
 */
#ifndef WEFT_TESTS_MODELS_EXPLORE_H
#define WEFT_TESTS_MODELS_EXPLORE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOCATIONS = 7, ENTRIES = 14, THREADS = 3, LOCALS = 6, GHOSTS = 12, DONE = 255 };
enum order { RELAXED, ACQUIRE, RELEASE, ACQ_REL };

struct view {
    uint8_t seen[LOCATIONS];
};

struct state {
    struct entry {
        uint8_t value;
        struct view view; /* what an acquiring load learns */
    } entries[LOCATIONS][ENTRIES];
    uint8_t n_entries[LOCATIONS];
    struct thread {
        struct view now, at_acquire_fence, at_release_fence;
        uint8_t pc;
        uint8_t local[LOCALS];
    } threads[THREADS];
    struct view fences;    /* the last sequentially consistent fence */
    uint8_t ghost[GHOSTS]; /* what only the checks know */
};

struct model {
    const char *name;
    unsigned n_threads, n_locations;
    void (*step)(struct state *s, unsigned thread);
    void (*at_end)(struct state *s); /* all threads are DONE; may be NULL */
};

static struct {
    bool strong;
    unsigned weakened; /* which order of the program is left out; 0: none */
    unsigned choice, n_choices;
    bool impossible;
    const char *violated;
} run;

/* ---- for programs ---- */

static inline bool weakened(unsigned which)
{
    return run.weakened == which;
}

static inline unsigned model_choose(unsigned n)
{
    run.n_choices = n;
    return run.choice;
}

static inline void model_require(bool holds, const char *what)
{
    if (!holds && run.violated == NULL)
        run.violated = what;
}

static inline void view_join(struct view *to, const struct view *from)
{
    for (unsigned i = 0; i < LOCATIONS; i++)
        to->seen[i] = to->seen[i] > from->seen[i] ? to->seen[i] : from->seen[i];
}

static inline void model_read(struct state *s, unsigned t, unsigned at, unsigned index, enum order order)
{
    struct thread *thread = &s->threads[t];
    const struct entry *e = &s->entries[at][index];
    thread->now.seen[at] = (uint8_t)index;
    view_join(&thread->at_acquire_fence, &e->view);
    if (run.strong || order == ACQUIRE || order == ACQ_REL)
        view_join(&thread->now, &e->view);
}

static inline void model_write(struct state *s, unsigned t, unsigned at, uint8_t value, enum order order, const struct view *read)
{
    struct thread *thread = &s->threads[t];
    if (s->n_entries[at] == ENTRIES) {
        model_require(false, "it stores without end");
        return;
    }
    unsigned index = s->n_entries[at]++;
    struct entry *e = &s->entries[at][index];
    bool releases = run.strong || order == RELEASE || order == ACQ_REL;
    thread->now.seen[at] = (uint8_t)index;
    e->value = value;
    e->view = releases ? thread->now : thread->at_release_fence;
    e->view.seen[at] = (uint8_t)index;
    if (read != NULL)
        view_join(&e->view, read); /* a release sequence goes on */
}

static inline uint8_t model_load(struct state *s, unsigned t, unsigned at, enum order order)
{
    unsigned from = s->threads[t].now.seen[at], index = from + model_choose(s->n_entries[at] - from);
    model_read(s, t, at, index, order);
    return s->entries[at][index].value;
}

static inline void model_store(struct state *s, unsigned t, unsigned at, uint8_t value, enum order order)
{
    model_write(s, t, at, value, order, NULL);
}

static inline uint8_t model_swap(struct state *s, unsigned t, unsigned at, uint8_t value, enum order order)
{
    unsigned last = s->n_entries[at] - 1u;
    uint8_t old = s->entries[at][last].value;
    struct view read = s->entries[at][last].view;
    model_read(s, t, at, last, order);
    model_write(s, t, at, value, order, &read);
    return old;
}

/* The newest value, to compute what a read-modify-write stores. */
static inline uint8_t model_newest(const struct state *s, unsigned at)
{
    return s->entries[at][s->n_entries[at] - 1].value;
}

/* A failure may have read an old value. */
static inline bool model_cas(struct state *s, unsigned t, unsigned at, uint8_t *expected, uint8_t value, enum order order)
{
    unsigned from = s->threads[t].now.seen[at], index = from + model_choose(s->n_entries[at] - from);
    uint8_t found = s->entries[at][index].value;
    if (found != *expected) {
        model_read(s, t, at, index, RELAXED);
        *expected = found;
        return false;
    }
    if (index + 1u != s->n_entries[at]) {
        run.impossible = true;
        return false;
    }
    model_swap(s, t, at, value, order);
    return true;
}

static inline void model_fence(struct state *s, unsigned t)
{
    struct thread *thread = &s->threads[t];
    view_join(&thread->now, &thread->at_acquire_fence);
    view_join(&thread->now, &s->fences);
    s->fences = thread->now;
    thread->at_release_fence = thread->now;
}

/* Data without atomics: nobody may access it who has not seen all accesses before. */
static inline void model_touch(struct state *s, unsigned t, unsigned at, const char *what)
{
    model_require(s->threads[t].now.seen[at] + 1u == s->n_entries[at], what);
    model_write(s, t, at, 0, RELAXED, NULL);
}

/* ---- the search ---- */

struct seen_states {
    uint64_t (*at)[2];
    size_t n, size;
};

static inline void hash_state(const struct state *s, uint64_t ret[2])
{
    const uint8_t *p = (const uint8_t *)s;
    ret[0] = 0xcbf29ce484222325u;
    ret[1] = 0x9ae16a3b2f90404fu;
    for (size_t i = 0; i < sizeof(*s); i++) {
        ret[0] = (ret[0] ^ p[i]) * 0x100000001b3u;
        ret[1] = (ret[1] + p[i] + 1) * 0x9fb21c651e98df25u;
        ret[1] ^= ret[1] >> 29;
    }
}

static inline bool is_new(struct seen_states *seen, const struct state *s)
{
    uint64_t h[2];
    if (seen->n * 2 >= seen->size) {
        struct seen_states larger = {.size = seen->size != 0 ? seen->size * 2 : 1 << 14};
        larger.at = calloc(larger.size, sizeof(*larger.at));
        if (larger.at == NULL)
            abort();
        for (size_t i = 0; i < seen->size; i++) {
            size_t to = seen->at[i][0];
            if (seen->at[i][0] == 0 && seen->at[i][1] == 0)
                continue;
            while (larger.at[to & (larger.size - 1)][0] != 0 || larger.at[to & (larger.size - 1)][1] != 0)
                to++;
            memcpy(larger.at[to & (larger.size - 1)], seen->at[i], sizeof(h));
        }
        larger.n = seen->n;
        free(seen->at);
        *seen = larger;
    }
    hash_state(s, h);
    for (size_t i = h[0];; i++) {
        uint64_t *place = seen->at[i & (seen->size - 1)];
        if (place[0] == h[0] && place[1] == h[1])
            return false;
        if (place[0] == 0 && place[1] == 0) {
            memcpy(place, h, sizeof(h));
            seen->n++;
            return true;
        }
    }
}

/* Explores everything. NULL, or the first violation. *ret_states: how many there were. */
static inline const char *explore(const struct model *m, const struct state *initial, size_t *ret_states)
{
    struct seen_states seen = {0};
    size_t n = 0, size = 1024;
    struct state *stack = malloc(size * sizeof(*stack)), s, next;
    if (stack == NULL)
        abort();
    run.violated = NULL;
    stack[n++] = *initial;
    is_new(&seen, initial);
    while (n > 0 && run.violated == NULL) {
        s = stack[--n];
        bool all_done = true, can_move = false;
        for (unsigned t = 0; t < m->n_threads; t++) {
            if (s.threads[t].pc == DONE)
                continue;
            all_done = false;
            run.n_choices = 1;
            for (run.choice = 0; run.choice < run.n_choices && run.violated == NULL; run.choice++) {
                run.n_choices = 1;
                run.impossible = false;
                next = s;
                m->step(&next, t);
                if (run.impossible || memcmp(&next, &s, sizeof(s)) == 0)
                    continue;
                can_move = true;
                if (!is_new(&seen, &next))
                    continue;
                if (n == size && (stack = realloc(stack, (size *= 2) * sizeof(*stack))) == NULL)
                    abort();
                stack[n++] = next;
            }
        }
        if (all_done && m->at_end != NULL)
            m->at_end(&s);
        model_require(all_done || can_move, "nobody can go on");
    }
    *ret_states = seen.n;
    free(stack);
    free(seen.at);
    return run.violated;
}

static inline void initial_state(struct state *s, const uint8_t *values, unsigned n)
{
    memset(s, 0, sizeof(*s));
    for (unsigned i = 0; i < LOCATIONS; i++) {
        s->n_entries[i] = 1;
        s->entries[i][0].value = i < n ? values[i] : 0;
    }
}

/* Which weakening must be found, and where. */
struct weakening {
    const char *name;
    bool on_x86, elsewhere;
};

/* The program as it is, and with each of its orders left out. 0: everything is as the table says. */
static inline int explore_all(const struct model *m, const struct state *initial, const struct weakening *table, unsigned n)
{
    int status = 0;
    for (unsigned i = 0; i <= n; i++)
        for (unsigned strong = 0; strong < 2; strong++) {
            size_t n_states;
            run.strong = strong;
            run.weakened = i;
            const char *violated = explore(m, initial, &n_states);
            bool expected = i != 0 && (strong ? table[i - 1].on_x86 : table[i - 1].elsewhere);
            bool right = (violated != NULL) == expected;
            printf("%s %s, %s: %zu states: %s%s\n", m->name, strong ? "x86" : "weak", i == 0 ? "as it is" : table[i - 1].name,
                   n_states, violated != NULL ? violated : "holds", right ? "" : "  <-- NOT EXPECTED");
            fflush(stdout);
            status |= !right;
        }
    return status;
}

#endif
