/* SPDX-License-Identifier: MIT */
/* test_runtime.c - start, stop, exit, fork, and what happens at the limits of the machine. */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <weft/weft.h>

#include "../support/child.h"
#include "../support/expect.h"
#include "base/compiler.h"
#include "sched/routine.h"
#include "sched/threads.h"
#include "sched/object.h"

#define start(...) require(weft_go(__VA_ARGS__) == 0)
#define in_routine(...) weft_await(weft_async(__VA_ARGS__))

static atomic_uint ended, begun;
static atomic_bool over, others_run;

static void end(void)
{
    atomic_fetch_add(&ended, 1);
}

static int one(void)
{
    return 1;
}

static unsigned tree(unsigned depth)
{
    if (depth == 0)
        return 1;
    weft_future(unsigned) left = weft_async(tree, depth - 1);
    unsigned right = tree(depth - 1);
    return weft_await(left) + right;
}

/* Some of everything, so that every room has been used. */
static int exercise(void)
{
    weft_chan(int) c = weft_chan_make(int, 3);
    weft_mutex m = {0};
    int v = 0, sum = 0;
    require(in_routine(tree, 8) == 256);
    for (int i = 0; i < 100; i++) {
        require(weft_go(weft__chan_send, WEFT__CHAN_OF(c), &i) == 0);
        require(weft_chan_recv(c, &v) == 0);
        sum += v == i;
    }
    weft_mutex_lock(&m);
    weft_mutex_unlock(&m);
    require(weft_sleep(WEFT_MS) == 0);
    require(weft_select(weft_on_recv(c, &v), weft_after(WEFT_MS)) == 1);
    require(weft_go_with(weft_attr(.stack_size = 1 << 18, .name = "own"), one) == 0);
    return sum;
}

static unsigned count_entries(const char *path)
{
    unsigned n = 0;
    DIR *d = opendir(path);
    cr_assert(d != NULL);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n - 2;
}

/* ---- start ---- */

Test(runtime, starts_once, .timeout = 60)
{
    cr_assert_eq(weft_start(NULL), 0);
    cr_assert_eq(weft_start(NULL), -EALREADY);
    cr_assert_eq(weft_start(&(weft_config){.procs = 2}), -EALREADY);
    cr_assert_eq(weft_stop(), 0);
}

Test(runtime, has_as_many_workers_as_asked_for, .timeout = 60)
{
    cr_assert_eq(weft_start(&(weft_config){.procs = 7}), 0);
    cr_assert_eq(weft_procs(), 7);
    cr_assert_eq(weft_stop(), 0);
    setenv("WEFT_PROCS", "3", 1);
    cr_assert_eq(weft_procs(), 3);
}

Test(runtime, refuses_impossible_settings, .timeout = 60)
{
    cr_assert_eq(weft_start(&(weft_config){.procs = 100000}), -EINVAL);
    cr_assert_eq(weft_start(&(weft_config){.stack_size = 12345}), -EINVAL);
    cr_assert_eq(weft_start(&(weft_config){.stack_memory = 1}), -EINVAL);
    cr_assert_eq(exercise(), 100);
}

static void start_with_nonsense(void)
{
    setenv("WEFT_PROCS", "many", 1);
    weft_go(end);
}

Test(runtime, a_malformed_variable_is_one_line_and_status_2, .timeout = 60)
{
    struct ending e = run_in_child(start_with_nonsense, 20);
    cr_assert_eq(e.exit_status, 2);
    cr_assert(says(&e, "WEFT_PROCS=many"), "%s", e.text);
    cr_assert_eq(strchr(e.text, '\n'), strrchr(e.text, '\n'));
}

static void *exercise_in_thread(void *arg)
{
    require(exercise() == 100);
    return arg;
}

Test(runtime, many_threads_may_use_it_first_at_once, .timeout = 60)
{
    pthread_t threads[8];
    for (unsigned i = 0; i < 8; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, exercise_in_thread, NULL), 0);
    for (unsigned i = 0; i < 8; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
}

