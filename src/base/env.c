/* SPDX-License-Identifier: MIT */
/* env.c - parsers for the environment, and the walk through the cgroup file systems.
 *
 * Where the kernel says what a process may use of CPUs and memory:
 *   /proc/self/cgroup   lines "id:controllers:path"; id 0 and no controllers: version 2
 *   v2  <mount><path>/cpu.max            "quota period" or "max period", in every directory up to the mount
 *       <mount><path>/memory.max         bytes or "max"
 *   v1  <mount of cpu><path>/cpu.cfs_quota_us and cpu.cfs_period_us; quota -1: none
 *       <mount of memory><path>/memory.limit_in_bytes
 * In a container the path may be that of the host and not exist below the mount; then the mount itself is what counts,
 * which the walk upwards ends with anyway.
 */
#define _GNU_SOURCE
#include "base/env.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"

/* ---- parsers ---- */

/* Digits at the start of text; *ret_rest is what follows. */
static bool read_digits(const char *text, uint64_t *ret_value, const char **ret_rest)
{
    uint64_t value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(value, 10u, &value) || __builtin_add_overflow(value, (unsigned)(*at - '0'), &value))
            return false;
    *ret_value = value;
    *ret_rest = at;
    return at != text;
}

bool wf_env_number(const char *text, uint64_t least, uint64_t most, uint64_t *ret_value)
{
    uint64_t value;
    const char *rest;
    if (!read_digits(text, &value, &rest) || *rest != '\0' || value < least || value > most)
        return false;
    *ret_value = value;
    return true;
}

bool wf_env_size(const char *text, size_t *ret_bytes)
{
    static const struct {
        const char *suffix;
        unsigned shift;
    } units[] = {{"", 0},     {"B", 0},  {"K", 10},   {"KiB", 10}, {"M", 20},
                 {"MiB", 20}, {"G", 30}, {"GiB", 30}, {"T", 40},   {"TiB", 40}};
    uint64_t value;
    const char *rest;
    if (!read_digits(text, &value, &rest))
        return false;
    for (size_t i = 0; i < WF_ARRAY_SIZE(units); i++) {
        if (strcmp(rest, units[i].suffix) != 0)
            continue;
        if (value > SIZE_MAX >> units[i].shift)
            return false;
        *ret_bytes = (size_t)value << units[i].shift;
        return true;
    }
    return false;
}

bool wf_env_word(const char *text, const char *const *words, size_t n, unsigned *ret_index)
{
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}

/* Those that a program may want to be told something by. */
static const struct {
    const char *name;
    int number;
} signals[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"USR1", SIGUSR1},   {"USR2", SIGUSR2}, {"ALRM", SIGALRM},
    {"TERM", SIGTERM}, {"CHLD", SIGCHLD}, {"CONT", SIGCONT}, {"WINCH", SIGWINCH}, {"IO", SIGIO},     {"PWR", SIGPWR},
};

bool wf_env_signal(const char *text, int *ret_signal)
{
    const char *name = strncmp(text, "SIG", 3) == 0 ? text + 3 : text;
    for (size_t i = 0; i < WF_ARRAY_SIZE(signals); i++) {
        if (strcmp(name, signals[i].name) == 0) {
            *ret_signal = signals[i].number;
            return true;
        }
    }
    return false;
}

static void copy_cut(char *to, size_t size, const char *from, size_t length)
{
    if (length > size - 1)
        length = size - 1;
    memcpy(to, from, length);
    to[length] = '\0';
}

bool wf_env_next_pair(const char **list, struct wf_env_pair *ret_pair)
{
    const char *at = *list;
    if (*at == '\0')
        return false;
    size_t length = strcspn(at, ","), key = strcspn(at, "=,");
    copy_cut(ret_pair->key, sizeof(ret_pair->key), at, key);
    copy_cut(ret_pair->value, sizeof(ret_pair->value), at + key + (key < length), length - key - (key < length));
    *list = at + length + (at[length] == ',');
    return true;
}

/* ---- what cgroups grant ---- */

/* The start of a file as a string. */
static bool read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t length = 0;
    ssize_t n;
    while (length < size - 1 && (n = read(fd, text + length, size - 1 - length)) > 0)
        length += (size_t)n;
    close(fd);
    text[length] = '\0';
    return true;
}

static bool read_in(const char *directory, const char *name, char *text, size_t size)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/%s", directory, name);
    return n > 0 && (size_t)n < sizeof(path) && read_file(path, text, size);
}

/* What a directory of a cgroup grants of a resource; 0: no limit. */
typedef uint64_t grant_fn(const char *directory);

static uint64_t cpus_of(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    long long cpus = quota / period + (quota % period != 0);
    return cpus < INT_MAX ? (uint64_t)cpus : INT_MAX;
}

