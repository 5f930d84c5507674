/* SPDX-License-Identifier: MIT */
/* idle_process_gives_memory_back.c - what a program has dropped before it went idle is collected and goes back to the system,
 * without a call of the program's; and when that is done no thread of the runtime runs any more.
 */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <weft/weft.h>

#include "../support/expect.h"
#include "../support/switches.h"
#include "base/compiler.h"

enum { MIB = 1 << 20, HELD = 256, LEFT_MIB = 64, WATCH_MS = 2000, MOST_SWITCHES = 2, DEADLINE_S = 45 };

static void *held[HELD];
static atomic_uint stay;

static size_t resident_mib(void)
{
    unsigned long all, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    require(f != NULL && fscanf(f, "%lu %lu", &all, &resident) == 2);
    fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE) / MIB;
}

/* In objects of `size`, chained, so that one pointer holds a MiB of them. */
static void *make_mib(size_t size)
{
    void **first = NULL;
    for (size_t done = 0; done < MIB; done += size) {
        void **p = weft_alloc(size);
        require(p != NULL);
        memset(p + 1, 1, size - sizeof(*p));
        *p = first;
        first = p;
    }
    return first;
}

static WF_NOINLINE void fill(size_t size)
{
    for (int i = 0; i < HELD; i++)
        held[i] = make_mib(size);
    require(resident_mib() >= HELD);
}

static void run(size_t size)
{
    weft_await(weft_async(fill, size));
    memset(held, 0, sizeof(held));
    int64_t start = clock_ns(), end = start + DEADLINE_S * INT64_C(1000000000);
    while (resident_mib() > LEFT_MIB && clock_ns() < end)
        pause_thread_ms(20);
    printf("objects of %zu: %zu MiB after %.1f s\n", size, resident_mib(), (double)(clock_ns() - start) / 1e9);
    require(resident_mib() <= LEFT_MIB);
    end = clock_ns() + DEADLINE_S * INT64_C(1000000000);
    unsigned long before, switches;
    do { /* the rest of it, and the way to sleep */
        before = switches_of_others(false);
        pause_thread_ms(WATCH_MS);
        switches = switches_of_others(false) - before;
    } while (switches > MOST_SWITCHES && clock_ns() < end);
    printf("%lu context switches in %d ms\n", switches, WATCH_MS);
    require(switches <= MOST_SWITCHES);
}

static void wait_for_ever(weft_chan(int) c)
{
    atomic_store(&stay, 1);
    weft_chan_each(int, v, c)
        (void)v;
}

int main(void)
{
    weft_chan(int) c = weft_chan_make(int, 1);
    alarm(58);
    if (WF_TSAN || WF_ASAN)
        return 77; /* they have memory, and the first a thread, of their own */
    require(weft_go(wait_for_ever, c) == 0);
    eventually(atomic_load(&stay) == 1);
    run(MIB);
    run(64);
    return 0;
}
