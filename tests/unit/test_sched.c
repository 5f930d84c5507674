/* SPDX-License-Identifier: MIT */
/* test_sched.c - the scheduler's own structures: ring, private queues, injection queue, guard word. No runtime runs. */
#include <criterion/criterion.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../support/expect.h"
#include "base/membarrier.h"
#include "sched/inject.h"
#include "sched/runq.h"
#include "sched/thread.h"
#include "time/clock.h"

enum { N_ROUTINES = 4096 };
static struct wf_routine *routines;
static struct wf_worker *worker, *thief;
static struct wf_inject *const injection = &wf_default_pool->inject;

static void set_up(void)
{
    routines = aligned_alloc(WF_CACHELINE, N_ROUTINES * sizeof(*routines));
    worker = aligned_alloc(WF_CACHELINE, sizeof(*worker));
    thief = aligned_alloc(WF_CACHELINE, sizeof(*thief));
    cr_assert(routines != NULL && worker != NULL && thief != NULL);
    memset(routines, 0, N_ROUTINES * sizeof(*routines));
    memset(worker, 0, sizeof(*worker));
    memset(thief, 0, sizeof(*thief));
    worker->pool = thief->pool = wf_default_pool;
    for (unsigned i = 0; i < N_ROUTINES; i++)
        wf_store_relaxed(&routines[i].id, i + 1);
}
TestSuite(ring, .init = set_up);
TestSuite(queues, .init = set_up);
TestSuite(inject, .init = set_up);

static void start_all(void)
{
    for (unsigned i = 0; i < N_ROUTINES; i++)
        routines[i].flags = WF_STARTED;
}

/* ---- ring ---- */

Test(ring, is_first_in_first_out_over_many_turns, .timeout = 60)
{
    unsigned put = 0, taken = 0;
    for (unsigned round = 0; round < 1000; round++) {
        unsigned n = round * 7 % WF_RING_SIZE + 1;
        for (unsigned i = 0; i < n; i++)
            cr_assert(wf_ring_put(&worker->ring, &routines[put++ % N_ROUTINES]));
        cr_assert_eq(wf_ring_length(&worker->ring), n);
        for (unsigned i = 0; i < n; i++)
            cr_assert_eq(wf_ring_take(worker, NULL), &routines[taken++ % N_ROUTINES]);
    }
    cr_assert_null(wf_ring_take(worker, NULL));
    cr_assert_eq(wf_ring_take(worker, &routines[5]), &routines[5]);
}

Test(ring, holds_its_size_and_refuses_more, .timeout = 60)
{
    for (unsigned i = 0; i < WF_RING_SIZE; i++)
        cr_assert(wf_ring_put(&worker->ring, &routines[i]));
    cr_assert_not(wf_ring_put(&worker->ring, &routines[WF_RING_SIZE]));
    cr_assert_eq(wf_ring_take(worker, NULL), &routines[0]);
    cr_assert(wf_ring_put(&worker->ring, &routines[WF_RING_SIZE]));
}

Test(ring, works_when_its_counters_wrap, .timeout = 60)
{
    wf_store_relaxed(&worker->ring.head, UINT32_MAX - 2);
    wf_store_relaxed(&worker->ring.tail, UINT32_MAX - 2);
    for (unsigned i = 0; i < WF_RING_SIZE; i++)
        cr_assert(wf_ring_put(&worker->ring, &routines[i]));
    cr_assert_not(wf_ring_put(&worker->ring, &routines[0]));
    for (unsigned i = 0; i < WF_RING_SIZE; i++)
        cr_assert_eq(wf_ring_take(worker, NULL), &routines[i]);
    cr_assert_null(wf_ring_take(worker, NULL));
}

Test(ring, a_thief_gets_the_older_half, .timeout = 60)
{
    start_all();
    for (unsigned i = 0; i < WF_RING_SIZE; i++)
        cr_assert(wf_ring_put(&worker->ring, &routines[i]));
    cr_assert_eq(wf_ring_steal(thief, worker), &routines[0]);
    cr_assert_eq(wf_queue_length(thief), WF_RING_SIZE / 2 - 1);
    for (unsigned i = 1; i < WF_RING_SIZE / 2; i++)
        cr_assert_eq(wf_queue_take(thief), &routines[i]);
    cr_assert_eq(wf_ring_length(&worker->ring), WF_RING_SIZE / 2);
    cr_assert_eq(wf_ring_take(worker, NULL), &routines[WF_RING_SIZE / 2]);
}

