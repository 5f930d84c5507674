/* SPDX-License-Identifier: MIT */
/* config.c - from the environment's text to struct wf_config.
 *
 * One table of variables, one of debug keys: each entry knows how to read its value and how to say what is allowed.
 */
#include "rt/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/compiler.h"
#include "base/env.h"

#define LEAST_STACK ((size_t)16 << 10)
#define MOST_STACK ((size_t)64 << 20)
#define DEFAULT_STACK ((size_t)64 << 10)
#define LEAST_ARENA ((size_t)1 << 20)

enum { MOST_PROCS = 1024, MOST_GC_PERCENT = 1000000, MOST_TRACE_MS = 86400000, MOST_EVERY = 1000000000, EXIT_MALFORMED = 2 };

struct setting {
    const char *name;
    bool (*read)(struct wf_config *c, const char *text);
    const char *allowed;
};

/* ---- values ---- */

static bool is_stack_size(size_t bytes)
{
    return bytes >= LEAST_STACK && bytes <= MOST_STACK && (bytes & (bytes - 1)) == 0;
}

static bool read_bool(bool *ret, const char *text)
{
    uint64_t value;
    if (!wf_env_number(text, 0, 1, &value))
        return false;
    *ret = value == 1;
    return true;
}

static bool read_unsigned(unsigned *ret, const char *text, unsigned least, unsigned most)
{
    uint64_t value;
    if (!wf_env_number(text, least, most, &value))
        return false;
    *ret = (unsigned)value;
    return true;
}

/* ---- variables ---- */

static bool read_procs(struct wf_config *c, const char *text)
{
    return read_unsigned(&c->procs, text, 1, MOST_PROCS);
}

static bool read_stack(struct wf_config *c, const char *text)
{
    return wf_env_size(text, &c->stack_size) && is_stack_size(c->stack_size);
}

static bool read_gc(struct wf_config *c, const char *text)
{
    unsigned percent;
    if (strcmp(text, "off") == 0) {
        c->gc_percent = -1;
        return true;
    }
    if (!read_unsigned(&percent, text, 1, MOST_GC_PERCENT))
        return false;
    c->gc_percent = (int)percent;
    return true;
}

static bool read_memory_limit(struct wf_config *c, const char *text)
{
    if (strcmp(text, "off") == 0) {
        c->memory_limit = 0;
        c->no_memory_hint = true;
        return true;
    }
    return wf_env_size(text, &c->memory_limit) && c->memory_limit > 0;
}

static bool read_io(struct wf_config *c, const char *text)
{
    static const char *const words[] = {[WF_IO_AUTO] = "auto", [WF_IO_URING] = "uring", [WF_IO_EPOLL] = "epoll"};
    unsigned index;
    if (!wf_env_word(text, words, WF_ARRAY_SIZE(words), &index))
        return false;
    c->io = (enum wf_io_choice)index;
    return true;
}

static bool read_simulation(struct wf_config *c, const char *text)
{
    c->simulate = true;
    return wf_env_number(text, 0, UINT64_MAX, &c->seed);
}

/* ---- debug keys ---- */

static bool read_deadlock(struct wf_config *c, const char *text)
{
    static const char *const words[] = {
        [WF_DEADLOCK_REPORT] = "report", [WF_DEADLOCK_OFF] = "off", [WF_DEADLOCK_ERROR] = "error"};
    unsigned index;
    if (!wf_env_word(text, words, WF_ARRAY_SIZE(words), &index))
        return false;
    c->deadlock = (enum wf_deadlock_mode)index;
    return true;
}

static bool read_sched_trace(struct wf_config *c, const char *text)
{
    return read_unsigned(&c->sched_trace_ms, text, 0, MOST_TRACE_MS);
}

static bool read_trace_file(struct wf_config *c, const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length >= sizeof(c->trace_file))
        return false;
    memcpy(c->trace_file, text, length + 1);
    return true;
}

