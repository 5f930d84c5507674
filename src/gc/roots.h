/* SPDX-License-Identifier: MIT */
/* roots.h - where marking begins: everything outside the collected heap that may hold pointers into it.
 *
 *   registers, thread-local variables, stacks of plain threads     sched/world.c
 *   stacks and captured arguments of routines, what they wait on   sched/world.c
 *   futures, timers                                                the chunks of sched/object.c
 *   routine-local values, stacks of coroutines                     hooks.each_root
 *   writable segments of every loaded object                       dl_iterate_phdr
 *   ranges that the user has registered                            here
 *   arguments of cleanups                                          cleanup.c, exactly: collect.c
 */
#ifndef WEFT_GC_ROOTS_H
#define WEFT_GC_ROOTS_H

#include "sched/ranges.h"

/* The world is stopped, and the calling thread is inside of a dl_iterate_phdr(), so that no object comes or goes. */
void wf_roots_each(wf_range_fn *fn, void *arg);
/* The same without routines and without the chunks of sched/object.c. */
void wf_roots_each_lasting(wf_range_fn *fn, void *arg);

/* The same in shares, for several markers: one thread begins, before others may take, and does what cannot be shared; then
 * each takes jobs until there are none. */
void wf_roots_begin(void);
void wf_roots_each_unshared(wf_range_fn *fn, void *arg);
bool wf_roots_take_job(wf_range_fn *fn, void *arg);

#endif
