/* SPDX-License-Identifier: MIT */
/* panic_report_outlives_its_printer.c - what reads debug information may fault or hang; the report comes all the same.
 *
 * The library opens libdw by dlopen(): here that is ours. Expected: the message, bare addresses, SIGABRT, in time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>

#include <weft/weft.h>

#include "../support/child.h"
#include "../support/expect.h"
#include "base/compiler.h"
#include "config.h"

enum { EXIT_SKIP = 77, TIME_LIMIT_S = 20 };

static volatile uintptr_t nowhere = 16;
static enum { FAULT, HANG } behaviour;

__attribute__((visibility("default"))) void *dlopen(const char *name, int flags)
{
    (void)name, (void)flags;
    if (behaviour == FAULT)
        *(volatile int *)nowhere = 1; // NOLINT
    for (;;)
        pause();
}

static __attribute__((noinline)) void panic_inside(void)
{
    weft_panic("still reported");
}

static void run_routine(void)
{
    weft_go(panic_inside);
    pause_thread_ms(1000L * TIME_LIMIT_S);
}

static void write_to_nowhere(void)
{
    *(volatile int *)nowhere = 1; // NOLINT
}

static void run_fault(void)
{
    weft_go(write_to_nowhere);
    pause_thread_ms(1000L * TIME_LIMIT_S);
}

static void expect_report(void (*fn)(void), const char *text)
{
    struct ending e = run_in_child(fn, TIME_LIMIT_S);
    fputs(e.text, stderr);
    require(e.signal == SIGABRT);
    require(says(&e, text));
    require(says(&e, "weft:   #0 0x"));
}

int main(void)
{
    if (!WF_HAVE_LIBDW || WF_ASAN)
        return EXIT_SKIP;
    behaviour = FAULT;
    expect_report(run_routine, "still reported");
    expect_report(run_fault, "touched bad address 0x10");
    behaviour = HANG;
    expect_report(run_routine, "still reported");
    return 0;
}