static bool read_dump_signal(struct wf_config *c, const char *text)
{
    return wf_env_signal(text, &c->dump_signal);
}

static bool read_arena(struct wf_config *c, const char *text)
{
    return wf_env_size(text, &c->stack_memory) && c->stack_memory >= LEAST_ARENA;
}

static bool read_membarrier(struct wf_config *c, const char *text)
{
    bool use;
    if (!read_bool(&use, text))
        return false;
    c->no_membarrier = !use;
    return true;
}

static bool read_guard(struct wf_config *c, const char *text)
{
    bool use;
    if (!read_bool(&use, text))
        return false;
    c->no_guard_install = !use;
    return true;
}

static bool read_gc_trace(struct wf_config *c, const char *text)
{
    return read_bool(&c->gc_trace, text);
}
static bool read_gc_verify(struct wf_config *c, const char *text)
{
    return read_bool(&c->gc_verify, text);
}
static bool read_gc_stress(struct wf_config *c, const char *text)
{
    return read_unsigned(&c->gc_stress.alloc_every, text, 0, MOST_EVERY);
}
static bool read_gc_switch(struct wf_config *c, const char *text)
{
    return read_unsigned(&c->gc_stress.switch_every, text, 0, MOST_EVERY);
}
static bool read_gc_leftover(struct wf_config *c, const char *text)
{
    return read_unsigned(&c->gc_stress.leftover_every, text, 0, MOST_EVERY);
}
static bool read_gc_delay(struct wf_config *c, const char *text)
{
    return read_unsigned(&c->gc_stress.delay_every, text, 0, MOST_EVERY);
}
static bool read_gc_poison(struct wf_config *c, const char *text)
{
    return read_bool(&c->gc_stress.poison, text);
}
static bool read_gc_tiny(struct wf_config *c, const char *text)
{
    return read_bool(&c->gc_stress.tiny, text);
}
static bool read_leak(struct wf_config *c, const char *text)
{
    static const char *const words[] = {[WF_LEAK_OFF] = "0", [WF_LEAK_REPORT] = "1", [WF_LEAK_WAKE] = "wake"};
    unsigned index;
    if (!wf_env_word(text, words, WF_ARRAY_SIZE(words), &index))
        return false;
    c->leak = (enum wf_leak_mode)index;
    return true;
}
static bool read_locks(struct wf_config *c, const char *text)
{
    return read_bool(&c->locks, text);
}
static bool read_io_trace(struct wf_config *c, const char *text)
{
    return read_bool(&c->io_trace, text);
}

static const struct setting debug_keys[] = {
    {"arena", read_arena, "a size of at least 1MiB"},
    {"deadlock", read_deadlock, "off, report or error"},
    {"dump", read_dump_signal, "the name of a signal, as SIGUSR1"},
    {"gcdelay", read_gc_delay, "a number from 0 to 1000000000"},
    {"gcleftover", read_gc_leftover, "a number from 0 to 1000000000"},
    {"gcpoison", read_gc_poison, "0 or 1"},
    {"gcstress", read_gc_stress, "a number from 0 to 1000000000"},
    {"gcswitch", read_gc_switch, "a number from 0 to 1000000000"},
    {"gctiny", read_gc_tiny, "0 or 1"},
    {"gctrace", read_gc_trace, "0 or 1"},
    {"gcverify", read_gc_verify, "0 or 1"},
    {"guard", read_guard, "0 or 1"},
    {"io", read_io_trace, "0 or 1"},
    {"leak", read_leak, "0, 1 or wake"},
    {"locks", read_locks, "0 or 1"},
    {"membarrier", read_membarrier, "0 or 1"},
    {"schedtrace", read_sched_trace, "a number of milliseconds, 0 to 86400000"},
    {"trace", read_trace_file, "the name of a file, 1 to 255 bytes"},
};