Test(ring, a_thief_takes_the_only_one_too, .timeout = 60)
{
    cr_assert_null(wf_ring_steal(thief, worker));
    cr_assert(wf_ring_put(&worker->ring, &routines[0]));
    cr_assert_eq(wf_ring_steal(thief, worker), &routines[0]);
    cr_assert_null(wf_ring_take(worker, NULL));
}

enum { N_TAKERS = 3, N_PASSES = 300 };
static atomic_uint times_taken[N_ROUTINES];
static atomic_bool all_put;

static void count_taken(struct wf_routine *r)
{
    atomic_fetch_add(&times_taken[r - routines], 1);
}

static void *take_until_all_put(void *arg)
{
    struct wf_routine *out[WF_RING_SIZE / 2];
    (void)arg;
    for (bool last = false; !last;) {
        last = atomic_load(&all_put);
        uint32_t n = wf_ring_take_many(&worker->ring, out, WF_RING_SIZE / 2, true);
        for (uint32_t i = 0; i < n; i++)
            count_taken(out[i]);
    }
    return NULL;
}

static void put_or_take(struct wf_routine *r)
{
    while (!wf_ring_put(&worker->ring, r)) {
        struct wf_routine *taken = wf_ring_take(worker, NULL);
        if (taken != NULL)
            count_taken(taken);
    }
}

Test(ring, each_is_taken_once_while_many_take, .timeout = 60)
{
    pthread_t takers[N_TAKERS];
    for (unsigned i = 0; i < N_TAKERS; i++)
        cr_assert_eq(pthread_create(&takers[i], NULL, take_until_all_put, NULL), 0);
    for (unsigned pass = 0; pass < N_PASSES; pass++)
        for (unsigned i = 0; i < N_ROUTINES; i++)
            put_or_take(&routines[i]);
    atomic_store(&all_put, true);
    for (unsigned i = 0; i < N_TAKERS; i++)
        cr_assert_eq(pthread_join(takers[i], NULL), 0);
    for (struct wf_routine *r; (r = wf_ring_take(worker, NULL)) != NULL;)
        count_taken(r);
    for (unsigned i = 0; i < N_ROUTINES; i++)
        cr_assert_eq(atomic_load(&times_taken[i]), N_PASSES, "routine %u: %u times", i, atomic_load(&times_taken[i]));
}

/* ---- private queues ---- */

Test(queues, those_with_a_stack_come_first_in_first_out, .timeout = 60)
{
    start_all();
    for (unsigned i = 0; i < 1000; i++)
        wf_local_put(worker, &routines[i]);
    cr_assert_eq(wf_private_length(worker), 1000);
    for (unsigned i = 0; i < 1000; i++)
        cr_assert_eq(wf_queue_take(worker), &routines[i]);
    cr_assert_null(wf_queue_take(worker));
    cr_assert_eq(wf_private_length(worker), 0);
}

Test(queues, fresh_ones_come_first_in_first_out_while_they_are_few, .timeout = 60)
{
    for (unsigned i = 0; i < WF_FRESH_LIST - 1; i++)
        wf_local_put(worker, &routines[i]);
    cr_assert_null(wf_queue_take(worker));
    for (unsigned i = 0; i < WF_FRESH_LIST - 1; i++)
        cr_assert_eq(wf_fresh_take(worker), &routines[i]);
    cr_assert_null(wf_fresh_take(worker));
    cr_assert_eq(wf_load_relaxed(&worker->fresh_length), 0);
}

static unsigned drain(struct wf_worker *w, bool *seen)
{
    unsigned n = 0;
    for (struct wf_routine *r; (r = wf_fresh_take(w)) != NULL; n++) {
        cr_assert_not(seen[r - routines]);
        seen[r - routines] = true;
    }
    return n;
}

