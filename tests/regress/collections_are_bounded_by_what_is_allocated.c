/* SPDX-License-Identifier: MIT */
/* collections_are_bounded_by_what_is_allocated.c - many workers that allocate at once do not collect more often than one: once
 * for as many bytes as were alive, 4 MiB at least.
 */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <unistd.h>

#include "../support/watch.h"

enum { ROUTINES = 64, MIB = 1 << 20, LIVE_MIB = 16, LEAST_MIB = 4 };

static void *_Atomic sink;

static void allocate(size_t bytes, size_t size)
{
    for (size_t n = 0; n < bytes; n += size) {
        void *p = weft_alloc(size);
        require(p != NULL);
        if (n / size % 1024 == 0) {
            atomic_store(&sink, p);
            weft_yield();
        }
    }
}

static uint64_t cycles(void)
{
    weft_gc_info info;
    weft_gc_stats(&info);
    return info.cycles;
}

static void expect_few(size_t total_mib, size_t size, size_t goal_mib, const char *what)
{
    uint64_t before = cycles();
    weft_scope(s)
        for (unsigned i = 0; i < ROUTINES; i++)
            weft_scope_go(s, allocate, total_mib * MIB / ROUTINES, size);
    uint64_t n = cycles() - before, most = total_mib / goal_mib;
    printf("%s: %llu collections for %zu MiB, %llu expected\n", what, (unsigned long long)n, total_mib, (unsigned long long)most);
    fflush(stdout);
    require(n <= most + most / 4 + 3);
    require(n >= most / 4);
}

int main(void)
{
    alarm(55);
    void *live[LIVE_MIB];
    weft_gc();
    expect_few(160, 64, LEAST_MIB, "nothing alive");
    expect_few(160, 3000, LEAST_MIB, "nothing alive, larger objects");
    for (int i = 0; i < LIVE_MIB; i++)
        require((live[i] = weft_alloc(MIB)) != NULL);
    weft_gc();
    expect_few(320, 100, LIVE_MIB, "16 MiB alive");
    expect_few(320, 200000, LIVE_MIB, "16 MiB alive, large objects");
    weft_keep(live);
    __asm__ volatile("" : : "r"(live) : "memory");
    return 0;
}
