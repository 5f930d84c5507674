/* SPDX-License-Identifier: MIT */
/* test_fault_report.c - stack overflows and wild pointers, from the routine to the line on stderr. */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include <weft/weft.h>

#include "../support/child.h"
#include "../support/expect.h"
#include "base/compiler.h"
#include "config.h"

#define start(...) require(weft_go(__VA_ARGS__) == 0)
#define start_with(...) require(weft_go_with(__VA_ARGS__) == 0)
#define SKIP_UNDER_SANITIZERS \
    if (WF_ASAN) \
    cr_skip_test("the sanitizer reports faults itself")

static atomic_bool ready;

static void wait_for_the_end(void)
{
    pause_thread_for_ever();
}

static __attribute__((noinline)) unsigned recurse(unsigned depth)
{
    volatile char frame[200];
    frame[depth % sizeof(frame)] = 1;
    return depth == 0 ? 0 : recurse(depth - 1) + (unsigned)frame[depth % sizeof(frame)];
}

static void overflow(void)
{
    recurse(100000000);
}

/* ---- stack overflow ---- */

static void overflow_default_stack(void)
{
    start_with(weft_attr(.name = "deep one"), overflow);
    wait_for_the_end();
}

Test(fault_report, an_overflow_names_routine_stack_and_where_it_was_started, .timeout = 60)
{
    SKIP_UNDER_SANITIZERS;
    struct ending e = run_in_child(overflow_default_stack, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "stack overflow"), "%s", e.text);
    cr_assert(says(&e, "\"deep one\""), "%s", e.text);
    cr_assert(says(&e, "test_fault_report.c:"), "%s", e.text);
    cr_assert(says(&e, "(overflow)"), "%s", e.text);
    cr_assert(says(&e, "64KiB (the default)"), "%s", e.text);
    cr_assert(says(&e, "WEFT_STACK=128KiB"), "%s", e.text);
    cr_assert(says(&e, "weft:   #0 "), "%s", e.text);
    cr_assert(says(&e, "weft:   #63 "), "%s", e.text);
    cr_assert_not(says(&e, "#64"), "%s", e.text);
    if (WF_HAVE_LIBDW)
        cr_assert(says(&e, "#63 recurse"), "%s", e.text);
}

static void overflow_own_stack(void)
{
    start_with(weft_attr(.stack_size = 1 << 20), overflow);
    wait_for_the_end();
}

Test(fault_report, an_overflow_of_a_stack_asked_for_says_its_size, .timeout = 60)
{
    SKIP_UNDER_SANITIZERS;
    struct ending e = run_in_child(overflow_own_stack, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "stack overflow"), "%s", e.text);
    cr_assert(says(&e, "1024KiB (its own)"), "%s", e.text);
    cr_assert(says(&e, ".stack_size = 2097152"), "%s", e.text);
}

static void overflow_in_crowd(unsigned i)
{
    while (!atomic_load(&ready))
        weft_yield();
    require(weft_sleep(WEFT_MS) == 0);
    if (i == 777)
        overflow();
    wait_for_the_end();
}

static void overflow_among_thousands(void)
{
    for (unsigned i = 0; i < 3000; i++) {
        if (i == 777)
            start_with(weft_attr(.name = "number 777"), overflow_in_crowd, i);
        else
            start_with(weft_attr(.name = "innocent"), overflow_in_crowd, i);
    }
    atomic_store(&ready, true);
    wait_for_the_end();
}

Test(fault_report, an_overflow_after_waits_among_thousands_names_the_right_one, .timeout = 60)
{
    SKIP_UNDER_SANITIZERS;
    struct ending e = run_in_child(overflow_among_thousands, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "\"number 777\""), "%s", e.text);
    cr_assert_not(says(&e, "innocent"), "%s", e.text);
}

static atomic_bool others_run;

static void yield_for_ever(void)
{
    atomic_store(&others_run, true);
    for (;;)
        weft_yield();
}

static void compute_then_overflow(void)
{
    start_with(weft_attr(.name = "innocent"), yield_for_ever);
    while (!atomic_load(&others_run)) /* until the worker is taken away */
        ;
    overflow();
}

static void overflow_without_worker(void)
{
    require(weft_start(&(weft_config){.procs = 1}) == 0);
    start_with(weft_attr(.name = "hog"), compute_then_overflow);
    wait_for_the_end();
}

Test(fault_report, an_overflow_of_one_that_lost_its_worker_names_it, .timeout = 60)
{
    SKIP_UNDER_SANITIZERS;
    struct ending e = run_in_child(overflow_without_worker, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "stack overflow"), "%s", e.text);
    cr_assert(says(&e, "\"hog\""), "%s", e.text);
}

static void overflow_inside_try(void)
{
    weft_try(overflow);
}

static void overflow_pinned_inside_try(void)
{
    start_with(weft_attr(.name = "deep one", .pin = true), overflow_inside_try);
    wait_for_the_end();
}

Test(fault_report, an_overflow_is_not_caught_by_a_try, .timeout = 60)
{
    SKIP_UNDER_SANITIZERS;
    struct ending e = run_in_child(overflow_pinned_inside_try, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "stack overflow"), "%s", e.text);
}

static void overflow_without_guard_install(void)
{
    setenv("WEFT_DEBUG", "guard=0", 1);
    overflow_default_stack();
}

