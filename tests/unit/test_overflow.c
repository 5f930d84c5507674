/* SPDX-License-Identifier: MIT */
/* test_overflow.c - what a fault leads to: who is blamed, which handlers run, how the process ends.
 *
 * A routine is played by a thread whose stack is a slot of the arena. Each fault happens in a child, whose stderr is
 * read.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"
#include "stack/arena.h"
#include "stack/overflow.h"

enum { SLOT_SIZE = 64 * 1024, EXITED_IN_HANDLER = 42, SURVIVED = 7 };

#if WF_ASAN
/* The sanitizer's own handlers would be the previous ones. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "handle_segv=0:handle_sigbus=0:use_sigaltstack=0:detect_stack_use_after_return=0";
}
#endif

/* ---- a routine ---- */

static __thread bool in_routine;
static uint32_t routine_slot;

static bool describe(const void *address, struct wf_fault *ret_fault)
{
    (void)address;
    if (!in_routine)
        return false;
    *ret_fault = (struct wf_fault){
        .id = 12,
        .name = "parser",
        .file = "f.c",
        .function = "parse",
        .line = 10,
        .stack_low = wf_arena_low(routine_slot),
        .stack_high = wf_arena_top(routine_slot),
        .stack_size = SLOT_SIZE,
    };
    return true;
}

static const struct wf_overflow_hooks hooks = {.describe = describe};

static void *play_routine(void *fn)
{
    void *signal_stack;
    if (wf_signal_stack_create(&signal_stack) != 0 || signal_stack == NULL)
        _exit(1);
    in_routine = true;
    (*(void (**)(void))fn)();
    in_routine = false;
    return NULL;
}

static void run_as_routine(void (*fn)(void))
{
    pthread_t thread;
    pthread_attr_t attr;
    routine_slot = 5;
    char *low = wf_arena_low(routine_slot), *top = wf_arena_top(routine_slot);
    if (pthread_attr_init(&attr) != 0 || pthread_attr_setstack(&attr, low, (size_t)(top - low)) != 0 ||
        pthread_create(&thread, &attr, play_routine, &fn) != 0)
        _exit(1);
    pthread_join(thread, NULL);
}

/* ---- faults ---- */

static WF_NOINLINE __attribute__((no_sanitize_address)) unsigned recurse(unsigned depth)
{
    volatile char frame[200];
    frame[0] = (char)depth;
    if (depth == UINT32_MAX)
        return 0;
    return recurse(depth + 1) + (unsigned)frame[0];
}

static void overflow(void)
{
    recurse(1);
}

static WF_NOINLINE __attribute__((no_sanitize_address)) void overflow_with_a_large_frame(void)
{
    volatile char here = 0;
    size_t down_to_the_guard = (size_t)(&here - (volatile char *)wf_arena_low(routine_slot)) + WF_GUARD_SIZE / 2;
    volatile char *frame = __builtin_alloca(down_to_the_guard);
    frame[0] = 1;
}

static __attribute__((no_sanitize("address", "undefined"))) void write_to(uintptr_t address)
{
    *(volatile char *)address = 1;
}

static void write_to_a_wild_address(void)
{
    write_to(0x1234);
}

static void write_to_another_guard(void)
{
    write_to((uintptr_t)wf_arena_low(9) - 8);
}

static void write_to_the_own_guard_from_far_above(void)
{
    write_to((uintptr_t)wf_arena_low(routine_slot) - 8);
}

static void write_to_an_impossible_address(void)
{
    write_to((uintptr_t)1 << 62);
}

static void raise_segv(void)
{
    raise(SIGSEGV);
}

/* ---- a child ---- */

static int status;
static char text[4096];

static void expect_signal(int signal)
{
    cr_assert(WIFSIGNALED(status), "it was not a signal that ended it: status %x, %s", (unsigned)status, text);
    cr_assert_eq(WTERMSIG(status), signal, "signal %d: %s", WTERMSIG(status), text);
}

static void expect_exit(int code)
{
    cr_assert(WIFEXITED(status), "it did not exit: status %x, %s", (unsigned)status, text);
    cr_assert_eq(WEXITSTATUS(status), code);
}

static void expect_text(const char *part)
{
    cr_assert_not_null(strstr(text, part), "\"%s\" is not in: %s", part, text);
}

static void start(void)
{
    void *signal_stack;
    cr_assert_eq(wf_arena_init(SLOT_SIZE, 64 << 20, false), 0);
    cr_assert_eq(wf_arena_grow(32), 0);
    cr_assert_eq(wf_signal_stack_create(&signal_stack), 0);
    cr_assert_eq(wf_overflow_install(&hooks), 0);
}

/* Calls before() (may be NULL), installs, calls body(): all in a child, which exits with SURVIVED at the end. */
static void in_child(void (*before)(void), void (*body)(void))
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
        if (before != NULL)
            before();
        start();
        body();
        _exit(SURVIVED);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t n;
    while (length < sizeof(text) - 1 && (n = read(ends[0], text + length, sizeof(text) - 1 - length)) > 0)
        length += (size_t)n;
    text[length] = '\0';
    close(ends[0]);
    cr_assert_eq(waitpid(child, &status, 0), child);
}

