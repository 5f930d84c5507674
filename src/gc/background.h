/* SPDX-License-Identifier: MIT */
/* background.h - what is done for the heap while nobody waits for it: memory goes back to the system, and garbage of a program
 * that has gone idle is collected.
 *
 * Both are asked for by the pilot's rounds: hooks.pilot_round, pilot_round_inside, background_wanted. Both come to an end,
 * so an idle process is left alone after some rounds. Without a pilot (the runtime has not been started) memory is given
 * back at the end of collections. */
#ifndef WEFT_GC_BACKGROUND_H
#define WEFT_GC_BACKGROUND_H

#include "sched/thread.h"

/* Gives some memory back; outside the runtime. */
void wf_background_release(int64_t now_ns);
/* Starts a routine for cleanups that nobody runs, and a routine that collects, if no worker has had anything to do and
 * nothing was allocated for a while, and there may be garbage. Inside the runtime. */
void wf_background_collect(struct wf_thread *pilot, int64_t now_ns, bool idle);
/* Either is due before long. Any thread. */
bool wf_background_wanted(void);

/* Something may have become so: wakes the pilot if it sleeps. Inside the runtime. A few loads, unless it is so. */
void wf_background_notice(void);
/* A collection is over, and has left so much. */
void wf_background_after_cycle(int64_t now_ns, size_t live_bytes);

#endif
