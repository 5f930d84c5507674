/* SPDX-License-Identifier: MIT */
/* test_arena.c - slots of the stack arena: distinct, guarded, given back; and what happens on a small system. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/compiler.h"
#include "stack/arena.h"

enum { KiB = 1024, MiB = 1024 * 1024 };

#if WF_ASAN
/* Tests that expect SIGSEGV want to see the signal itself. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "handle_segv=0:allocator_may_return_null=1";
}
#endif

static void start(size_t slot_size, size_t most_bytes, bool force_no_guard_install)
{
    cr_assert_eq(wf_arena_init(slot_size, most_bytes, force_no_guard_install), 0);
}

static uint32_t take_one(void)
{
    uint32_t slot;
    cr_assert_eq(wf_arena_take(&slot, 1), 1);
    return slot;
}

static unsigned count_mappings(void)
{
    FILE *f = fopen("/proc/self/maps", "r");
    unsigned n = 0;
    for (int c; (c = getc(f)) != EOF;)
        n += c == '\n';
    fclose(f);
    return n;
}

Test(arena, nothing_can_be_taken_before_it_has_grown)
{
    uint32_t slot;
    start(64 * KiB, 64 * MiB, false);
    cr_assert_eq(wf_arena_take(&slot, 1), 0);
}

Test(arena, slots_are_distinct_and_usable_from_low_to_top)
{
    static bool seen[1024];
    uint32_t slots[1000];
    start(64 * KiB, 64 * MiB, false);
    cr_assert_eq(wf_arena.n_slots, 1024);
    cr_assert_eq(wf_arena_grow(1000), 0);
    cr_assert_eq(wf_arena_take(slots, 1000), 1000);
    for (unsigned i = 0; i < 1000; i++) {
        cr_assert_lt(slots[i], 1024);
        cr_assert_not(seen[slots[i]]);
        seen[slots[i]] = true;
        char *low = wf_arena_low(slots[i]), *top = wf_arena_top(slots[i]);
        memset(low, 1, 64);
        memset(top - 64, 2, 64 + WF_STACK_HEADROOM);
        cr_assert_eq((uintptr_t)top % 16, 0);
    }
    for (unsigned i = 0; i < 1000; i++)
        cr_assert_eq(*(char *)wf_arena_low(slots[i]), 1);
}

Test(arena, tops_of_neighbours_fall_into_different_cache_sets)
{
    start(64 * KiB, 64 * MiB, false);
    for (uint32_t a = 0; a < WF_STACK_COLOURS; a++)
        for (uint32_t b = 0; b < a; b++)
            cr_assert_neq((uintptr_t)wf_arena_top(a) % 4096 / 64, (uintptr_t)wf_arena_top(b) % 4096 / 64);
}

Test(arena, a_slot_that_was_given_back_is_taken_again_first)
{
    start(64 * KiB, 64 * MiB, false);
    wf_arena_grow(32);
    uint32_t a = take_one(), b = take_one();
    wf_arena_give(&a, 1);
    wf_arena_give(&b, 1);
    cr_assert_eq(take_one(), b);
    cr_assert_eq(take_one(), a);
}

Test(arena, grows_to_its_last_slot_and_not_beyond)
{
    static uint32_t slots[2048];
    errno = 77;
    start(32 * KiB, 64 * MiB, false);
    cr_assert_eq(wf_arena_grow(2049), -ENOMEM);
    cr_assert_eq(wf_arena_grow(2048), 0);
    cr_assert_eq(wf_arena_take(slots, 2048), 2048);
    cr_assert_eq(wf_arena_take(slots, 1), 0);
    cr_assert_eq(errno, 77, "errno belongs to the routine");
}

Test(arena, slots_larger_than_a_chunk_work)
{
    start(64 * MiB, 512 * (size_t)MiB, false);
    cr_assert_eq(wf_arena.n_slots, 8);
    cr_assert_eq(wf_arena_grow(3), 0);
    *(char *)wf_arena_low(take_one()) = 1;
}

Test(arena, can_be_started_again_after_its_end)
{
    for (unsigned i = 0; i < 3; i++) {
        start((size_t)(64 * KiB) << i, 64 * MiB, false);
        cr_assert_eq(wf_arena_grow(10), 0);
        *(char *)wf_arena_low(take_one()) = 1;
        wf_arena_fini();
    }
}

Test(arena, trim_gives_back_the_pages_of_used_free_slots_only)
{
    uint32_t slots[300];
    start(64 * KiB, 64 * MiB, false);
    wf_arena_grow(300);
    cr_assert_eq(wf_arena_trim(), 0, "unused slots have no pages");
    wf_arena_take(slots, 300);
    for (unsigned i = 0; i < 300; i++)
        *((char *)wf_arena_top(slots[i]) - 1) = 1;
    wf_arena_give(slots + 100, 200);
    cr_assert_eq(wf_arena_trim(), 200);
    cr_assert_eq(wf_arena_trim(), 0);
    for (unsigned i = 0; i < 300; i++)
        cr_assert_eq(*((char *)wf_arena_top(slots[i]) - 1), i < 100);
    cr_assert_eq(wf_arena_take(slots + 100, 200), 200);
}

Test(arena, guards_cost_no_mappings)
{
    start(64 * KiB, 256 * MiB, false);
    if (!wf_arena.guard_install || WF_ASAN)
        cr_skip("this kernel has no MADV_GUARD_INSTALL, or the sanitizer maps memory for itself");
    unsigned before = count_mappings();
    cr_assert_eq(wf_arena_grow(4000), 0);
    cr_assert_leq(count_mappings(), before + 2);
    cr_assert(wf_arena.guards_all);
}

/* ---- guards ---- */