/* ---- stop ---- */

Test(runtime, stop_without_start_is_nothing, .timeout = 60)
{
    cr_assert_eq(weft_stop(), 0);
    cr_assert_eq(weft_stop(), 0);
}

static int stop_from_here(void)
{
    return weft_stop();
}

Test(runtime, stop_from_a_routine_is_refused, .timeout = 60)
{
    cr_assert_eq(in_routine(stop_from_here), -EDEADLK);
    cr_assert_eq(exercise(), 100);
}

static void start_when_cancelled(void)
{
    require(weft_sleep(WEFT_HOUR) == -ECANCELED);
    require(weft_start(NULL) == -EALREADY);
    require(weft_procs() > 0);
    end();
}

Test(runtime, starting_it_while_it_is_being_stopped_does_not_wait_for_that, .timeout = 60)
{
    for (unsigned i = 0; i < 5; i++)
        start(start_when_cancelled);
    cr_assert_eq(weft_stop(), 0);
    cr_assert_eq(atomic_load(&ended), 5);
}

static void yield_until_over(void)
{
    atomic_store(&others_run, true);
    while (!atomic_load(&over))
        weft_yield();
}

static int compute_then_stop(void)
{
    start(yield_until_over);
    while (!atomic_load(&others_run)) /* until the worker is taken away, for they wait for it */
        ;
    int result = weft_stop();
    atomic_store(&over, true);
    return result;
}

Test(runtime, stop_from_a_routine_that_has_lost_its_worker_is_refused, .timeout = 60)
{
    cr_assert_eq(weft_start(&(weft_config){.procs = 1}), 0);
    weft_future(int) f = weft_async(compute_then_stop);
    eventually(weft_future_done(f));
    cr_assert_eq(weft_await(f), -EDEADLK);
}

Test(runtime, all_threads_are_gone_after_stop, .timeout = 60)
{
    unsigned before = count_entries("/proc/self/task");
    cr_assert_eq(weft_start(&(weft_config){.procs = 8}), 0);
    cr_assert_eq(exercise(), 100);
    cr_assert_gt(count_entries("/proc/self/task"), before);
    cr_assert_eq(weft_stop(), 0);
    eventually(count_entries("/proc/self/task") == before); /* one that was joined is still listed for a moment */
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

Test(runtime, starts_and_stops_many_times_and_leaves_nothing, .timeout = 60)
{
    unsigned mappings = 0, files = 0;
    for (unsigned i = 0; i < 24; i++) {
        cr_assert_eq(weft_start(&(weft_config){.procs = 1 + i % 4}), 0);
        cr_assert_eq(exercise(), 100);
        cr_assert_eq(weft_stop(), 0);
        if (i == 3) {
            mappings = count_mappings();
            files = count_entries("/proc/self/fd");
        }
    }
    cr_assert_leq(count_entries("/proc/self/fd"), files);
    cr_assert_leq(count_mappings(), mappings + 20);
}

static int use_cells(int depth)
{
    weft_future(int) f = depth > 0 ? weft_async(use_cells, depth - 1) : NULL;
    int error = 0;
    weft_scope(s, &error)
        if (f != NULL)
            error = weft_await(f);
    weft_detach(f);
    return error;
}

static void use_cells_and_stop(unsigned rounds)
{
    while (rounds-- > 0) {
        cr_assert_eq(in_routine(use_cells, 30), 0);
        cr_assert_eq(weft_stop(), 0);
    }
}

Test(runtime, uses_the_memory_of_the_last_run_again, .timeout = 60)
{
    setenv("WEFT_PROCS", "1", 1);
    use_cells_and_stop(10);
    const char *before = wf_object_alloc(64);
    use_cells_and_stop(40);
    size_t used = (size_t)((const char *)wf_object_alloc(64) - before);
    cr_assert_lt(used, 40 * 1024, "%zu bytes", used);
}

Test(runtime, the_first_use_after_stop_starts_it_again, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 1);
    weft_future(int) f = weft_async(one);
    int v = 0;
    cr_assert_eq(weft_await(f), 1);
    cr_assert_eq(weft_stop(), 0);
    cr_assert_eq(weft_await(f), 1); /* handles outlive the runtime */
    cr_assert_eq(weft_chan_send(c, 5), 0);
    cr_assert_eq(weft_chan_recv(c, &v), 0);
    cr_assert_eq(v, 5);
    cr_assert_eq(weft_id(), 0);
    cr_assert_eq(weft_sleep(WEFT_MS), 0);
    weft_yield();
    cr_assert_eq(exercise(), 100);
    cr_assert_eq(weft_stop(), 0);
}

