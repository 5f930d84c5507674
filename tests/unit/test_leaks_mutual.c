/* SPDX-License-Identifier: MIT */
/* test_leaks_mutual.c - weft_leaks on routines that wait for one another. */
#define _GNU_SOURCE
#include "../support/leaks.h"
#include "debug/leaks.h"

TestSuite(leaks, .timeout = 60);

static _Atomic unsigned n_ready;

/* ---- circles ---- */

/* Two that wait for each other, and nobody else knows. */
static void send_then_receive(weft_chan(int) a, weft_chan(int) b)
{
    weft_chan_recv(a, NULL);
    weft_chan_send(b, 1);
}
static void cross(void)
{
    weft_chan(int) a = weft_chan_make(int, 0), b = weft_chan_make(int, 0);
    weft_go(send_then_receive, a, b);
    weft_go(send_then_receive, b, a);
}
Test(leaks, a_circle_of_routines)
{
    for (int i = 0; i < MANY; i++)
        require(weft_go(cross) == 0);
    eventually(n_parked(WF_WAIT_CHAN_RECV) == 2 * MANY);
    cr_assert(leaks_that("receives from a channel") >= 2 * MOST);
}

/* ---- chains of routines ---- */

/* Waits on one channel, and alone knows the next. */
static void pass_on(unsigned n)
{
    weft_chan(int) mine = weft_chan_make(int, 0);
    weft_chan(int) volatile next = NULL;
    if (n == 0) {
        held[0] = (void *)(uintptr_t)mine; /* the first of the chain */
    } else {
        held[1] = (void *)(uintptr_t)mine; /* for who comes before; it forgets */
    }
    next = (weft_chan(int))held[2];
    held[2] = (void *)(uintptr_t)mine;
    n_ready++;
    weft_chan_recv(mine, NULL);
    if (next != NULL)
        weft_chan_send(next, 1);
    n_ended++;
}

static void make_chain(unsigned n)
{
    held[2] = NULL;
    for (unsigned i = 0; i < n; i++) {
        unsigned wanted = n_ready + 1;
        require(weft_go(pass_on, n - 1 - i) == 0);
        eventually(n_ready == wanted && n_parked(WF_WAIT_CHAN_RECV) == wanted);
    }
    held[1] = held[2] = NULL; /* only the first, which was made last, is known */
}

Test(leaks, none_in_a_chain_whose_first_channel_is_known)
{
    enum { LENGTH = 500 };
    make_chain(LENGTH);
    none_leaks();
    require(weft_chan_send(the_channel(), 1) == 0);
    eventually(n_ended == LENGTH);
}

static uint64_t steps_of_a_chain(unsigned n)
{
    cr_assert_eq(all_leaks(), 0);
    uint64_t without = wf_leaks_steps;
    n_ready = n_ended = 0;
    make_chain(n);
    cr_assert_eq(all_leaks(), 0);
    uint64_t with = wf_leaks_steps;
    require(weft_chan_send(the_channel(), 1) == 0);
    eventually(n_ended == n && n_parked(WF_WAIT_CHAN_RECV) == 0);
    cr_assert(with > without);
    return with - without;
}

/* In rounds, each would reach one routine more: n times n. */
Test(leaks, the_time_is_linear_in_the_length_of_a_chain)
{
    steps_of_a_chain(50);
    uint64_t few = steps_of_a_chain(250), many = steps_of_a_chain(1000);
    cr_assert(many < few * 6, "250: %llu steps, 1000: %llu", (unsigned long long)few, (unsigned long long)many);
    cr_assert(many > few * 2);
}

/* ---- in the midst of things ---- */

static atomic_bool rings_end;

/* Knows its own channel and its neighbour's, and nobody else does but through the messages that go round. */
static void ring_member(weft_chan(uint64_t) in, weft_chan(uint64_t) out)
{
    uint64_t v;
    while (weft_chan_recv(in, &v) == 0 && v != 0)
        if (weft_chan_send(out, atomic_load(&rings_end) ? 0 : v + 1) != 0)
            break;
    weft_chan_try_send(out, UINT64_C(0));
    n_ended++;
}

enum { RINGS = 16, MEMBERS = 20, LOOKS = 20 };

static void make_ring(void)
{
    weft_chan(uint64_t) first = weft_chan_make(uint64_t, 1), in = first;
    for (int i = 0; i < MEMBERS; i++) {
        weft_chan(uint64_t) out = i < MEMBERS - 1 ? weft_chan_make(uint64_t, 1) : first;
        require(weft_go(ring_member, in, out) == 0);
        in = out;
    }
    require(weft_chan_send(first, UINT64_C(1)) == 0);
}

/* Each ring has one token: all but one or two of its members wait, on what only other members know. */
Test(leaks, none_in_rings_through_which_a_token_goes)
{
    for (int i = 0; i < RINGS; i++)
        require(weft_go(make_ring) == 0);
    for (int i = 0; i < LOOKS; i++) {
        struct tally t = {.waits = ""};
        size_t found = weft_leaks(count_leak, &t);
        cr_assert_eq(found, 0, "a false report: %s, started at line %d", t.last.waits, t.last.line);
    }
    atomic_store(&rings_end, true);
    eventually(n_ended == RINGS * MEMBERS);
}

static void mixed(unsigned seed, weft_chan(weft_chan(int)) pool)
{
    for (unsigned i = 0; i < 300; i++) {
        weft_chan(int) mine = weft_chan_make(int, 0);
        require(weft_chan_send(pool, mine) == 0); /* somebody will take it, and send */
        weft_chan(int) other;
        require(weft_chan_recv(pool, &other) == 0);
        if (other == mine)
            continue;
        seed = seed * 1103515245u + 12345u;
        if ((seed >> 16 & 3) == 0)
            weft_yield();
        if ((seed >> 18 & 1) != 0) {
            weft_select(weft_on_send(other, 1), weft_on_recv(mine, NULL), weft_after(WEFT_MS));
        } else {
            weft_waitgroup group = {0};
            weft_waitgroup_add(&group, 1);
            weft_go(weft_waitgroup_done, &group);
            weft_waitgroup_wait(&group);
        }
    }
    n_ended++;
}

Test(leaks, none_while_channels_come_and_go)
{
    weft_chan(weft_chan(int)) volatile pool = weft_chan_make(weft_chan(int), WEFT_UNBOUNDED);
    for (unsigned i = 0; i < MANY; i++)
        require(weft_go(mixed, i + 1, pool) == 0);
    while (n_ended < MANY)
        cr_assert_eq(weft_leaks(NULL, NULL), 0);
}
