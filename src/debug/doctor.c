/* SPDX-License-Identifier: MIT */
/* doctor.c - which of the machine's means are in force. */
#include <stdio.h>
#include <weft/debug.h>
#include <weft/runtime.h>

#include "base/membarrier.h"
#include "sched/worker.h"
#include "stack/arena.h"

WF_PUBLIC void weft_doctor(int fd)
{
    unsigned procs = weft_procs();
    if (procs == 0) {
        dprintf(fd, "weft: the runtime does not start\n");
        return;
    }
    dprintf(fd, "workers      %u\n", procs);
    dprintf(fd, "stacks       %zu KiB each, %zu MiB reserved for %u of them\n", wf_arena.slot_size >> 10,
            (size_t)wf_arena.n_slots * wf_arena.slot_size >> 20, wf_arena.n_slots);
    dprintf(fd, "guards       %s%s\n",
            wf_arena.guard_install ? "MADV_GUARD_INSTALL (no mapping each)" : "mprotect (a mapping each)",
            wf_arena.guards_all ? "" : "; not all stacks have one (vm.max_map_count)");
    dprintf(fd, "fences       %s\n", wf_fences_needed() ? "local (membarrier is refused)" : "membarrier");
}