Test(runtime, stops_at_once_when_nothing_was_started, .timeout = 60)
{
    for (unsigned i = 0; i < 50; i++) {
        cr_assert_eq(weft_start(NULL), 0);
        cr_assert_eq(weft_stop(), 0);
    }
}

/* ---- stop ends waits ---- */

static weft_chan(int) never;
static weft_mutex mutex;
static weft_cond cond;
static weft_waitgroup group;
static weft_sem sem;
static weft_barrier barrier;
static weft_latch latch;

static int wait_send(void)
{
    return weft_chan_send(never, 1);
}
static int wait_recv(void)
{
    int v = 7, error = weft_chan_recv((weft_chan(int))weft_chan_make(int, 1), &v);
    require(v == 7);
    return error;
}
static int wait_nil(void)
{
    return weft_chan_recv((weft_chan(int))NULL, NULL);
}
static int wait_nil_send(void)
{
    return weft_chan_send((weft_chan(int))NULL, 1);
}
static int wait_select(void)
{
    int v = 7, status = 8;
    int error = weft_select(weft_on_send(never, 1, &status), weft_on_recv((weft_chan(int))NULL, &v, &status),
                            weft_after(WEFT_HOUR));
    require(v == 7 && status == 8);
    return error;
}
static int wait_empty_select(void)
{
    return weft_select_n(NULL, 0);
}
static int wait_sleep(void)
{
    return weft_sleep(WEFT_HOUR);
}
static int wait_cond(void)
{
    weft_mutex_lock(&mutex);
    int error = weft_cond_wait(&cond, &mutex);
    weft_mutex_unlock(&mutex); /* held on errors too */
    return error;
}
static int wait_group(void)
{
    return weft_waitgroup_wait(&group);
}
static int wait_sem(void)
{
    return weft_sem_acquire(&sem, 3);
}
static int wait_barrier(void)
{
    return weft_barrier_wait(&barrier);
}
static int wait_latch(void)
{
    return weft_latch_wait(&latch);
}

static int (*const waits[])(void) = {
    wait_send,  wait_recv, wait_nil,   wait_nil_send, wait_select,  wait_empty_select,
    wait_sleep, wait_cond, wait_group, wait_sem,      wait_barrier, wait_latch,
};
enum { N_WAITS = sizeof(waits) / sizeof(waits[0]) };

static void prepare_waits(void)
{
    never = weft_chan_make(int, 0);
    weft_waitgroup_add(&group, 1);
    weft_sem_init(&sem, 2);
    weft_barrier_init(&barrier, 100);
    weft_latch_init(&latch, 1);
}

/* Each kind is waited on, cancelled, and waited on again: that wait is refused at once. */
static void see_wait_cancelled(int (*wait)(void))
{
    atomic_fetch_add(&begun, 1);
    require(wait() == -ECANCELED);
    require(wait() == -ECANCELED);
    end();
}

static bool all_wait(unsigned n)
{
    unsigned waiting = 0;
    for (uint32_t i = 0; i < wf_routines_count(); i++)
        waiting += wf_load_relaxed(&wf_routine_at(i)->id) != 0 && wf_load_acquire(&wf_routine_at(i)->waits_on) != 0;
    return waiting >= n;
}