/* INT64_MAX: the oldest, however young it is. */
static bool pop_batch(struct wf_fresh_list *ret_batch, bool newest)
{
    return newest ? wf_inject_pop_newest_batch(injection, ret_batch) : wf_inject_pop_oldest_batch(injection, ret_batch, INT64_MAX);
}

Test(queues, fresh_ones_that_are_too_many_leave_in_batches_and_none_is_lost, .timeout = 60)
{
    static bool seen[N_ROUTINES];
    struct wf_fresh_list batch;
    unsigned n = 0;
    for (unsigned i = 0; i < N_ROUTINES; i++)
        wf_fresh_put(worker, &routines[i]);
    cr_assert_leq(wf_load_relaxed(&worker->fresh_length), 2 * WF_FRESH_LIST);
    n += drain(worker, seen);
    cr_assert_gt(n, 0);
    for (bool newest = false; pop_batch(&batch, newest); newest = !newest) {
        struct wf_routine *first = wf_fresh_refill(worker, &batch);
        cr_assert_not(seen[first - routines]);
        seen[first - routines] = true;
        n += 1 + drain(worker, seen);
    }
    cr_assert_eq(n, N_ROUTINES);
    cr_assert_eq(wf_load_relaxed(&worker->fresh_length), 0);
}

Test(queues, the_newest_batch_comes_back_first, .timeout = 60)
{
    struct wf_fresh_list batch;
    for (unsigned i = 0; i < 6 * WF_FRESH_LIST; i++)
        wf_fresh_put(worker, &routines[i]);
    ptrdiff_t before = N_ROUTINES;
    while (pop_batch(&batch, true)) {
        cr_assert_lt(batch.head - routines, before);
        before = batch.head - routines;
    }
    cr_assert_eq(before, 0);
}

Test(queues, sharing_moves_half_to_the_ring_and_rescue_moves_all, .timeout = 60)
{
    start_all();
    routines[0].flags = routines[1].flags = 0;
    unsigned n = WF_RING_SIZE - 2;
    for (unsigned i = 0; i < n; i++)
        wf_local_put(worker, &routines[i]);
    wf_store_relaxed(&worker->next, &routines[n]);
    wf_share(worker, false);
    cr_assert_eq(wf_ring_length(&worker->ring), n / 2);
    cr_assert_eq(wf_private_length(worker), n - n / 2);
    cr_assert_eq(wf_load_relaxed(&worker->next), &routines[n]);
    wf_share(worker, true);
    cr_assert_eq(wf_private_length(worker), 0);
    cr_assert_null(wf_load_relaxed(&worker->next));
    cr_assert_eq(wf_ring_length(&worker->ring), n + 1);
}

Test(queues, sharing_stops_when_the_ring_is_full, .timeout = 60)
{
    start_all();
    for (unsigned i = 0; i < 3 * WF_RING_SIZE; i++)
        wf_local_put(worker, &routines[i]);
    wf_share(worker, true);
    cr_assert_eq(wf_ring_length(&worker->ring), WF_RING_SIZE);
    cr_assert_eq(wf_private_length(worker), 2 * WF_RING_SIZE);
    wf_share(worker, false);
    cr_assert_eq(wf_ring_length(&worker->ring), WF_RING_SIZE);
    cr_assert_eq(wf_private_length(worker), 2 * WF_RING_SIZE);
}

/* ---- injection queue ---- */

Test(inject, each_priority_is_first_in_first_out, .timeout = 60)
{
    for (unsigned i = 0; i < 30; i++)
        wf_inject_push(injection, &routines[i], (enum wf_priority)(i % WF_N_PRIORITIES));
    cr_assert(wf_inject_any(injection));
    for (unsigned i = 0; i < 30; i++)
        cr_assert_eq(wf_inject_pop(injection, (enum wf_priority)(i % WF_N_PRIORITIES)), &routines[i]);
    for (unsigned p = 0; p < WF_N_PRIORITIES; p++)
        cr_assert_null(wf_inject_pop(injection, (enum wf_priority)p));
    cr_assert_not(wf_inject_any(injection));
}

