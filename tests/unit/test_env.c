/* SPDX-License-Identifier: MIT */
/* test_env.c - what the parsers accept, and the CPU limits of made-up cgroup trees. */
#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/env.h"

/* ---- numbers ---- */

Test(env, a_number_within_its_limits_is_read)
{
    uint64_t n = 0;
    cr_assert(wf_env_number("17", 1, 1024, &n));
    cr_assert_eq(n, 17);
    cr_assert(wf_env_number("1", 1, 1024, &n));
    cr_assert(wf_env_number("1024", 1, 1024, &n));
    cr_assert(wf_env_number("18446744073709551615", 0, UINT64_MAX, &n));
    cr_assert_eq(n, UINT64_MAX);
}

Test(env, what_is_no_number_is_refused_and_leaves_the_result_alone)
{
    static const char *const bad[] = {"",  " 1",  "1 ", "+1", "-1", "0x10", "1e3", "1.5", "one", "18446744073709551616",
                                      "0", "1025"};
    uint64_t n = 99;
    for (size_t i = 0; i < WF_ARRAY_SIZE(bad); i++)
        cr_assert_not(wf_env_number(bad[i], 1, 1024, &n), "\"%s\" was accepted", bad[i]);
    cr_assert_eq(n, 99);
}

Test(env, sizes_have_binary_suffixes)
{
    static const struct {
        const char *text;
        size_t bytes;
    } good[] = {{"0", 0},
                {"512", 512},
                {"512B", 512},
                {"64K", 65536},
                {"64KiB", 65536},
                {"1M", 1048576},
                {"1MiB", 1048576},
                {"2G", (size_t)2 << 30},
                {"2GiB", (size_t)2 << 30},
                {"1TiB", (size_t)1 << 40}};
    for (size_t i = 0; i < WF_ARRAY_SIZE(good); i++) {
        size_t bytes = 99;
        cr_assert(wf_env_size(good[i].text, &bytes), "\"%s\" was refused", good[i].text);
        cr_assert_eq(bytes, good[i].bytes);
    }
}

Test(env, what_is_no_size_is_refused)
{
    static const char *const bad[] = {"",     "K",      "KiB", "64 K", "64kb",
                                      "64KB", "64KiBs", "-1K", "1.5M", "99999999999999G"};
    size_t bytes = 99;
    for (size_t i = 0; i < WF_ARRAY_SIZE(bad); i++)
        cr_assert_not(wf_env_size(bad[i], &bytes), "\"%s\" was accepted", bad[i]);
    cr_assert_eq(bytes, 99);
}

Test(env, signals_have_names_with_and_without_sig)
{
    int signal = 0;
    cr_assert(wf_env_signal("SIGUSR1", &signal));
    cr_assert_eq(signal, SIGUSR1);
    cr_assert(wf_env_signal("QUIT", &signal));
    cr_assert_eq(signal, SIGQUIT);
    cr_assert_not(wf_env_signal("SIGKILL", &signal));
    cr_assert_not(wf_env_signal("SIGSEGV", &signal));
    cr_assert_not(wf_env_signal("SIG", &signal));
    cr_assert_not(wf_env_signal("", &signal));
}

/* ---- lists ---- */

static void expect_pair(const char **list, const char *key, const char *value)
{
    struct wf_env_pair pair;
    cr_assert(wf_env_next_pair(list, &pair));
    cr_assert_str_eq(pair.key, key);
    cr_assert_str_eq(pair.value, value);
}

Test(env, a_list_is_cut_into_its_pairs)
{
    const char *list = "a=1,bb=x=y,flag,,last=";
    struct wf_env_pair pair;
    expect_pair(&list, "a", "1");
    expect_pair(&list, "bb", "x=y");
    expect_pair(&list, "flag", "");
    expect_pair(&list, "", "");
    expect_pair(&list, "last", "");
    cr_assert_not(wf_env_next_pair(&list, &pair));
}

Test(env, an_overlong_pair_is_cut)
{
    char text[2000];
    const char *list = text;
    struct wf_env_pair pair;
    memset(text, 'k', 999);
    text[999] = '=';
    memset(text + 1000, 'v', 999);
    text[1999] = '\0';
    cr_assert(wf_env_next_pair(&list, &pair));
    cr_assert_eq(strlen(pair.key), sizeof(pair.key) - 1);
    cr_assert_eq(strlen(pair.value), sizeof(pair.value) - 1);
}

/* ---- CPUs ---- */

static char root[] = "/tmp/weft-test-env-XXXXXX";

static void make_root(void)
{
    cr_assert_not_null(mkdtemp(root));
}

static void remove_root(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", root);
    cr_assert_eq(system(command), 0);
}

/* Writes root/path, making its directories. */
static void put_file(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof(full), "%s%s", root, path);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(full, 0700);
        *slash = '/';
    }
    FILE *f = fopen(full, "w");
    cr_assert_not_null(f);
    fputs(text, f);
    fclose(f);
}

