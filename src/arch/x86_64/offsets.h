/* SPDX-License-Identifier: MIT */
/* offsets.h - what the assembly knows of C structures; sched/offsets.c asserts each of them. */
#ifndef WEFT_ARCH_X86_64_OFFSETS_H
#define WEFT_ARCH_X86_64_OFFSETS_H

#define WF_ROUTINE_SP 0
#define WF_ROUTINE_RET 8
#define WF_ROUTINE_ERRNO 12
#define WF_ROUTINE_FLAGS 24
#define WF_ROUTINE_INTEGERS 80
#define WF_ROUTINE_VECTORS 256
#define WF_ROUTINE_TRY_TOP 128
#define WF_ROUTINE_CORO 136
#define WF_FLAG_RESULT_X87 64
#define WF_FLAG_VECTORS_SHIFT 8

#define WF_THREAD_IN_RT 0
#define WF_THREAD_ERRNO 8

#define WF_CAPTURED_SIZE 192
#define WF_CAPTURED_RAX 48
#define WF_CAPTURED_WORDS 56
#define WF_CAPTURED_VECTORS 64

#define WF_RESULT_SIZE 80
#define WF_RESULT_VECTORS 16
#define WF_RESULT_X87 48
#define WF_RESULT_HAS_X87 64

#define WF_GO_FN 0
#define WF_GO_WORDS 32
#define WF_GO_RESULT 40

#define WF_FUTURE_STATE 4
#define WF_FUTURE_X87 5
#define WF_FUTURE_VALUE 16
#define WF_FUTURE_STATE_PANICKED 2 /* this and higher states have no value */

#define WF_RESOLVE_SIZE 8

/* struct wf_try, at the bottom of the try thunk's frame. */
#define WF_TRY_SIZE 48
#define WF_TRY_FRAME 8
#define WF_TRY_GO 16
#define WF_EPANIC_VALUE (-0x7e01)

#endif