static void write_below(bool force_no_guard_install)
{
    start(64 * KiB, 64 * MiB, force_no_guard_install);
    wf_arena_grow(32);
    volatile char *low = wf_arena_low(5);
    low[0] = 1;
    low[-1] = 1;
}

Test(arena, a_write_below_the_stack_hits_the_guard, .signal = SIGSEGV)
{
    write_below(false);
}
Test(arena, a_write_below_the_stack_hits_the_guard_by_mprotect, .signal = SIGSEGV)
{
    write_below(true);
}

Test(arena, a_guard_survives_trim, .signal = SIGSEGV)
{
    start(64 * KiB, 64 * MiB, false);
    wf_arena_grow(32);
    uint32_t slot = take_one();
    *(char *)wf_arena_low(slot) = 1;
    wf_arena_give(&slot, 1);
    wf_arena_trim();
    *((volatile char *)wf_arena_low(slot) - WF_GUARD_SIZE) = 1;
}

Test(arena, guard_hit_knows_guards_from_stacks)
{
    uint32_t slot = 99;
    start(64 * KiB, 64 * MiB, false);
    char *low = wf_arena_low(7);
    cr_assert(wf_arena_guard_hit(low - 1, &slot));
    cr_assert_eq(slot, 7);
    cr_assert(wf_arena_guard_hit(low - WF_GUARD_SIZE, &slot));
    cr_assert_not(wf_arena_guard_hit(low, &slot));
    cr_assert_not(wf_arena_guard_hit(low - WF_GUARD_SIZE - 1, &slot));
    cr_assert_not(wf_arena_guard_hit(wf_arena.base - 1, &slot));
    cr_assert_not(wf_arena_guard_hit(wf_arena.base + 64 * MiB, &slot));
    cr_assert_not(wf_arena_guard_hit(NULL, &slot));
    wf_arena_fini();
    cr_assert_not(wf_arena_guard_hit(low - 1, &slot));
}