TestSuite(cgroup, .init = make_root, .fini = remove_root);

Test(cgroup, without_cgroups_there_is_no_limit)
{
    cr_assert_eq(wf_env_cpu_quota(root), 0);
}

Test(cgroup, v2_quota_is_rounded_up)
{
    put_file("/proc/self/cgroup", "0::/app\n");
    put_file("/sys/fs/cgroup/app/cpu.max", "250000 100000\n");
    cr_assert_eq(wf_env_cpu_quota(root), 3);
}

Test(cgroup, v2_less_than_one_cpu_is_one)
{
    put_file("/proc/self/cgroup", "0::/app\n");
    put_file("/sys/fs/cgroup/app/cpu.max", "10000 100000\n");
    cr_assert_eq(wf_env_cpu_quota(root), 1);
}

Test(cgroup, v2_max_is_no_limit)
{
    put_file("/proc/self/cgroup", "0::/app\n");
    put_file("/sys/fs/cgroup/app/cpu.max", "max 100000\n");
    cr_assert_eq(wf_env_cpu_quota(root), 0);
}

Test(cgroup, v2_the_tightest_directory_up_to_the_mount_counts)
{
    put_file("/proc/self/cgroup", "0::/outer/middle/inner\n");
    put_file("/sys/fs/cgroup/outer/middle/inner/cpu.max", "800000 100000\n");
    put_file("/sys/fs/cgroup/outer/middle/cpu.max", "max 100000\n");
    put_file("/sys/fs/cgroup/outer/cpu.max", "200000 100000\n");
    cr_assert_eq(wf_env_cpu_quota(root), 2);
}

Test(cgroup, v2_a_container_sees_its_own_limit_at_the_mount)
{
    put_file("/proc/self/cgroup", "0::/host/path/not/mounted/here\n");
    put_file("/sys/fs/cgroup/cpu.max", "400000 100000\n");
    cr_assert_eq(wf_env_cpu_quota(root), 4);
}

Test(cgroup, memory_v2_the_tightest_counts_and_max_is_none)
{
    cr_assert_eq(wf_env_memory_limit(root), 0);
    put_file("/proc/self/cgroup", "0::/outer/inner\n");
    put_file("/sys/fs/cgroup/outer/inner/memory.max", "max\n");
    cr_assert_eq(wf_env_memory_limit(root), 0);
    put_file("/sys/fs/cgroup/outer/memory.max", "536870912\n");
    put_file("/sys/fs/cgroup/memory.max", "1073741824\n");
    cr_assert_eq(wf_env_memory_limit(root), 512 << 20);
}

Test(cgroup, memory_v1_says_so_much_for_none)
{
    put_file("/proc/self/cgroup", "7:memory:/app\n3:cpu,cpuacct:/app\n");
    put_file("/sys/fs/cgroup/memory/app/memory.limit_in_bytes", "9223372036854771712\n");
    cr_assert_eq(wf_env_memory_limit(root), 0);
    put_file("/sys/fs/cgroup/memory/app/memory.limit_in_bytes", "104857600\n");
    cr_assert_eq(wf_env_memory_limit(root), 100 << 20);
}

Test(cgroup, v2_root_group_is_the_mount)
{
    put_file("/proc/self/cgroup", "0::/\n");
    put_file("/sys/fs/cgroup/cpu.max", "150000 100000\n");
    cr_assert_eq(wf_env_cpu_quota(root), 2);
}

Test(cgroup, v1_quota_and_period)
{
    put_file("/proc/self/cgroup", "9:name=systemd:/\n4:cpu,cpuacct:/job\n2:memory:/other\n");
    put_file("/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "350000\n");
    put_file("/sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
    cr_assert_eq(wf_env_cpu_quota(root), 4);
}

Test(cgroup, v1_minus_one_is_no_limit)
{
    put_file("/proc/self/cgroup", "1:cpu:/\n");
    put_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put_file("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    cr_assert_eq(wf_env_cpu_quota(root), 0);
}

Test(cgroup, v1_other_controllers_are_not_looked_at)
{
    put_file("/proc/self/cgroup", "3:cpuset:/job\n2:cpuacct:/job\n");
    put_file("/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "100000\n");
    put_file("/sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
    cr_assert_eq(wf_env_cpu_quota(root), 0);
}

Test(cgroup, nonsense_is_no_limit)
{
    put_file("/proc/self/cgroup", "nonsense\n0:\n:::\n0::/a\n\n");
    put_file("/sys/fs/cgroup/a/cpu.max", "lots of it\n");
    cr_assert_eq(wf_env_cpu_quota(root), 0);
}

Test(env, at_least_one_cpu_is_allowed)
{
    cr_assert_geq(wf_env_cpu_affinity(), 1);
    cr_assert_leq(wf_env_cpu_affinity(), (unsigned)sysconf(_SC_NPROCESSORS_CONF));
}
