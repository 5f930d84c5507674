/* SPDX-License-Identifier: MIT */
/* watch.h - collected objects whose death can be seen: each has a weak handle, which does not keep it alive.
 *
 * The collector is conservative: a forgotten copy of a pointer in a dead part of a stack keeps one object. So a test of
 * what keeps objects alive uses many and demands all of them, where stray copies of a few cannot help it to pass; a test
 * of what dies demands most. */
#ifndef WEFT_TESTS_WATCH_H
#define WEFT_TESTS_WATCH_H

#include <stdatomic.h>
#include <string.h>

#include <weft/weft.h>

#include "base/compiler.h"
#include "expect.h"

enum { WATCHED_MOST = 10000, MANY = 64 };

struct node {
    struct node *next;
    uint64_t tag;
    uint64_t check; /* of the tag: a cell that was used again does not look like it */
};

static struct {
    _Atomic(weft_weak *) handles[WATCHED_MOST]; /* static data, so the handles live */
    _Atomic unsigned n;                         /* the last ones may still be NULL: see are_watched() */
} watched;

static inline uint64_t check_of(uint64_t tag)
{
    return (tag + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static inline bool is_node(const struct node *n, uint64_t tag)
{
    return n->tag == tag && n->check == check_of(tag);
}

static WF_NOINLINE __attribute__((unused)) void watch(void *p)
{
    unsigned i = atomic_fetch_add(&watched.n, 1);
    require(i < WATCHED_MOST);
    watched.handles[i] = weft_weak_make(p);
    require(watched.handles[i] != NULL);
}

/* n objects are: other threads may have their places already and no handles yet. */
static inline bool are_watched(unsigned n)
{
    unsigned made = 0;
    while (made < n && watched.handles[made] != NULL)
        made++;
    return made == n && watched.n == n;
}

/* A watched object. */
static WF_NOINLINE __attribute__((unused)) struct node *make_node(uint64_t tag)
{
    struct node *n = weft_new(struct node);
    require(n != NULL);
    n->tag = tag;
    n->check = check_of(tag);
    watch(n);
    return n;
}

/* Overwrites what former calls have left below the caller's frame. */
static WF_NOINLINE __attribute__((unused)) void clear_stack(void)
{
    char room[24 << 10];
    memset(room, 0, sizeof(room));
    __asm__ volatile("" : : "r"(room) : "memory");
}

static WF_NOINLINE __attribute__((unused)) unsigned count_alive(void)
{
    unsigned alive = 0;
    for (unsigned i = 0; i < atomic_load(&watched.n); i++)
        alive += weft_weak_get(watched.handles[i]) != NULL;
    return alive;
}

/* How many watched objects are alive after a collection. */
static WF_NOINLINE __attribute__((unused)) unsigned alive_after_gc(void)
{
    clear_stack();
    weft_gc();
    unsigned alive = count_alive();
    clear_stack();
    return alive;
}

/* The same for routines that are about to end: their last traces go with them, sooner or later. */
static inline bool dies_down_to(unsigned most)
{
    int64_t end = clock_ns() + PATIENCE_SECONDS * INT64_C(1000000000);
    while (alive_after_gc() > most) {
        if (clock_ns() > end)
            return false;
        pause_thread_ms(1);
    }
    return true;
}

#endif
