/* SPDX-License-Identifier: MIT */
/* try.h - the record of a weft_try() in progress: lives in the frame of the try stub, linked per routine. */
#ifndef WEFT_SCHED_TRY_H
#define WEFT_SCHED_TRY_H

#include <stddef.h>
#include <stdint.h>
#include <unwind.h>
#include <weft/panic.h>

struct wf_try {
    struct wf_try *outer;    /* the enclosing one of the same routine or thread */
    void *frame;             /* frame pointer of the stub */
    struct weft__go *go;     /* where its result goes */
    uint64_t begun;          /* how many departures had begun in the process: scope/panic.c */
    struct wf_frame *blocks; /* the innermost block at its beginning */
    uint32_t *left;          /* NULL, or this is the lowest on a coroutine's stack: told how it was left, enum wf_left */
};

enum wf_left { WF_LEFT_NOT, WF_LEFT_BY_EXIT, WF_LEFT_BY_PANIC };

/* Called by the stub. */
void wf_try_enter(struct wf_try *record);
void wf_try_leave(struct wf_try *record);
/* The stub's personality: what the unwinder calls when any exception passes the stub's frame, also one that is not ours
 * (C++, pthread_exit). The record's end. */
_Unwind_Reason_Code wf_try_personality(int version, _Unwind_Action actions, _Unwind_Exception_Class class,
                                       struct _Unwind_Exception *exception, struct _Unwind_Context *context);
/* Leaves everything below the record's frame and makes weft_try return WEFT_EPANIC. */
_Noreturn void wf_try_resume(struct wf_try *record);

#endif
