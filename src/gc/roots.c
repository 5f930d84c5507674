/* SPDX-License-Identifier: MIT */
/* roots.c - see roots.h; and the table of registered ranges.
 *
 * Owns:    the table: open addressing by the address, 16 bytes an entry, half full at most, in mappings of its own.
 * Locking: `table.lock`; the collector reads it with the world stopped. Users are inside the runtime while they hold it.
 */
#define _GNU_SOURCE
#include "gc/roots.h"

#include <errno.h>
#include <link.h>
#include <string.h>
#include <weft/gc.h>

#include "gc/mark.h"
#include "gc/memory.h"
#include "sched/hooks.h"
#include "sched/object.h"

struct range {
    uintptr_t address; /* 0: free; GONE: was used */
    size_t size;
};
enum { GONE = 1, LEAST_ENTRIES = 256 };

static struct {
    struct wf_spinlock lock;
    struct range *entries; /* lock, as the following */
    size_t n_entries;      /* a power of two, or 0 */
    size_t n_used;         /* not free: ranges and those gone */
    size_t n_ranges;
} table;

/* ---- registered ranges ---- */

/* Where the address is, or would be put. */
static struct range *find(struct range *entries, size_t n, uintptr_t address)
{
    struct range *gone = NULL;
    for (size_t i = (address * UINT64_C(0x9e3779b97f4a7c15)) >> 20;; i++) {
        struct range *r = &entries[i & (n - 1)];
        if (r->address == address)
            return r;
        if (r->address == GONE && gone == NULL)
            gone = r;
        if (r->address == 0)
            return gone != NULL ? gone : r;
    }
}

static bool grow_locked(void)
{
    size_t n = table.n_entries == 0 ? LEAST_ENTRIES : table.n_ranges * 4 > table.n_entries ? table.n_entries * 2 : table.n_entries;
    struct range *entries = wf_memory_map(n * sizeof(*entries));
    if (entries == NULL)
        return false;
    for (size_t i = 0; i < table.n_entries; i++)
        if (table.entries[i].address > GONE)
            *find(entries, n, table.entries[i].address) = table.entries[i];
    if (table.n_entries != 0)
        wf_memory_unmap(table.entries, table.n_entries * sizeof(*entries));
    table.entries = entries;
    table.n_entries = n;
    table.n_used = table.n_ranges;
    return true;
}

static int add_locked(uintptr_t address, size_t size)
{
    if (table.n_used * 2 >= table.n_entries && !grow_locked())
        return -ENOMEM;
    struct range *r = find(table.entries, table.n_entries, address);
    if (r->address == address) {
        r->size = size > r->size ? size : r->size;
        return 0;
    }
    table.n_used += r->address == 0;
    table.n_ranges++;
    *r = (struct range){address, size};
    return 0;
}

WF_PUBLIC int weft_root_add(void *addr, size_t size)
{
    if ((uintptr_t)addr % sizeof(void *) != 0 || addr == NULL || size == 0)
        return -EINVAL;
    struct wf_thread *thread = wf_enter_without_start();
    wf_spinlock_lock(&table.lock);
    int error = add_locked((uintptr_t)addr, size);
    wf_spinlock_unlock(&table.lock);
    wf_leave(thread);
    return error;
}

WF_PUBLIC int weft_root_remove(void *addr)
{
    int error = -ENOENT;
    struct wf_thread *thread = wf_enter_without_start();
    wf_spinlock_lock(&table.lock);
    struct range *r = table.n_entries != 0 ? find(table.entries, table.n_entries, (uintptr_t)addr) : NULL;
    if (r != NULL && addr != NULL && r->address == (uintptr_t)addr) {
        r->address = GONE;
        table.n_ranges--;
        error = 0;
    }
    wf_spinlock_unlock(&table.lock);
    wf_leave(thread);
    return error;
}

/* ---- the program's own data ---- */

struct visit {
    wf_range_fn *fn;
    void *arg;
};

/* All but the markers' own memory, which is large, and full of addresses. */
static void visit_segment(const struct visit *v, uintptr_t low, uintptr_t high)
{
    const void *markers, *markers_end;
    wf_mark_own_memory(&markers, &markers_end);
    if (low <= (uintptr_t)markers && (uintptr_t)markers_end <= high) {
        v->fn(v->arg, (const void *)low, markers);
        low = (uintptr_t)markers_end;
    }
    if (low < high)
        v->fn(v->arg, (const void *)low, (const void *)high);
}

static int each_segment(struct dl_phdr_info *info, size_t size, void *arg)
{
    const struct visit *v = arg;
    uintptr_t relro_low = 0, relro_high = 0;
    (void)size;
    for (unsigned i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_GNU_RELRO) {
            relro_low = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            relro_high = relro_low + info->dlpi_phdr[i].p_memsz;
        }
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W) == 0)
            continue;
        uintptr_t low = info->dlpi_addr + segment->p_vaddr, high = low + segment->p_memsz;
        if (relro_low <= low && low < relro_high) /* read-only after relocation; it comes first */
            low = relro_high;
        low = (low + sizeof(void *) - 1) & ~(uintptr_t)(sizeof(void *) - 1);
        if (low < high)
            visit_segment(v, low, high);
    }
    return 0;
}

