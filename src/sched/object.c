/* SPDX-License-Identifier: MIT */
/* object.c - a bump arena; what is handed out stays for the life of the process.
 *
 * The first chunk is small, later ones are 2 MiB, aligned and huge-page backed where the kernel agrees: a page fault
 * for every 4 KiB would cost 20 ns for each 64-byte cell.
 */
#define _GNU_SOURCE
#include "sched/object.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/compiler.h"
#include "base/spinlock.h"
#include "sched/memory.h"
#include "sched/thread.h"
#include "sched/worker.h"

enum { FIRST_CHUNK = 256 << 10, CHUNK = 2 << 20, ALIGN = 64, WORKER_SHARE = 16 << 10 };

static struct {
    struct wf_spinlock lock;
    char *at, *end; /* lock */
    struct wf_object_chunk *chunks; /* lock */
    uint32_t n_chunks, chunks_size;
    uint32_t open; /* lock: of the chunk that `at` is in, once there is one */
} arena;

/* Notes a chunk, for walks over all. In memory of its own: the chunks are all handed out. */
static void note(void *p, size_t size)
{
    static struct wf_object_chunk first[64];
    if (arena.n_chunks == arena.chunks_size) {
        uint32_t more = arena.chunks_size != 0 ? arena.chunks_size * 4 : 64;
        struct wf_object_chunk *chunks = first;
        if (arena.chunks_size != 0) {
            chunks = mmap(NULL, more * sizeof(*chunks), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            WF_CHECK(chunks != MAP_FAILED); /* a few pages for gigabytes of handles */
            memcpy(chunks, arena.chunks, arena.n_chunks * sizeof(*chunks));
        }
        arena.chunks = chunks;
        arena.chunks_size = more;
    }
    arena.chunks[arena.n_chunks++] = (struct wf_object_chunk){p, (char *)p + size};
}

static char *map_huge_chunk(void)
{
    char *p = wf_memory_pages(2 * (size_t)CHUNK);
    if (p == NULL)
        return wf_memory_pages(CHUNK);
    char *aligned = (char *)(((uintptr_t)p + CHUNK - 1) & ~(uintptr_t)(CHUNK - 1));
    wf_lsan_unroot(p, 2 * (size_t)CHUNK);
    wf_lsan_root(aligned, CHUNK);
    if (aligned > p)
        munmap(p, (size_t)(aligned - p));
    munmap(aligned + CHUNK, (size_t)(p + 2 * (size_t)CHUNK - (aligned + CHUNK)));
    madvise(aligned, CHUNK, MADV_HUGEPAGE);
    return aligned;
}

static bool add_chunk_locked(void)
{
    bool first = arena.end == NULL;
    char *chunk = first ? wf_memory_pages(FIRST_CHUNK) : map_huge_chunk();
    if (chunk == NULL)
        return false;
    if (!first)
        arena.chunks[arena.open].high = arena.end;
    arena.open = arena.n_chunks;
    arena.at = chunk;
    arena.end = chunk + (first ? FIRST_CHUNK : CHUNK);
    note(chunk, (size_t)(arena.end - chunk));
    return true;
}

static void *object_alloc(size_t size)
{
    int saved = errno;
    void *p = NULL;
    size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (size >= FIRST_CHUNK / 8) {
        wf_spinlock_lock(&arena.lock);
        p = wf_memory_pages(size);
        if (p != NULL)
            note(p, size);
        wf_spinlock_unlock(&arena.lock);
    } else {
        wf_spinlock_lock(&arena.lock);
        if ((size_t)(arena.end - arena.at) >= size || add_chunk_locked()) {
            p = arena.at;
            arena.at += size;
        }
        wf_spinlock_unlock(&arena.lock);
    }
    errno = saved;
    return p;
}

void *wf_object_alloc(size_t size)
{
    struct wf_thread *thread = wf_thread_self();
    if (thread == NULL || wf_load_relaxed(&thread->in_rt) != 0)
        return object_alloc(size);
    thread = wf_enter(); /* no signal is to stop it with the lock held */
    void *p = object_alloc(size);
    wf_leave(thread);
    return p;
}

void *wf_object_cell(struct wf_worker *worker)
{
    if (worker == NULL)
        return wf_object_alloc(ALIGN);
    if (worker->cells == worker->cells_end) {
        worker->cells = wf_object_alloc(WORKER_SHARE);
        if (worker->cells == NULL) {
            worker->cells_end = NULL;
            return NULL;
        }
        worker->cells_end = worker->cells + WORKER_SHARE;
    }
    void *p = worker->cells;
    worker->cells += ALIGN;
    return p;
}

uint32_t wf_object_chunks(const struct wf_object_chunk **ret_chunks)
{
    if (arena.n_chunks != 0 && arena.end != NULL)
        arena.chunks[arena.open].high = arena.at; /* as far as anything was handed out */
    *ret_chunks = arena.chunks;
    return arena.n_chunks;
}