static uint64_t cpus_v2(const char *directory)
{
    char text[64];
    long long quota, period;
    if (!read_in(directory, "cpu.max", text, sizeof(text)) || sscanf(text, "%lld %lld", &quota, &period) != 2)
        return 0;
    return cpus_of(quota, period);
}

static uint64_t cpus_v1(const char *directory)
{
    char quota[64], period[64];
    if (!read_in(directory, "cpu.cfs_quota_us", quota, sizeof(quota)) ||
        !read_in(directory, "cpu.cfs_period_us", period, sizeof(period)))
        return 0;
    return cpus_of(atoll(quota), atoll(period));
}

/* "max", and what no machine has (version 1 says so many pages as it can count), are no limit. */
static uint64_t bytes_in(const char *directory, const char *name)
{
    char text[64];
    const char *rest;
    uint64_t bytes;
    if (!read_in(directory, name, text, sizeof(text)) || !read_digits(text, &bytes, &rest) || bytes >= UINT64_C(1) << 60)
        return 0;
    return bytes;
}

static uint64_t bytes_v2(const char *directory)
{
    return bytes_in(directory, "memory.max");
}

static uint64_t bytes_v1(const char *directory)
{
    return bytes_in(directory, "memory.limit_in_bytes");
}

static const struct resource {
    grant_fn *v2, *v1;
    const char *controller;
    const char *v1_mounts[2];
} cpu_resource = {cpus_v2, cpus_v1, "cpu", {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"}},
  memory_resource = {bytes_v2, bytes_v1, "memory", {"/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory"}};

static uint64_t least_limit(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* The least of what `directory` and those above it, up to the first `mount_length` bytes, grant. */
static uint64_t walk_up(char *directory, size_t mount_length, grant_fn *grant)
{
    uint64_t least = 0;
    for (;;) {
        least = least_limit(least, grant(directory));
        char *slash = strrchr(directory + mount_length, '/');
        if (slash == NULL)
            return least;
        *slash = '\0';
    }
}

static uint64_t grant_below(const char *root, const char *mount, const char *path, grant_fn *grant)
{
    char directory[PATH_MAX];
    int mount_length = snprintf(directory, sizeof(directory), "%s%s", root, mount);
    int n = snprintf(directory, sizeof(directory), "%s%s%s", root, mount, strcmp(path, "/") == 0 ? "" : path);
    if (n < 0 || (size_t)n >= sizeof(directory))
        return 0;
    return walk_up(directory, (size_t)mount_length, grant);
}

static bool has_controller(const char *controllers, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = controllers; *at != '\0'; at += strcspn(at, ",") + (at[strcspn(at, ",")] == ','))
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    return false;
}

/* One line of /proc/self/cgroup. The places are where every distribution mounts them. */
static uint64_t grant_of_line(const char *root, char *line, const struct resource *resource)
{
    char *controllers = strchr(line, ':');
    char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (path == NULL)
        return 0;
    *controllers++ = '\0';
    *path++ = '\0';
    if (*controllers == '\0')
        return least_limit(grant_below(root, "/sys/fs/cgroup", path, resource->v2),
                           grant_below(root, "/sys/fs/cgroup/unified", path, resource->v2));
    if (!has_controller(controllers, resource->controller))
        return 0;
    return least_limit(grant_below(root, resource->v1_mounts[0], path, resource->v1),
                       grant_below(root, resource->v1_mounts[1], path, resource->v1));
}

static uint64_t granted(const char *root, const struct resource *resource)
{
    int saved = errno;
    char text[8192];
    uint64_t least = 0;
    if (read_in(root, "proc/self/cgroup", text, sizeof(text))) {
        char *rest = NULL;
        for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
            least = least_limit(least, grant_of_line(root, line, resource));
    }
    errno = saved;
    return least;
}

unsigned wf_env_cpu_quota(const char *root)
{
    return (unsigned)granted(root, &cpu_resource);
}

uint64_t wf_env_memory_limit(const char *root)
{
    return granted(root, &memory_resource);
}

unsigned wf_env_cpu_affinity(void)
{
    int saved = errno, count = 0;
    for (int cpus = 1024; count == 0 && cpus <= 1 << 20; cpus *= 4) {
        cpu_set_t *set = CPU_ALLOC((size_t)cpus);
        if (set == NULL)
            break;
        if (sched_getaffinity(0, CPU_ALLOC_SIZE((size_t)cpus), set) == 0)
            count = CPU_COUNT_S(CPU_ALLOC_SIZE((size_t)cpus), set);
        else if (errno != EINVAL) /* EINVAL: the kernel's set is larger */
            cpus = 1 << 20;
        CPU_FREE(set);
    }
    errno = saved;
    return count > 0 ? (unsigned)count : 1;
}
