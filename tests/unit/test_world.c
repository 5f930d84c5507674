/* SPDX-License-Identifier: MIT */
/* test_world.c - sched/world.h: threads are stopped wherever they are; those that cannot be are named; forks and libraries. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/child.h"
#include "../support/live.h"
#include "../support/watch.h"
#include "sched/memory.h"
#include "sched/threads.h"
#include "sched/world.h"

TestSuite(world, .timeout = 60);

static _Atomic unsigned n_ready, n_good;
static _Atomic uint32_t released;

static void wait_for_release(void)
{
    while (!atomic_load_explicit(&released, memory_order_relaxed))
        ;
}

static int status_of(pid_t child)
{
    int status = -1;
    require(waitpid(child, &status, 0) == child);
    return status;
}

static void check_child(pid_t child)
{
    int status = status_of(child);
    if (status != 0)
        fprintf(stderr, "child: status %#x\n", (unsigned)status);
    require(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- wherever a thread is ---- */

static void look_on(void (*body)(void), unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        weft_go(body);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, (void *(*)(void *))(void (*)(void))body, NULL), 0);
    eventually(n_ready == n + 1);
    all_live("stopped");
    released = 1;
    eventually(n_good == n + 1);
    pthread_join(thread, NULL);
}

#if defined(__x86_64__)
static uint64_t n_tags;

static WF_NOINLINE uintptr_t make_hidden(uint64_t tag)
{
    return ~(uintptr_t)make_node(tag);
}

