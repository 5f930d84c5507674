/* SPDX-License-Identifier: MIT */
/* ranges.h - where threads and routines of a world that stands still may hold pointers of the user's: registers, thread-local
 * variables, stacks, captured arguments, what they wait on. */
#ifndef WEFT_SCHED_RANGES_H
#define WEFT_SCHED_RANGES_H

#include "sched/thread.h"

/* While the world is stopped: calls fn for what may hold pointers of the user's: registers, thread-local variables and, of
 * plain threads, the stack; the stacks and captured arguments of all routines. Ranges of words. Other stacks that routines
 * are on top of (coroutines) are not among them. */
typedef void wf_range_fn(void *arg, const void *low, const void *high);
void wf_world_each_range(wf_range_fn *fn, void *arg);
/* Routines by index, [from, to) of those below wf_world_routines(): a share for each of several threads. */
uint32_t wf_world_routines(void);
void wf_world_each_routine_range(uint32_t from, uint32_t to, wf_range_fn *fn, void *arg);
/* The same of one routine: with its local values, and what it waits on. */
void wf_world_each_range_of(struct wf_routine *r, wf_range_fn *fn, void *arg);

/* Notes where the calling thread's stack and thread-local variables are. Before it is entered into its list, or inside
 * thread_main before anything of the user's runs. */
void wf_world_note_thread(struct wf_thread *thread);

#endif
