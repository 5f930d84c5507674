/* SPDX-License-Identifier: MIT */
/* test_routine.c - routines as weft/routine.h promises them: identity, attributes, the end, and that nobody starves. */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <weft/weft.h>

#include "../support/expect.h"
#include "base/compiler.h"

#define start(...) require(weft_go(__VA_ARGS__) == 0)
#define start_with(...) require(weft_go_with(__VA_ARGS__) == 0)
#define in_routine(...) weft_await(weft_async(__VA_ARGS__))

static atomic_uint ended;
static atomic_bool over;

static void start_runtime(unsigned procs)
{
    cr_assert_eq(weft_start(&(weft_config){.procs = procs}), 0);
}

static void end(void)
{
    atomic_fetch_add(&ended, 1);
}

static void await_ends(unsigned n)
{
    eventually(atomic_load(&ended) == n);
}

/* ---- identity ---- */

enum { N_IDS = 5000 };
static uint64_t ids[N_IDS];

static void note_id(size_t i)
{
    ids[i] = weft_id();
    weft_yield();
    require(weft_id() == ids[i]);
    require(weft_sleep(1000) == 0);
    require(weft_id() == ids[i]);
    end();
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

Test(routine, an_id_stays_with_its_routine_and_is_never_used_twice, .timeout = 60)
{
    for (size_t i = 0; i < N_IDS; i++) {
        start(note_id, i);
        if (i % 1000 == 999)
            await_ends((unsigned)i + 1); /* so that descriptors are reused */
    }
    await_ends(N_IDS);
    qsort(ids, N_IDS, sizeof(*ids), by_value);
    cr_assert_neq(ids[0], 0);
    for (size_t i = 1; i < N_IDS; i++)
        cr_assert_neq(ids[i], ids[i - 1]);
}

static uint64_t id_in_routine(void)
{
    return weft_id();
}

Test(routine, a_plain_thread_has_no_id, .timeout = 60)
{
    cr_assert_eq(weft_id(), 0);
    cr_assert_neq(in_routine(id_in_routine), 0);
    cr_assert_eq(weft_id(), 0);
}

static void wait_until_over(void)
{
    while (!atomic_load(&over))
        require(weft_sleep(WEFT_MS) == 0);
    end();
}

static void rename_and_wait(const char *name)
{
    weft_set_name(name);
    end();
    wait_until_over();
}

/* What weft_dump() writes. */
static const char *dump(void)
{
    static char text[65536];
    int fd = memfd_create("dump", MFD_CLOEXEC);
    cr_assert_geq(fd, 0);
    weft_dump(fd);
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    cr_assert_geq(n, 0);
    text[n] = '\0';
    close(fd);
    return text;
}

Test(routine, names_are_copied_and_cut_to_31_bytes, .timeout = 60)
{
    char name[64] = "given at the start";
    start_with(weft_attr(.name = name), wait_until_over);
    strcpy(name, "changed by the caller");
    start(rename_and_wait, "0123456789012345678901234567890123456789");
    start_with(weft_attr(.name = "old"), rename_and_wait, "new");
    eventually(atomic_load(&ended) == 2);
    const char *text = dump();
    cr_assert(strstr(text, "\"given at the start\"") != NULL);
    cr_assert(strstr(text, "changed by the caller") == NULL);
    cr_assert(strstr(text, "\"0123456789012345678901234567890\"") != NULL);
    cr_assert(strstr(text, "\"new\"") != NULL);
    cr_assert(strstr(text, "\"old\"") == NULL);
    atomic_store(&over, true);
    await_ends(5);
}

/* ---- the end ---- */

static void count_cleanup(int *unused)
{
    (void)unused;
    end();
}

static int exit_from_below(unsigned depth)
{
    __attribute__((cleanup(count_cleanup))) int guard = 0;
    if (depth == 0) {
        if (!atomic_load(&over))
            weft_exit();
        return 0;
    }
    weft_yield();
    return exit_from_below(depth - 1) + guard + 1;
}

Test(routine, exit_ends_the_routine_alone_and_runs_its_cleanups, .timeout = 60)
{
    cr_assert_eq(in_routine(exit_from_below, 9), 0);
    cr_assert_eq(atomic_load(&ended), 10);
}

static void exit_inside_try(void)
{
    weft_try(exit_from_below, 3);
    require(false); /* weft_try catches panics, not the end */
}

Test(routine, exit_passes_a_weft_try, .timeout = 60)
{
    in_routine(exit_inside_try);
    cr_assert_eq(atomic_load(&ended), 4);
}

static void *exit_thread(void *arg)
{
    (void)arg;
    exit_from_below(2);
    return arg;
}

Test(routine, exit_on_a_plain_thread_ends_that_thread, .timeout = 60)
{
    pthread_t thread;
    int not_null = 0;
    void *result = &not_null;
    cr_assert_eq(pthread_create(&thread, NULL, exit_thread, &not_null), 0);
    cr_assert_eq(pthread_join(thread, &result), 0);
    cr_assert_eq(result, NULL);
    cr_assert_eq(atomic_load(&ended), 3);
}

static unsigned tree(unsigned depth)
{
    if (depth == 0)
        return 1;
    weft_future(unsigned) left = weft_async(tree, depth - 1), right = weft_async(tree, depth - 1);
    return weft_await(left) + weft_await(right);
}

Test(routine, a_tree_of_routines_grows_and_ends, .timeout = 60)
{
    cr_assert_eq(in_routine(tree, 13), 1u << 13);
}

static void *start_many(void *arg)
{
    for (unsigned i = 0; i < *(unsigned *)arg; i++)
        start(end);
    return NULL;
}

Test(routine, many_threads_may_start_routines_at_once, .timeout = 60)
{
    pthread_t threads[6];
    unsigned each = 5000;
    for (unsigned i = 0; i < 6; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, start_many, &each), 0);
    for (unsigned i = 0; i < 6; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    await_ends(6 * each);
}

/* ---- attributes ---- */

static __attribute__((noinline)) size_t deepen(size_t bytes)
{
    volatile char frame[1024];
    memset((char *)frame, 1, sizeof(frame));
    size_t below = bytes > sizeof(frame) ? deepen(bytes - sizeof(frame)) : 0;
    return below + (size_t)frame[bytes % sizeof(frame)];
}

static void deepen_and_end(size_t bytes)
{
    require(deepen(bytes) == (bytes + 1023) / 1024);
    end();
}

Test(routine, a_stack_is_as_large_as_asked_for, .timeout = 60)
{
    if (WF_ASAN)
        cr_skip_test("its frames are larger than they say");
    start(deepen_and_end, (size_t)32 << 10);
    start_with(weft_attr(.stack_size = 256 << 10), deepen_and_end, (size_t)200 << 10);
    start_with(weft_attr(.stack_size = 1000000), deepen_and_end, (size_t)900000);
    start_with(weft_attr(.stack_size = 64 << 20), deepen_and_end, (size_t)48 << 20);
    start_with(weft_attr(.stack_size = 20000), deepen_and_end, (size_t)10 << 10);
    await_ends(5);
}

static unsigned count_mappings(void)
{
    unsigned n = 0;
    FILE *f = fopen("/proc/self/maps", "re");
    cr_assert(f != NULL);
    for (int c; (c = fgetc(f)) != EOF;)
        n += c == '\n';
    fclose(f);
    return n;
}

Test(routine, stacks_of_their_own_are_given_back, .timeout = 60)
{
    for (unsigned i = 0; i < 100; i++)
        start_with(weft_attr(.stack_size = 1 << 20, .name = "first"), deepen_and_end, (size_t)1 << 19);
    await_ends(100);
    unsigned before = count_mappings();
    for (unsigned i = 0; i < 2000; i++) {
        start_with(weft_attr(.stack_size = 1 << 20, .name = "later"), deepen_and_end, (size_t)1 << 13);
        if (i % 50 == 49)
            await_ends(100 + i + 1);
    }
    cr_assert_leq(count_mappings(), before + 100);
}

Test(routine, an_impossible_stack_is_refused_and_nothing_started, .timeout = 60)
{
    cr_assert_eq(weft_go_with(weft_attr(.stack_size = SIZE_MAX), end), -EINVAL);
    cr_assert_eq(weft_go_with(weft_attr(.stack_size = SIZE_MAX / 2 + 2), end), -EINVAL);
    start(end);
    await_ends(1);
}

static int order[64];
static atomic_uint n_ordered;

static void note_order(int what)
{
    order[atomic_fetch_add(&n_ordered, 1)] = what;
    end();
}

/* False: the worker was taken away meanwhile, and some have run before all were there. */
static bool start_in_all_priorities(void)
{
    for (int i = 0; i < 8; i++) {
        start_with(weft_attr(.priority = -1), note_order, -1);
        start(note_order, 0);
        start_with(weft_attr(.priority = 1), note_order, 1);
    }
    return atomic_load(&n_ordered) == 0;
}

Test(routine, high_priority_runs_first_and_low_last, .timeout = 60)
{
    start_runtime(1);
    bool undisturbed = false;
    for (unsigned attempt = 1; attempt <= 50 && !undisturbed; attempt++) {
        atomic_store(&n_ordered, 0);
        undisturbed = in_routine(start_in_all_priorities);
        await_ends(24 * attempt);
    }
    cr_assert(undisturbed);
    for (int i = 0; i < 24; i++)
        cr_assert_eq(order[i], i < 8 ? 1 : i < 16 ? 0 : -1, "place %d: %d", i, order[i]);
}

/* ---- pinning ---- */

static _Thread_local unsigned of_this_thread;
static atomic_uint n_migrations;

static __attribute__((noinline)) unsigned *thread_local_address(void)
{
    unsigned *p = &of_this_thread;
    __asm__ volatile("" : "+r"(p)); /* read anew at every call */
    return p;
}

static void wait_in_some_way(unsigned i, weft_chan(unsigned) c)
{
    unsigned v;
    switch (i % 5) {
    case 0:
        weft_yield();
        break;
    case 1:
        require(weft_sleep(20 * WEFT_US) == 0);
        break;
    case 2:
        require(weft_chan_send(c, i) == 0);
        break;
    case 3:
        require(weft_chan_recv(c, &v) == 0);
        break;
    default:
        usleep(1);
        break;
    }
}

/* Whole rounds of the five ways only: what was put into the channel has been taken out. */
static bool goes_on(unsigned turn)
{
    return turn < 500 || turn % 5 != 0 || !atomic_load(&over);
}

static void stay(weft_chan(unsigned) c)
{
    unsigned *home = thread_local_address();
    pid_t tid = gettid();
    for (unsigned i = 0; goes_on(i); i++) {
        wait_in_some_way(i, c);
        require(gettid() == tid && thread_local_address() == home);
    }
    end();
}

static void roam(weft_chan(unsigned) c)
{
    pid_t tid = gettid();
    for (unsigned i = 0; goes_on(i); i++) {
        wait_in_some_way(i, c);
        atomic_fetch_add(&n_migrations, gettid() != tid);
        tid = gettid();
    }
    end();
}

/* They all go on until a roaming one has been seen to move, however long the machine takes to make one move. */
Test(routine, a_pinned_one_stays_on_its_thread_while_others_roam, .timeout = 110)
{
    start_runtime(4);
    weft_chan(unsigned) c = weft_chan_make(unsigned, 64);
    for (unsigned i = 0; i < 4; i++) {
        start_with(weft_attr(.pin = true), stay, c);
        start(roam, c);
    }
    eventually(atomic_load(&n_migrations) > 0);
    atomic_store(&over, true);
    await_ends(8);
}

static void stay_and_burn(void)
{
    pid_t tid = gettid();
    for (unsigned i = 0; i < 8; i++) {
        burn_ms(15); /* loses its worker */
        weft_yield();
        require(gettid() == tid);
    }
    end();
}

Test(routine, a_pinned_one_that_computes_long_comes_back_to_its_thread, .timeout = 60)
{
    start_runtime(1);
    for (unsigned i = 0; i < 3; i++)
        start_with(weft_attr(.pin = true), stay_and_burn);
    start(wait_until_over);
    eventually(atomic_load(&ended) == 3);
    atomic_store(&over, true);
    await_ends(4);
}

static void receive_pinned(weft_chan(int) c, pid_t *tid)
{
    int v;
    *tid = gettid();
    while (weft_chan_recv(c, &v) == 0)
        require(gettid() == *tid);
    end();
}

static void send_and_burn(weft_chan(int) c)
{
    for (int i = 0; i < 200; i++) {
        require(weft_chan_send(c, i) == 0);
        if (i % 20 == 0)
            burn_ms(3);
    }
}

Test(routine, a_pinned_one_is_woken_by_routines_and_by_plain_threads, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    pid_t tids[4];
    for (unsigned i = 0; i < 4; i++)
        start_with(weft_attr(.pin = true), receive_pinned, c, &tids[i]);
    weft_future(void) f = weft_async(send_and_burn, c);
    send_and_burn(c);
    weft_await(f);
    weft_chan_close(c);
    await_ends(4);
}

/* ---- nobody starves; all with one worker ---- */

static atomic_ulong turns[16];

static void take_turns_yielding(unsigned i)
{
    while (!atomic_load(&over)) {
        atomic_fetch_add(&turns[i], 1);
        weft_yield();
    }
    end();
}

static void ping(weft_chan(int) there, weft_chan(int) back, unsigned i)
{
    int v = 0;
    while (!atomic_load(&over)) {
        atomic_fetch_add(&turns[i], 1);
        require(weft_chan_send(there, v) == 0);
        require(weft_chan_recv(back, &v) == 0);
    }
    weft_chan_close(there);
    end();
}

static void pong(weft_chan(int) there, weft_chan(int) back)
{
    weft_chan_each(int, v, there)
        require(weft_chan_send(back, v) == 0);
    end();
}

/* Two routines that only ever wake each other. */
static void start_pair(unsigned i)
{
    weft_chan(int) there = weft_chan_make(int, 0), back = weft_chan_make(int, 0);
    start(ping, there, back, i);
    start(pong, there, back);
}

static void finish(unsigned n)
{
    atomic_store(&over, true);
    await_ends(n);
}

static bool moves(unsigned i)
{
    unsigned long before = atomic_load(&turns[i]);
    eventually(atomic_load(&turns[i]) > before + 3);
    return true;
}

static unsigned long shares[10];

/* Runs on the only worker: nobody takes a turn while it reads. */
static void measure_shares(void)
{
    for (unsigned i = 0; i < 10; i++) /* the first ones run while the last ones are being started */
        while (atomic_load(&turns[i]) == 0)
            weft_yield();
    unsigned long before[10];
    for (unsigned i = 0; i < 10; i++)
        before[i] = atomic_load(&turns[i]);
    while (atomic_load(&turns[9]) <= before[9] + 20000)
        weft_yield();
    for (unsigned i = 0; i < 10; i++)
        shares[i] = atomic_load(&turns[i]) - before[i];
}

Test(fairness, those_that_yield_get_equal_shares, .timeout = 60)
{
    start_runtime(1);
    for (unsigned i = 0; i < 10; i++)
        start(take_turns_yielding, i);
    in_routine(measure_shares);
    finish(10);
    unsigned long least = -1ul, most = 0;
    for (unsigned i = 0; i < 10; i++) {
        unsigned long taken = shares[i];
        least = taken < least ? taken : least;
        most = taken > most ? taken : most;
    }
    cr_assert_leq(most - least, most / 10 + 100, "between %lu and %lu turns", least, most);
}

Test(fairness, a_pair_that_wakes_each_other_starves_nobody, .timeout = 60)
{
    start_runtime(1);
    start_pair(0);
    start(take_turns_yielding, 1);
    start_pair(2);
    for (unsigned i = 0; i < 3; i++)
        cr_assert(moves(i));
    finish(5);
}

Test(fairness, yielding_starves_nobody, .timeout = 60)
{
    start_runtime(1);
    start(take_turns_yielding, 0);
    start(take_turns_yielding, 1);
    start_pair(2);
    for (unsigned i = 0; i < 3; i++)
        cr_assert(moves(i));
    finish(4);
}

static void breed(unsigned i)
{
    atomic_fetch_add(&turns[i], 1);
    if (atomic_load(&over))
        end();
    else
        start(breed, i);
}

Test(fairness, routines_that_start_the_next_and_end_starve_nobody, .timeout = 60)
{
    start_runtime(1);
    start(breed, 0);
    start_pair(1);
    start(take_turns_yielding, 2);
    start(breed, 3);
    for (unsigned i = 0; i < 4; i++)
        cr_assert(moves(i));
    finish(5);
}

Test(fairness, what_plain_threads_start_runs_while_the_worker_is_busy, .timeout = 60)
{
    start_runtime(1);
    start_pair(0);
    start_pair(1);
    for (unsigned i = 1; i <= 100; i++) {
        start(end);
        await_ends(i);
    }
    finish(104);
}

/* The worker has always somebody of its own; and in a build that perturbs, where who is woken comes by the injection queue, that
 * never runs dry. */
Test(fairness, what_plain_threads_start_runs_while_many_are_woken, .timeout = 60)
{
    enum { N_PAIRS = 15, N_STARTED = 20 };
    start_runtime(1);
    for (unsigned i = 0; i < N_PAIRS; i++)
        start_pair(i);
    start(take_turns_yielding, N_PAIRS);
    for (unsigned i = 1; i <= N_STARTED; i++) {
        start(end);
        await_ends(i);
    }
    finish(N_STARTED + 2 * N_PAIRS + 1);
}

static void yield_when_knocked(weft_chan(int) c, unsigned i)
{
    require(weft_chan_recv(c, NULL) == 0);
    take_turns_yielding(i);
}

/* A plain thread's wake-ups bring them into the injection queue, where those that yield stay once it is not empty. */
Test(fairness, who_was_just_woken_runs_though_the_worker_looks_around_at_every_switch, .timeout = 60)
{
    setenv("WEFT_DEBUG", "gcswitch=1000000", 1); /* the look, without the collection */
    start_runtime(1);
    weft_chan(int) c = weft_chan_make(int, 0);
    for (unsigned i = 0; i < 3; i++)
        start(yield_when_knocked, c, i);
    start_pair(3);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(weft_chan_send(c, 0), 0);
    for (unsigned round = 0; round < 20; round++)
        for (unsigned i = 0; i < 4; i++)
            cr_assert(moves(i));
    finish(5);
}

Test(fairness, low_priority_gets_its_turn, .timeout = 60)
{
    start_runtime(1);
    start_pair(0);
    start(take_turns_yielding, 1);
    start_with(weft_attr(.priority = -1), take_turns_yielding, 2);
    for (unsigned i = 0; i < 3; i++)
        cr_assert(moves(i));
    finish(4);
}

Test(fairness, a_pinned_one_that_yields_starves_nobody, .timeout = 60)
{
    start_runtime(1);
    start_with(weft_attr(.pin = true), take_turns_yielding, 0);
    start_pair(1);
    cr_assert(moves(0) && moves(1));
    start_with(weft_attr(.priority = -1), take_turns_yielding, 2);
    start(take_turns_yielding, 3);
    cr_assert(moves(3));
    cr_assert(moves(2));
    finish(5);
}

Test(fairness, high_priority_that_yields_starves_nobody, .timeout = 60)
{
    start_runtime(1);
    start_with(weft_attr(.priority = 1), take_turns_yielding, 0);
    start_with(weft_attr(.priority = 1), take_turns_yielding, 1);
    start_pair(2);
    start_with(weft_attr(.priority = -1), take_turns_yielding, 3);
    start(take_turns_yielding, 4);
    for (unsigned i = 0; i < 5; i++)
        cr_assert(moves(i));
    finish(6);
}

static void poll_without_waiting(unsigned i)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    weft_mutex m = {0};
    int v;
    while (!atomic_load(&over)) {
        atomic_fetch_add(&turns[i], 1);
        require(weft_chan_try_recv(c, &v) == -EAGAIN);
        require(weft_select(weft_on_recv(c, &v), weft_otherwise) == 1);
        weft_mutex_lock(&m);
        weft_mutex_unlock(&m);
    }
    end();
}