static WF_COLD _Noreturn void refuse_key(const struct wf_env_pair *pair)
{
    char known[512] = "";
    size_t n = 0;
    for (size_t i = 0; i < WF_ARRAY_SIZE(debug_keys) && n < sizeof(known); i++)
        n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", i > 0 ? ", " : "", debug_keys[i].name);
    wf_message("WEFT_DEBUG: unknown key \"%s\"; it is a list of key=value with the keys %s", pair->key, known);
    _exit(EXIT_MALFORMED);
}

static const struct setting *find_key(const char *name)
{
    for (size_t i = 0; i < WF_ARRAY_SIZE(debug_keys); i++)
        if (strcmp(debug_keys[i].name, name) == 0)
            return &debug_keys[i];
    return NULL;
}

static void read_debug(struct wf_config *c, const char *list)
{
    struct wf_env_pair pair;
    while (wf_env_next_pair(&list, &pair)) {
        const struct setting *key = find_key(pair.key);
        if (key == NULL)
            refuse_key(&pair);
        if (!key->read(c, pair.value)) {
            wf_message("WEFT_DEBUG: %s=%s is not valid: it must be %s", pair.key, pair.value, key->allowed);
            _exit(EXIT_MALFORMED);
        }
    }
}

/* ---- everything ---- */

static const struct setting variables[] = {
    {"WEFT_PROCS", read_procs, "a number from 1 to 1024"},
    {"WEFT_STACK", read_stack, "a power of two from 16KiB to 64MiB, as 64KiB"},
    {"WEFT_GC", read_gc, "a percentage from 1 to 1000000, or off"},
    {"WEFT_MEMLIMIT", read_memory_limit, "a size, as 2GiB, or off"},
    {"WEFT_IO", read_io, "auto, uring or epoll"},
    {"WEFT_SIM", read_simulation, "a number"},
};

static void read_environment(struct wf_config *c)
{
    for (size_t i = 0; i < WF_ARRAY_SIZE(variables); i++) {
        const char *text = getenv(variables[i].name);
        if (text == NULL || *text == '\0' || variables[i].read(c, text))
            continue;
        wf_message("%s=%s is not valid: it must be %s", variables[i].name, text, variables[i].allowed);
        _exit(EXIT_MALFORMED);
    }
    const char *debug = getenv("WEFT_DEBUG");
    if (debug != NULL)
        read_debug(c, debug);
}

static int take_from_user(struct wf_config *c, const weft_config *user)
{
    if (user->procs > MOST_PROCS)
        return -EINVAL;
    if (user->stack_size != 0 && !is_stack_size(user->stack_size))
        return -EINVAL;
    if (user->stack_memory != 0 && user->stack_memory < LEAST_ARENA)
        return -EINVAL;
    c->procs = user->procs != 0 ? user->procs : c->procs;
    c->stack_size = user->stack_size != 0 ? user->stack_size : c->stack_size;
    c->stack_memory = user->stack_memory != 0 ? user->stack_memory : c->stack_memory;
    return 0;
}

static unsigned default_procs(void)
{
    unsigned cpus = wf_env_cpu_affinity(), quota = wf_env_cpu_quota("");
    if (quota != 0 && quota < cpus)
        cpus = quota;
    return cpus < MOST_PROCS ? cpus : MOST_PROCS;
}

int wf_config_load(struct wf_config *ret_config, const weft_config *user)
{
    struct wf_config c = {.stack_size = DEFAULT_STACK, .gc_percent = 100, .deadlock = WF_DEADLOCK_REPORT};
    read_environment(&c);
    int error = user != NULL ? take_from_user(&c, user) : 0;
    if (error != 0)
        return error;
    if (c.procs == 0)
        c.procs = default_procs();
    if (c.memory_limit == 0 && !c.no_memory_hint)
        c.memory_hint = wf_env_memory_limit("");
    *ret_config = c;
    return 0;
}
