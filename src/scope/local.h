/* SPDX-License-Identifier: MIT */
/* local.h - the end of routine-local values. */
#ifndef WEFT_SCOPE_LOCAL_H
#define WEFT_SCOPE_LOCAL_H

/* Runs the destructors of the calling routine's or thread's values. Outside the runtime. */
void wf_locals_end(void);

#endif
