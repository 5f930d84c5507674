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
#include <sys/mman.h>

#include "base/assert.h"
#include "base/spinlock.h"
#include "sched/memory.h"
#include "sched/object.h"
#include "sched/worker.h"
#include "stack/arena.h"

enum { STEP_MIN = 64, STEP_MAX = 4096, PAGE_BYTES = 4096, HUGE_BYTES = 2 << 20 };

uint32_t wf_free_batch;

static struct {
    struct wf_spinlock lock;
    struct wf_routine *base;
    void *mapping; /* immutable after init, as the following */
    size_t mapping_bytes;
    size_t reserved_bytes;
    size_t mapped_bytes;     /* lock: readable and writable */
    uint32_t most;           /* lock; descriptors and reserved slots together are what the arena has */
    uint32_t reserve_slots;  /* lock: stack slots that workers may cache */
    uint32_t borrowed_slots; /* lock: those that coroutines have */
    uint32_t n_usable;       /* lock: mapped readable and writable */
    _Atomic uint32_t n_used; /* lock for writing: descriptors that have ever been handed out */
    /* lock: batches of wf_free_batch free descriptors, each linked by `link`; the first ones of batches by `waits_on` */
    struct wf_routine *batches;
    struct wf_routine *loose; /* lock: free ones that are in no batch */
} slab;