Test(stop, cancels_every_kind_of_wait, .timeout = 60)
{
    prepare_waits();
    for (unsigned k = 0; k < 10; k++)
        for (unsigned i = 0; i < N_WAITS; i++)
            start(see_wait_cancelled, waits[i]);
    eventually(all_wait(10 * N_WAITS));
    cr_assert_eq(weft_stop(), 0);
    cr_assert_eq(atomic_load(&ended), 10 * N_WAITS);
}

Test(stop, cancels_waits_that_are_just_beginning, .timeout = 60)
{
    prepare_waits();
    for (unsigned round = 0; round < 20; round++) {
        atomic_store(&ended, 0);
        for (unsigned i = 0; i < 40; i++)
            start(see_wait_cancelled, waits[i % N_WAITS]);
        cr_assert_eq(weft_stop(), 0);
        cr_assert_eq(atomic_load(&ended), 40);
    }
}

static void see_that_work_goes_on(void)
{
    weft_chan(int) c = weft_chan_make(int, 1);
    int v = 0;
    require(weft_sleep(WEFT_HOUR) == -ECANCELED);
    require(weft_chan_send(c, 4) == 0); /* what can be done at once is done */
    require(weft_chan_recv(c, &v) == 0 && v == 4);
    require(weft_chan_try_recv(c, &v) == -EAGAIN);
    require(weft_sleep(0) == 0);
    weft_yield();
    weft_mutex m = {0};
    weft_mutex_lock(&m);
    weft_mutex_unlock(&m);
    weft_future(int) f = weft_async(one);
    require(f != NULL);
    while (!weft_future_done(f))
        weft_yield();
    require(weft_await(f) == 1);
    end();
}

Test(stop, lets_what_need_not_wait_be_done, .timeout = 60)
{
    for (unsigned i = 0; i < 20; i++)
        start(see_that_work_goes_on);
    eventually(all_wait(20));
    cr_assert_eq(weft_stop(), 0);
    cr_assert_eq(atomic_load(&ended), 20);
}

static void compute_for_a_while(void)
{
    burn_ms(100);
    end();
}

static void sleep_in_libc(void)
{
    pause_thread_ms(100);
    end();
}

static void start_others(unsigned depth)
{
    if (depth > 0)
        for (unsigned i = 0; i < 3; i++)
            start(start_others, depth - 1);
    require(weft_sleep(WEFT_HOUR) == -ECANCELED);
    end();
}

Test(stop, waits_for_those_that_compute_or_sit_in_a_call, .timeout = 60)
{
    for (unsigned i = 0; i < 3; i++) {
        start(compute_for_a_while);
        start(sleep_in_libc);
    }
    cr_assert_eq(weft_stop(), 0);
    cr_assert_eq(atomic_load(&ended), 6);
}

Test(stop, ends_what_is_started_meanwhile_too, .timeout = 60)
{
    start(start_others, 5);
    cr_assert_eq(weft_stop(), 0);
    cr_assert_eq(atomic_load(&ended), 364);
}

static void hold_mutex(void)
{
    weft_mutex_lock(&mutex);
    atomic_fetch_add(&begun, 1);
    require(weft_sleep(WEFT_HOUR) == -ECANCELED);
    weft_yield();
    weft_mutex_unlock(&mutex);
    end();
}

static void want_mutex(void)
{
    weft_mutex_lock(&mutex);
    weft_mutex_unlock(&mutex);
    end();
}

Test(stop, leaves_those_that_wait_for_a_mutex_to_its_holder, .timeout = 60)
{
    start(hold_mutex);
    eventually(atomic_load(&begun) == 1);
    for (unsigned i = 0; i < 10; i++)
        start(want_mutex);
    cr_assert_eq(weft_stop(), 0);
    cr_assert_eq(atomic_load(&ended), 11);
}

static void *receive_in_thread(void *out)
{
    require(weft_chan_recv(never, (int *)out) == 0);
    return out;
}

