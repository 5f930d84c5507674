/* SPDX-License-Identifier: MIT */
/* test_panic_unseen.c - a panic that nobody sees is reported, which stops the process. */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <weft/weft.h>

#include "../support/child.h"
#include "../support/panics.h"
#include "base/compiler.h"
#include "config.h"

static atomic_bool reached;

static void panic_unseen(void)
{
    weft_go_with(weft_attr(.name = "the guilty one"), descend, 4, "all is lost");
    pause_thread_for_ever();
}

Test(panic, that_nobody_sees_stops_the_process_with_a_report, .timeout = 60)
{
    struct ending e = run_in_child(panic_unseen, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "all is lost"), "%s", e.text);
    cr_assert(says(&e, "the guilty one"), "%s", e.text);
    cr_assert(says(&e, "test_panic_unseen.c:"), "%s", e.text);
    cr_assert(says(&e, "(descend)"), "%s", e.text);
    cr_assert(says(&e, "routine 1"), "%s", e.text);
}

static void panic_unseen_in_main(void)
{
    descend(2, "in main");
}

Test(panic, that_nobody_sees_in_main_stops_the_process, .timeout = 60)
{
    struct ending e = run_in_child(panic_unseen_in_main, 20);
    cr_assert_eq(e.signal, SIGABRT);
    cr_assert(says(&e, "in main"), "%s", e.text);
}

static void panic_after_try(void)
{
    require(weft_try(descend, 0, "caught") == WEFT_EPANIC);
    weft_panic("not caught");
}

static void start_panic_after_try(void)
{
    weft_go(panic_after_try);
    pause_thread_for_ever();
}

Test(panic, after_a_try_has_ended_is_not_caught_by_it, .timeout = 60)
{
    struct ending e = run_in_child(start_panic_after_try, 20);
    cr_assert_eq(e.signal, SIGABRT);
    cr_assert(says(&e, "not caught"), "%s", e.text);
}

static void report_by_hand(const char *message, uint64_t id, void *arg)
{
    fprintf(stderr, "seen by hand: %s of %d, %s\n", message, id != 0, (const char *)arg);
}

static void report_by_hand_and_leave(const char *message, uint64_t id, void *arg)
{
    report_by_hand(message, id, arg);
    _exit(7);
}

static void configure_return(void)
{
    static char arg[] = "with its argument";
    require(weft_start(&(weft_config){.on_panic = report_by_hand, .on_panic_arg = arg}) == 0);
    weft_go(descend, 1, "bad luck");
    pause_thread_for_ever();
}

static void configure_exit(void)
{
    static char arg[] = "with its argument";
    require(weft_start(&(weft_config){.on_panic = report_by_hand_and_leave, .on_panic_arg = arg}) == 0);
    weft_go(descend, 1, "bad luck");
    pause_thread_for_ever();
}

Test(panic, on_panic_gets_message_routine_and_argument, .timeout = 60)
{
    struct ending e = run_in_child(configure_exit, 20);
    cr_assert_eq(e.exit_status, 7);
    cr_assert(says(&e, "seen by hand: bad luck of 1, with its argument"), "%s", e.text);
}

Test(panic, the_process_is_stopped_when_on_panic_returns, .timeout = 60)
{
    struct ending e = run_in_child(configure_return, 20);
    cr_assert_eq(e.signal, SIGABRT);
    cr_assert(says(&e, "seen by hand"), "%s", e.text);
}

/* ---- the backtrace ---- */

static __attribute__((noinline)) void panic_at_line(void)
{
    weft_panic("look where");
}
enum { PANIC_LINE = __LINE__ - 2 };

static __attribute__((noinline)) void middle(void)
{
    panic_at_line();
    atomic_store(&reached, true); /* no tail call */
}

static void start_middle(void)
{
    weft_go(middle);
    pause_thread_for_ever();
}

static void run_middle(void)
{
    middle();
}

static void detach_middle(void)
{
    weft_detach(weft_async(middle));
    pause_thread_for_ever();
}

static void start_pinned_middle(void)
{
    weft_go_with(FAR_STACK, middle);
    pause_thread_for_ever();
}

static void expect_trace(void (*fn)(void))
{
    struct ending e = run_in_child(fn, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "look where"), "%s", e.text);
    cr_assert(says(&e, "weft:   #0 "), "%s", e.text);
    cr_assert(says(&e, "weft:   #1 "), "%s", e.text);
    cr_assert_not(says(&e, "weft_panic"), "%s", e.text);
    cr_assert_not(says(&e, "wf_"), "%s", e.text);
    if (!WF_HAVE_LIBDW)
        return;
    char line[32];
    snprintf(line, sizeof(line), "test_panic_unseen.c:%d\n", PANIC_LINE);
    const char *first = strstr(e.text, "#0 panic_at_line at "), *second = strstr(e.text, "#1 middle at ");
    cr_assert_not_null(first, "%s", e.text);
    cr_assert_not_null(second, "%s", e.text);
    cr_assert(first < strstr(e.text, line) && strstr(e.text, line) < second, "%s", e.text);
}

