/* SPDX-License-Identifier: MIT */
/* memory_stress.c - routines make cyclic garbage of all sizes for ever, and the process does not grow: neither the heap nor
 * what the system has given. With --seconds 3600 for as long.
 *
 * What is alive at a time is known: LIVE_BYTES at most. The heap may be twice that, and what fragments of spans add; a
 * tenth above its goal may stay resident. */
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <weft/weft.h>

#include "../support/stress.h"
#include "base/compiler.h"

enum { ROUTINES = 16, RINGS = 24, MIB = 1 << 20, MOST_HEAP = 96 * MIB, MOST_RESIDENT = 160 * MIB, STEPS = 3000 };

struct link {
    struct link *next, *previous;
    void *data;
    size_t size;
};

static atomic_ullong n_bytes;

/* A ring of 2 to 40 links: no link is without a pointer to it. */
static struct link *make_ring(struct wf_rand *rand)
{
    uint64_t draw = wf_rand_next(rand);
    size_t n = 2 + draw % 39, bytes = 0;
    struct link *first = weft_new(struct link), *last = first;
    require(first != NULL);
    first->next = first->previous = first;
    for (size_t i = 1; i < n; i++) {
        size_t size = (draw >> 8) % 64 == 0 && i == 1 ? 20000 + draw % 200000 : 16 + (draw >> (i & 31)) % 600;
        struct link *l = weft_new(struct link);
        require(l != NULL);
        *l = (struct link){.next = first, .previous = last, .data = weft_alloc_data(size), .size = size};
        require(l->data != NULL);
        ((unsigned char *)l->data)[0] = ((unsigned char *)l->data)[size - 1] = (unsigned char)i;
        last->next = l;
        first->previous = l;
        last = l;
        bytes += size + sizeof(*l);
    }
    atomic_fetch_add(&n_bytes, bytes);
    return first;
}

static void check_ring(const struct link *first)
{
    unsigned i = 0;
    const struct link *l = first;
    do {
        require(l->next->previous == l && l->previous->next == l);
        require(l->size == 0 || (((unsigned char *)l->data)[0] == i && ((unsigned char *)l->data)[l->size - 1] == i));
        l = l->next;
        i++;
    } while (l != first);
}

static void churn(unsigned round, unsigned actor)
{
    struct wf_rand rand;
    struct link *rings[RINGS] = {NULL};
    seed_actor(&rand, round, actor);
    for (unsigned step = 0; step < STEPS; step++) {
        struct link **ring = &rings[wf_rand_next(&rand) % RINGS];
        if (*ring != NULL)
            check_ring(*ring);
        *ring = make_ring(&rand);
        if (step % 50 == 0)
            weft_yield();
    }
}

static size_t resident_bytes(void)
{
    unsigned long all, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    require(f != NULL && fscanf(f, "%lu %lu", &all, &resident) == 2);
    fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

int main(int argc, char **argv)
{
    weft_gc_info info;
    size_t most_heap = 0, most_resident = 0;
    read_stress_options(argc, argv);
    for (unsigned round = 0; stress_goes_on(round); round++) {
        weft_scope(s)
            for (unsigned i = 0; i < ROUTINES; i++)
                require(weft_scope_go(s, churn, round, i) == 0);
        weft_gc_stats(&info);
        size_t resident = resident_bytes();
        most_heap = info.heap_bytes > most_heap ? info.heap_bytes : most_heap;
        most_resident = resident > most_resident ? resident : most_resident;
        require(info.heap_bytes <= MOST_HEAP);
        require(WF_ASAN || WF_TSAN || resident <= MOST_RESIDENT);
    }
    printf("%llu MiB made, %llu collections; at most %zu MiB of heap, %zu MiB resident\n",
           (unsigned long long)(atomic_load(&n_bytes) / MIB), (unsigned long long)info.cycles, most_heap / MIB,
           most_resident / MIB);
    require(info.cycles >= 3);
    return 0;
}
