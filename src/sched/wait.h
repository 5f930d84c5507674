/* SPDX-License-Identifier: MIT */
/* wait.h - the kinds of wait: what dumps call them and how each is ended from outside. */
#ifndef WEFT_SCHED_WAIT_H
#define WEFT_SCHED_WAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wf_routine;

enum wf_wait_kind {
    WF_WAIT_NONE = 0,
    WF_WAIT_CHAN_SEND,
    WF_WAIT_CHAN_RECV,
    WF_WAIT_CHAN_NIL, /* object NULL: blocks for ever */
    WF_WAIT_SELECT,   /* object: the select's own record in the routine's frame */
    WF_WAIT_SLEEP,
    WF_WAIT_SLEEP_THREAD, /* a plain thread; object: its wait's number, see claim.h */
    WF_WAIT_SCOPE,        /* object: the scope whose children it waits for */
    WF_WAIT_FUTURE,
    WF_WAIT_MUTEX, /* this and the following: object is the address of the user's object (sync/lot.h) */
    WF_WAIT_RWMUTEX_READ,
    WF_WAIT_RWMUTEX_WRITE,
    WF_WAIT_COND,
    WF_WAIT_WAITGROUP,
    WF_WAIT_ONCE,
    WF_WAIT_SEM,
    WF_WAIT_BARRIER,
    WF_WAIT_LATCH,
    WF_WAIT_TRACKER,
    WF_WAIT_GROUP,  /* object: a group of futures, see scope/group.h */
    WF_WAIT_LOSERS, /* the same, and cannot be ended: until those that were cancelled have settled */
    WF_N_WAIT_KINDS
};

struct wf_wait_ops {
    const char *text; /* "receives from a channel" */
    /* Ends the wait of `r` on `object` if it still is that wait: takes the lock that guards the wait queue (memory that
     * stays readable for ever, or collected memory that the wait has kept: the caller has been inside the runtime since it read
     * `waits_on`, so that no collection can have come between; `object` itself may be gone unless r is found waiting on
     * it under that lock), checks that r->waits_on still is this wait and that its waiter is queued, unlinks it. True:
     * r belongs to the caller, who sets r->ret and readies it. Not called for waits that must not be ended (abort ==
     * NULL: mutex locks, await, once). */
    bool (*abort)(struct wf_routine *r, void *object);
};

/* Filled by rt/init.c from the rooms that define the kinds. */
extern struct wf_wait_ops wf_wait_kinds[WF_N_WAIT_KINDS];

static inline uint64_t wf_wait_pack(enum wf_wait_kind kind, const void *object)
{
    return (uint64_t)kind << 48 | ((uint64_t)(uintptr_t)object & 0xffffffffffffu);
}
static inline enum wf_wait_kind wf_wait_kind_of(uint64_t waits_on)
{
    return (enum wf_wait_kind)(waits_on >> 48);
}
static inline void *wf_wait_object_of(uint64_t waits_on)
{
    return (void *)(uintptr_t)(waits_on & 0xffffffffffffu);
}

#endif
