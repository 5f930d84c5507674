/* SPDX-License-Identifier: MIT */
/* try.h - the record of a weft_try() in progress: lives in the frame of the try thunk, linked per routine. */
#ifndef WEFT_SCHED_TRY_H
#define WEFT_SCHED_TRY_H

#include <stddef.h>
#include <stdint.h>
#include <unwind.h>
#include <weft/panic.h>

enum wf_left { WF_LEFT_NOT, WF_LEFT_BY_EXIT, WF_LEFT_BY_PANIC };

/* Of a coroutine: what those who leave its frames must know, and say. */
struct wf_coro_end {
    struct wf_frame *blocks; /* running: the innermost block of the latest resume */
    uint32_t n_leaving;      /* departures on their way through its frames, and its destroyer: it may not be suspended */
    uint32_t left;           /* enum wf_left: how its frames were left before their end */
};

struct wf_try {
    struct wf_try *outer;    /* the enclosing one of the same stack */
    void *frame;             /* frame pointer of the thunk */
    struct weft__go *go;     /* where its result goes */
    uint64_t begun;          /* how many departures had begun in the process: scope/panic.c */
    struct wf_frame *blocks; /* the innermost block at its beginning; in a coroutine NULL: of its resume, which may be another
                              * one by now */
    struct wf_coro_end *end; /* of the coroutine whose stack it is on; NULL: none. The lowest one there has no `outer` */
};

/* Called by the thunk. */
void wf_try_enter(struct wf_try *record);
void wf_try_leave(struct wf_try *record);
/* The thunk's personality: what the unwinder calls when any exception passes the thunk's frame, also one that is not ours
 * (C++, pthread_exit). The record's end. */
_Unwind_Reason_Code wf_try_personality(int version, _Unwind_Action actions, _Unwind_Exception_Class class,
                                       struct _Unwind_Exception *exception, struct _Unwind_Context *context);
/* Leaves everything below the record's frame and makes weft_try return WEFT_EPANIC. */
_Noreturn void wf_try_resume(struct wf_try *record);

#endif