Test(stop, leaves_plain_threads_alone, .timeout = 60)
{
    pthread_t thread;
    int v = 0;
    prepare_waits();
    cr_assert_eq(pthread_create(&thread, NULL, receive_in_thread, &v), 0);
    eventually(wf_load_relaxed(&wf_threads.n_foreign_blocked) == 1);
    cr_assert_eq(exercise(), 100);
    cr_assert_eq(weft_stop(), 0);
    cr_assert_eq(weft_chan_send(never, 9), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(v, 9);
}

static void tick(void *arg)
{
    (void)arg;
    end();
}

Test(stop, drops_timers_that_are_pending, .timeout = 60)
{
    weft_timer *t = weft_timer_start(WEFT_HOUR, tick, NULL);
    weft_chan(weft_time) ticks = weft_ticker_make(WEFT_MS);
    cr_assert_eq(weft_chan_recv(ticks, NULL), 0);
    cr_assert_eq(weft_stop(), 0);
    cr_assert_eq(atomic_load(&ended), 0);
    cr_assert_eq(weft_timer_stop(t), 0);
    weft_ticker_stop(ticks);
    cr_assert_eq(exercise(), 100);
}

/* ---- exit ---- */

static void busy_runtime(void)
{
    never = weft_chan_make(int, 0);
    for (unsigned i = 0; i < 20; i++) {
        start(yield_until_over);
        start(wait_send);
        start(wait_sleep);
    }
    start(compute_for_a_while);
    pause_thread_ms(5);
}

static void say_goodbye(void)
{
    static const char text[] = "atexit ran\n";
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
}

static void exit_from_main(void)
{
    atexit(say_goodbye);
    busy_runtime();
    exit(5);
}

static void exit_now(void)
{
    exit(6);
}

static void exit_from_routine(void)
{
    atexit(say_goodbye);
    busy_runtime();
    start(exit_now);
    pause_thread_for_ever();
}

Test(runtime, exit_from_main_ends_the_process_whatever_routines_do, .timeout = 60)
{
    for (unsigned i = 0; i < 10; i++) {
        struct ending e = run_in_child(exit_from_main, 20);
        cr_assert_eq(e.exit_status, 5, "%d %d %s", e.exit_status, e.signal, e.text);
        /* The leak checker, which runs then, remarks that there are still threads. */
        cr_assert(WF_ASAN ? strstr(e.text, "atexit ran\n") != NULL : strcmp(e.text, "atexit ran\n") == 0, "%s", e.text);
    }
}

Test(runtime, exit_from_a_routine_ends_the_process_too, .timeout = 60)
{
    for (unsigned i = 0; i < 10; i++) {
        struct ending e = run_in_child(exit_from_routine, 20);
        cr_assert_eq(e.exit_status, 6, "%d %d %s", e.exit_status, e.signal, e.text);
        /* The leak checker, which runs then, remarks that there are still threads. */
        cr_assert(WF_ASAN ? strstr(e.text, "atexit ran\n") != NULL : strcmp(e.text, "atexit ran\n") == 0, "%s", e.text);
    }
}

/* ---- fork ---- */

static int status_of(pid_t child)
{
    int status = -1;
    require(waitpid(child, &status, 0) == child);
    return status;
}

static void use_weft_in_child(void)
{
    busy_runtime();
    pid_t child = fork();
    if (child == 0) {
        alarm(10);
        weft_go(end);
        _exit(0);
    }
    int status = status_of(child);
    require(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    require(exercise() == 100);
}

Test(fork, the_child_of_a_running_runtime_is_told_that_it_cannot_use_it, .timeout = 60)
{
    struct ending e = run_in_child(use_weft_in_child, 30);
    cr_assert_eq(e.exit_status, 0, "%s", e.text);
    cr_assert(says(&e, "a child of fork() used weft"), "%s", e.text);
}

static int fork_and_exec(void)
{
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    return status_of(child);
}

Test(fork, a_routine_may_fork_and_exec, .timeout = 60)
{
    for (unsigned i = 0; i < 10; i++)
        cr_assert_eq(in_routine(fork_and_exec), 0);
    cr_assert_eq(exercise(), 100);
}

static void fork_after_stop(void)
{
    require(exercise() == 100);
    require(weft_stop() == 0);
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        _exit(exercise() == 100 ? 3 : 4);
    }
    int status = status_of(child);
    require(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    require(exercise() == 100);
}

Test(fork, a_child_born_while_it_is_stopped_may_use_it, .timeout = 60)
{
    struct ending e = run_in_child(fork_after_stop, 40);
    cr_assert_eq(e.exit_status, 0, "%s", e.text);
}

/* ---- plain threads that do not know that the runtime is being stopped ---- */

static atomic_uint accepted, refused;

static void *start_beside_stop(void *unused)
{
    (void)unused;
    while (!atomic_load(&over)) {
        int result = weft_go(end);
        require(result == 0 || result == -ECANCELED);
        atomic_fetch_add(result == 0 ? &accepted : &refused, 1);
    }
    return NULL;
}

Test(runtime, what_plain_threads_start_beside_a_stop_runs_or_is_refused, .timeout = 60)
{
    pthread_t threads[3];
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, start_beside_stop, NULL), 0);
    int64_t until = weft_now() + WEFT_SEC;
    while (weft_now() < until)
        cr_assert_eq(weft_stop(), 0);
    atomic_store(&over, true);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(weft_stop(), 0);
    cr_assert_gt(atomic_load(&accepted), 0);
    cr_assert_eq(atomic_load(&ended), atomic_load(&accepted));
}

