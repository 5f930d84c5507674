/* SPDX-License-Identifier: MIT */
/* leaks.h - routines that wait for what can never come: found by reachability. */
#ifndef WEFT_DEBUG_LEAKS_H
#define WEFT_DEBUG_LEAKS_H

#include <stddef.h>
#include <stdint.h>

struct wf_thread;

/* WEFT_DEBUG=leak=... */
enum wf_leak_mode { WF_LEAK_OFF, WF_LEAK_REPORT, WF_LEAK_WAKE };
extern enum wf_leak_mode wf_leak_mode;

/* For struct wf_gc_config, when wf_leak_mode is not off. The first looks, in every collection, with the world stopped. The
 * second is called after it, inside the runtime: prints a line on stderr for each leak that is new, and with `wake` ends
 * those waits that can be ended with -EDEADLK. Returns the thread that the caller is on afterwards. */
void wf_leaks_look(void *unused);
struct wf_thread *wf_leaks_tell(struct wf_thread *thread);

/* A collection that does both, for the end of the runtime. Outside the runtime. */
void wf_leaks_look_now(void);

/* What the latest search has done: words, cells, routines and edges looked at. For tests. */
extern uint64_t wf_leaks_steps;

#endif
