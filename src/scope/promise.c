/* SPDX-License-Identifier: MIT */
/* promise.c - promises: a future that is settled by hand.
 *
 * A promise and its future are the same cell, seen through two types of handle. The value comes as a routine's result
 * does, as an image of the registers: wf_resolve_thunk makes it from those in which the compiler passes an argument.
 */
#include <weft/future.h>

#include <errno.h>

#include "arch/context.h"
#include "arch/x86_64/offsets.h"
#include "sched/park.h"
#include "sched/sched.h"
#include "scope/future.h"

enum { MOST_ERRNO = 4095 }; /* the kernel's; WEFT_EPANIC lies beyond */

_Static_assert(offsetof(struct weft__resolve, size) == WF_RESOLVE_SIZE, "arch/x86_64/offsets.h");

void (*const weft__resolve_thunk)(void) __attribute__((visibility("default"))) = wf_resolve_thunk;

WF_PUBLIC struct weft__future *weft__promise_make(void)
{
    struct wf_thread *thread = wf_enter();
    struct wf_future *f = wf_future_create(thread->worker, NULL, NULL);
    wf_leave(thread);
    return (struct weft__future *)f;
}

/* Called by the thunk. */
void wf_promise_resolve(struct weft__resolve *how, const struct wf_result *value);
void wf_promise_resolve(struct weft__resolve *how, const struct wf_result *value)
{
    if (how->future == NULL)
        wf_misuse("weft_resolve: the promise is NULL");
    struct wf_thread *thread = wf_enter();
    how->result = wf_future_resolve(thread, (struct wf_future *)how->future, value) ? 0 : -EALREADY;
    wf_leave(thread);
}

WF_PUBLIC int weft__promise_reject(struct weft__future *handle, int error)
{
    if (handle == NULL)
        wf_misuse("weft_reject: the promise is NULL");
    if (error >= 0 || error < -MOST_ERRNO)
        return -EINVAL;
    struct wf_thread *thread = wf_enter();
    bool was_pending = wf_future_reject(thread, (struct wf_future *)handle, error);
    wf_leave(thread);
    return was_pending ? 0 : -EALREADY;
}
