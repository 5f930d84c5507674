/* SPDX-License-Identifier: MIT */
/* deadlock.h - what happens when every routine waits and nothing can wake one. */
#ifndef WEFT_DEBUG_DEADLOCK_H
#define WEFT_DEBUG_DEADLOCK_H

/* WEFT_DEBUG=deadlock=... */
enum wf_deadlock_mode { WF_DEADLOCK_REPORT, WF_DEADLOCK_OFF, WF_DEADLOCK_ERROR };
extern enum wf_deadlock_mode wf_deadlock_mode;

/* Called by the pilot (hooks.h). report: prints every waiting routine and thread on stderr, ends the process with
 * status 2. error: ends every wait that can be ended with -EDEADLK. off: nothing. */
void wf_deadlock_found(void);

#endif