int wf_routines_init(uint32_t most, uint32_t reserve_slots, uint32_t n_workers)
{
    size_t bytes = ((size_t)most * sizeof(struct wf_routine) + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
    char *p = mmap(NULL, bytes + HUGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return -ENOMEM;
    slab.mapping = p;
    slab.mapping_bytes = bytes + HUGE_BYTES;
    slab.base = (struct wf_routine *)(((uintptr_t)p + HUGE_BYTES - 1) & ~(uintptr_t)(HUGE_BYTES - 1));
    slab.reserved_bytes = bytes;
    slab.mapped_bytes = 0;
    if (bytes > HUGE_BYTES)
        madvise((char *)slab.base + HUGE_BYTES, bytes - HUGE_BYTES, MADV_HUGEPAGE);
    uint32_t fair = most / (4 * n_workers);
    wf_free_batch = fair < 1 ? 1 : fair > WF_FREE_BATCH_MOST ? WF_FREE_BATCH_MOST : fair;
    slab.most = most;
    slab.reserve_slots = reserve_slots;
    slab.borrowed_slots = 0;
    slab.n_usable = 0;
    slab.batches = NULL;
    slab.loose = NULL;
    wf_store_relaxed(&slab.n_used, 0);
    return 0;
}

int wf_routines_reserve(uint32_t slots)
{
    int error = -ENOMEM;
    wf_spinlock_lock(&slab.lock);
    uint32_t taken = slab.n_usable + slab.reserve_slots + slab.borrowed_slots;
    if (slab.most - slab.n_usable >= slots && taken + slots <= wf_arena.n_slots && wf_arena_grow(taken + slots) == 0) {
        slab.most -= slots;
        slab.reserve_slots += slots;
        error = 0;
    }
    wf_spinlock_unlock(&slab.lock);
    return error;
}

void wf_routines_fini(void)
{
    if (slab.n_usable > 0)
        wf_lsan_unroot(slab.base, slab.n_usable * sizeof(struct wf_routine));
    munmap(slab.mapping, slab.mapping_bytes);
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

/* Beyond the first 2 MiB the slab is mapped in huge pages where the kernel agrees: a million descriptors otherwise cost
 * a page fault for every ten, and a TLB miss for each. */
static bool map_up_to(size_t bytes)
{
    if (bytes <= slab.mapped_bytes)
        return true;
    size_t unit = bytes <= HUGE_BYTES ? PAGE_BYTES : HUGE_BYTES;
    size_t to = (bytes + unit - 1) & ~(unit - 1);
    if (to > slab.reserved_bytes)
        to = slab.reserved_bytes;
    char *from = (char *)slab.base + slab.mapped_bytes;
    if (mprotect(from, to - slab.mapped_bytes, PROT_READ | PROT_WRITE) != 0)
        return false;
    slab.mapped_bytes = to;
    return true;
}

/* Makes more descriptors usable, and the stack slots that go with them. */
static bool grow_locked(void)
{
    uint32_t step = slab.n_usable < STEP_MIN ? STEP_MIN : slab.n_usable;
    if (step > STEP_MAX)
        step = STEP_MAX;
    uint32_t most = wf_arena.n_slots - slab.reserve_slots - slab.borrowed_slots;
    if (most > slab.most)
        most = slab.most;
    if (step > most - slab.n_usable)
        step = most - slab.n_usable;
    if (step == 0)
        return false;
    uint32_t n = slab.n_usable + step;
    if (wf_arena_grow(n + slab.reserve_slots + slab.borrowed_slots) != 0)
        return false;
    if (!map_up_to((size_t)n * sizeof(struct wf_routine)))
        return false;
    if (slab.n_usable > 0)
        wf_lsan_unroot(slab.base, slab.n_usable * sizeof(struct wf_routine));
    wf_lsan_root(slab.base, n * sizeof(struct wf_routine));
    slab.n_usable = n;
    return true;
}

static struct wf_routine *take_one_locked(void)
{
    struct wf_routine *r = slab.loose;
    if (r != NULL) {
        slab.loose = r->link;
        return r;
    }
    uint32_t used = wf_load_relaxed(&slab.n_used);
    if (used == slab.n_usable && !grow_locked())
        return NULL;
    wf_store_release(&slab.n_used, used + 1);
    return &slab.base[used];
}

static struct wf_routine *take_batch_locked(void)
{
    struct wf_routine *batch = slab.batches;
    if (batch != NULL)
        slab.batches = (struct wf_routine *)(uintptr_t)wf_load_relaxed(&batch->waits_on);
    return batch;
}

/* One, and for a worker some more into its list: a batch given back by another, or fresh ones as far as they are usable
 * already. */
static struct wf_routine *refill_locked(struct wf_worker *worker)
{
    struct wf_routine *r = worker != NULL ? take_batch_locked() : NULL;
    if (r != NULL) {
        worker->free_routines = r->link;
        worker->n_free_routines = wf_free_batch - 1;
        return r;
    }
    r = take_one_locked();
    if (r == NULL && (r = take_batch_locked()) != NULL) { /* a plain thread, and there are no others */
        slab.loose = r->link;
        return r;
    }
    for (uint32_t i = 1; worker != NULL && r != NULL && i < wf_free_batch; i++) {
        if (slab.loose == NULL && wf_load_relaxed(&slab.n_used) == slab.n_usable)
            break;
        struct wf_routine *more = take_one_locked();
        more->link = worker->free_routines;
        worker->free_routines = more;
        worker->n_free_routines++;
    }
    return r;
}

struct wf_routine *wf_routine_alloc_slow(struct wf_worker *worker)
{
    struct wf_routine *r;
    if (worker != NULL && worker->full_batch != NULL) {
        r = worker->full_batch;
        worker->full_batch = NULL;
        worker->free_routines = r->link;
        worker->n_free_routines = wf_free_batch - 1;
        return r;
    }
    int saved = errno;
    wf_spinlock_lock(&slab.lock);
    r = refill_locked(worker);
    wf_spinlock_unlock(&slab.lock);
    wf_compiler_barrier();
    errno = saved;
    return r;
}

/* The worker's list is a full batch: it is kept as such, and the one that was is given to all. */
static WF_NOINLINE void batch_is_full(struct wf_worker *worker)
{
    struct wf_routine *batch = worker->full_batch;
    worker->full_batch = worker->free_routines;
    worker->free_routines = NULL;
    worker->n_free_routines = 0;
    if (batch == NULL)
        return;
    wf_spinlock_lock(&slab.lock);
    wf_store_relaxed(&batch->waits_on, (uint64_t)(uintptr_t)slab.batches);
    slab.batches = batch;
    wf_spinlock_unlock(&slab.lock);
}

void wf_routine_free(struct wf_worker *worker, struct wf_routine *r)
{
    wf_store_relaxed(&r->id, 0);
    if (WF_LIKELY(worker != NULL)) {
        r->link = worker->free_routines;
        worker->free_routines = r;
        if (++worker->n_free_routines == wf_free_batch)
            batch_is_full(worker);
        return;
    }
    wf_spinlock_lock(&slab.lock);
    r->link = slab.loose;
    slab.loose = r;
    wf_spinlock_unlock(&slab.lock);
}

/* ---- slots without a descriptor ---- */

/* Slots taken <= n_usable (routines) + reserve_slots (caches) + borrowed_slots <= slots grown; so whoever is counted
 * here finds one, and takes none that a descriptor counts on. */
bool wf_slot_borrow(uint32_t *ret_slot)
{
    int saved = errno;
    wf_spinlock_lock(&slab.lock);
    uint32_t n = slab.n_usable + slab.reserve_slots + slab.borrowed_slots + 1;
    bool found = n <= wf_arena.n_slots && wf_arena_grow(n) == 0;
    slab.borrowed_slots += found;
    wf_spinlock_unlock(&slab.lock);
    wf_compiler_barrier();
    errno = saved;
    if (found)
        WF_CHECK(wf_arena_take(ret_slot, 1) == 1);
    return found;
}

void wf_slot_return(uint32_t slot)
{
    wf_arena_give(&slot, 1);
    wf_spinlock_lock(&slab.lock);
    slab.borrowed_slots--;
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
    wf_memory_give(extra->words);
    wf_memory_give(extra->panic_message);
    wf_memory_give(extra->locals);
    wf_spinlock_lock(&extras.lock);
    extra->own_stack = extras.free;
    extras.free = extra;
    wf_spinlock_unlock(&extras.lock);
}