/* The only pointer is in one lane of a wide register. */
#define WF_LOOP_WITH(name, into, zero, out, clobber) \
    static WF_NOINLINE uint64_t tag_in_##name(uintptr_t hidden) \
    { \
        uintptr_t p = hidden; \
        __asm__ volatile("not %0\n\t" into "\n\txor %0, %0\n\tlock incl %[ready]\n" \
                         "1:\tcmpl $0, %[released]\n\tje 1b\n\t" out \
                         : "+r"(p), [ready] "+m"(n_ready) \
                         : [released] "m"(released) \
                         : "memory", "cc", clobber); \
        return ((struct node *)p)->tag; /* NOLINT */ \
    } \
    static void loop_with_##name(void) \
    { \
        uint64_t tag = __atomic_add_fetch(&n_tags, 1, __ATOMIC_RELAXED); \
        uintptr_t hidden = make_hidden(tag); \
        clear_stack(); \
        require(tag_in_##name(hidden) == tag); \
        n_good++; \
    } \
    Test(world, the_only_pointer_is_in_##name) \
    { \
        if (!has_##name()) \
            cr_skip_test("the processor has none"); \
        look_on(loop_with_##name, 2); \
    }

static bool has_xmm15(void)
{
    return true;
}
static bool has_ymm15(void)
{
    return __builtin_cpu_supports("avx2");
}
static bool has_zmm31(void)
{
    return __builtin_cpu_supports("avx512f");
}

WF_LOOP_WITH(xmm15, "movq %0, %%xmm15\n\tpslldq $8, %%xmm15", "", "psrldq $8, %%xmm15\n\tmovq %%xmm15, %0", "xmm15")
WF_LOOP_WITH(ymm15, "vmovq %0, %%xmm15\n\tvpermq $0x15, %%ymm15, %%ymm15", "",
             "vextracti128 $1, %%ymm15, %%xmm15\n\tvpsrldq $8, %%xmm15, %%xmm15\n\tvmovq %%xmm15, %0\n\tvzeroupper", "xmm15")
WF_LOOP_WITH(zmm31, "vpbroadcastq %0, %%zmm31", "", "vmovq %%xmm31, %0\n\tvzeroupper", "xmm1")

/* Below the stack pointer, where a function that calls nothing may keep things. */
static WF_NOINLINE uint64_t tag_in_red_zone(uintptr_t hidden)
{
    uintptr_t p = hidden;
    __asm__ volatile("not %0\n\tmov %0, -120(%%rsp)\n\txor %0, %0\n\tlock incl %[ready]\n"
                     "1:\tcmpl $0, %[released]\n\tje 1b\n\tmov -120(%%rsp), %0\n\tmovq $0, -120(%%rsp)"
                     : "+r"(p), [ready] "+m"(n_ready)
                     : [released] "m"(released)
                     : "memory", "cc");
    return ((struct node *)p)->tag; /* NOLINT */
}

static void loop_with_red_zone(void)
{
    uint64_t tag = __atomic_add_fetch(&n_tags, 1, __ATOMIC_RELAXED);
    uintptr_t hidden = make_hidden(tag);
    clear_stack();
    require(tag_in_red_zone(hidden) == tag);
    n_good++;
}

Test(world, the_only_pointer_is_in_the_red_zone_of_a_leaf)
{
    look_on(loop_with_red_zone, 2);
}
#endif

/* The pointer into the target moves through registers and the object must live, and its bytes arrive. */
static void copy_much(void)
{
    enum { BYTES = 64 << 20 };
    char *from = malloc(BYTES), *to = weft_alloc_data(BYTES);
    require(from != NULL && to != NULL);
    memset(from, 0x5a, BYTES);
    n_ready++;
    for (int i = 0; i < 3; i++)
        memcpy(to, from, BYTES);
    for (size_t i = 0; i < BYTES; i += 4096)
        require(to[i] == 0x5a);
    free(from);
    n_good++;
}

Test(world, threads_are_stopped_in_the_middle_of_a_large_copy)
{
    weft_go(copy_much);
    eventually(n_ready == 1);
    uint64_t before = wf_world_stats.stops;
    while (n_good == 0)
        weft_gc();
    cr_assert_gt(wf_world_stats.stops, before);
}

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

static void hold_while_locking(void)
{
    struct node *volatile n = make_node(7);
    n_ready++;
    require(pthread_mutex_lock(&held) == 0);
    require(pthread_mutex_unlock(&held) == 0);
    require(is_node(n, 7));
    n_good++;
}

Test(world, threads_are_stopped_in_pthread_mutex_lock)
{
    pthread_mutex_lock(&held);
    pthread_t thread;
    weft_go(hold_while_locking);
    pthread_create(&thread, NULL, (void *(*)(void *))(void (*)(void))hold_while_locking, NULL);
    eventually(n_ready == 2);
    all_live("in pthread_mutex_lock");
    pthread_mutex_unlock(&held);
    eventually(n_good == 2);
    pthread_join(thread, NULL);
}

static void hold_while_sleeping(void)
{
    struct node *volatile n = make_node(8);
    n_ready++;
    while (!released)
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL); /* may give EINTR, and is asked again */
    require(is_node(n, 8));
    n_good++;
}

Test(world, threads_are_stopped_in_nanosleep)
{
    look_on(hold_while_sleeping, 2);
}

/* ---- signals that get lost, or cannot arrive ---- */

static void loop_and_end(void)
{
    n_ready++;
    wait_for_release();
    n_good++;
}

Test(world, signals_that_get_lost_are_sent_again)
{
    wf_world_tuning.lose_every = 2;
    struct node *volatile n = make_node(1); /* with an empty heap nothing would be stopped */
    weft_go(loop_and_end);
    weft_go(loop_and_end);
    eventually(n_ready == 2);
    for (int i = 0; i < 30; i++)
        weft_gc();
    cr_assert(is_node(n, 1));
    cr_assert_gt(wf_world_stats.resent, 0);
    cr_assert_geq(wf_world_stats.stops, 30);
    released = 1;
    eventually(n_good == 2);
}

static void loop_until_named(void)
{
    int64_t end = clock_ns() + PATIENCE_SECONDS / 2 * INT64_C(1000000000);
    while (wf_load_relaxed(&wf_world_stats.named) == 0 && clock_ns() < end)
        ;
}

static void *block_and_loop(void *arg)
{
    sigset_t set;
    (void)arg;
    pthread_setname_np(pthread_self(), "deaf");
    require(weft_new(struct node) != NULL); /* known, and the signal unblocked */
    sigfillset(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    n_ready++;
    loop_until_named();
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    n_good++;
    return NULL;
}

static void collect_beside_a_deaf_thread(void)
{
    pthread_t thread;
    wf_world_tuning.silence_ns = 50000000;
    require(pthread_create(&thread, NULL, block_and_loop, NULL) == 0);
    eventually(n_ready == 1);
    weft_gc();
    require(n_good == 1 || wf_world_stats.last.tid != 0);
    pthread_join(thread, NULL);
}

Test(world, a_thread_that_blocks_the_signal_is_named)
{
    struct ending e = run_in_child(collect_beside_a_deaf_thread, 30);
    cr_assert_eq(e.exit_status, 0, "%s", e.text);
    cr_assert(says(&e, "(deaf) to stand still: it blocks SIGURG"), "%s", e.text);
    unsigned n = 0;
    for (const char *at = e.text; (at = strstr(at, "(deaf)")) != NULL; at++)
        n++;
    cr_assert_leq(n, 3, "said %u times: %s", n, e.text); /* after 50 ms, 0.5 s, 5 s */
}

static void foreign_handler(int signal)
{
    (void)signal;
}

static void *replace_and_loop(void *arg)
{
    struct sigaction ours, previous;
    (void)arg;
    require(weft_new(struct node) != NULL);
    memset(&ours, 0, sizeof(ours));
    ours.sa_handler = foreign_handler;
    require(sigaction(SIGURG, &ours, &previous) == 0);
    n_ready++;
    loop_until_named();
    require(sigaction(SIGURG, &previous, NULL) == 0);
    return NULL;
}

static void collect_without_a_handler(void)
{
    pthread_t thread;
    wf_world_tuning.silence_ns = 50000000;
    require(pthread_create(&thread, NULL, replace_and_loop, NULL) == 0);
    eventually(n_ready == 1);
    weft_gc();
    pthread_join(thread, NULL);
}

Test(world, a_replaced_handler_is_noticed)
{
    struct ending e = run_in_child(collect_without_a_handler, 30);
    cr_assert_eq(e.exit_status, 0, "%s", e.text);
    cr_assert(says(&e, "replaced the handler of SIGURG"), "%s", e.text);
}

static void *raise_and_loop(void *arg)
{
    (void)arg;
    require(weft_new(struct node) != NULL);
    n_ready++;
    wait_for_release();
    return NULL;
}

static _Atomic unsigned n_foreign_signals;
static void count_signal(int signal)
{
    (void)signal;
    n_foreign_signals++;
}

Test(world, a_handler_that_was_there_before_is_called_for_signals_of_others_only)
{
    pthread_t thread;
    signal(SIGURG, count_signal);
    cr_assert_eq(pthread_create(&thread, NULL, raise_and_loop, NULL), 0);
    eventually(n_ready == 1);
    for (int i = 0; i < 10; i++)
        weft_gc();
    cr_assert_gt(wf_world_stats.signals, 0);
    cr_assert_eq(n_foreign_signals, 0);
    kill(getpid(), SIGURG);
    eventually(n_foreign_signals == 1);
    released = 1;
    pthread_join(thread, NULL);
}

/* ---- who was last ---- */

static void slow_one(void)
{
    weft_set_name("slow");
    n_ready++;
    wait_for_release();
    n_good++;
}

Test(world, who_was_last_to_stop_is_known)
{
    char text[160];
    struct node *volatile n = make_node(1);
    weft_go(slow_one);
    eventually(n_ready == 1);
    uint64_t counted = 0;
    for (int i = 0; i < 20; i++)
        weft_gc();
    for (int i = 0; i < WF_STOP_TIMES; i++)
        counted += wf_world_stats.times[i];
    cr_assert_eq(counted, wf_world_stats.stops);
    while (strstr(wf_last_to_stop_text(&wf_world_stats.last, text, sizeof(text)), "\"slow\" on thread ") == NULL)
        weft_gc(); /* it may have stood still since the last time */
    cr_assert(is_node(n, 1));
    released = 1;
    eventually(n_good == 1);
}

/* ---- threads that end ---- */

static pthread_key_t keys[2];
static unsigned rounds_left;

static void use_weft_while_ending(void *value)
{
    struct node *n = make_node(3);
    weft_gc();
    require(is_node(n, 3));
    if (rounds_left-- > 0)
        pthread_setspecific(keys[0], value);
    n_good++;
}

static void *end_with_destructors(void *arg)
{
    if (arg != NULL)
        require(weft_new(struct node) != NULL);
    pthread_setspecific(keys[0], keys);
    pthread_setspecific(keys[1], keys);
    return NULL;
}

/* `known`: the thread has used weft before its destructors do. */
static void end_a_thread(bool known, unsigned rounds)
{
    pthread_t thread;
    unsigned before = n_good;
    rounds_left = rounds;
    require(pthread_create(&thread, NULL, end_with_destructors, known ? keys : NULL) == 0);
    pthread_join(thread, NULL);
    require(n_good - before >= rounds + 1);
    for (int i = 0; i < 3; i++)
        weft_gc();
    require(wf_load_relaxed(&wf_threads.n_foreign) == 1);
}

Test(world, destructors_of_a_thread_that_ends_may_use_it_in_every_round)
{
    cr_assert_eq(pthread_key_create(&keys[0], use_weft_while_ending), 0); /* before weft's key */
    weft_gc();
    cr_assert_eq(pthread_key_create(&keys[1], use_weft_while_ending), 0); /* behind it */
    for (unsigned rounds = 0; rounds < 5; rounds++) {
        end_a_thread(true, rounds < 4 ? rounds : 3);
        end_a_thread(false, rounds < 4 ? rounds : 3);
    }
}

static __thread struct node *only_here;

static void wait_while_ending(void *value)
{
    (void)value;
    n_ready++;
    wait_for_release();
    require(is_node(only_here, 9));
    n_good++;
}

static void *keep_while_ending(void *arg)
{
    only_here = make_node(9);
    pthread_setspecific(keys[1], keys);
    clear_stack();
    return arg;
}

Test(world, what_a_thread_holds_while_later_destructors_run_is_found)
{
    pthread_t thread;
    weft_gc();
    cr_assert_eq(pthread_key_create(&keys[1], wait_while_ending), 0); /* behind weft's key */
    cr_assert_eq(pthread_create(&thread, NULL, keep_while_ending, NULL), 0);
    eventually(n_ready == 1);
    all_live("while ending");
    released = 1;
    pthread_join(thread, NULL);
    cr_assert_eq(n_good, 1);
}

static void *vanish(void *arg)
{
    (void)arg;
    require(weft_new(struct node) != NULL);
    n_ready++;
    pthread_setspecific(keys[0], NULL);
    wf_thread_forget_self(); /* as after the last round: its end comes without a word */
    return NULL;
}

Test(world, a_thread_that_ended_without_a_word_is_forgotten)
{
    pthread_t thread;
    struct node *volatile n = make_node(1);
    weft_gc();
    cr_assert_eq(pthread_create(&thread, NULL, vanish, NULL), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(wf_load_relaxed(&wf_threads.n_foreign), 2);
    weft_gc();
    cr_assert_eq(wf_world_stats.vanished, 1);
    cr_assert_eq(wf_load_relaxed(&wf_threads.n_foreign), 1);
    weft_gc();
    cr_assert(is_node(n, 1));
}

/* ---- fork ---- */

static struct node *kept;

static void use_collected_memory(void)
{
    for (int i = 0; i < 20000; i++)
        require(weft_new(struct node) != NULL);
    weft_gc();
    require(kept == NULL || is_node(kept, 5));
}

static void *allocate_until_released(void *arg)
{
    weft_root_add(arg, 8);
    while (!released) {
        require(weft_new(struct node) != NULL);
        free(malloc(100));
        weft_root_add(arg, 8);
        weft_root_remove(arg);
        n_ready++;
    }
    return NULL;
}

/* Threads hold every lock there is, again and again; the child has none of them. */
Test(world, a_child_may_collect_when_the_runtime_was_never_started)
{
    enum { THREADS = 3 };
    pthread_t threads[THREADS];
    static void *words[THREADS];
    kept = weft_new(struct node);
    kept->tag = 5;
    kept->check = check_of(5);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, allocate_until_released, &words[i]), 0);
    eventually(n_ready > 100);
    for (int i = 0; i < 100; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            use_collected_memory();
            require(wf_load_relaxed(&wf_threads.n_foreign) == 1);
            if (i % 10 == 0 && !WF_ASAN) { /* whose allocator may have been locked by one of the threads, for ever */
                require(weft_await(weft_async(wf_thread_self)) != NULL); /* it may start a runtime of its own */
                require(weft_stop() == 0);
            }
            _exit(0);
        }
        check_child(child);
        weft_gc();
    }
    released = 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static int nothing(void)
{
    return 1;
}

Test(world, a_child_may_collect_when_the_runtime_was_stopped)
{
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(weft_await(weft_async(nothing)), 1);
        cr_assert_eq(weft_stop(), 0);
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            use_collected_memory();
            require(weft_await(weft_async(nothing)) == 1);
            _exit(0);
        }
        check_child(child);
    }
}

static void *fork_without_weft(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            use_collected_memory();
            _exit(0);
        }
        check_child(child);
    }
    return NULL;
}

