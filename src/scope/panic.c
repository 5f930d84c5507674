/* SPDX-License-Identifier: MIT */
/* panic.c - leaving a routine's frames before their end: panics, weft_try, weft_exit.
 *
 * Frames are left by the C++ runtime's forced unwinding (the Itanium ABI's _Unwind_ForcedUnwind, as pthread_cancel does):
 * cleanup attributes and destructors run in code that has unwind tables for them (-fexceptions). It stops at the frame
 * of the try stub, or at the end of the stack. Where a frame cannot be walked, the rest is left without cleanups.
 */
#define _GNU_SOURCE
#include "scope/panic.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>

#include "base/assert.h"
#include "sched/hooks.h"
#include "sched/sched.h"
#include "sched/try.h"
#include "scope/future.h"
#include "scope/local.h"

enum { MESSAGE_MAX = 256 };

void (*wf_on_panic)(const char *message, uint64_t routine_id, void *arg);
void *wf_on_panic_arg;
void (*const weft__try_capture)(void) __attribute__((visibility("default"))) = wf_try_stub;

static struct wf_routine *current_routine(void)
{
    struct wf_thread *thread = wf_enter();
    struct wf_routine *self = thread->current;
    wf_leave(thread);
    return self;
}

/* ---- leaving frames ---- */

/* Not on the stack: cleanups run on the very frames that are left. */
struct departure {
    struct _Unwind_Exception exception;
    struct wf_try *to; /* NULL: the end of the routine */
    bool panicked;     /* or weft_exit */
    char message[MESSAGE_MAX];
};

static _Noreturn void nobody_sees(struct wf_routine *self, const char *message);

static _Noreturn void arrive(struct departure *d)
{
    struct wf_try *to = d->to;
    current_routine()->wait.try_top = to != NULL ? to->outer : NULL;
    if (to != NULL) {
        free(d);
        wf_try_resume(to);
    }
    wf_locals_end();
    struct wf_thread *thread = wf_enter();
    struct wf_routine *self = thread->current;
    if (self->future != NULL) {
        if (!d->panicked)
            wf_future_settle(thread, self->future, NULL);
        else if (!wf_future_settle_panic(thread, self->future, d->message))
            nobody_sees(self, d->message);
        thread = wf_thread_self(); /* settling may yield */
    }
    free(d);
    wf_routine_end(thread);
}

static _Unwind_Reason_Code stop_at(int version, _Unwind_Action actions, _Unwind_Exception_Class class,
                                   struct _Unwind_Exception *exception, struct _Unwind_Context *context, void *arg)
{
    struct departure *d = arg;
    struct wf_routine *self = current_routine();
    /* Tries whose frames have been left catch nothing any more; those further up do, also what a cleanup raises. */
    while (self->wait.try_top != NULL && (uintptr_t)_Unwind_GetCFA(context) > (uintptr_t)self->wait.try_top)
        self->wait.try_top = self->wait.try_top->outer;
    (void)version, (void)class, (void)exception;
    bool arrived = d->to != NULL && (uintptr_t)_Unwind_GetCFA(context) > (uintptr_t)d->to;
    if (arrived || (actions & _UA_END_OF_STACK) != 0)
        arrive(d);
    return _URC_NO_REASON;
}

static void swallowed(_Unwind_Reason_Code reason, struct _Unwind_Exception *exception)
{
    (void)reason, (void)exception;
    wf_fatal("a C++ catch (...) swallowed a panic without rethrowing it");
}

/* message NULL: weft_exit. */
static _Noreturn void leave_frames(struct wf_try *to, const char *message)
{
    struct departure *d = calloc(1, sizeof(*d));
    if (d == NULL)
        wf_fatal("out of memory while a routine was left early (%s)", message != NULL ? message : "weft_exit");
    d->to = to;
    d->panicked = message != NULL;
    if (message != NULL)
        strncpy(d->message, message, sizeof(d->message) - 1);
    memcpy(&d->exception.exception_class, "weft\0\0\0\0", sizeof(d->exception.exception_class));
    d->exception.exception_cleanup = swallowed;
    _Unwind_ForcedUnwind(&d->exception, stop_at, d);
    arrive(d); /* a frame could not be walked */
}

/* ---- panics ---- */

void wf_panic_keep_message(const char *message)
{
    struct wf_routine *self = current_routine();
    struct wf_extra *extra = wf_routine_extra(self);
    if (extra == NULL)
        return;
    free(extra->panic_message);
    extra->panic_message = strdup(message != NULL ? message : "");
}

WF_PUBLIC const char *weft_try_message(void)
{
    struct wf_routine *self = current_routine();
    return self->extra == NULL || self->extra->panic_message == NULL ? "" : self->extra->panic_message;
}

static _Noreturn void nobody_sees(struct wf_routine *self, const char *message)
{
    uint64_t id = wf_load_relaxed(&self->id);
    if (wf_on_panic != NULL) {
        wf_on_panic(message, id, wf_on_panic_arg);
        abort();
    }
    if (id == 0)
        wf_message("panic on a plain thread: %s", message);
    else
        wf_message("panic: %s\nweft:   in routine %llu%s%s%s, started at %s:%d (%s)", message, (unsigned long long)id,
                   self->extra != NULL && self->extra->name[0] != 0 ? " \"" : "",
                   self->extra != NULL ? self->extra->name : "",
                   self->extra != NULL && self->extra->name[0] != 0 ? "\"" : "", self->site->file, self->site->line,
                   self->site->function);
    abort();
}

static _Noreturn void raise_panic(const char *message)
{
    struct wf_routine *self = current_routine();
    struct wf_try *record = self->wait.try_top;
    if (record != NULL) {
        wf_panic_keep_message(message);
        leave_frames(record, message);
    }
    if (self->future != NULL)
        leave_frames(NULL, message);
    nobody_sees(self, message);
}

_Noreturn WF_PUBLIC void weft_panic(const char *format, ...)
{
    char message[MESSAGE_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(message, sizeof(message), format, ap);
    va_end(ap);
    raise_panic(message);
}

_Noreturn void wf_misuse(const char *format, ...)
{
    struct wf_thread *thread = wf_thread_self();
    if (thread != NULL)
        wf_leave(thread);
    char message[MESSAGE_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(message, sizeof(message), format, ap);
    va_end(ap);
    raise_panic(message);
}

/* ---- weft_try ---- */

void wf_try_enter(struct wf_try *record)
{
    struct wf_routine *self = current_routine();
    record->outer = self->wait.try_top;
    self->wait.try_top = record;
}

void wf_try_leave(struct wf_try *record)
{
    current_routine()->wait.try_top = record->outer;
}

/* ---- weft_exit ---- */

_Noreturn WF_PUBLIC void weft_exit(void)
{
    struct wf_routine *self = current_routine();
    if ((self->flags & WF_FOREIGN) != 0)
        pthread_exit(NULL);
    leave_frames(NULL, NULL);
}
