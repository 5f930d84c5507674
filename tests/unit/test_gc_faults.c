/* SPDX-License-Identifier: MIT */
/* test_gc_faults.c - memory that the system refuses: every system call of the heap fails once, or from some moment on; then
 * address space, and then the limit, are as small as can be. A program gets NULL or -ENOMEM and keeps what it has. */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <weft/weft.h>

#include "../support/child.h"
#include "base/atomic.h"
#include "gc/memory.h"
#include "gc/units.h"

enum { NODES = 3000, LARGE = 24, LARGE_SIZE = 3 << 20, WEAKS = 300, ROOTS = 300, NOT_REACHED = 3, MIB = 1 << 20 };

TestSuite(gc_faults, .timeout = 240);

struct node {
    struct node *next;
    uint64_t number, room[5];
};

static struct node *list;
static uint64_t n_nodes, n_failed;
static _Atomic unsigned n_cleaned;
static void *root_words[ROOTS];

static void clean(void *arg)
{
    (void)arg;
    wf_add_relaxed(&n_cleaned, 1);
}

static void add_cleanup(void *p)
{
    weft_cleanup(p, clean, NULL);
}

static void add_external(void *p)
{
    weft_external(p, 100);
}

/* A call may refuse, and then must have done nothing; the next may succeed. */
static void add_nodes(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct node *next = weft_new(struct node);
        if (next == NULL) {
            n_failed++;
            continue;
        }
        for (unsigned w = 0; w < 5; w++)
            require(next->room[w] == 0);
        next->next = list;
        next->number = n_nodes++;
        list = next;
    }
}

static void check_nodes(void)
{
    uint64_t number = n_nodes;
    for (struct node *n = list; n != NULL; n = n->next)
        require(n->number == --number);
    require(number == 0);
}

static void hang_things_on(struct node *n)
{
    weft_weak *w = weft_weak_make(n);
    require(w == NULL || weft_weak_get(w) == n);
    n_failed += w == NULL;
    n_failed += weft_try(add_cleanup, n) != 0;
    n_failed += weft_try(add_external, n) != 0;
}

static void use_large(void)
{
    static char *blocks[LARGE];
    for (unsigned i = 0; i < LARGE; i++) {
        blocks[i] = weft_alloc_data(LARGE_SIZE);
        n_failed += blocks[i] == NULL;
        if (blocks[i] != NULL)
            memset(blocks[i], (int)i, LARGE_SIZE);
    }
    for (unsigned i = 0; i < LARGE; i++)
        for (size_t at = 0; blocks[i] != NULL && at < LARGE_SIZE; at += 4096)
            require(blocks[i][at] == (char)i);
    memset(blocks, 0, sizeof(blocks));
    weft_gc();
    wf_heap_release(clock_ns(), 0);
    for (unsigned i = 0; i < LARGE; i++) { /* zeroed again, whether their pages were given back or not */
        char *p = weft_alloc(LARGE_SIZE);
        for (size_t at = 0; p != NULL && at < LARGE_SIZE; at += 512)
            require(p[at] == 0);
        weft_free(p);
    }
}

static void use_everything(void)
{
    add_nodes(NODES);
    for (struct node *n = list; n != NULL && n->number > 2; n = n->next)
        if (n->number % (NODES / WEAKS) == 0)
            hang_things_on(n);
    for (unsigned i = 0; i < ROOTS; i++)
        n_failed += weft_root_add(&root_words[i], sizeof(void *)) != 0;
    weft_gc();
    check_nodes();
    use_large();
    add_nodes(NODES);
    for (int i = 0; i < 20 && list != NULL; i++) {
        struct node *n = weft_new(struct node); /* dies at once */
        if (n != NULL && weft_try(add_cleanup, n) != 0)
            n_failed++;
    }
    weft_gc();
    check_nodes();
}

/* ---- the n-th call ---- */

static uint64_t failing;
static bool failing_all;

