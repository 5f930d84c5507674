/* SPDX-License-Identifier: MIT */
/* forty_thousand_stacks_need_few_mappings.c - guards cost no mappings, and a waiting routine a page or two.
 *
 * vm.max_map_count is 65530 by default: with two mappings a stack it is over near 32 000 routines. And where huge pages
 * are given without being asked for, a stack that touches one page would get 2 MiB.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <weft/weft.h>

#include "../support/expect.h"
#include "base/compiler.h"
#include "stack/arena.h"

enum { N_ROUTINES = 40000, MOST_MAPPINGS = 1000, MOST_BYTES_EACH = 3 * 4096 };

static atomic_uint waiting, ended;

static void wait_until_closed(weft_chan(int) c)
{
    atomic_fetch_add(&waiting, 1);
    require(weft_chan_recv(c, NULL) == -EPIPE);
    atomic_fetch_add(&ended, 1);
}

static unsigned count_mappings(void)
{
    unsigned n = 0;
    FILE *f = fopen("/proc/self/maps", "re");
    require(f != NULL);
    for (int c; (c = fgetc(f)) != EOF;)
        n += c == '\n';
    fclose(f);
    return n;
}

static size_t resident_bytes(void)
{
    unsigned long total = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    require(f != NULL && fscanf(f, "%lu %lu", &total, &resident) == 2);
    fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* The flag "nh" of the mapping that holds the stacks: the system may be set never to give huge pages anyway. */
static bool huge_pages_are_refused(void)
{
    char line[512];
    uintptr_t base = (uintptr_t)wf_arena.base, low, high;
    bool inside = false, refused = false;
    FILE *f = fopen("/proc/self/smaps", "re");
    require(f != NULL);
    while (fgets(line, sizeof(line), f) != NULL)
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &low, &high) == 2)
            inside = low <= base && base < high;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            refused = strstr(line, " nh") != NULL;
    fclose(f);
    return refused;
}

int main(void)
{
    alarm(50);
    if (WF_ASAN || WF_TSAN || WF_DEBUG_LEVEL >= 2) /* level 2 walks the channel's queue at every operation */
        return 77;
    require(weft_start(NULL) == 0);
    if (!wf_arena.guard_install) {
        fprintf(stderr, "skipped: this kernel has no MADV_GUARD_INSTALL\n");
        return 77;
    }
    size_t before = resident_bytes();
    weft_chan(int) c = weft_chan_make(int, 0);
    for (unsigned i = 0; i < N_ROUTINES; i++)
        require(weft_go(wait_until_closed, c) == 0);
    eventually(atomic_load(&waiting) == N_ROUTINES);
    unsigned mappings = count_mappings();
    size_t each = (resident_bytes() - before) / N_ROUTINES;
    printf("%u mappings, %zu bytes a routine, %s\n", mappings, each,
           wf_arena.guards_all ? "all guarded" : "not all guarded");
    require(huge_pages_are_refused());
    require(wf_arena.guards_all);
    require(mappings < MOST_MAPPINGS);
    require(each < MOST_BYTES_EACH);
    weft_chan_close(c);
    eventually(atomic_load(&ended) == N_ROUTINES);
    return 0;
}
