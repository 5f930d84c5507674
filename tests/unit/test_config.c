/* SPDX-License-Identifier: MIT */
/* test_config.c - the environment and weft_config, resolved; malformed text ends the process with one line. */
#include <criterion/criterion.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/env.h"
#include "rt/config.h"

static void clear_environment(void)
{
    static const char *const names[] = {"WEFT_PROCS", "WEFT_STACK", "WEFT_GC",   "WEFT_MEMLIMIT",
                                        "WEFT_IO",    "WEFT_SIM",   "WEFT_DEBUG"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unsetenv(names[i]);
}

TestSuite(config, .init = clear_environment);

static struct wf_config load(void)
{
    struct wf_config c;
    cr_assert_eq(wf_config_load(&c, NULL), 0);
    return c;
}

/* ---- valid ---- */

Test(config, defaults)
{
    struct wf_config c = load();
    unsigned cpus = wf_env_cpu_affinity(), quota = wf_env_cpu_quota("");
    cr_assert_eq(c.procs, quota != 0 && quota < cpus ? quota : cpus);
    cr_assert_eq(c.stack_size, 64 * 1024);
    cr_assert_eq(c.stack_memory, 0);
    cr_assert_eq(c.deadlock, WF_DEADLOCK_REPORT);
    cr_assert_eq(c.gc_percent, 100);
    cr_assert_eq(c.memory_limit, 0);
    cr_assert_eq(c.io, WF_IO_AUTO);
    cr_assert_not(c.simulate || c.locks || c.leak || c.gc_trace || c.no_membarrier || c.no_guard_install);
    cr_assert_eq(c.dump_signal, 0);
}

Test(config, every_variable_is_read)
{
    setenv("WEFT_PROCS", "7", 1);
    setenv("WEFT_STACK", "1MiB", 1);
    setenv("WEFT_GC", "50", 1);
    setenv("WEFT_MEMLIMIT", "2GiB", 1);
    setenv("WEFT_IO", "epoll", 1);
    setenv("WEFT_SIM", "12345678901", 1);
    struct wf_config c = load();
    cr_assert_eq(c.procs, 7);
    cr_assert_eq(c.stack_size, 1 << 20);
    cr_assert_eq(c.gc_percent, 50);
    cr_assert_eq(c.memory_limit, (size_t)2 << 30);
    cr_assert_eq(c.io, WF_IO_EPOLL);
    cr_assert(c.simulate);
    cr_assert_eq(c.seed, 12345678901);
}

Test(config, every_debug_key_is_read)
{
    setenv("WEFT_DEBUG",
           "gctrace=1,schedtrace=1000,deadlock=error,leak=1,trace=out.json,dump=SIGUSR1,locks=1,arena=1GiB,"
           "membarrier=0,guard=0,io=1,gcverify=1,gcstress=3,gcswitch=4,gcleftover=5,gcdelay=6,gcpoison=1,gctiny=1",
           1);
    struct wf_config c = load();
    cr_assert(c.gc_trace && c.leak && c.locks && c.no_membarrier && c.no_guard_install && c.io_trace);
    cr_assert(c.gc_verify && c.gc_stress.poison && c.gc_stress.tiny);
    cr_assert(c.gc_stress.alloc_every == 3 && c.gc_stress.switch_every == 4);
    cr_assert(c.gc_stress.leftover_every == 5 && c.gc_stress.delay_every == 6);
    cr_assert_eq(c.sched_trace_ms, 1000);
    cr_assert_eq(c.deadlock, WF_DEADLOCK_ERROR);
    cr_assert_str_eq(c.trace_file, "out.json");
    cr_assert_eq(c.dump_signal, SIGUSR1);
    cr_assert_eq(c.stack_memory, (size_t)1 << 30);
}

Test(config, the_collector_can_be_switched_off)
{
    setenv("WEFT_GC", "off", 1);
    cr_assert_eq(load().gc_percent, -1);
}

Test(config, an_empty_variable_counts_as_none)
{
    setenv("WEFT_PROCS", "", 1);
    setenv("WEFT_DEBUG", "", 1);
    cr_assert_geq(load().procs, 1);
}

Test(config, the_caller_has_precedence_over_the_environment)
{
    struct wf_config c;
    setenv("WEFT_PROCS", "7", 1);
    setenv("WEFT_STACK", "1MiB", 1);
    cr_assert_eq(wf_config_load(&c, &(weft_config){.procs = 3, .stack_memory = 64 << 20}), 0);
    cr_assert_eq(c.procs, 3);
    cr_assert_eq(c.stack_size, 1 << 20, "a zero field is not set");
    cr_assert_eq(c.stack_memory, 64 << 20);
}

Test(config, impossible_fields_of_the_caller_are_refused)
{
    static const weft_config bad[] = {
        {.procs = 1025},     {.stack_size = 65000}, {.stack_size = 8192}, {.stack_size = (size_t)128 << 20},
        {.stack_memory = 1},
    };
    struct wf_config c = {.procs = 99};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert_eq(wf_config_load(&c, &bad[i]), -EINVAL);
    cr_assert_eq(c.procs, 99, "untouched on failure");
}

/* ---- malformed ---- */

/* In a child: loads, and puts what it wrote on stderr into text. Returns its exit status, -1 if it did not exit. */
static int load_in_child(const char *name, const char *value, char *text, size_t size)
{
    int ends[2], status = 0;
    cr_assert_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        struct wf_config c;
        dup2(ends[1], STDERR_FILENO);
        setenv(name, value, 1);
        _exit(wf_config_load(&c, NULL) == 0 ? 0 : 1);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t n;
    while (length < size - 1 && (n = read(ends[0], text + length, size - 1 - length)) > 0)
        length += (size_t)n;
    text[length] = '\0';
    close(ends[0]);
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect_refusal(const char *name, const char *value, const char *must_name)
{
    char text[1024];
    cr_assert_eq(load_in_child(name, value, text, sizeof(text)), 2, "%s=%s was accepted", name, value);
    cr_assert_not_null(strchr(text, '\n'));
    cr_assert_eq(strchr(text, '\n'), text + strlen(text) - 1, "more than one line: %s", text);
    cr_assert_not_null(strstr(text, name), "the variable is not named: %s", text);
    cr_assert_not_null(strstr(text, must_name), "\"%s\" is missing: %s", must_name, text);
}

Test(config, a_malformed_variable_ends_the_process_with_one_clear_line)
{
    expect_refusal("WEFT_PROCS", "0", "1 to 1024");
    expect_refusal("WEFT_PROCS", "1025", "1025");
    expect_refusal("WEFT_PROCS", "four", "four");
    expect_refusal("WEFT_STACK", "8KiB", "16KiB");
    expect_refusal("WEFT_STACK", "65000", "power of two");
    expect_refusal("WEFT_STACK", "128MiB", "64MiB");
    expect_refusal("WEFT_GC", "0", "off");
    expect_refusal("WEFT_GC", "100%", "100%");
    expect_refusal("WEFT_MEMLIMIT", "lots", "2GiB");
    expect_refusal("WEFT_IO", "iocp", "auto, uring or epoll");
    expect_refusal("WEFT_SIM", "seed", "number");
}

Test(config, leak_may_wake)
{
    setenv("WEFT_DEBUG", "leak=wake", 1);
    cr_assert_eq(load().leak, WF_LEAK_WAKE);
    setenv("WEFT_DEBUG", "leak=0", 1);
    cr_assert_eq(load().leak, WF_LEAK_OFF);
}

Test(config, a_malformed_debug_value_names_its_key_and_what_is_allowed)
{
    expect_refusal("WEFT_DEBUG", "deadlock=maybe", "off, report or error");
    expect_refusal("WEFT_DEBUG", "locks=2", "locks=2");
    expect_refusal("WEFT_DEBUG", "leak=2", "0, 1 or wake");
    expect_refusal("WEFT_DEBUG", "locks=1,dump=SIGNONE", "SIGNONE");
    expect_refusal("WEFT_DEBUG", "schedtrace=", "schedtrace");
    expect_refusal("WEFT_DEBUG", "arena=1K", "1MiB");
    expect_refusal("WEFT_DEBUG", "gcstress=-1", "0 to 1000000000");
    expect_refusal("WEFT_DEBUG", "gcswitch=often", "gcswitch=often");
    expect_refusal("WEFT_DEBUG", "gcpoison=2", "0 or 1");
    expect_refusal("WEFT_DEBUG", "gctiny=", "gctiny");
    expect_refusal("WEFT_DEBUG", "gcleftover=2k", "gcleftover");
    expect_refusal("WEFT_DEBUG", "gcdelay=1.5", "gcdelay");
    expect_refusal("WEFT_DEBUG", "trace=", "file");
}

Test(config, an_unknown_debug_key_is_refused_with_the_known_ones)
{
    expect_refusal("WEFT_DEBUG", "lock=1", "schedtrace");
    expect_refusal("WEFT_DEBUG", "locks=1,,leak=1", "unknown key \"\"");
}