static void meet_faults(void)
{
    setenv("WEFT_DEBUG", "gcverify=1", 1);
    wf_memory_faults.n = failing;
    wf_memory_faults.all = failing_all;
    weft_start(&(weft_config){.procs = 2});
    use_everything();
    uint64_t n_calls = wf_load_relaxed(&wf_memory_faults.n_calls);
    wf_memory_faults.n = 0;
    uint64_t before = n_failed;
    add_nodes(NODES); /* all is well again */
    require(n_failed == before);
    weft_gc();
    check_nodes();
    require(weft_stop() == 0);
    _exit(n_calls < failing ? NOT_REACHED : 0);
}

static void every_call_fails(bool all)
{
    failing_all = all;
    for (failing = 1;; failing++) {
        struct ending e = run_in_child(meet_faults, 60);
        if (e.exit_status == NOT_REACHED)
            break;
        cr_assert_eq(e.exit_status, 0, "call %llu: status %d, signal %d: %s", (unsigned long long)failing, e.exit_status,
                     e.signal, e.text);
        cr_assert_lt(failing, 2000);
    }
    cr_assert_gt(failing, 20, "it was to make more calls than that");
}

Test(gc_faults, any_one_system_call_may_fail)
{
    every_call_fails(false);
}

Test(gc_faults, from_any_moment_on_all_may_fail)
{
    every_call_fails(true);
}

/* ---- little address space ---- */

static size_t address_space;

static void live_in_little_space(void)
{
    struct rlimit limit = {address_space, address_space};
    require(setrlimit(RLIMIT_AS, &limit) == 0);
    if (weft_start(&(weft_config){.procs = 1, .stack_memory = 4 * MIB}) != 0)
        return;
    while (n_failed == 0 && n_nodes < 2000000) /* each refusal costs full collections */
        add_nodes(1);
    check_nodes();
    list = NULL;
    n_nodes = 0;
    char *p = weft_alloc_data((size_t)8 << 40);
    require(p == NULL);
    weft_gc();
    if (n_failed > 0)
        add_nodes(1000), check_nodes();
    weft_stop();
}

/* AddressSanitizer needs more than there is. */
Test(gc_faults, little_address_space_gives_null, .disabled = WF_ASAN)
{
    for (address_space = (size_t)16 * MIB; address_space <= (size_t)2048 * MIB; address_space = address_space * 3 / 2) {
        struct ending e = run_in_child(live_in_little_space, 60);
        cr_assert_eq(e.exit_status, 0, "%zu MiB: status %d, signal %d: %s", address_space / MIB, e.exit_status, e.signal,
                     e.text);
    }
}

/* ---- a limit one percent above what lives ---- */

enum { LIVE_NODES = 400000, LIVE_MIB = 25, CHURN_MIB = 30 };

static void live_at_the_limit(void)
{
    setenv("WEFT_MEMLIMIT", "25856KiB", 1); /* 400 000 nodes of 64 bytes are 25 000 KiB, in spans 25 200 or so */
    require(weft_start(&(weft_config){.procs = 1}) == 0);
    add_nodes(LIVE_NODES);
    require(n_failed == 0);
    int64_t begin = clock_ns();
    for (size_t bytes = 0; bytes < (size_t)CHURN_MIB * MIB; bytes += 64) {
        struct node *garbage = weft_new(struct node);
        n_failed += garbage == NULL;
    }
    weft_gc_info info;
    weft_gc_stats(&info);
    printf("%llu of %d refused, %llu collections, %lld ms\n", (unsigned long long)n_failed, CHURN_MIB * MIB / 64,
           (unsigned long long)info.cycles, (long long)(clock_ns() - begin) / 1000000);
    check_nodes();
    list = NULL;
    n_nodes = n_failed = 0;
    weft_gc();
    add_nodes(LIVE_NODES / 2);
    require(n_failed == 0);
    check_nodes();
}

Test(gc_faults, a_limit_one_percent_above_what_lives_is_survived)
{
    struct ending e = run_in_child(live_at_the_limit, 120);
    cr_log_info("%s", e.text);
    cr_assert_eq(e.exit_status, 0, "status %d, signal %d: %s", e.exit_status, e.signal, e.text);
}