Test(world, a_thread_that_never_used_it_may_fork)
{
    pthread_t thread;
    weft_gc();
    cr_assert_eq(pthread_create(&thread, NULL, fork_without_weft, NULL), 0);
    while (pthread_tryjoin_np(thread, NULL) != 0)
        use_collected_memory();
}

/* A thread that waits for the end of the fork at a poll holds a lock that a handler of the program's wants first. */
static pthread_mutex_t handled = PTHREAD_MUTEX_INITIALIZER;
static void lock_handled(void)
{
    pthread_mutex_lock(&handled);
}
static void unlock_handled(void)
{
    pthread_mutex_unlock(&handled);
}

static void *allocate_under_lock(void *arg)
{
    (void)arg;
    while (!released) {
        pthread_mutex_lock(&handled);
        require(weft_new(struct node) != NULL);
        pthread_mutex_unlock(&handled);
        n_ready++;
    }
    return NULL;
}

Test(world, handlers_of_the_program_may_want_locks_under_which_it_allocates)
{
    pthread_t thread;
    pthread_atfork(lock_handled, unlock_handled, unlock_handled);
    cr_assert_eq(pthread_create(&thread, NULL, allocate_under_lock, NULL), 0);
    eventually(n_ready > 10);
    for (int i = 0; i < 100; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        check_child(child);
    }
    released = 1;
    pthread_join(thread, NULL);
}