Test(panic, that_nobody_sees_says_which_calls_led_to_it, .timeout = 60)
{
    expect_trace(start_middle);
    expect_trace(run_middle);
    expect_trace(start_pinned_middle);
    expect_trace(detach_middle);
}

/* Room for the page that the report is shared in, not for the stack that it is printed on. */
static void panic_without_memory(void)
{
    unsigned long pages = 0;
    require(weft_try(descend, 0, "for whatever is loaded at the first time") == WEFT_EPANIC);
    FILE *f = fopen("/proc/self/statm", "r");
    require(f != NULL && fscanf(f, "%lu", &pages) == 1);
    fclose(f);
    rlim_t most = pages * 4096 + (1 << 20);
    require(setrlimit(RLIMIT_AS, &(struct rlimit){most, most}) == 0);
    middle();
}

Test(panic, that_nobody_sees_has_bare_addresses_where_names_cannot_be_had, .timeout = 60)
{
    if (WF_ASAN)
        cr_skip_test("the sanitizer needs address space");
    struct ending e = run_in_child(panic_without_memory, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "look where"), "%s", e.text);
    cr_assert(says(&e, "#0 0x"), "%s", e.text);
    cr_assert(says(&e, "#1 0x"), "%s", e.text);
}

/* ---- other ways ---- */

static void detach_after_panic(bool look_first)
{
    weft_future(unsigned) f = weft_async(descend, 0, "detached too late");
    eventually(weft_future_done(f));
    if (look_first)
        require(weft_try_await(f, NULL) == WEFT_EPANIC);
    weft_detach(f);
}

static void detach_unseen(void)
{
    detach_after_panic(false);
}

static void detach_seen(void)
{
    detach_after_panic(true);
}

Test(panic, whose_future_is_detached_unseen_stops_the_process, .timeout = 60)
{
    struct ending e = run_in_child(detach_unseen, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "detached too late"), "%s", e.text);
    cr_assert(says(&e, "in routine 1, started at"), "%s", e.text);
    cr_assert(says(&e, "test_panic_unseen.c:"), "%s", e.text);
    if (WF_HAVE_LIBDW)
        cr_assert(says(&e, "#0 descend"), "%s", e.text);
    e = run_in_child(detach_seen, 20);
    cr_assert_eq(e.exit_status, 0, "%s", e.text);
    cr_assert_str_empty(e.text);
}

static void park_then_say(const char *message, uint64_t id, void *arg)
{
    (void)arg;
    require(weft_sleep(5 * WEFT_MS) == 0);
    require(weft_id() == id);
    fprintf(stderr, "seen after a wait: %s\n", message);
}

static void panic_too(const char *message, uint64_t id, void *arg)
{
    (void)id, (void)arg;
    weft_panic("by hand after %s", message);
}

static void end_routine_instead(const char *message, uint64_t id, void *arg)
{
    (void)message, (void)id, (void)arg;
    weft_exit();
}

static void run_with(void (*on_panic)(const char *, uint64_t, void *))
{
    require(weft_start(&(weft_config){.on_panic = on_panic}) == 0);
    weft_go(middle);
    pause_thread_for_ever();
}

static void run_park_then_say(void)
{
    run_with(park_then_say);
}

static void run_panic_too(void)
{
    run_with(panic_too);
}

static void panic_when_closed(weft_chan(int) c, const char *message)
{
    weft_chan_recv(c, NULL);
    panic_among_defers(message);
}

static void run_end_routine_instead(void)
{
    require(weft_start(&(weft_config){.on_panic = end_routine_instead}) == 0);
    weft_go(panic_among_defers, "ended instead");
    /* It must not panic before it is detached: then that is for whoever detaches it, and weft_exit would end main. */
    weft_chan(int) detached = weft_chan_make(int, 0);
    weft_detach(weft_async(panic_when_closed, detached, "ended instead"));
    weft_chan_close(detached);
    require(weft_stop() == 0);
    require(strlen(story) == 6);
}

Test(panic, on_panic_may_wait, .timeout = 60)
{
    struct ending e = run_in_child(run_park_then_say, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "seen after a wait: look where"), "%s", e.text);
}

Test(panic, on_panic_that_panics_gets_the_report, .timeout = 60)
{
    struct ending e = run_in_child(run_panic_too, 20);
    cr_assert_eq(e.signal, SIGABRT, "%s", e.text);
    cr_assert(says(&e, "weft_config.on_panic panicked: by hand after look where"), "%s", e.text);
    cr_assert(says(&e, "panic: look where"), "%s", e.text);
}

Test(panic, on_panic_may_end_the_routine_alone, .timeout = 60)
{
    struct ending e = run_in_child(run_end_routine_instead, 20);
    cr_assert_eq(e.exit_status, 0, "%s", e.text);
    cr_assert_str_empty(e.text);
}