/* ---- in a routine ---- */

static void routine_overflows(void)
{
    run_as_routine(overflow);
}

TestSuite(overflow, .timeout = 60);

Test(overflow, is_reported_by_name_and_ends_by_abort)
{
    in_child(NULL, routine_overflows);
    expect_signal(SIGABRT);
    cr_assert_str_eq(text, "weft: stack overflow in routine 12 \"parser\", started at f.c:10 (parse), stack 64KiB (the "
                           "default); raise it with weft_attr(.stack_size = 131072), or for all with "
                           "WEFT_STACK=128KiB\n");
}

static void routine_overflows_at_once(void)
{
    run_as_routine(overflow_with_a_large_frame);
}

Test(overflow, by_one_large_frame_is_reported_too)
{
    in_child(NULL, routine_overflows_at_once);
    expect_signal(SIGABRT);
    expect_text("weft: stack overflow in routine 12");
}

static void routine_goes_wild(void)
{
    run_as_routine(write_to_a_wild_address);
}

Test(overflow, a_wild_pointer_in_a_routine_is_reported_with_its_address)
{
    in_child(NULL, routine_goes_wild);
    expect_signal(SIGABRT);
    expect_text("weft: routine 12 \"parser\", started at f.c:10 (parse), touched bad address 0x1234 at pc 0x");
}

static void routine_hits_another_guard(void)
{
    run_as_routine(write_to_another_guard);
}

Test(overflow, a_wild_pointer_into_the_guard_of_another_stack_is_no_overflow)
{
    in_child(NULL, routine_hits_another_guard);
    expect_signal(SIGABRT);
    expect_text("touched bad address");
    cr_assert_null(strstr(text, "overflow"));
}

static void routine_hits_its_guard(void)
{
    run_as_routine(write_to_the_own_guard_from_far_above);
}

Test(overflow, a_wild_pointer_into_the_own_guard_is_no_overflow)
{
    in_child(NULL, routine_hits_its_guard);
    expect_signal(SIGABRT);
    expect_text("touched bad address");
}

static void routine_goes_beyond(void)
{
    run_as_routine(write_to_an_impossible_address);
}

Test(overflow, an_impossible_address_is_not_called_null)
{
    in_child(NULL, routine_goes_beyond);
    expect_signal(SIGABRT);
    cr_assert_null(strstr(text, "0x0 "), "%s", text);
}

static void routine_is_sent_segv(void)
{
    run_as_routine(raise_segv);
}

Test(overflow, a_sent_signal_is_no_fault)
{
    in_child(NULL, routine_is_sent_segv);
    expect_signal(SIGSEGV);
    cr_assert_str_empty(text);
}

/* A mapping of a file that has no such page. */
static void touch_beyond_a_file(void)
{
    FILE *f = tmpfile();
    char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(f), 0);
    *(volatile char *)p = 1;
}

static void routine_gets_a_bus_error(void)
{
    run_as_routine(touch_beyond_a_file);
}

Test(overflow, a_bus_error_is_reported_likewise)
{
    in_child(NULL, routine_gets_a_bus_error);
    expect_signal(SIGABRT);
    expect_text("(SIGBUS)");
}

/* ---- outside of routines ---- */

Test(overflow, a_fault_of_a_plain_thread_ends_the_process_as_without_us)
{
    in_child(NULL, write_to_a_wild_address);
    expect_signal(SIGSEGV);
    cr_assert_str_empty(text);
}

Test(overflow, a_signal_sent_to_a_plain_thread_has_its_default_action)
{
    in_child(NULL, raise_segv);
    expect_signal(SIGSEGV);
}

static void ignore_segv(void)
{
    signal(SIGSEGV, SIG_IGN);
}

Test(overflow, a_sent_signal_that_was_ignored_stays_ignored)
{
    in_child(ignore_segv, raise_segv);
    expect_exit(SURVIVED);
}

/* ---- with a handler that was there before ---- */

static void exit_in_handler(int signal)
{
    (void)signal;
    _exit(EXITED_IN_HANDLER);
}

static void have_exiting_handler(void)
{
    signal(SIGSEGV, exit_in_handler);
}

static void return_from_handler(int signal)
{
    (void)signal;
}

static void have_returning_handler(void)
{
    signal(SIGSEGV, return_from_handler);
}

Test(overflow, with_a_handler_is_reported_before_that_runs)
{
    in_child(have_exiting_handler, routine_overflows);
    expect_exit(EXITED_IN_HANDLER);
    expect_text("stack overflow in routine 12");
}

Test(overflow, with_a_handler_that_returns_ends_by_abort)
{
    in_child(have_returning_handler, routine_overflows);
    expect_signal(SIGABRT);
    expect_text("stack overflow in routine 12");
    cr_assert_eq(strchr(text, '\n'), strrchr(text, '\n'), "more than one report: %s", text);
}

