/* SPDX-License-Identifier: MIT */
/* memory.c - see memory.h.
 *
 * Owns:    `memory`: a free list for each power of two, and the rest of the latest chunk. Chunks are never unmapped.
 * Locking: `memory.lock`.
 */
#define _GNU_SOURCE
#include "sched/memory.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/compiler.h"
#include "sched/thread.h"

enum { LEAST_SHIFT = 6, LARGE_SHIFT = 14, N_SIZES = LARGE_SHIFT - LEAST_SHIFT + 1 };
enum { CHUNK_BYTES = 256 << 10, SMALL_CHUNK_BYTES = 32 << 10 };

/* Stands before every piece, and keeps its alignment. */
struct head {
    size_t bytes;      /* of the whole piece */
    struct head *next; /* memory.lock: free ones */
};

static struct {
    struct wf_spinlock lock;
    struct head *free[N_SIZES]; /* lock */
    char *at, *end;             /* lock */
} memory;

void *wf_memory_pages(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    wf_lsan_root(p, bytes);
    return p;
}

static struct head *take_large(size_t bytes)
{
    bytes = (bytes + 4095) & ~(size_t)4095;
    struct head *h = wf_memory_pages(bytes);
    if (h != NULL)
        h->bytes = bytes;
    return h;
}

/* The first is not mapped: a program near its limits can still say so. */
static bool add_chunk_locked(void)
{
    static _Alignas(64) char first[SMALL_CHUNK_BYTES];
    size_t bytes = memory.end == NULL ? SMALL_CHUNK_BYTES : CHUNK_BYTES;
    char *chunk = memory.end == NULL ? first : wf_memory_pages(bytes);
    if (chunk == NULL)
        chunk = wf_memory_pages(bytes = SMALL_CHUNK_BYTES);
    if (chunk == NULL)
        return false;
    memory.at = chunk;
    memory.end = chunk + bytes;
    return true;
}

static struct head *take_locked(unsigned shift)
{
    struct head *h = memory.free[shift - LEAST_SHIFT];
    size_t bytes = (size_t)1 << shift;
    if (h != NULL) {
        memory.free[shift - LEAST_SHIFT] = h->next;
        return h;
    }
    if ((size_t)(memory.end - memory.at) < bytes) { /* what is left of it is not worth a thought */
        if (!add_chunk_locked())
            return NULL;
    }
    h = (struct head *)(void *)memory.at;
    memory.at += bytes;
    h->bytes = bytes;
    return h;
}

static struct head *take(size_t bytes)
{
    unsigned shift = LEAST_SHIFT;
    while (shift <= LARGE_SHIFT && ((size_t)1 << shift) < bytes)
        shift++;
    if (shift > LARGE_SHIFT)
        return take_large(bytes);
    wf_spinlock_lock(&memory.lock);
    struct head *h = take_locked(shift);
    wf_spinlock_unlock(&memory.lock);
    return h;
}

static void give(struct head *h)
{
    if (h->bytes > (size_t)1 << LARGE_SHIFT) {
        wf_lsan_unroot(h, h->bytes);
        munmap(h, h->bytes);
        return;
    }
    /* The first chunk is static data, which the collector searches: no old pointers. Who still uses it is to notice. */
    memset(h + 1, WF_DEBUG_LEVEL >= 1 ? 0xdb : 0, h->bytes - sizeof(*h));
    unsigned size = (unsigned)__builtin_ctzl(h->bytes) - LEAST_SHIFT;
    wf_spinlock_lock(&memory.lock);
    h->next = memory.free[size];
    memory.free[size] = h;
    wf_spinlock_unlock(&memory.lock);
}

/* No signal is to stop the calling thread with the lock held. NULL: there is nothing to leave. */
static struct wf_thread *enter_if_outside(void)
{
    struct wf_thread *thread = wf_thread_self();
    return thread == NULL || wf_load_relaxed(&thread->in_rt) != 0 ? NULL : wf_enter();
}

void *wf_memory_take(size_t size)
{
    if (size > PTRDIFF_MAX)
        return NULL;
    int saved = errno;
    struct wf_thread *entered = enter_if_outside();
    struct head *h = take(size + sizeof(*h));
    if (entered != NULL)
        wf_leave(entered);
    errno = saved;
    return h != NULL ? h + 1 : NULL;
}

void wf_memory_give(void *p)
{
    if (p == NULL)
        return;
    int saved = errno;
    struct wf_thread *entered = enter_if_outside();
    give((struct head *)p - 1);
    if (entered != NULL)
        wf_leave(entered);
    errno = saved;
}

char *wf_memory_text(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = wf_memory_take(size);
    return copy != NULL ? memcpy(copy, text, size) : NULL;
}

void wf_memory_lock(void)
{
    wf_spinlock_lock(&memory.lock);
}

void wf_memory_unlock(void)
{
    wf_spinlock_unlock(&memory.lock);
}
