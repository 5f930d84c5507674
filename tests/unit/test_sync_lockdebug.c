/* SPDX-License-Identifier: MIT */
/* test_sync_lockdebug.c - the two reports of WEFT_DEBUG=locks=1. */
#include "test_sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sync/lockdebug.h"

static weft_mutex a, b, c;
static weft_rwmutex rw;
static weft_once once;

/* What `body` writes to stderr, run in a process of its own; *ret_status as of waitpid(). */
static char *stderr_of(void (*body)(void), int *ret_status)
{
    static char text[16384];
    size_t length = 0;
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        signal(SIGABRT, SIG_DFL);
        alarm(PATIENCE_SECONDS);
        wf_lockdebug_enable();
        body();
        _exit(0);
    }
    close(ends[1]);
    ssize_t n;
    while ((n = read(ends[0], text + length, sizeof(text) - 1 - length)) > 0)
        length += (size_t)n;
    text[length] = '\0';
    close(ends[0]);
    cr_assert_eq(waitpid(child, ret_status, 0), child);
    return text;
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;
    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what))
        n++;
    return n;
}

static void expect_abort(void (*body)(void), const char *what)
{
    int status;
    const char *text = stderr_of(body, &status);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %x: %s", (unsigned)status, text);
    cr_assert_not_null(strstr(text, "self-deadlock"), "%s", text);
    cr_assert_not_null(strstr(text, what), "%s", text);
    cr_assert_geq(count(text, "+0x"), 2, "both places: %s", text);
}

static void expect_cycles(void (*body)(void), unsigned n, unsigned lock_calls)
{
    int status;
    const char *text = stderr_of(body, &status);
    cr_assert_eq(status, 0, "status %x: %s", (unsigned)status, text);
    cr_assert_eq(count(text, "lock order cycle"), n, "%s", text);
    cr_assert_eq(count(text, "locked at"), lock_calls, "%s", text);
}

static void lock_twice(void)
{
    weft_mutex_lock(&a);
    weft_mutex_lock(&a);
}

Test(sync_lockdebug, locking_a_held_mutex_is_reported_and_aborts, .timeout = 60)
{
    expect_abort(lock_twice, "mutex");
}

static void lock_twice_in_routine(void)
{
    weft_set_name("twice");
    lock_twice();
}

static void lock_twice_elsewhere(void)
{
    weft_go(lock_twice_in_routine);
    for (;;)
        pause();
}

Test(sync_lockdebug, the_report_names_the_routine, .timeout = 60)
{
    expect_abort(lock_twice_elsewhere, "(twice)");
}

static void write_after_read(void)
{
    weft_rwmutex_rlock(&rw);
    weft_rwmutex_lock(&rw);
}

Test(sync_lockdebug, write_locking_an_rwmutex_held_to_read_is_reported, .timeout = 60)
{
    expect_abort(write_after_read, "rwmutex");
}

static void read_after_write(void)
{
    weft_rwmutex_lock(&rw);
    weft_rwmutex_rlock(&rw);
}

Test(sync_lockdebug, read_locking_an_rwmutex_held_to_write_is_reported, .timeout = 60)
{
    expect_abort(read_after_write, "rwmutex");
}

static void do_it_again(void *arg)
{
    weft_once_do(&once, do_it_again, arg);
}

static void once_in_once(void)
{
    weft_once_do(&once, do_it_again, NULL);
}

Test(sync_lockdebug, a_once_inside_itself_is_reported, .timeout = 60)
{
    expect_abort(once_in_once, "once");
}

static void lock_two(weft_mutex *first, weft_mutex *second)
{
    weft_mutex_lock(first);
    weft_mutex_lock(second);
    weft_mutex_unlock(first);
    weft_mutex_unlock(second);
}

static void both_orders(void)
{
    for (unsigned i = 0; i < 3; i++) {
        lock_two(&a, &b);
        lock_two(&b, &a);
    }
}

Test(sync_lockdebug, two_locks_taken_in_both_orders_are_reported_once, .timeout = 60)
{
    expect_cycles(both_orders, 1, 4);
}

static void ring_of_three(void)
{
    lock_two(&a, &b);
    lock_two(&b, &c);
    lock_two(&c, &a);
}

Test(sync_lockdebug, a_longer_cycle_is_found, .timeout = 60)
{
    expect_cycles(ring_of_three, 1, 6);
}

static void one_order(void)
{
    lock_two(&a, &b);
    lock_two(&b, &c);
    lock_two(&a, &c);
    weft_rwmutex_rlock(&rw);
    weft_rwmutex_rlock(&rw);
    lock_two(&a, &b);
    weft_rwmutex_runlock(&rw);
    weft_rwmutex_runlock(&rw);
}

Test(sync_lockdebug, locks_taken_in_one_order_are_not_reported, .timeout = 60)
{
    expect_cycles(one_order, 0, 0);
}

static void try_the_other_order(void)
{
    lock_two(&a, &b);
    weft_mutex_lock(&b);
    if (weft_mutex_try_lock(&a) == 0)
        weft_mutex_unlock(&a);
    weft_mutex_unlock(&b);
}

Test(sync_lockdebug, a_try_lock_cannot_deadlock_and_is_not_reported, .timeout = 60)
{
    expect_cycles(try_the_other_order, 0, 0);
}

static void *unlock_a(void *arg)
{
    weft_mutex_unlock(&a);
    return arg;
}

static void unlocked_by_another(void)
{
    pthread_t thread;
    weft_mutex_lock(&a);
    pthread_create(&thread, NULL, unlock_a, NULL);
    pthread_join(thread, NULL);
    weft_mutex_lock(&a);
    weft_mutex_unlock(&a);
}

Test(sync_lockdebug, a_mutex_unlocked_by_another_is_no_longer_held, .timeout = 60)
{
    expect_cycles(unlocked_by_another, 0, 0);
}

static weft_cond cond;

static void *signal_cond(void *arg)
{
    weft_mutex_lock(&a);
    weft_cond_signal(&cond);
    weft_mutex_unlock(&a);
    return arg;
}

static void wait_for_signal(void)
{
    pthread_t thread;
    weft_mutex_lock(&a);
    pthread_create(&thread, NULL, signal_cond, NULL);
    weft_cond_wait(&cond, &a);
    weft_mutex_unlock(&a);
    weft_mutex_lock(&a);
    weft_mutex_unlock(&a);
    pthread_join(thread, NULL);
}

Test(sync_lockdebug, a_cond_wait_gives_the_mutex_up_and_takes_it_again, .timeout = 60)
{
    expect_cycles(wait_for_signal, 0, 0);
}

static void wait_inside_another(void)
{
    pthread_t thread;
    weft_mutex_lock(&a);
    weft_mutex_lock(&b); /* a, then b */
    pthread_create(&thread, NULL, signal_cond, NULL);
    weft_cond_wait(&cond, &a); /* b, then a */
    pthread_join(thread, NULL);
}

Test(sync_lockdebug, a_cond_wait_that_locks_against_the_order_is_reported, .timeout = 60)
{
    expect_cycles(wait_inside_another, 1, 4);
}
