/* SPDX-License-Identifier: MIT */
/* stack_overflow_names_the_routine.c - a stack that overflows is reported, not written over its neighbour's.
 *
 * In a child: neighbours wait on stacks above and below with a pattern in their frames, one routine recurses without end.
 * The child must end by SIGABRT with a line that names that routine; a neighbour that finds its pattern changed, or a
 * child that ends otherwise, is a failure.
 */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <string.h>

#include <weft/weft.h>

#include "../support/child.h"
#include "../support/expect.h"
#include "base/compiler.h"

enum { N_NEIGHBOURS = 60, PATTERN = 0x5a, CORRUPT = 9 };

static atomic_uint waiting;

static void check_pattern(const volatile char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != PATTERN) {
            fputs("a neighbour's stack was overwritten\n", stderr);
            _exit(CORRUPT);
        }
}

static void keep_pattern(void)
{
    volatile char frame[2048];
    memset((char *)frame, PATTERN, sizeof(frame));
    atomic_fetch_add(&waiting, 1);
    for (;;) {
        weft_sleep(5 * WEFT_MS);
        check_pattern(frame, sizeof(frame));
    }
}

static __attribute__((noinline)) unsigned recurse(unsigned depth)
{
    volatile char frame[400];
    memset((char *)frame, 0, sizeof(frame));
    return depth == 0 ? 0 : recurse(depth - 1) + (unsigned)frame[depth % sizeof(frame)];
}

/* Far enough to reach the neighbour's frames if nothing stops it, then waits for that to be noticed. */
static void overflow(void)
{
    recurse(400);
    pause_thread_ms(200);
}

static void overflow_among_neighbours(void)
{
    for (unsigned i = 0; i < N_NEIGHBOURS; i++) {
        if (i == N_NEIGHBOURS / 2)
            require(weft_go_with(weft_attr(.name = "the culprit"), overflow) == 0);
        require(weft_go(keep_pattern) == 0);
    }
    pause_thread_for_ever();
}

int main(void)
{
    if (WF_ASAN || WF_TSAN)
        return 77;
    struct ending e = run_in_child(overflow_among_neighbours, 30);
    fprintf(stderr, "%sthe child ended with status %d, signal %d\n", e.text, e.exit_status, e.signal);
    require(e.signal == SIGABRT);
    require(says(&e, "stack overflow") && says(&e, "\"the culprit\"") && says(&e, "(overflow)"));
    return 0;
}
