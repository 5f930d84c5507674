/* SPDX-License-Identifier: MIT */
/* sanitizer.h - what AddressSanitizer and ThreadSanitizer must be told about routines; nothing in ordinary builds.
 *
 * ASan keeps a shadow ("fake") stack per stack and the bounds of the current one: told before and after each switch.
 * TSan keeps a context per fibre: made at the first run, switched to before the switch, destroyed by the one that runs
 * next. The functions that switch are not instrumented on the way (the annotation sits next to the assembly).
 */
#ifndef WEFT_SCHED_SANITIZER_H
#define WEFT_SCHED_SANITIZER_H

#include "sched/routine.h"

#if WF_ASAN || WF_TSAN
void wf_sanitizer_started(struct wf_routine *r); /* a stack was bound */
void wf_sanitizer_ending(struct wf_routine *r);  /* its descriptor is about to be freed */
void wf_sanitizer_before_switch(struct wf_routine *from, struct wf_routine *to); /* from NULL: it ends */
/* TSan does not see the stores of the assembly: what the coming switch releases, `commit` (may be NULL) and the guard
 * word, is said here. */
void wf_sanitizer_release(struct wf_thread *thread, _Atomic uint32_t *commit);
void wf_sanitizer_after_switch(struct wf_routine *self);
void wf_sanitizer_thread(struct wf_routine *scheduler); /* the calling thread's own stack */
#else
static inline void wf_sanitizer_started(struct wf_routine *r)
{
    (void)r;
}
static inline void wf_sanitizer_ending(struct wf_routine *r)
{
    (void)r;
}
static inline void wf_sanitizer_before_switch(struct wf_routine *from, struct wf_routine *to)
{
    (void)from, (void)to;
}
static inline void wf_sanitizer_release(struct wf_thread *thread, _Atomic uint32_t *commit)
{
    (void)thread, (void)commit;
}
static inline void wf_sanitizer_after_switch(struct wf_routine *self)
{
    (void)self;
}
static inline void wf_sanitizer_thread(struct wf_routine *scheduler)
{
    (void)scheduler;
}
#endif

#endif