static void collect_until_released(void)
{
    while (!released) {
        weft_gc();
        n_ready++;
        weft_sleep(WEFT_MS);
    }
    n_good++;
}

/* In the child of a running runtime nothing of weft may be used; it must only not be stopped, and exec. */
Test(world, commands_are_run_while_collections_are_going_on)
{
    extern char **environ;
    char *arguments[] = {(char *)(uintptr_t) "true", NULL};
    weft_go(collect_until_released);
    eventually(n_ready > 2);
    for (int i = 0; i < 15; i++) {
        pid_t child;
        cr_assert_eq(posix_spawnp(&child, "true", NULL, NULL, arguments, environ), 0);
        check_child(child);
        cr_assert_eq(system("exit 0"), 0);
        child = fork();
        if (child == 0) {
            int64_t end = clock_ns() + 2000000;
            while (clock_ns() < end)
                ;
            execlp("true", "true", (char *)NULL);
            _exit(1);
        }
        check_child(child);
        child = vfork();
        if (child == 0) {
            execlp("true", "true", (char *)NULL);
            _exit(1);
        }
        check_child(child);
    }
    released = 1;
    eventually(n_good == 1);
}

/* ---- libraries that come and go ---- */

static void *open_copy(unsigned i)
{
    char path[64], command[512];
    snprintf(path, sizeof(path), "/tmp/weft_tls_%d_%u.so", getpid(), i);
    snprintf(command, sizeof(command), "cp %s %s", getenv("WEFT_TLS_MODULE"), path);
    require(system(command) == 0);
    void *library = dlopen(path, RTLD_NOW);
    if (library == NULL)
        fprintf(stderr, "%s\n", dlerror());
    require(library != NULL);
    unlink(path);
    return library;
}

