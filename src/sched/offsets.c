/* SPDX-License-Identifier: MIT */
/* offsets.c - holds the assembly's offsets against the structures. */
#include "arch/x86_64/offsets.h"

#include "arch/context.h"
#include "sched/routine.h"
#include "sched/thread.h"
#include "sched/try.h"

#define AT(type, field, offset) _Static_assert(offsetof(type, field) == (offset), #type "." #field)

AT(struct wf_routine, sp, WF_ROUTINE_SP);
AT(struct wf_routine, ret, WF_ROUTINE_RET);
AT(struct wf_routine, saved_errno, WF_ROUTINE_ERRNO);
AT(struct wf_routine, flags, WF_ROUTINE_FLAGS);
AT(struct wf_routine, start.integers, WF_ROUTINE_INTEGERS);
AT(struct wf_routine, start.vectors, WF_ROUTINE_VECTORS);
AT(struct wf_routine, wait.try_top, WF_ROUTINE_TRY_TOP);
AT(struct wf_routine, wait.coro, WF_ROUTINE_CORO);
_Static_assert(WF_RESULT_IN_X87 == WF_FLAG_RESULT_X87, "flag");
_Static_assert(WF_VECTORS_SHIFT == WF_FLAG_VECTORS_SHIFT, "flag");
#if !WF_TSAN && !WF_ASAN
_Static_assert(sizeof(struct wf_routine) == 7 * WF_CACHELINE, "seven lines a routine");
#endif
AT(struct wf_thread, in_rt, WF_THREAD_IN_RT);
AT(struct wf_thread, errno_address, WF_THREAD_ERRNO);
AT(struct wf_captured, rax, WF_CAPTURED_RAX);
AT(struct wf_captured, words, WF_CAPTURED_WORDS);
AT(struct wf_captured, vectors, WF_CAPTURED_VECTORS);
_Static_assert(sizeof(struct wf_captured) == WF_CAPTURED_SIZE, "captured");
AT(struct wf_result, vector, WF_RESULT_VECTORS);
AT(struct wf_result, x87, WF_RESULT_X87);
AT(struct wf_result, has_x87, WF_RESULT_HAS_X87);
_Static_assert(sizeof(struct wf_result) == WF_RESULT_SIZE, "result");
AT(struct weft__go, fn, WF_GO_FN);
AT(struct weft__go, n_words, WF_GO_WORDS);
AT(struct weft__go, result, WF_GO_RESULT);
AT(struct wf_try, frame, WF_TRY_FRAME);
AT(struct wf_try, go, WF_TRY_GO);
_Static_assert(sizeof(struct wf_try) == WF_TRY_SIZE, "try");
_Static_assert(WEFT_EPANIC == WF_EPANIC_VALUE, "EPANIC");
