/* SPDX-License-Identifier: MIT */
/* routine.c - the slab of routine descriptors.
 *
 * Owns:    one reservation of descriptors, made usable step by step; free ones in workers' lists and one global list.
 * Callers: spawn.c (take, give back), dumps and weft_stop (walks).
 * Locking: `slab.lock` guards the global list and growth; a worker's list is private to it.
 */
#define _GNU_SOURCE
#include "sched/routine.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/spinlock.h"
#include "sched/object.h"
#include "sched/worker.h"
#include "stack/arena.h"

enum { STEP_MIN = 64, STEP_MAX = 4096, MOVE = WF_FREE_ROUTINES / 2 };

static struct {
    struct wf_spinlock lock;
    struct wf_routine *base;
    size_t reserved_bytes;
    uint32_t most;              /* immutable after init */
    uint32_t reserve_slots;     /* stack slots that workers may cache */
    uint32_t n_usable;          /* lock: mapped readable and writable */
    _Atomic uint32_t n_used;    /* lock for writing: descriptors that have ever been handed out */
    struct wf_routine *free;    /* lock: linked by `link` */
} slab;

int wf_routines_init(uint32_t most, uint32_t reserve_slots)
{
    size_t bytes = ((size_t)most * sizeof(struct wf_routine) + 4095) & ~(size_t)4095;
    void *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return -ENOMEM;
    slab.base = p;
    slab.reserved_bytes = bytes;
    slab.most = most;
    slab.reserve_slots = reserve_slots;
    slab.n_usable = 0;
    slab.free = NULL;
    wf_store_relaxed(&slab.n_used, 0);
    return 0;
}

void wf_routines_fini(void)
{
    if (slab.n_usable > 0)
        wf_lsan_unroot(slab.base, slab.n_usable * sizeof(struct wf_routine));
    munmap(slab.base, slab.reserved_bytes);
    slab.base = NULL;
    wf_store_relaxed(&slab.n_used, 0);
}

uint32_t wf_routines_count(void)
{
    return wf_load_acquire(&slab.n_used);
}

struct wf_routine *wf_routine_at(uint32_t index)
{
    return &slab.base[index];
}

/* Makes more descriptors usable, and the stack slots that go with them. */
static bool grow_locked(void)
{
    uint32_t step = slab.n_usable < STEP_MIN ? STEP_MIN : slab.n_usable;
    if (step > STEP_MAX)
        step = STEP_MAX;
    if (step > slab.most - slab.n_usable)
        step = slab.most - slab.n_usable;
    if (step == 0)
        return false;
    uint32_t n = slab.n_usable + step;
    if (wf_arena_grow(n + slab.reserve_slots) != 0)
        return false;
    size_t from = (size_t)slab.n_usable * sizeof(struct wf_routine) & ~(size_t)4095;
    size_t to = ((size_t)n * sizeof(struct wf_routine) + 4095) & ~(size_t)4095;
    if (mprotect((char *)slab.base + from, to - from, PROT_READ | PROT_WRITE) != 0)
        return false;
    if (slab.n_usable > 0)
        wf_lsan_unroot(slab.base, slab.n_usable * sizeof(struct wf_routine));
    wf_lsan_root(slab.base, n * sizeof(struct wf_routine));
    slab.n_usable = n;
    return true;
}

static struct wf_routine *take_locked(void)
{
    struct wf_routine *r = slab.free;
    if (r != NULL) {
        slab.free = r->link;
        return r;
    }
    uint32_t used = wf_load_relaxed(&slab.n_used);
    if (used == slab.n_usable && !grow_locked())
        return NULL;
    wf_store_release(&slab.n_used, used + 1);
    return &slab.base[used];
}

struct wf_routine *wf_routine_alloc_slow(struct wf_worker *worker)
{
    int saved = errno;
    wf_spinlock_lock(&slab.lock);
    struct wf_routine *r = take_locked();
    for (uint32_t i = 0; worker != NULL && r != NULL && i < MOVE; i++) {
        struct wf_routine *more = slab.free != NULL || wf_load_relaxed(&slab.n_used) < slab.n_usable ? take_locked() : NULL;
        if (more == NULL)
            break;
        more->link = worker->free_routines;
        worker->free_routines = more;
        worker->n_free_routines++;
    }
    wf_spinlock_unlock(&slab.lock);
    errno = saved;
    return r;
}

void wf_routine_free(struct wf_worker *worker, struct wf_routine *r)
{
    wf_store_relaxed(&r->id, 0);
    if (worker != NULL && worker->n_free_routines < WF_FREE_ROUTINES) {
        r->link = worker->free_routines;
        worker->free_routines = r;
        worker->n_free_routines++;
        return;
    }
    wf_spinlock_lock(&slab.lock);
    r->link = slab.free;
    slab.free = r;
    for (uint32_t i = 0; worker != NULL && i < MOVE; i++) {
        struct wf_routine *more = worker->free_routines;
        worker->free_routines = more->link;
        worker->n_free_routines--;
        more->link = slab.free;
        slab.free = more;
    }
    wf_spinlock_unlock(&slab.lock);
}

/* ---- extras ---- */

static struct {
    struct wf_spinlock lock;
    struct wf_extra *free; /* lock: linked by own_stack */
} extras;

/* From memory that is never unmapped: a dump may read the name of a routine that is just ending. */
struct wf_extra *wf_routine_extra(struct wf_routine *r)
{
    if (r->extra != NULL)
        return r->extra;
    wf_spinlock_lock(&extras.lock);
    struct wf_extra *extra = extras.free;
    if (extra != NULL)
        extras.free = extra->own_stack;
    wf_spinlock_unlock(&extras.lock);
    if (extra == NULL)
        extra = wf_object_alloc(sizeof(*extra));
    if (extra != NULL)
        *extra = (struct wf_extra){.own_stack = NULL};
    r->extra = extra;
    return extra;
}

void wf_extra_free(struct wf_extra *extra)
{
    free(extra->words);
    free(extra->panic_message);
    wf_spinlock_lock(&extras.lock);
    extra->own_stack = extras.free;
    extras.free = extra;
    wf_spinlock_unlock(&extras.lock);
}