Test(fairness, one_that_polls_and_never_waits_stops_nobody, .timeout = 60)
{
    start_runtime(1);
    start(poll_without_waiting, 0);
    start_pair(1);
    start(take_turns_yielding, 2);
    for (unsigned i = 0; i < 3; i++)
        cr_assert(moves(i));
    finish(4);
}

/* ---- those that keep the thread; one worker ---- */

static void spin_until_over(void)
{
    while (!atomic_load(&over))
        ;
    end();
}

static void sleep_in_libc_until_over(void)
{
    while (!atomic_load(&over))
        usleep(3000);
    end();
}

static void read_until_closed(int fd)
{
    char byte;
    while (read(fd, &byte, 1) == 1)
        ;
    end();
}

/* Others take turns, timers run, and what a plain thread starts runs too. */
static void see_life(void)
{
    start_pair(0);
    start(take_turns_yielding, 1);
    start(wait_until_over); /* sleeps */
    cr_assert(moves(0) && moves(1));
    unsigned before = atomic_load(&ended);
    start(end);
    await_ends(before + 1);
}

Test(hand_off, one_that_spins_stops_nobody, .timeout = 60)
{
    start_runtime(1);
    start(spin_until_over);
    see_life();
    finish(6);
}

Test(hand_off, three_that_spin_stop_nobody, .timeout = 60)
{
    start_runtime(1);
    for (unsigned i = 0; i < 3; i++)
        start(spin_until_over);
    see_life();
    finish(8);
}

