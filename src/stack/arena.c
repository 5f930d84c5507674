/* SPDX-License-Identifier: MIT */
/* arena.c - reserves the stacks' address space, makes slots usable, keeps the free ones.
 *
 * Owns:    the reservation and the two lists of free slots (memory outside it).
 * Callers: sched: routine slab (grow), stack cache of a worker (take, give), pilot (trim), spawn (own stacks).
 * Locking: `free_slots.lock` for the lists, never held over a system call; growing is serialised by the caller.
 *
 * A million guards by mprotect would need two million mappings; a default Linux allows 65530. MADV_GUARD_INSTALL
 * marks the guard in the page table and needs none: 0.5 us each in batches. Guards are made once per slot, when it
 * becomes usable; MADV_DONTNEED leaves them in place.
 */
#define _GNU_SOURCE
#include "stack/arena.h"

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/spinlock.h"

#if WF_HAVE_VALGRIND
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_STACK_REGISTER(low, high) 0
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif

#define DEFAULT_BYTES ((size_t)256 << 30)
#define LEAST_BYTES ((size_t)1 << 20)
#define CHUNK_BYTES ((size_t)2 << 20)
#define STEP_BYTES ((size_t)64 << 20) /* the most that is made usable without being asked for */

enum { GUARD_BATCH = 512, TRIM_BATCH = 128, MOST_MPROTECT_GUARDS = 20000, DEFAULT_MAP_COUNT = 65530 };

struct wf_arena wf_arena;

/* Slots whose pages may be resident (`warm`: they were used, the last one first), and those whose are not. */
static struct {
    struct wf_spinlock lock;
    uint32_t n_warm, n_cold; /* lock */
    uint32_t *warm, *cold;   /* pointers immutable after init, elements: lock */
} free_slots;

/* Serialised by the callers of init, fini and grow. */
static struct {
    uint32_t n_usable;
    uint32_t guards_left;  /* mappings that may still be spent on guards */
    unsigned *valgrind_id; /* of each usable slot, when running under valgrind */
    size_t tables_size;    /* of the mapping that holds warm, cold and valgrind_id */
} grown;

static _Atomic bool batch_refused; /* process_madvise has failed: a hint */
static _Atomic bool warned;

static size_t bytes_of(uint32_t slots)
{
    return (size_t)slots << wf_arena.slot_shift;
}

static char *slot_start(uint32_t slot)
{
    return wf_arena.base + bytes_of(slot);
}

/* ---- advice for many ranges ---- */

/* Applies the advice to ranges[0..n) in one call if the kernel lets us. Returns how many were done, from the first. */
static unsigned advise_batch(const struct iovec *ranges, unsigned n, int advice)
{
    if (n < 2 || RUNNING_ON_VALGRIND || wf_load_relaxed(&batch_refused)) /* relaxed: a hint */
        return 0;
    /* Not kept open: a fork's child would keep its parent's. */
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (self < 0)
        return 0;
    long result = syscall(SYS_process_madvise, self, ranges, n, advice, 0);
    if (result < 0 && (errno == ENOSYS || errno == EINVAL || errno == EPERM))
        wf_store_relaxed(&batch_refused, true);
    close(self);
    unsigned done = 0;
    size_t advised = result > 0 ? (size_t)result : 0;
    while (done < n && advised >= ranges[done].iov_len)
        advised -= ranges[done++].iov_len;
    return done;
}

/* The same, one by one where need be; stops at the first range that is refused. */
static unsigned advise(const struct iovec *ranges, unsigned n, int advice)
{
    unsigned done = advise_batch(ranges, n, advice);
    while (done < n && madvise(ranges[done].iov_base, ranges[done].iov_len, advice) == 0)
        done++;
    return done;
}

/* ---- guards ---- */

/* Emulators accept advice that they do not know and do nothing; so the guard is tried out: populating it must fail. */
static bool guard_install_works(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return false;
    bool works = madvise(p, page, MADV_GUARD_INSTALL) == 0 && madvise(p, page, MADV_POPULATE_READ) != 0;
    munmap(p, page);
    return works;
}

static unsigned long read_max_map_count(void)
{
    char text[32];
    int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return DEFAULT_MAP_COUNT;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    unsigned long count = strtoul(text, NULL, 10);
    return count > 0 ? count : DEFAULT_MAP_COUNT;
}

/* A guard by mprotect splits a mapping in three; the rest of the process needs some too. */
static uint32_t mprotect_guard_budget(void)
{
    unsigned long third = read_max_map_count() / 3;
    return third < MOST_MPROTECT_GUARDS ? (uint32_t)third : MOST_MPROTECT_GUARDS;
}

static WF_COLD void warn_unguarded(void)
{
    wf_arena.guards_all = false;
    bool expected = false;
    if (wf_cas_relaxed(&warned, &expected, true))
        wf_message("no more guard pages for stacks: vm.max_map_count is %lu and this kernel has no MADV_GUARD_INSTALL; "
                   "further routines run without protection against stack overflow",
                   read_max_map_count());
}