/* ---- limits ---- */

static void park_until_closed(weft_chan(int) c)
{
    require(weft_chan_recv(c, NULL) == -EPIPE);
    end();
}

/* Starts routines that wait until no more can be had; returns how many. */
static unsigned fill(weft_chan(int) c)
{
    unsigned n = 0;
    int error;
    while ((error = weft_go(park_until_closed, c)) == 0)
        n++;
    require(error == -ENOMEM);
    return n;
}

static void fill_small_arena(void)
{
    setenv("WEFT_DEBUG", "arena=4MiB", 1);
    for (unsigned round = 0; round < 40; round++) {
        weft_chan(int) c = weft_chan_make(int, 0);
        unsigned n = fill(c);
        require(n >= 16 && n <= 64); /* those that have ended can be had again, but for a few that workers keep */
        weft_chan_close(c);
        eventually(atomic_load(&ended) == n);
        atomic_store(&ended, 0);
    }
}

Test(limits, when_no_more_routines_can_be_had_go_says_so_and_goes_on_later, .timeout = 60)
{
    struct ending e = run_in_child(fill_small_arena, 40);
    cr_assert_eq(e.exit_status, 0, "%s", e.text);
}

static void start_one_by_one(void)
{
    setenv("WEFT_DEBUG", "arena=4MiB", 1);
    for (unsigned i = 1; i <= 500; i++) {
        start(end);
        eventually(atomic_load(&ended) == i);
    }
}

Test(limits, routines_one_after_the_other_never_run_out, .timeout = 60)
{
    struct ending e = run_in_child(start_one_by_one, 40);
    cr_assert_eq(e.exit_status, 0, "%s", e.text);
}

static void run_in_small_address_space(void)
{
    require(setrlimit(RLIMIT_AS, &(struct rlimit){256 << 20, 256 << 20}) == 0);
    require(exercise() == 100);
    weft_chan(int) c = weft_chan_make(int, 0);
    unsigned n = fill(c);
    require(n > 100);
    weft_chan_close(c);
    eventually(atomic_load(&ended) == n);
    require(exercise() == 100);
    require(weft_stop() == 0);
}

Test(limits, a_small_address_space_holds_fewer_routines, .timeout = 60)
{
    if (WF_ASAN)
        cr_skip_test("the sanitizer needs the address space");
    struct ending e = run_in_child(run_in_small_address_space, 40);
    cr_assert_eq(e.exit_status, 0, "%d %s", e.signal, e.text);
}