/* ---- all of them ---- */

static void each_registered(size_t from, size_t to, wf_range_fn *fn, void *arg)
{
    for (size_t i = from; i < to && i < table.n_entries; i++)
        if (table.entries[i].address > GONE)
            fn(arg, (const void *)table.entries[i].address, (const char *)table.entries[i].address + table.entries[i].size);
}

static void each_of_few(wf_range_fn *fn, void *arg)
{
    wf_world_each_range(fn, arg);
    wf_hooks.each_root(fn, arg);
}

void wf_roots_each_lasting(wf_range_fn *fn, void *arg)
{
    struct visit v = {fn, arg};
    each_of_few(fn, arg);
    dl_iterate_phdr(each_segment, &v);
    each_registered(0, table.n_entries, fn, arg);
}

void wf_roots_each(wf_range_fn *fn, void *arg)
{
    const struct wf_object_chunk *chunks;
    wf_roots_each_lasting(fn, arg);
    wf_world_each_routine_range(0, wf_world_routines(), fn, arg);
    uint32_t n = wf_object_chunks(&chunks);
    for (uint32_t i = 0; i < n; i++)
        fn(arg, chunks[i].low, chunks[i].high);
}

/* ---- in shares ---- */

enum { ROUTINES_A_JOB = 512, PARTS_OF_CHUNK = 16, ENTRIES_A_JOB = 4096, PIECE_BYTES = 128 << 10, PIECES_MOST = 256 };

/* Written by wf_roots_begin(), but for `next`. Jobs are numbered: pieces of segments, which only the initiator may ask the
 * loader for; then chunks of objects, routines, parts of the table. */
static struct {
    WF_ALIGNED_LINE _Atomic size_t next; /* first job that nobody has taken */
    WF_ALIGNED_LINE size_t n_pieces;
    bool all_noted; /* false: more than PIECES_MOST; the initiator looks at all of them itself */
    size_t n_chunks, n_routines, n_entries;
    const struct wf_object_chunk *chunks;
    struct piece {
        const char *low, *high;
    } pieces[PIECES_MOST];
} jobs;

static void note_pieces(void *arg, const void *low, const void *high)
{
    const char *at = low, *end = high;
    (void)arg;
    while (at < end && jobs.n_pieces < PIECES_MOST) {
        const char *next = end - at > PIECE_BYTES ? at + PIECE_BYTES : end;
        jobs.pieces[jobs.n_pieces++] = (struct piece){at, next};
        at = next;
    }
    jobs.all_noted &= at == end;
}

void wf_roots_begin(void)
{
    jobs.n_pieces = 0;
    jobs.all_noted = true;
    dl_iterate_phdr(each_segment, &(struct visit){note_pieces, NULL});
    jobs.n_chunks = wf_object_chunks(&jobs.chunks);
    jobs.n_routines = wf_world_routines();
    jobs.n_entries = table.n_entries;
    wf_store_relaxed(&jobs.next, 0); /* published with the markers: [M4] in mark.c */
}

void wf_roots_each_unshared(wf_range_fn *fn, void *arg)
{
    each_of_few(fn, arg);
    if (!jobs.all_noted)
        dl_iterate_phdr(each_segment, &(struct visit){fn, arg});
}

/* Whether job number *job is one of n with so many items each; if not, counts on from behind them. */
static bool is_among(size_t *job, size_t n_items, size_t items_a_job)
{
    size_t n = (n_items + items_a_job - 1) / items_a_job;
    if (*job < n)
        return true;
    *job -= n;
    return false;
}

bool wf_roots_take_job(wf_range_fn *fn, void *arg)
{
    size_t job = wf_add_relaxed(&jobs.next, 1);
    if (is_among(&job, jobs.n_pieces, 1)) {
        fn(arg, jobs.pieces[job].low, jobs.pieces[job].high);
    } else if (is_among(&job, jobs.n_chunks * PARTS_OF_CHUNK, 1)) {
        const char *low = jobs.chunks[job / PARTS_OF_CHUNK].low;
        size_t size = (size_t)((const char *)jobs.chunks[job / PARTS_OF_CHUNK].high - low);
        size_t part = (size / PARTS_OF_CHUNK + sizeof(void *)) & -sizeof(void *), from = job % PARTS_OF_CHUNK * part;
        if (from < size)
            fn(arg, low + from, low + (size - from > part ? from + part : size));
    } else if (is_among(&job, jobs.n_routines, ROUTINES_A_JOB)) {
        size_t from = job * ROUTINES_A_JOB, to = from + ROUTINES_A_JOB;
        wf_world_each_routine_range((uint32_t)from, (uint32_t)(to < jobs.n_routines ? to : jobs.n_routines), fn, arg);
    } else if (is_among(&job, jobs.n_entries, ENTRIES_A_JOB)) {
        each_registered(job * ENTRIES_A_JOB, (job + 1) * ENTRIES_A_JOB, fn, arg);
    } else {
        return false;
    }
    return true;
}