Test(inject, many_are_taken_at_once_oldest_first, .timeout = 60)
{
    struct wf_routine *out[64];
    for (unsigned i = 0; i < 100; i++)
        wf_inject_push(injection, &routines[i], WF_PRIORITY_NORMAL);
    cr_assert_eq(wf_inject_pop_many(injection, out, 64, WF_PRIORITY_NORMAL), 64);
    for (unsigned i = 0; i < 64; i++)
        cr_assert_eq(out[i], &routines[i]);
    cr_assert_eq(wf_inject_pop_many(injection, out, 64, WF_PRIORITY_NORMAL), 36);
    cr_assert_eq(out[35], &routines[99]);
    cr_assert_eq(wf_inject_pop_many(injection, out, 64, WF_PRIORITY_NORMAL), 0);
}

static struct wf_fresh_list batch_of(unsigned i)
{
    routines[i].link = NULL;
    return (struct wf_fresh_list){.head = &routines[i], .tail = &routines[i], .length = 1};
}

Test(inject, a_young_batch_does_not_go_before_newer_ones, .timeout = 60)
{
    struct wf_fresh_list batch = batch_of(0);
    wf_inject_push_batch(injection, &batch);
    cr_assert_not(wf_inject_pop_oldest_batch(injection, &batch, wf_now_ns() - 60 * (int64_t)1000000000));
    cr_assert(wf_inject_pop_oldest_batch(injection, &batch, INT64_MAX));
}

Test(inject, batches_leave_at_both_ends_while_their_ring_grows, .timeout = 60)
{
    struct wf_fresh_list batch;
    unsigned oldest = 0, newest = 0;
    for (unsigned i = 0; i < 7; i++, newest++) { /* the ring's beginning is not at 0 when it grows */
        batch = batch_of(newest);
        wf_inject_push_batch(injection, &batch);
        cr_assert(pop_batch(&batch, false));
        cr_assert_eq(batch.head, &routines[oldest++]);
    }
    for (; newest < 1000; newest++) {
        batch = batch_of(newest);
        wf_inject_push_batch(injection, &batch);
    }
    while (oldest < newest) {
        cr_assert(pop_batch(&batch, false));
        cr_assert_eq(batch.head, &routines[oldest++]);
        if (oldest == newest)
            break;
        cr_assert(pop_batch(&batch, true));
        cr_assert_eq(batch.head, &routines[--newest]);
    }
    cr_assert_not(pop_batch(&batch, true));
    cr_assert_not(pop_batch(&batch, false));
    cr_assert_not(wf_inject_any(injection));
}

Test(inject, the_oldest_batch_is_left_while_it_is_young, .timeout = 60)
{
    struct wf_fresh_list batch = batch_of(0);
    int64_t before = clock_ns();
    wf_inject_push_batch(injection, &batch);
    cr_assert_not(wf_inject_pop_oldest_batch(injection, &batch, before - 1));
    cr_assert(wf_inject_pop_oldest_batch(injection, &batch, clock_ns() + 1));
    cr_assert_eq(batch.head, &routines[0]);
}

static void *push_and_pop(void *arg)
{
    unsigned share = *(unsigned *)arg, per_thread = N_ROUTINES / N_TAKERS;
    for (unsigned pass = 0; pass < 50; pass++) {
        unsigned got = 0;
        for (unsigned i = 0; i < per_thread; i++)
            if (pass == 0)
                wf_inject_push(injection, &routines[share * per_thread + i], WF_PRIORITY_NORMAL);
        while (got < per_thread / 2) {
            struct wf_routine *r = wf_inject_pop(injection, WF_PRIORITY_NORMAL);
            if (r == NULL)
                continue;
            got++;
            count_taken(r);
            wf_inject_push(injection, r, WF_PRIORITY_NORMAL);
        }
    }
    return NULL;
}

