/* SPDX-License-Identifier: MIT */
/* config.h - what the runtime was told, by weft_start() and by the environment, resolved once at every start.
 *
 *   WEFT_PROCS=4            workers, 1 to 1024; else the CPUs allowed by affinity and cgroup quota
 *   WEFT_STACK=64KiB        virtual stack of a routine, a power of two, 16 KiB to 64 MiB
 *   WEFT_GC=100|off         percent of growth between collections
 *   WEFT_MEMLIMIT=2GiB|off  limit of collected memory with its tables, stacks of routines and weft_external; not given:
 *                           the cgroup's limit makes collections come earlier, but refuses nothing. off: nor that
 *   WEFT_IO=auto|uring|epoll
 *   WEFT_SIM=seed           a number
 *   WEFT_DEBUG=key=value,...
 *       gctrace=0|1  schedtrace=MILLISECONDS  deadlock=off|report|error  leak=0|1|wake  trace=FILE  dump=SIGUSR1
 *       gcverify=0|1  gcstress=N  gcswitch=N  gcleftover=N  gcdelay=N  gcpoison=0|1  gctiny=0|1 (gc/collect.h)
 *       locks=0|1  arena=SIZE (address space for all stacks)  membarrier=0|1  guard=0|1 (0: do without what this kernel
 *       has: membarrier(2), MADV_GUARD_INSTALL)  io=0|1
 *
 * An empty variable counts as none. A variable that cannot be read so is one line on stderr and exit status 2.
 */
#ifndef WEFT_RT_CONFIG_H
#define WEFT_RT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weft/runtime.h>

#include "debug/deadlock.h"
#include "debug/leaks.h"
#include "gc/collect.h"

enum wf_io_choice { WF_IO_AUTO, WF_IO_URING, WF_IO_EPOLL };

struct wf_config {
    unsigned procs;
    size_t stack_size;
    size_t stack_memory; /* 0: the arena's own default */
    enum wf_deadlock_mode deadlock;
    bool locks; /* watch the order in which mutexes are locked */
    bool no_membarrier, no_guard_install;
    enum wf_leak_mode leak;
    bool gc_trace, gc_verify, io_trace;
    struct wf_gc_stress gc_stress;
    unsigned sched_trace_ms; /* 0: none */
    int dump_signal;         /* 0: none */
    char trace_file[256];    /* "": none */
    int gc_percent;          /* -1: off */
    size_t memory_limit;     /* 0: none */
    bool no_memory_hint;     /* WEFT_MEMLIMIT=off */
    size_t memory_hint;      /* what the cgroup grants; 0: no limit */
    enum wf_io_choice io;
    bool simulate;
    uint64_t seed; /* of the simulation */
};

/* Fills *ret_config from the environment and, over it, from `user` (may be NULL; a zero field is not set). 0, or
 * -EINVAL for an impossible field of `user`. Ends the process with status 2 when the environment is malformed. */
int wf_config_load(struct wf_config *ret_config, const weft_config *user);

#endif