Test(hand_off, one_in_a_blocking_call_stops_nobody, .timeout = 60)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    start_runtime(1);
    start(read_until_closed, ends[0]);
    start(sleep_in_libc_until_over);
    see_life();
    close(ends[1]);
    finish(7);
}

Test(hand_off, twenty_in_blocking_calls_stop_nobody, .timeout = 60)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    start_runtime(2);
    for (unsigned i = 0; i < 20; i++)
        start(read_until_closed, ends[0]);
    see_life();
    close(ends[1]);
    finish(25);
}

static void spin_with_a_waiting_child(void)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    start_pair(0); /* both are in this worker's private queue */
    spin_until_over();
    (void)c;
}

Test(hand_off, what_a_spinning_routine_has_started_runs, .timeout = 60)
{
    start_runtime(1);
    start(spin_with_a_waiting_child);
    cr_assert(moves(0));
    finish(3);
}

Test(hand_off, what_a_spinning_routine_has_started_is_rescued_by_an_idle_worker, .timeout = 60)
{
    start_runtime(2);
    start(spin_with_a_waiting_child);
    cr_assert(moves(0));
    finish(3);
}

/* A timer that is due runs though its worker's thread computes. */
Test(hand_off, sleepers_of_a_spinning_routines_worker_wake, .timeout = 60)
{
    start_runtime(1);
    start(wait_until_over);
    pause_thread_ms(5);
    start(spin_until_over);
    pause_thread_ms(5);
    finish(2);
}

