/* SPDX-License-Identifier: MIT */
/* switch.h - the switch as the scheduler calls it: the bare assembly, or wrapped in the sanitizers' fibre hooks. */
#ifndef WEFT_SCHED_SWITCH_H
#define WEFT_SCHED_SWITCH_H

#include "arch/context.h"
#include "base/compiler.h"

#if WF_ASAN || WF_TSAN
int wf_switch_hooked(struct wf_routine *from, struct wf_routine *to, struct wf_thread *thread, _Atomic uint32_t *commit,
                     uint32_t value);
int wf_switch_call_hooked(struct wf_routine *from, struct wf_routine *to, struct wf_thread *thread,
                          void (*commit)(void *), void *arg);
#define WF_SWITCH wf_switch_hooked
#define WF_SWITCH_CALL wf_switch_call_hooked
#else
#define WF_SWITCH wf_switch
#define WF_SWITCH_CALL wf_switch_call
#endif

#endif