Test(fault_report, an_overflow_is_seen_with_the_older_guards_too, .timeout = 60)
{
    SKIP_UNDER_SANITIZERS;
    struct ending e = run_in_child(overflow_without_guard_install, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "stack overflow"), "%s", e.text);
    cr_assert(says(&e, "\"deep one\""), "%s", e.text);
}

static void overflow_main(void)
{
    weft_yield();
    overflow();
}

Test(fault_report, an_overflow_of_main_is_not_taken_for_a_routines, .timeout = 60)
{
    SKIP_UNDER_SANITIZERS;
    struct ending e = run_in_child(overflow_main, 20);
    cr_assert_eq(e.signal, SIGSEGV, "%s", e.text);
    cr_assert_not(says(&e, "routine"), "%s", e.text);
}

/* ---- wild pointers ---- */

static void write_to(uintptr_t address)
{
    *(volatile char *)address = 1; // NOLINT
}

static void use_wild_pointer(void)
{
    start_with(weft_attr(.name = "wild one"), write_to, (uintptr_t)0x123450);
    wait_for_the_end();
}

Test(fault_report, a_wild_pointer_names_routine_and_address, .timeout = 60)
{
    SKIP_UNDER_SANITIZERS;
    struct ending e = run_in_child(use_wild_pointer, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "\"wild one\""), "%s", e.text);
    cr_assert(says(&e, "0x123450"), "%s", e.text);
    cr_assert(says(&e, "(write_to)"), "%s", e.text);
    if (WF_HAVE_LIBDW)
        cr_assert(says(&e, "#0 write_to"), "%s", e.text);
    cr_assert_not(says(&e, "overflow"), "%s", e.text);
}

static _Atomic uintptr_t own_guard;

static void note_own_guard(void)
{
    char here;
    atomic_store(&own_guard, ((uintptr_t)&here & ~(uintptr_t)65535) + 100);
    for (;;)
        weft_sleep(WEFT_SEC);
}

static void write_into_guard_of_another(void)
{
    start_with(weft_attr(.name = "innocent"), note_own_guard);
    eventually(atomic_load(&own_guard) != 0);
    start_with(weft_attr(.name = "wild one"), write_to, atomic_load(&own_guard));
    wait_for_the_end();
}

Test(fault_report, a_wild_pointer_into_anothers_guard_does_not_blame_that_one, .timeout = 60)
{
    SKIP_UNDER_SANITIZERS;
    struct ending e = run_in_child(write_into_guard_of_another, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "\"wild one\""), "%s", e.text);
    cr_assert_not(says(&e, "innocent"), "%s", e.text);
    cr_assert_not(says(&e, "overflow"), "%s", e.text);
}

static void call_nothing(void)
{
    void (*volatile nothing)(void) = NULL;
    nothing();
    atomic_store(&ready, true); /* no tail call */
}

static void jump_to_null(void)
{
    start_with(weft_attr(.name = "jumper"), call_nothing);
    wait_for_the_end();
}

Test(fault_report, a_call_through_null_names_the_routine, .timeout = 60)
{
    SKIP_UNDER_SANITIZERS;
    struct ending e = run_in_child(jump_to_null, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "\"jumper\""), "%s", e.text);
    if (WF_HAVE_LIBDW)
        cr_assert(says(&e, "#1 call_nothing"), "%s", e.text);
}

static void read_beyond_the_file(void)
{
    int fd = memfd_create("short", MFD_CLOEXEC);
    char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    start_with(weft_attr(.name = "bus"), write_to, (uintptr_t)p);
    wait_for_the_end();
}

Test(fault_report, a_bus_error_names_the_routine, .timeout = 60)
{
    SKIP_UNDER_SANITIZERS;
    struct ending e = run_in_child(read_beyond_the_file, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "\"bus\""), "%s", e.text);
    cr_assert(says(&e, "SIGBUS"), "%s", e.text);
}

static void use_wild_pointer_in_main(void)
{
    weft_go(weft_yield);
    write_to(0x123450);
}

Test(fault_report, a_wild_pointer_of_main_ends_the_process_as_ever, .timeout = 60)
{
    SKIP_UNDER_SANITIZERS;
    struct ending e = run_in_child(use_wild_pointer_in_main, 20);
    cr_assert_eq(e.signal, SIGSEGV, "%s", e.text);
    cr_assert_str_empty(e.text);
}

/* ---- the program's own handler ---- */

static char *page;

static void make_writable(int signo, siginfo_t *info, void *context)
{
    (void)signo, (void)context;
    if (info->si_addr != page)
        _exit(9);
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static void handle_own_faults(void)
{
    struct sigaction action = {.sa_sigaction = make_writable, .sa_flags = SA_SIGINFO};
    require(sigaction(SIGSEGV, &action, NULL) == 0);
    page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    weft_await(weft_async(write_to, (uintptr_t)page));
    require(*page == 1);
    mprotect(page, 4096, PROT_READ);
    write_to((uintptr_t)page); /* in main too */
    require(weft_stop() == 0);
    mprotect(page, 4096, PROT_READ);
    write_to((uintptr_t)page);
}

Test(fault_report, the_programs_own_handler_gets_its_faults, .timeout = 60)
{
    SKIP_UNDER_SANITIZERS;
    struct ending e = run_in_child(handle_own_faults, 20);
    cr_assert_eq(e.exit_status, 0, "%d %s", e.signal, e.text);
    cr_assert_str_empty(e.text);
}
