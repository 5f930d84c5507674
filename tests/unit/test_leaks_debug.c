/* SPDX-License-Identifier: MIT */
/* test_leaks_debug.c - what WEFT_DEBUG=leak=... does about leaks. */
#define _GNU_SOURCE
#include <errno.h>

#include "../support/child.h"
#include "../support/leaks.h"

TestSuite(leaks, .timeout = 60);

static unsigned count_of(const char *text, const char *what)
{
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
        n++;
    return n;
}

static void leak_and_collect(void)
{
    setenv("WEFT_DEBUG", "leak=1", 1);
    start_many(receive_for_ever, WF_WAIT_CHAN_RECV);
    for (int i = 0; i < 5; i++) {
        clear_stack();
        weft_gc();
    }
}

Test(leaks, leak_1_prints_each_once)
{
    struct ending e = run_in_child(leak_and_collect, 20);
    cr_assert_eq(e.exit_status, 0, "%s", e.text);
    unsigned n = count_of(e.text, "leak: routine");
    cr_assert(n >= MOST && n <= MANY, "%u times: %s", n, e.text);
    cr_assert(says(&e, "receives from a channel (0x") && says(&e, "started at leaks.h:"), "%s", e.text);
}

static void leak_and_stop(void)
{
    setenv("WEFT_DEBUG", "leak=1", 1);
    start_many(receive_for_ever, WF_WAIT_CHAN_RECV);
    clear_stack();
    require(weft_stop() == 0);
}

Test(leaks, leak_1_looks_when_the_runtime_stops)
{
    struct ending e = run_in_child(leak_and_stop, 20);
    cr_assert_eq(e.exit_status, 0, "%s", e.text);
    cr_assert(count_of(e.text, "leak: routine") >= MOST, "%s", e.text);
}

static _Atomic unsigned n_woken;
static void receive_and_tell(void)
{
    int error = weft_chan_recv(weft_chan_make(int, 0), NULL);
    require(error == -EDEADLK);
    n_woken++;
}
static void select_and_tell(void)
{
    weft_chan(int) a = weft_chan_make(int, 0), b = weft_chan_make(int, 0);
    int error = weft_select(weft_on_recv(a, NULL), weft_on_recv(b, NULL));
    require(error == -EDEADLK);
    n_woken++;
}
static void acquire_and_tell(void)
{
    weft_sem s;
    weft_sem_init(&s, 0);
    int error = weft_sem_acquire(&s, 1);
    require(error == -EDEADLK);
    n_woken++;
}

static void leak_and_be_woken(void)
{
    setenv("WEFT_DEBUG", "leak=wake", 1);
    held[0] = (void *)(uintptr_t)weft_chan_make(int, 0);
    for (int i = 0; i < MANY; i++) {
        require(weft_go(receive_and_tell) == 0);
        require(weft_go(select_and_tell) == 0);
        require(weft_go(acquire_and_tell) == 0);
    }
    wait_on_the_channel(); /* these are not to be woken */
    eventually(n_parked(WF_WAIT_SEM) == MANY && n_parked(WF_WAIT_SELECT) == MANY);
    for (int i = 0; i < 2000 && n_woken < 3 * MOST; i++) {
        clear_stack();
        weft_gc();
        pause_thread_ms(5);
    }
    require(n_woken >= 3 * MOST);
    require(n_ended == 0);
    end_them(the_channel());
}

Test(leaks, leak_wake_ends_their_waits)
{
    struct ending e = run_in_child(leak_and_be_woken, 30);
    cr_assert_eq(e.exit_status, 0, "signal %d: %s", e.signal, e.text);
    cr_assert(count_of(e.text, "leak: routine") >= MOST, "%s", e.text); /* the text is cut */
}
