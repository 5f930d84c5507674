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

static int each_segment(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct visit *v = arg;
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
            v->fn(v->arg, (const void *)low, (const void *)high);
    }
    return 0;
}

void wf_roots_each_lasting(wf_range_fn *fn, void *arg)
{
    struct visit v = {fn, arg};
    wf_world_each_range(fn, arg);
    dl_iterate_phdr(each_segment, &v);
    for (size_t i = 0; i < table.n_entries; i++)
        if (table.entries[i].address > GONE)
            fn(arg, (const void *)table.entries[i].address, (const char *)table.entries[i].address + table.entries[i].size);
    wf_hooks.each_root(fn, arg);
}

void wf_roots_each(wf_range_fn *fn, void *arg)
{
    const struct wf_object_chunk *chunks;
    wf_roots_each_lasting(fn, arg);
    wf_world_each_routine_range(fn, arg);
    uint32_t n = wf_object_chunks(&chunks);
    for (uint32_t i = 0; i < n; i++)
        fn(arg, chunks[i].low, chunks[i].high);
}
