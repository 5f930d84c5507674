/* SPDX-License-Identifier: MIT */
/* object.c - a bump arena of 2 MiB chunks; what is handed out stays for the life of the process. */
#define _GNU_SOURCE
#include "sched/object.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/spinlock.h"
#include "base/compiler.h"

enum { CHUNK = 2 << 20, ALIGN = 64 };

static struct {
    struct wf_spinlock lock;
    char *at, *end; /* lock */
} arena;

static void *map(size_t size)
{
    int saved = errno;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    errno = saved;
    return p == MAP_FAILED ? NULL : p;
}

void *wf_object_alloc(size_t size)
{
    size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (size >= CHUNK / 8)
        return map(size);
    wf_spinlock_lock(&arena.lock);
    if ((size_t)(arena.end - arena.at) < size) {
        char *chunk = map(CHUNK);
        if (chunk == NULL) {
            wf_spinlock_unlock(&arena.lock);
            return NULL;
        }
        arena.at = chunk;
        arena.end = chunk + CHUNK;
    }
    void *p = arena.at;
    arena.at += size;
    wf_spinlock_unlock(&arena.lock);
    return p;
}