static void run_in_tiny_address_space(void)
{
    for (rlim_t megabytes = 4; megabytes <= 128; megabytes += 4) {
        pid_t child = fork();
        if (child == 0) {
            alarm(60);
            setrlimit(RLIMIT_AS, &(struct rlimit){megabytes << 20, megabytes << 20});
            int error = weft_go(end);
            if (error != 0)
                _exit(error == -ENOMEM || error == -EAGAIN ? 0 : 1);
            while (atomic_load(&ended) == 0)
                usleep(100);
            _exit(0);
        }
        int status = status_of(child);
        if (status != 0)
            fprintf(stderr, "with %u MB: status %x\n", (unsigned)megabytes, (unsigned)status);
        require(status == 0);
    }
}

Test(limits, too_small_an_address_space_is_an_error_and_no_crash, .timeout = 110)
{
    if (WF_ASAN)
        cr_skip_test("the sanitizer needs the address space");
    struct ending e = run_in_child(run_in_tiny_address_space, 100);
    cr_assert_eq(e.exit_status, 0, "%d %s", e.signal, e.text);
}

/* Root is not limited; somebody who owns nothing else is: not what other tests run at the same time, either. */
static void limit_threads(rlim_t n)
{
    uid_t nobody_else = 20000 + (uid_t)getpid() % 40000;
    require(setrlimit(RLIMIT_NPROC, &(struct rlimit){n, n}) == 0);
    if (geteuid() == 0)
        require(setresuid(nobody_else, nobody_else, nobody_else) == 0);
}

static void start_without_threads(void)
{
    limit_threads(1);
    require(weft_go(end) == -EAGAIN);
    require(weft_async(one) == NULL);
    require(weft_start(NULL) == -EAGAIN);
}

static void run_with_one_worker_thread(void)
{
    setenv("WEFT_PROCS", "8", 1);
    limit_threads(3); /* main, the pilot, one worker */
    for (unsigned i = 0; i < 5; i++)
        require(exercise() == 100);
    require(weft_stop() == 0);
}

Test(limits, without_any_thread_go_gives_an_error, .timeout = 60)
{
    if (geteuid() != 0)
        cr_skip_test("the limit counts the user's other processes");
    struct ending e = run_in_child(start_without_threads, 40);
    cr_assert_eq(e.exit_status, 0, "%s", e.text);
}

Test(limits, one_thread_is_enough_for_eight_workers, .timeout = 60)
{
    if (geteuid() != 0)
        cr_skip_test("the limit counts the user's other processes");
    struct ending e = run_in_child(run_with_one_worker_thread, 40);
    cr_assert_eq(e.exit_status, 0, "%s", e.text);
}

/* ---- what a kernel may lack ---- */

static const char *lacking;

static void exercise_without(void)
{
    setenv("WEFT_DEBUG", lacking, 1);
    for (unsigned i = 0; i < 10; i++)
        require(exercise() == 100);
    weft_chan(int) c = weft_chan_make(int, 0);
    for (unsigned i = 0; i < 3000; i++)
        start(park_until_closed, c);
    start(compute_for_a_while); /* seized or rescued */
    weft_chan_close(c);
    eventually(atomic_load(&ended) == 3001);
    require(weft_stop() == 0);
}

Test(limits, it_runs_without_membarrier, .timeout = 60)
{
    lacking = "membarrier=0";
    struct ending e = run_in_child(exercise_without, 40);
    cr_assert_eq(e.exit_status, 0, "%d %s", e.signal, e.text);
}

Test(limits, it_runs_without_guard_install, .timeout = 60)
{
    lacking = "guard=0";
    struct ending e = run_in_child(exercise_without, 40);
    cr_assert_eq(e.exit_status, 0, "%d %s", e.signal, e.text);
}

Test(limits, it_runs_without_either, .timeout = 60)
{
    lacking = "guard=0,membarrier=0";
    struct ending e = run_in_child(exercise_without, 40);
    cr_assert_eq(e.exit_status, 0, "%d %s", e.signal, e.text);
}