/* ---- many ---- */

static atomic_uint n_parked;

static void park_until_closed(weft_chan(int) c)
{
    atomic_fetch_add(&n_parked, 1);
    require(weft_chan_recv(c, NULL) == -EPIPE);
    end();
}

static unsigned long available_megabytes(void)
{
    char text[4096], *at;
    int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    at = strstr(text, "MemAvailable:");
    return at == NULL ? 0 : strtoul(at + 13, NULL, 10) >> 10;
}

static void park_many(unsigned n)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    for (unsigned i = 0; i < n; i++)
        start(park_until_closed, c);
    eventually(atomic_load(&n_parked) == n);
    weft_chan_close(c);
    await_ends(n);
}

Test(routine, fifty_thousand_wait_at_once, .timeout = 110)
{
    if (WF_ASAN || WF_DEBUG_LEVEL >= 2)
        cr_skip_test("too much memory under a sanitizer; too many checks of a long queue at debug_level 2");
    park_many(50000);
}

Test(routine, a_million_wait_at_once, .timeout = 110)
{
    if (WF_ASAN || WF_DEBUG_LEVEL >= 2 || available_megabytes() < 9000)
        cr_skip_test("needs 9 GB of memory");
    park_many(1000000);
}

/* ---- plain threads ---- */

Test(routine, yield_on_a_plain_thread_returns, .timeout = 60)
{
    weft_yield();
    start(end);
    weft_yield();
    await_ends(1);
}
