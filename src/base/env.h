/* SPDX-License-Identifier: MIT */
/* env.h - reads what a person wrote into an environment variable, and how many CPUs the system grants the process.
 *
 * The parsers accept the whole text or nothing: no blanks, no signs, nothing after the value. Callers: rt/config.c.
 */
#ifndef WEFT_BASE_ENV_H
#define WEFT_BASE_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal digits, `least` <= value <= `most`. */
bool wf_env_number(const char *text, uint64_t least, uint64_t most, uint64_t *ret_value);

/* Decimal digits and one of: nothing or B (bytes), K KiB, M MiB, G GiB, T TiB (each a power of 1024). */
bool wf_env_size(const char *text, size_t *ret_bytes);

/* Index of `text` among `n` words. */
bool wf_env_word(const char *text, const char *const *words, size_t n, unsigned *ret_index);

/* "SIGUSR1" or "USR1": a signal that asks for something, not one that reports a fault or cannot be caught. */
bool wf_env_signal(const char *text, int *ret_signal);

/* One "key=value" of a comma-separated list. Cut at the sizes below: both are longer than anything that is valid. */
struct wf_env_pair {
    char key[32];
    char value[256];
};

/* Takes the next pair from *list and moves it on. False: *list is at its end. A part without '=' has an empty value. */
bool wf_env_next_pair(const char **list, struct wf_env_pair *ret_pair);

/* CPUs that the process' cgroup and those above it grant, rounded up; 0: no limit. cgroup v2 (cpu.max) and v1
 * (cpu.cfs_quota_us). `root` stands before every path read: "" for the real ones. */
unsigned wf_env_cpu_quota(const char *root);

/* Bytes that the process' cgroup and those above it grant; 0: no limit. cgroup v2 (memory.max) and v1
 * (memory.limit_in_bytes). */
uint64_t wf_env_memory_limit(const char *root);

/* CPUs that the calling thread may run on, at least 1. */
unsigned wf_env_cpu_affinity(void);

#endif
