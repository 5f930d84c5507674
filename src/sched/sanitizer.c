/* SPDX-License-Identifier: MIT */
/* sanitizer.c - the fibre hooks around the switch; empty in ordinary builds. See sanitizer.h. */
#define _GNU_SOURCE
#include "sched/sanitizer.h"

#if WF_ASAN || WF_TSAN

#include <pthread.h>

#include "sched/switch.h"
#include "sched/thread.h"
#include "stack/arena.h"

/* Not even entry and exit may be recorded: they would go to two different fibres' histories. */
#if defined(__clang__)
#define UNINSTRUMENTED __attribute__((noinline, disable_sanitizer_instrumentation))
#else
#define UNINSTRUMENTED __attribute__((noinline, no_sanitize("address"), no_sanitize("thread")))
#endif

#if WF_ASAN
void __sanitizer_start_switch_fiber(void **fake_stack, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake_stack, const void **bottom_old, size_t *size_old);
#endif
#if WF_TSAN
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void *__tsan_get_current_fiber(void);
void __tsan_release(void *address);
static WF_TLS void *dead_fiber; /* of the routine that ended on this thread; nobody runs on it any more */
#endif

UNINSTRUMENTED void wf_sanitizer_thread(struct wf_routine *scheduler)
{
#if WF_TSAN
    scheduler->sanitizer = __tsan_get_current_fiber();
#else
    pthread_attr_t attr;
    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        pthread_attr_getstack(&attr, &scheduler->sanitizer_low, &scheduler->sanitizer_size);
        pthread_attr_destroy(&attr);
    }
#endif
}

UNINSTRUMENTED void wf_sanitizer_started(struct wf_routine *r)
{
#if WF_TSAN
    r->sanitizer = __tsan_create_fiber(0);
#else
    r->sanitizer = NULL;
    if ((r->flags & WF_OWN_STACK) != 0) {
        r->sanitizer_low = r->extra->own_stack;
        r->sanitizer_size = r->extra->own_stack_size;
    } else {
        r->sanitizer_low = wf_arena_low(r->stack_slot);
        r->sanitizer_size = wf_arena.slot_size - WF_GUARD_SIZE;
    }
#endif
}

UNINSTRUMENTED void wf_sanitizer_ending(struct wf_routine *r)
{
#if WF_TSAN
    dead_fiber = r->sanitizer;
#else
    (void)r;
#endif
}

UNINSTRUMENTED void wf_sanitizer_before_switch(struct wf_routine *from, struct wf_routine *to)
{
#if WF_TSAN
    (void)from;
    __tsan_switch_to_fiber(to->sanitizer, 0);
#else
    __sanitizer_start_switch_fiber(from == NULL ? NULL : &from->sanitizer, to->sanitizer_low, to->sanitizer_size);
#endif
}

UNINSTRUMENTED void wf_sanitizer_after_switch(struct wf_routine *self)
{
#if WF_TSAN
    (void)self;
    if (dead_fiber != NULL) {
        __tsan_destroy_fiber(dead_fiber);
        dead_fiber = NULL;
    }
#else
    __sanitizer_finish_switch_fiber(self == NULL ? NULL : self->sanitizer, NULL, NULL);
#endif
}

/* The first thing that runs on a fresh routine's stack. */
void wf_sanitizer_entered(void);
UNINSTRUMENTED void wf_sanitizer_entered(void)
{
    wf_sanitizer_after_switch(NULL);
}

UNINSTRUMENTED void wf_sanitizer_release(struct wf_thread *thread, _Atomic uint32_t *commit)
{
#if WF_TSAN
    if (commit != NULL)
        __tsan_release(commit);
    __tsan_release(&thread->in_rt);
#else
    (void)thread, (void)commit;
#endif
}

UNINSTRUMENTED int wf_switch_hooked(struct wf_routine *from, struct wf_routine *to, struct wf_thread *thread,
                                    _Atomic uint32_t *commit, uint32_t value)
{
    wf_sanitizer_release(thread, commit);
    wf_sanitizer_before_switch(from, to);
    int ret = wf_switch(from, to, thread, commit, value);
    wf_sanitizer_after_switch(from);
    return ret;
}

/* What the commit has done is released with the guard word too, which the assembly clears behind it. */
struct told_commit {
    void (*commit)(void *);
    void *arg;
    struct wf_thread *thread;
};

UNINSTRUMENTED static void commit_and_tell(void *arg)
{
    struct told_commit told = *(struct told_commit *)arg; /* it lies on a stack that the commit lets go */
    told.commit(told.arg);
    wf_sanitizer_release(told.thread, NULL);
}

UNINSTRUMENTED int wf_switch_call_hooked(struct wf_routine *from, struct wf_routine *to, struct wf_thread *thread,
                                         void (*commit)(void *), void *arg)
{
    struct told_commit told = {commit, arg, thread};
    wf_sanitizer_before_switch(from, to);
    int ret = wf_switch_call(from, to, thread, commit_and_tell, &told);
    wf_sanitizer_after_switch(from);
    return ret;
}

#endif