Test(overflow, a_wild_pointer_in_a_routine_goes_to_the_handler_silently)
{
    in_child(have_exiting_handler, routine_goes_wild);
    expect_exit(EXITED_IN_HANDLER);
    cr_assert_str_empty(text);
}

Test(overflow, a_fault_of_a_plain_thread_goes_to_the_handler_silently)
{
    in_child(have_exiting_handler, write_to_a_wild_address);
    expect_exit(EXITED_IN_HANDLER);
    cr_assert_str_empty(text);
}

/* A handler as page-fault tricks use it: makes the page accessible and returns. */
static char *tricky_page;

static void repair(int signal, siginfo_t *info, void *context)
{
    sigset_t blocked;
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    if (signal != SIGSEGV || info->si_addr != tricky_page + 100 || context == NULL || !sigismember(&blocked, SIGUSR1) ||
        !sigismember(&blocked, SIGSEGV))
        _exit(EXITED_IN_HANDLER);
    mprotect(tricky_page, 4096, PROT_READ | PROT_WRITE);
}

static void have_repairing_handler(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO, .sa_sigaction = repair};
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR1);
    sigaction(SIGSEGV, &action, NULL);
    tricky_page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void touch_the_tricky_page(void)
{
    tricky_page[100] = 3;
}

static void touch_it_in_a_routine_too(void)
{
    sigset_t blocked;
    touch_the_tricky_page();
    mprotect(tricky_page, 4096, PROT_NONE);
    run_as_routine(touch_the_tricky_page);
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    if (tricky_page[100] != 3 || sigismember(&blocked, SIGUSR1) || sigismember(&blocked, SIGSEGV))
        _exit(1);
}

Test(overflow, a_handler_that_repairs_the_fault_lets_the_program_go_on)
{
    in_child(have_repairing_handler, touch_it_in_a_routine_too);
    expect_exit(SURVIVED);
    cr_assert_str_empty(text);
}

static void have_one_shot_handler(void)
{
    struct sigaction action = {.sa_flags = (int)SA_RESETHAND, .sa_handler = return_from_handler};
    sigaction(SIGSEGV, &action, NULL);
}

Test(overflow, a_one_shot_handler_runs_once)
{
    in_child(have_one_shot_handler, write_to_a_wild_address);
    expect_signal(SIGSEGV);
}

/* ---- install and uninstall ---- */

Test(overflow, uninstall_puts_back_what_was_there)
{
    struct sigaction action;
    signal(SIGSEGV, return_from_handler);
    signal(SIGBUS, SIG_IGN);
    start();
    wf_overflow_uninstall();
    sigaction(SIGSEGV, NULL, &action);
    cr_assert_eq(action.sa_handler, return_from_handler);
    sigaction(SIGBUS, NULL, &action);
    cr_assert_eq(action.sa_handler, SIG_IGN);
}

static struct sigaction below;

static void chain_down(int signal, siginfo_t *info, void *context)
{
    static int calls;
    if (++calls > 3)
        _exit(EXITED_IN_HANDLER);
    below.sa_sigaction(signal, info, context);
}

static void restart_below_a_chaining_handler(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK, .sa_sigaction = chain_down};
    sigaction(SIGSEGV, &action, &below);
    wf_overflow_uninstall();
    sigaction(SIGSEGV, NULL, &action);
    if (action.sa_sigaction != chain_down)
        _exit(1);
    wf_overflow_install(&hooks);
    run_as_routine(overflow);
}

Test(overflow, a_handler_installed_over_ours_is_left_alone_and_may_chain_to_us)
{
    in_child(NULL, restart_below_a_chaining_handler);
    expect_signal(SIGABRT);
    expect_text("stack overflow in routine 12");
}

/* ---- signal stacks ---- */

Test(signal_stack, a_thread_that_has_one_keeps_it)
{
    void *first = NULL, *second = NULL;
    stack_t none = {.ss_flags = SS_DISABLE}, now;
    sigaltstack(&none, NULL);
    cr_assert_eq(wf_signal_stack_create(&first), 0);
    cr_assert_not_null(first);
    cr_assert_eq(wf_signal_stack_create(&second), 0);
    cr_assert_null(second);
    wf_signal_stack_destroy(second);
    wf_signal_stack_destroy(first);
    cr_assert_eq(sigaltstack(NULL, &now), 0);
    cr_assert(now.ss_flags & SS_DISABLE);
}

Test(signal_stack, has_a_guard_below, .signal = SIGSEGV)
{
    void *stack = NULL;
    stack_t none = {.ss_flags = SS_DISABLE}, now;
    sigaltstack(&none, NULL);
    cr_assert_eq(wf_signal_stack_create(&stack), 0);
    sigaltstack(NULL, &now);
    ((volatile char *)now.ss_sp)[0] = 1;
    signal(SIGSEGV, SIG_DFL);
    ((volatile char *)now.ss_sp)[-1] = 1;
}