Test(arena, without_guard_install_guards_stop_at_a_budget_with_one_message, .init = cr_redirect_stderr, .timeout = 60)
{
    char message[512] = "";
    start(16 * KiB, 1024 * (size_t)MiB, true);
    cr_assert_not(wf_arena.guard_install);
    cr_assert_eq(wf_arena_grow(20000), 0);
    cr_assert_eq(wf_arena_grow(30000), 0);
    cr_assert_eq(wf_arena_grow(40000), 0);
    cr_assert_not(wf_arena.guards_all);
    cr_assert_leq(count_mappings(), 65530 * 2 / 3 + 200);
    fflush(stderr);
    FILE *f = cr_get_redirected_stderr();
    size_t n = fread(message, 1, sizeof(message) - 1, f);
    message[n] = '\0';
    cr_assert_not_null(strstr(message, "vm.max_map_count"), "the message was: %s", message);
    cr_assert_eq(strchr(message, '\n'), strrchr(message, '\n'));
}

/* ---- small systems ---- */

Test(arena, fits_into_a_limited_address_space)
{
    if (WF_ASAN || WF_TSAN)
        cr_skip("sanitizers need the address space");
    struct rlimit limit = {(rlim_t)2 << 30, (rlim_t)2 << 30};
    setrlimit(RLIMIT_AS, &limit);
    start(64 * KiB, 0, false);
    cr_assert_leq(wf_arena.n_slots, (1u << 30) / (64 * KiB));
    cr_assert_eq(wf_arena_grow(100), 0);
    free(malloc(100 * MiB));
    *(char *)wf_arena_low(take_one()) = 1;
}

Test(arena, reserves_room_for_millions_by_default)
{
    if (WF_ASAN || WF_TSAN)
        cr_skip("sanitizers need the address space");
    start(64 * KiB, 0, false);
    cr_assert_geq(wf_arena.n_slots, 1000000);
}

/* ---- own stacks ---- */

Test(arena, an_own_stack_is_usable_above_its_guard)
{
    void *stack = NULL;
    start(64 * KiB, 64 * MiB, false);
    cr_assert_eq(wf_own_stack_map(1 * MiB, &stack), 0);
    memset((char *)stack + WF_GUARD_SIZE, 1, 1 * MiB - WF_GUARD_SIZE);
    wf_own_stack_unmap(stack, 1 * MiB);
}

Test(arena, an_own_stack_has_a_guard, .signal = SIGSEGV)
{
    void *stack = NULL;
    start(64 * KiB, 64 * MiB, false);
    cr_assert_eq(wf_own_stack_map(1 * MiB, &stack), 0);
    *((volatile char *)stack + WF_GUARD_SIZE - 1) = 1;
}

Test(arena, an_impossible_own_stack_is_refused)
{
    void *stack = NULL;
    start(64 * KiB, 64 * MiB, false);
    cr_assert_eq(wf_own_stack_map((size_t)1 << 62, &stack), -ENOMEM);
    cr_assert_null(stack);
}

/* ---- several threads ---- */

static _Atomic unsigned users[64];

static void *take_and_give(void *arg)
{
    uint32_t slots[4];
    for (unsigned round = 0; round < 20000; round++) {
        uint32_t n = wf_arena_take(slots, 1 + round % 4);
        for (uint32_t i = 0; i < n; i++)
            cr_assert_eq(users[slots[i]]++, 0, "two threads have one slot");
        for (uint32_t i = 0; i < n; i++)
            users[slots[i]]--;
        wf_arena_give(slots, n);
        if (arg != NULL && round % 64 == 0)
            wf_arena_trim();
    }
    return NULL;
}

Test(arena, threads_never_share_a_slot, .timeout = 60)
{
    pthread_t other;
    uint32_t slots[64];
    start(64 * KiB, 4 * MiB, false);
    wf_arena_grow(64);
    cr_assert_eq(pthread_create(&other, NULL, take_and_give, NULL), 0);
    take_and_give(slots);
    pthread_join(other, NULL);
    cr_assert_eq(wf_arena_take(slots, 64), 64, "a slot was lost");
}
