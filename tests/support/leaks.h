/* SPDX-License-Identifier: MIT */
/* leaks.h - routines that wait, as weft_leaks sees them.
 *
 * What is found may be less than what is there: a stray word on some stack keeps a channel. So tests of what is found start
 * MANY of a kind and demand most. What must not be found is demanded of all.
 */
#ifndef WEFT_TESTS_LEAKS_H
#define WEFT_TESTS_LEAKS_H

#include <criterion/criterion.h>

#include "sched/park.h"
#include "sched/threads.h"
#include "watch.h"

enum { MOST = MANY * 3 / 4 };

static _Atomic unsigned n_ended;
static void *held[16]; /* static data: reachable */

static inline unsigned n_parked(enum wf_wait_kind kind)
{
    unsigned n = 0;
    for (uint32_t i = 0; wf_n_workers != 0 && i < wf_routines_count(); i++)
        n += wf_load_relaxed(&wf_routine_at(i)->id) != 0 &&
             wf_wait_kind_of(wf_load_acquire(&wf_routine_at(i)->waits_on)) == kind;
    return n;
}

struct tally {
    const char *waits;
    unsigned n, n_other;
    weft_leak last;
};

static inline void count_leak(const weft_leak *leak, void *arg)
{
    struct tally *t = arg;
    if (strcmp(leak->waits, t->waits) == 0)
        t->n++;
    else
        t->n_other++;
    t->last = *leak;
}

static WF_NOINLINE __attribute__((unused)) unsigned leaks_that(const char *wait)
{
    struct tally t = {.waits = wait};
    clear_stack();
    size_t n = weft_leaks(count_leak, &t);
    cr_assert_eq(n, t.n + t.n_other);
    return t.n;
}

static inline size_t all_leaks(void)
{
    clear_stack();
    return weft_leaks(NULL, NULL);
}

/* MANY routines that run fn() and will be waiting in this way. One after the other: what a switch leaves on the stack of a
 * routine that begins then may point to the one before, and so a stray pointer to one would keep them all. */
static inline void start_many(void (*fn)(void), enum wf_wait_kind kind)
{
    for (unsigned i = 0; i < MANY; i++) {
        require(weft_go(fn) == 0);
        eventually(n_parked(kind) == i + 1);
    }
}

/* ---- who waits for what nobody has ---- */

static inline void receive_for_ever(void)
{
    weft_chan_recv(weft_chan_make(int, 0), NULL);
    n_ended++;
}

static inline int receive_and_return(void)
{
    return weft_chan_recv(weft_chan_make(int, 0), NULL);
}

struct shared {
    weft_mutex mutex;
    weft_rwmutex rwmutex;
    weft_cond cond;
    weft_waitgroup group;
    weft_sem sem;
    weft_barrier barrier;
    weft_latch latch;
    weft_tracker tracker;
    weft_once once;
};

/* A pointer to the beginning keeps the neighbour below, too: that is nobody's. Else one stray pointer could keep one after
 * the other. */
static inline struct shared *new_shared(void)
{
    weft_keep(weft_new(struct shared));
    return weft_new(struct shared);
}

/* ---- who waits for what is held ---- */

static inline weft_chan(int) the_channel(void)
{
    return (weft_chan(int))held[0];
}

static inline void receive_once(weft_chan(int) c)
{
    require(weft_chan_recv(c, NULL) == 0);
    n_ended++;
}

/* MANY routines wait on a channel that only `held` knows of; after the test they must end. */
static inline void wait_on_the_channel(void)
{
    for (int i = 0; i < MANY; i++)
        require(weft_go(receive_once, the_channel()) == 0);
    eventually(n_parked(WF_WAIT_CHAN_RECV) >= MANY);
}

static inline void none_leaks(void)
{
    for (int i = 0; i < 3; i++)
        cr_assert_eq(all_leaks(), 0);
}

static inline void end_them(weft_chan(int) c)
{
    unsigned wanted = n_ended + MANY;
    for (int i = 0; i < MANY; i++)
        require(weft_chan_send(c, i) == 0);
    eventually(n_ended == wanted);
}

#endif
