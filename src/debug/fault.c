/* SPDX-License-Identifier: MIT */
/* fault.c - the routine that was running on this thread, for the report of a fault. Async-signal-safe: reads only. */
#include "debug/fault.h"

#include "coro/coro.h"
#include "debug/backtrace.h"
#include "sched/thread.h"
#include "stack/arena.h"

static bool describe(const void *address, struct wf_fault *ret_fault)
{
    (void)address;
    struct wf_thread *thread = wf_thread_self();
    if (thread == NULL)
        return false;
    struct wf_routine *r = thread->current;
    if (r == NULL)
        return false;
    bool foreign = (r->flags & WF_FOREIGN) != 0;
    const struct weft_coro *c = foreign || (r->flags & WF_STARTED) != 0 ? r->wait.coro : NULL;
    if (c == NULL && (r == thread->scheduler || foreign))
        return false;
    ret_fault->id = wf_load_relaxed(&r->id);
    ret_fault->name = r->extra != NULL ? r->extra->name : NULL;
    ret_fault->file = r->site != NULL ? r->site->file : NULL;
    ret_fault->function = r->site != NULL ? r->site->function : NULL;
    ret_fault->line = r->site != NULL ? r->site->line : 0;
    if (c != NULL) {
        ret_fault->in_coroutine = true;
        ret_fault->own_stack = c->own_stack != NULL;
        ret_fault->stack_low = wf_coro_stack_low(c);
        ret_fault->stack_high = (const char *)c;
        ret_fault->stack_size = c->stack_size;
        return true;
    }
    ret_fault->own_stack = (r->flags & WF_OWN_STACK) != 0;
    if (ret_fault->own_stack) {
        ret_fault->stack_low = (const char *)r->extra->own_stack + WF_GUARD_SIZE;
        ret_fault->stack_high = (const char *)r->extra->own_stack + r->extra->own_stack_size;
        ret_fault->stack_size = r->extra->own_stack_size;
    } else {
        ret_fault->stack_low = wf_arena_low(r->stack_slot);
        ret_fault->stack_high = ret_fault->stack_low - WF_GUARD_SIZE + wf_arena.slot_size;
        ret_fault->stack_size = wf_arena.slot_size;
    }
    return true;
}

const struct wf_overflow_hooks wf_fault_hooks = {.describe = describe, .trace = wf_backtrace_fault};