static void guard_by_mprotect(uint32_t slot)
{
    if (grown.guards_left == 0 || mprotect(slot_start(slot), WF_GUARD_SIZE, PROT_NONE) != 0) {
        grown.guards_left = 0;
        warn_unguarded();
        return;
    }
    grown.guards_left--;
}

static void guard_slots(uint32_t first, uint32_t end)
{
    static struct iovec ranges[GUARD_BATCH]; /* not on the stack: a routine's stack may be small */
    while (first < end) {
        uint32_t n = end - first < GUARD_BATCH ? end - first : GUARD_BATCH;
        for (uint32_t i = 0; i < n; i++)
            ranges[i] = (struct iovec){slot_start(first + i), WF_GUARD_SIZE};
        uint32_t done = wf_arena.guard_install ? advise(ranges, n, MADV_GUARD_INSTALL) : 0;
        for (; done < n; done++)
            guard_by_mprotect(first + done);
        first += n;
    }
}

/* ---- the reservation ---- */

static char *reserve(size_t *bytes, size_t least)
{
    for (; *bytes >= least; *bytes /= 2) {
        void *p = mmap(NULL, *bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p != MAP_FAILED)
            return p;
    }
    return NULL;
}

/* At most half of what a limit on the address space allows: the program wants some too. */
static size_t bytes_to_try(size_t slot_size, size_t most_bytes)
{
    struct rlimit limit;
    size_t bytes = most_bytes != 0 ? most_bytes : DEFAULT_BYTES;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && bytes > limit.rlim_cur / 2)
        bytes = limit.rlim_cur / 2;
    if (bytes / slot_size > UINT32_MAX)
        bytes = slot_size * UINT32_MAX;
    size_t least = slot_size > LEAST_BYTES ? slot_size : LEAST_BYTES;
    return bytes < least ? least : bytes;
}