Test(inject, none_is_lost_or_doubled_while_many_push_and_pop, .timeout = 60)
{
    pthread_t threads[N_TAKERS];
    unsigned share[N_TAKERS], n = 0, all = N_ROUTINES / N_TAKERS * N_TAKERS;
    static bool seen[N_ROUTINES];
    for (unsigned i = 0; i < N_TAKERS; i++) {
        share[i] = i;
        cr_assert_eq(pthread_create(&threads[i], NULL, push_and_pop, &share[i]), 0);
    }
    for (unsigned i = 0; i < N_TAKERS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    for (struct wf_routine *r; (r = wf_inject_pop(injection, WF_PRIORITY_NORMAL)) != NULL; n++) {
        cr_assert_not(seen[r - routines]);
        seen[r - routines] = true;
    }
    cr_assert_eq(n, all);
}

/* ---- guard ---- */

static struct wf_thread_block owner;

static void set_up_guard(bool without_membarrier)
{
    wf_membarrier_init(without_membarrier);
    wf_store_relaxed(&owner.thread.attn, wf_fences_needed() ? WF_ATTN_FENCE : 0);
    owner.self.flags = WF_STARTED | WF_FOREIGN;
    owner.thread.current = owner.thread.scheduler = &owner.self;
}

Test(guard, a_thread_inside_the_runtime_cannot_be_seized, .timeout = 60)
{
    set_up_guard(false);
    wf_store_relaxed(&owner.thread.in_rt, 1);
    cr_assert_not(wf_guard_seize(&owner.thread));
    cr_assert_eq(wf_load_relaxed(&owner.thread.attn) & (WF_ATTN_HOLD | WF_ATTN_LOST), 0);
    wf_store_relaxed(&owner.thread.in_rt, 0);
    cr_assert(wf_guard_seize(&owner.thread));
    wf_guard_release(&owner.thread, false);
    cr_assert_eq(wf_load_relaxed(&owner.thread.attn) & (WF_ATTN_HOLD | WF_ATTN_LOST), 0);
}

Test(guard, only_one_seizes_and_none_that_is_lost, .timeout = 60)
{
    set_up_guard(false);
    cr_assert(wf_guard_seize(&owner.thread));
    cr_assert_not(wf_guard_seize(&owner.thread));
    wf_guard_release(&owner.thread, true);
    cr_assert_eq(wf_load_relaxed(&owner.thread.attn) & (WF_ATTN_HOLD | WF_ATTN_LOST), WF_ATTN_LOST);
    cr_assert_not(wf_guard_seize(&owner.thread));
}

static unsigned long guarded; /* whoever is in, or has seized, may touch it */
static atomic_ulong by_seizers;
static atomic_bool owner_done;

static void *seize_again_and_again(void *arg)
{
    (void)arg;
    while (!atomic_load(&owner_done)) {
        if (!wf_guard_seize(&owner.thread))
            continue;
        unsigned long v = *(volatile unsigned long *)&guarded;
        for (unsigned i = 0; i < 10; i++)
            wf_cpu_relax();
        *(volatile unsigned long *)&guarded = v + 1;
        atomic_fetch_add(&by_seizers, 1);
        wf_guard_release(&owner.thread, false);
    }
    return NULL;
}

static void contend(bool without_membarrier)
{
    pthread_t seizers[2];
    unsigned long by_owner = 0;
    int64_t deadline = clock_ns() + INT64_C(1000000000);
    set_up_guard(without_membarrier);
    wf_thread_tls = &owner.thread;
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&seizers[i], NULL, seize_again_and_again, NULL), 0);
    while (clock_ns() < deadline || atomic_load(&by_seizers) < 100) {
        for (unsigned i = 0; i < 1000; i++, by_owner++) {
            struct wf_thread *thread = wf_enter();
            *(volatile unsigned long *)&guarded = *(volatile unsigned long *)&guarded + 1;
            wf_leave(thread);
        }
        for (unsigned long i = by_owner / 1000 % 1024; i > 0;
             i--) /* outside: a seizer needs that for as long as a fence takes */
            wf_cpu_relax();
    }
    atomic_store(&owner_done, true);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(pthread_join(seizers[i], NULL), 0);
    wf_thread_tls = NULL;
    cr_assert_eq(guarded, by_owner + atomic_load(&by_seizers));
}

Test(guard, owner_and_seizers_exclude_each_other, .timeout = 60)
{
    contend(false);
}

Test(guard, they_do_without_membarrier_too, .timeout = 60)
{
    contend(true);
}