typedef void **(*place_fn)(void);
static place_fn place_of(void *library, const char *name)
{
    place_fn fn;
    void *symbol = dlsym(library, name);
    memcpy(&fn, &symbol, sizeof(fn));
    require(fn != NULL);
    return fn;
}

enum { COPIES = 24 };
static void *libraries[COPIES];

static void open_copies(void)
{
    for (unsigned i = 0; i < COPIES; i++)
        libraries[i] = open_copy(i);
}

static WF_NOINLINE void put_nodes(bool local)
{
    for (unsigned i = 0; i < COPIES; i++)
        *place_of(libraries[i], local ? "module_local" : "module_static")() = make_node(i);
}

static void *hold_in_many_modules(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < COPIES; i++)
        place_of(libraries[i], "module_local")(); /* they have memory in this thread before it is known */
    put_nodes(true);
    clear_stack();
    n_ready = 1;
    wait_for_release();
    for (unsigned i = 0; i < COPIES; i++)
        require(is_node(*place_of(libraries[i], "module_local")(), i));
    return NULL;
}

Test(world, more_libraries_with_thread_local_variables_than_there_is_room_for)
{
    pthread_t thread;
    if (getenv("WEFT_TLS_MODULE") == NULL)
        cr_skip_test("run by meson test");
    open_copies();
    cr_assert_eq(pthread_create(&thread, NULL, hold_in_many_modules, NULL), 0);
    eventually(n_ready == 1);
    all_live("thread-local");
    released = 1;
    pthread_join(thread, NULL);
}