static bool map_tables(uint32_t n_slots)
{
    size_t per_slot = 2 * sizeof(uint32_t) + (RUNNING_ON_VALGRIND ? sizeof(unsigned) : 0);
    grown.tables_size = n_slots * per_slot;
    uint32_t *tables =
        mmap(NULL, grown.tables_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (tables == MAP_FAILED)
        return false;
    free_slots.warm = tables;
    free_slots.cold = tables + n_slots;
    grown.valgrind_id = RUNNING_ON_VALGRIND ? tables + (size_t)2 * n_slots : NULL;
    return true;
}

int wf_arena_init(size_t slot_size, size_t most_bytes, bool force_no_guard_install)
{
    WF_CHECK((slot_size & (slot_size - 1)) == 0);
    WF_CHECK(slot_size > WF_GUARD_SIZE);
    int saved = errno, result = -ENOMEM;
    size_t bytes = bytes_to_try(slot_size, most_bytes);
    char *base = reserve(&bytes, slot_size > LEAST_BYTES ? slot_size : LEAST_BYTES);
    if (base == NULL)
        goto restore_errno;
    if (!map_tables((uint32_t)(bytes / slot_size))) {
        munmap(base, bytes);
        goto restore_errno;
    }
    madvise(base, bytes, MADV_NOHUGEPAGE); /* refused where there are no huge pages: nothing to switch off */
    wf_arena = (struct wf_arena){
        .base = base,
        .slot_size = slot_size,
        .slot_shift = (unsigned)__builtin_ctzl(slot_size),
        .n_slots = (uint32_t)(bytes / slot_size),
        .guard_install = !force_no_guard_install && guard_install_works(),
        .guards_all = true,
    };
    grown.n_usable = 0;
    grown.guards_left = mprotect_guard_budget();
    free_slots.n_warm = free_slots.n_cold = 0;
    result = 0;
restore_errno:
    errno = saved;
    return result;
}

void wf_arena_fini(void)
{
    if (wf_arena.base == NULL)
        return;
    int saved = errno;
    for (uint32_t slot = 0; grown.valgrind_id != NULL && slot < grown.n_usable; slot++)
        VALGRIND_STACK_DEREGISTER(grown.valgrind_id[slot]);
    munmap(wf_arena.base, bytes_of(wf_arena.n_slots));
    munmap(free_slots.warm, grown.tables_size);
    wf_arena = (struct wf_arena){0};
    errno = saved;
}

/* ---- usable slots ---- */

static int make_usable(uint32_t end)
{
    uint32_t first = grown.n_usable;
    if (mprotect(slot_start(first), bytes_of(end - first), PROT_READ | PROT_WRITE) != 0)
        return -ENOMEM;
    guard_slots(first, end);
    for (uint32_t slot = first; grown.valgrind_id != NULL && slot < end; slot++)
        grown.valgrind_id[slot] =
            (unsigned)VALGRIND_STACK_REGISTER(wf_arena_low(slot), slot_start(slot) + wf_arena.slot_size - 1);
    grown.n_usable = end;
    wf_spinlock_lock(&free_slots.lock);
    for (uint32_t slot = end; slot-- > first;) /* the lowest is taken first */
        free_slots.cold[free_slots.n_cold++] = slot;
    wf_spinlock_unlock(&free_slots.lock);
    return 0;
}

static uint32_t round_to_chunk(size_t slots)
{
    size_t chunk = CHUNK_BYTES > wf_arena.slot_size ? CHUNK_BYTES >> wf_arena.slot_shift : 1;
    size_t rounded = (slots + chunk - 1) / chunk * chunk;
    return rounded < wf_arena.n_slots ? (uint32_t)rounded : wf_arena.n_slots;
}

int wf_arena_grow(uint32_t n_slots)
{
    if (n_slots <= grown.n_usable)
        return 0;
    if (n_slots > wf_arena.n_slots)
        return -ENOMEM;
    int saved = errno;
    /* A quarter more than there is, so that a million routines do not come in steps of 32. */
    size_t step = grown.n_usable / 4, most_step = STEP_BYTES >> wf_arena.slot_shift;
    uint32_t enough = round_to_chunk(n_slots);
    uint32_t ample = round_to_chunk(grown.n_usable + (step < most_step ? step : most_step));
    int result = make_usable(ample > enough ? ample : enough);
    if (result != 0 && ample > enough)
        result = make_usable(enough);
    errno = saved;
    return result;
}

static uint32_t pop(uint32_t *out, uint32_t n, const uint32_t *list, uint32_t *length)
{
    uint32_t taken = n < *length ? n : *length;
    for (uint32_t i = 0; i < taken; i++)
        out[i] = list[--*length];
    return taken;
}

uint32_t wf_arena_take(uint32_t *out, uint32_t n)
{
    wf_spinlock_lock(&free_slots.lock);
    uint32_t taken = pop(out, n, free_slots.warm, &free_slots.n_warm);
    taken += pop(out + taken, n - taken, free_slots.cold, &free_slots.n_cold);
    wf_spinlock_unlock(&free_slots.lock);
    return taken;
}

void wf_arena_give(const uint32_t *slots, uint32_t n)
{
    wf_spinlock_lock(&free_slots.lock);
    for (uint32_t i = 0; i < n; i++)
        free_slots.warm[free_slots.n_warm++] = slots[i];
    WF_ASSERT(free_slots.n_warm + free_slots.n_cold <= wf_arena.n_slots);
    wf_spinlock_unlock(&free_slots.lock);
}

/* Takes the slots out of the list meanwhile, so that nobody starts a routine on pages that are about to go. */
static uint32_t trim_some(uint32_t most)
{
    uint32_t slots[TRIM_BATCH];
    struct iovec ranges[TRIM_BATCH];
    wf_spinlock_lock(&free_slots.lock);
    uint32_t n = pop(slots, most < TRIM_BATCH ? most : TRIM_BATCH, free_slots.warm, &free_slots.n_warm);
    wf_spinlock_unlock(&free_slots.lock);
    for (uint32_t i = 0; i < n; i++)
        ranges[i] = (struct iovec){wf_arena_low(slots[i]), wf_arena.slot_size - WF_GUARD_SIZE};
    advise(ranges, n, MADV_DONTNEED);
    wf_spinlock_lock(&free_slots.lock);
    for (uint32_t i = 0; i < n; i++)
        free_slots.cold[free_slots.n_cold++] = slots[i];
    wf_spinlock_unlock(&free_slots.lock);
    return n;
}

uint32_t wf_arena_trim(void)
{
    int saved = errno;
    wf_spinlock_lock(&free_slots.lock);
    uint32_t left = free_slots.n_warm; /* not those that are given meanwhile: it must end */
    wf_spinlock_unlock(&free_slots.lock);
    uint32_t trimmed = 0, n;
    while (left > 0 && (n = trim_some(left)) > 0) {
        trimmed += n;
        left -= n;
    }
    errno = saved;
    return trimmed;
}

bool wf_arena_guard_hit(const void *address, uint32_t *ret_slot)
{
    uintptr_t offset = (uintptr_t)address - (uintptr_t)wf_arena.base;
    if (wf_arena.base == NULL || offset >> wf_arena.slot_shift >= wf_arena.n_slots)
        return false;
    if ((offset & (wf_arena.slot_size - 1)) >= WF_GUARD_SIZE)
        return false;
    *ret_slot = (uint32_t)(offset >> wf_arena.slot_shift);
    return true;
}

/* ---- stacks of their own ---- */

int wf_own_stack_map(size_t size, void **ret_stack)
{
    int saved = errno, result = -ENOMEM;
    void *stack =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stack != MAP_FAILED) {
        madvise(stack, size, MADV_NOHUGEPAGE);
        bool guarded = wf_arena.guard_install && madvise(stack, WF_GUARD_SIZE, MADV_GUARD_INSTALL) == 0;
        if (!guarded && mprotect(stack, WF_GUARD_SIZE, PROT_NONE) != 0)
            warn_unguarded();
        *ret_stack = stack;
        result = 0;
    }
    errno = saved;
    return result;
}

void wf_own_stack_unmap(void *stack, size_t size)
{
    int saved = errno;
    munmap(stack, size);
    errno = saved;
}