static void *close_under_it(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < COPIES; i++)
        place_of(libraries[i], "module_local")();
    weft_gc(); /* now it is known where they are */
    for (unsigned i = 0; i < COPIES; i++)
        require(dlclose(libraries[i]) == 0);
    void *again = open_copy(99); /* now the thread's own memory of the others is given back */
    place_of(again, "module_local")();
    for (int i = 0; i < 3; i++)
        weft_gc();
    n_good++;
    return NULL;
}

Test(world, libraries_are_unloaded_that_had_thread_local_variables)
{
    pthread_t thread;
    if (getenv("WEFT_TLS_MODULE") == NULL)
        cr_skip_test("run by meson test");
    open_copies();
    cr_assert_eq(pthread_create(&thread, NULL, close_under_it, NULL), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(n_good, 1);
}

Test(world, static_data_of_libraries_that_come_and_go)
{
    if (getenv("WEFT_TLS_MODULE") == NULL)
        cr_skip_test("run by meson test");
    weft_go(collect_until_released);
    for (int round = 0; round < 5; round++) {
        watched.n = 0;
        open_copies();
        put_nodes(false);
        all_live("static data");
        for (unsigned i = 0; i < COPIES; i++) {
            require(is_node(*place_of(libraries[i], "module_static")(), i));
            dlclose(libraries[i]);
        }
    }
    released = 1;
    eventually(n_good == 1);
}

static int allocate_in_callback(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)info, (void)size, (void)arg;
    for (int i = 0; i < 10; i++)
        require(weft_new(struct node) != NULL);
    weft_gc();
    return 0;
}

static void *iterate(void *arg)
{
    for (int i = 0; i < 50; i++)
        dl_iterate_phdr(allocate_in_callback, arg);
    n_good++;
    return NULL;
}

/* Who calls back holds the loader's lock; a collection wants it too. */
Test(world, callbacks_of_dl_iterate_phdr_may_allocate)
{
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, iterate, NULL), 0);
    while (n_good < 3)
        weft_gc();
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

/* ---- memory of the runtime's own ---- */

Test(world, memory_of_its_own_is_given_out_once_and_used_again)
{
    enum { N = 300 };
    char *pieces[N];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) {
            size_t size = (size_t)(i * i) % 40000 + 1;
            pieces[i] = wf_memory_take(size);
            cr_assert_not_null(pieces[i]);
            cr_assert_eq((uintptr_t)pieces[i] % 16, 0);
            memset(pieces[i], i & 255, size);
        }
        for (int i = 0; i < N; i++) {
            size_t size = (size_t)(i * i) % 40000 + 1;
            for (size_t k = 0; k < size; k++)
                cr_assert_eq((unsigned char)pieces[i][k], i & 255);
            wf_memory_give(pieces[i]);
        }
    }
    void *p = wf_memory_take(100);
    wf_memory_give(p);
    cr_assert_eq(wf_memory_take(100), p);
    wf_memory_give(NULL);
    cr_assert_null(wf_memory_take(SIZE_MAX - 8));
}
