/* SPDX-License-Identifier: MIT */
/* panic.c - leaving a routine's frames before their end: panics, weft_try, weft_exit, and defers that raise in turn.
 *
 * Frames are left by the C++ runtime's forced unwinding (the Itanium ABI's _Unwind_ForcedUnwind, as pthread_cancel does):
 * defers, cleanup attributes and destructors run in code that has unwind tables for them (-fexceptions). It stops at the
 * frame of the try thunk, or at the end of the stack. Where a frame cannot be walked, the rest is left without cleanups.
 *
 * What is on its way through a routine's frames is a departure. A cleanup that it runs may raise another: the routine
 * has a stack of them, the innermost first. When one arrives, those that were raised after the weft_try that it arrives at
 * began are over too: it has left the cleanups that they ran. In the frame whose cleanup raised it:
 *
 *   C by gcc                nothing special: the inner departure runs the frame's other cleanups, and goes on
 *   C by clang, C++ by any  a cleanup that raises ends the process (their tables say so). So a weft_defer calls its
 *                           function through the library there, under a guard: a try record that stops the inner
 *                           departure in time, and what it carried is taken over by the outer one
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
#include "sched/memory.h"
#include "sched/object.h"
#include "sched/sched.h"
#include "sched/try.h"
#include "scope/future.h"
#include "scope/local.h"
#include "scope/scope.h"

enum { MESSAGE_MAX = 256 };

/* Vendor "weft" in the high bytes; the low bit means something to C++. */
static const _Unwind_Exception_Class EXCEPTION_CLASS = 0x7765667400000000;

/* In wf_try.go->flags: the record is no weft_try but a guard around a defer's function. */
enum { GUARD = 1 << 16 };

void (*wf_on_panic)(const char *message, uint64_t routine_id, void *arg);
void *wf_on_panic_arg;
void (*const weft__try_capture)(void) __attribute__((visibility("default"))) = wf_try_thunk;
__attribute__((visibility("default"))) uint64_t weft__n_departures; /* atomic: how many have ever begun */

/* What a departure carries. */
struct cause {
    bool panicked; /* or weft_exit */
    int error;     /* wf_panic_error: a negative errno */
    uint32_t n_trace;
    char message[MESSAGE_MAX];
    uintptr_t trace[WF_TRACE_MOST]; /* where it was raised; empty when a weft_try will see it */
};

/* Not on the stack: cleanups run on the very frames that are left. */
struct wf_departure {
    /* Zero. C++ keeps a type and handlers before the exceptions that it makes; std::terminate looks there before it asks
     * whose the exception is. */
    uint64_t cpp_header[16];
    struct _Unwind_Exception exception;
    struct wf_departure *outer; /* the one whose cleanup raised this one */
    struct weft_coro *stack;    /* the coroutine it was raised in; NULL: the routine's own stack */
    struct wf_coro_end *end;    /* ... and its end */
    struct wf_try *to;          /* NULL: the end of the routine */
    uint64_t number;            /* what begins later has seen a larger or equal weft__n_departures, what began before a lesser */
    struct cause cause;
};

static struct wf_try **try_top(struct wf_routine *r)
{
    return &r->wait.try_top;
}

static bool is_guard(const struct wf_try *record)
{
    return (record->go->flags & GUARD) != 0;
}

/* The last one on a coroutine's stack. */
static bool is_lowest(const struct wf_try *record)
{
    return record->end != NULL && record->outer == NULL;
}

/* ---- departures of the calling routine ---- */

static struct wf_departure *innermost(struct wf_routine *self)
{
    return self->extra != NULL ? self->extra->departures : NULL;
}

unsigned wf_panic_departures(void)
{
    struct wf_routine *self = wf_current();
    return (self->extra != NULL ? self->extra->n_departures : 0) + self->thread_ends;
}

static struct wf_departure *new_departure(void)
{
    struct wf_departure *d = wf_memory_take(sizeof(*d));
    if (d == NULL)
        wf_fatal("out of memory when a routine was to be left early");
    memset(d, 0, sizeof(*d));
    return d;
}

static void push(struct wf_routine *self, struct wf_departure *d)
{
    struct wf_extra *extra = wf_routine_extra(self);
    if (extra == NULL)
        wf_fatal("out of memory when a routine was to be left early (%s)", d->cause.message);
    d->outer = extra->departures;
    d->stack = self->wait.coro;
    d->end = *try_top(self) != NULL ? (*try_top(self))->end : NULL;
    if (d->end != NULL)
        d->end->n_leaving++;
    extra->departures = d;
    extra->n_departures++;
    d->number = __atomic_add_fetch(&weft__n_departures, 1, __ATOMIC_RELAXED);
}

/* Whether d leaves the frames between it and what has begun on this stack when so many departures had. Records and defers of
 * a coroutine may be older than a departure of the one that resumed it. */
static bool is_later(const struct wf_routine *self, const struct wf_departure *d, uint64_t begun)
{
    return d != NULL && d->stack == self->wait.coro && d->number > begun;
}

/* Ends those on this stack that were raised later than `begun`. */
static void pop(struct wf_routine *self, uint64_t begun)
{
    struct wf_departure *d;
    while (is_later(self, d = innermost(self), begun)) {
        self->extra->departures = d->outer;
        self->extra->n_departures--;
        if (d->end != NULL)
            d->end->n_leaving--;
        wf_memory_give(d);
    }
}

/* ---- leaving frames ---- */

static bool is_quiet(const struct cause *cause);
static _Noreturn void nobody_sees(struct wf_routine *self, const struct cause *cause);

/* What stops a weft_exit: a guard, or the end of a coroutine. */
static struct wf_try *innermost_stop(struct wf_try *record)
{
    while (record != NULL && !is_guard(record) && !is_lowest(record))
        record = record->outer;
    return record;
}

static struct wf_try *destination(struct wf_routine *self, bool panicked)
{
    return panicked ? *try_top(self) : innermost_stop(*try_top(self));
}

/* A defer's function was left by `inner`: the departure that runs the defer goes on in its place. */
static void take_over(struct wf_routine *self, const struct wf_try *guard, const struct wf_departure *inner)
{
    struct wf_departure *outer = inner->outer;
    while (is_later(self, outer, guard->begun))
        outer = outer->outer;
    outer->cause = inner->cause;
    outer->to = destination(self, inner->cause.panicked);
}

/* False: there is nobody to be told. */
static bool tell_future(struct wf_thread *thread, struct wf_future *f, int error, const char *message)
{
    if (f == NULL)
        return false;
    return error != 0 ? wf_future_settle_error(thread, f, error) : wf_future_settle_panic(thread, f, message);
}

/* The routine's function was left: what was on its way arrives at whoever watches the routine. `message` is freed. */
static _Noreturn void end_of_routine(struct wf_thread *thread, struct wf_routine *self, bool panicked, int error,
                                     const char *message)
{
    const struct cause *cause = wf_container_of(message, struct cause, message[0]);
    bool quiet = !panicked || (error != 0 && is_quiet(cause));
    if (wf_routine_is_child(self)) {
        if (panicked)
            wf_child_end_early(thread, self, error != 0 ? error : WEFT_EPANIC, message);
        else
            wf_child_end(thread, self, NULL);
    } else if (self->future != NULL && quiet) {
        wf_future_settle(thread, self->future, NULL);
    } else if (!quiet && !tell_future(thread, self->future, error, message)) {
        wf_leave(wf_thread_self());
        nobody_sees(self, cause);
    }
    pop(self, 0);
    wf_routine_end(wf_thread_self()); /* settling may have waited */
}

/* Blocks in code without cleanups are left here, if no frame further up has been. */
static void leave_blocks(struct wf_routine *self, const struct wf_try *to)
{
    struct wf_scope *scope = wf_scope_of_child(self);
    if (to == NULL)
        wf_frames_leave(scope != NULL ? &scope->frame : NULL);
    else
        wf_frames_leave(to->blocks == NULL && to->end != NULL ? to->end->blocks : to->blocks);
}

/* What weft_try_message() gives from now on, and what wf_panic_again() raises. */
static void keep(struct wf_routine *self, int error, const char *message)
{
    struct wf_extra *extra = wf_routine_extra(self);
    if (extra == NULL)
        return;
    wf_memory_give(extra->panic_message);
    extra->panic_message = wf_memory_text(message != NULL ? message : "");
    extra->panic_error = error;
}

static _Noreturn void arrive(struct wf_departure *d)
{
    struct wf_routine *self = wf_current();
    struct wf_try *to = d->to;
    leave_blocks(self, to);
    *try_top(self) = to != NULL ? to->outer : NULL;
    if (to != NULL) {
        if (is_lowest(to))
            to->end->left = d->cause.panicked ? WF_LEFT_BY_PANIC : WF_LEFT_BY_EXIT;
        if (is_guard(to))
            take_over(self, to, d);
        else if (d->cause.panicked)
            keep(self, d->cause.error, d->cause.message);
        pop(self, to->begun);
        wf_try_resume(to);
    }
    wf_locals_end();
    struct wf_thread *thread = wf_enter();
    end_of_routine(thread, thread->current, d->cause.panicked, d->cause.error, d->cause.message);
}

static _Unwind_Reason_Code stop_at(int version, _Unwind_Action actions, _Unwind_Exception_Class class,
                                   struct _Unwind_Exception *exception, struct _Unwind_Context *context, void *arg)
{
    (void)version, (void)class, (void)exception;
    struct wf_departure *d = arg;
    struct wf_routine *self = wf_current();
    uintptr_t low = (uintptr_t)_Unwind_GetCFA(context); /* of the frame's own: what its callee calls CFA */
    bool arrived = d->to != NULL && low > (uintptr_t)d->to;
    if (arrived || (actions & _UA_END_OF_STACK) != 0)
        arrive(d);
    wf_frames_leave_below(low);
    /* Tries whose frames have been left catch nothing any more; those further up do, also what a cleanup raises. */
    while (*try_top(self) != NULL && low > (uintptr_t)*try_top(self))
        *try_top(self) = (*try_top(self))->outer;
    return _URC_NO_REASON;
}

/* A C++ catch block ends. Not by its own end if another departure leaves it. */
static void swallowed(_Unwind_Reason_Code reason, struct _Unwind_Exception *exception)
{
    (void)reason;
    const struct wf_departure *d = innermost(wf_current());
    if (d != NULL && exception == &d->exception)
        wf_fatal("a C++ catch (...) swallowed a panic without rethrowing it");
}

static _Noreturn void leave_frames(struct wf_routine *self, struct wf_departure *d)
{
    push(self, d);
    d->to = destination(self, d->cause.panicked);
    d->exception.exception_class = EXCEPTION_CLASS;
    d->exception.exception_cleanup = swallowed;
    _Unwind_ForcedUnwind(&d->exception, stop_at, d);
    arrive(d); /* a frame could not be walked */
}

/* ---- panics ---- */

void wf_panic_keep_message(const char *message)
{
    keep(wf_current(), 0, message);
}

WF_PUBLIC const char *weft_try_message(void)
{
    struct wf_routine *self = wf_current();
    return self->extra == NULL || self->extra->panic_message == NULL ? "" : self->extra->panic_message;
}

/* Everything about a panic that a report says. */
struct account {
    uint64_t id; /* 0: of a plain thread */
    const char *name;
    const struct weft__site *site;
    const char *message;
    const uintptr_t *trace;
    size_t n_trace;
};

static void report(const struct account *a)
{
    if (a->id == 0)
        wf_message("panic on a plain thread: %s", a->message);
    else
        wf_message("panic: %s\nweft:   in routine %llu%s%s%s, started at %s:%d (%s)", a->message,
                   (unsigned long long)a->id, a->name[0] != 0 ? " \"" : "", a->name, a->name[0] != 0 ? "\"" : "",
                   a->site->file, a->site->line, a->site->function);
    wf_hooks.trace_print(a->trace, a->n_trace);
}

static _Noreturn void stop_process(const struct account *a)
{
    if (wf_on_panic == NULL) {
        report(a);
    } else if (weft_try(wf_on_panic, a->message, a->id, wf_on_panic_arg) == WEFT_EPANIC) {
        wf_message("weft_config.on_panic panicked: %s", weft_try_message());
        report(a);
    }
    abort();
}

static _Noreturn void nobody_sees(struct wf_routine *self, const struct cause *cause)
{
    stop_process(&(struct account){
        .id = wf_load_relaxed(&self->id),
        .name = self->extra != NULL ? self->extra->name : "",
        .site = self->site,
        .message = cause->message,
        .trace = cause->trace,
        .n_trace = cause->n_trace,
    });
}

static bool is_watched(struct wf_routine *self)
{
    for (struct wf_try *record = *try_top(self); record != NULL; record = record->outer)
        if (!is_guard(record))
            return true;
    return self->future != NULL;
}

/* Waits of a routine that were ended because the runtime stops: it ends, and nobody has to know. */
static bool is_quiet(const struct cause *cause)
{
    return cause->error == -ECANCELED && wf_load_relaxed(&wf_born_pending) != 0;
}

static bool has_try(struct wf_routine *self)
{
    struct wf_try *record = *try_top(self);
    return record != NULL && !is_guard(record);
}

/* Outside the runtime. Formats into the departure: there may be little stack left. */
static _Noreturn void raise_panic(const void *caller, int error, const char *format, va_list ap)
{
    struct wf_departure *d = new_departure();
    struct wf_routine *self = wf_current();
    d->cause.panicked = true;
    d->cause.error = error;
    vsnprintf(d->cause.message, sizeof(d->cause.message), format, ap);
    if (!has_try(self))
        d->cause.n_trace = (uint32_t)wf_hooks.trace_take(d->cause.trace, WF_TRACE_MOST, caller);
    if (!is_watched(self) && ((self->flags & WF_FOREIGN) != 0 || !is_quiet(&d->cause)))
        nobody_sees(self, &d->cause); /* the frames stay for the debugger */
    leave_frames(self, d);
}

_Noreturn WF_PUBLIC void weft_panic(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    raise_panic(__builtin_return_address(0), 0, format, ap);
}

_Noreturn void wf_misuse(const char *format, ...)
{
    struct wf_thread *thread = wf_thread_self();
    if (thread != NULL)
        wf_leave(thread);
    va_list ap;
    va_start(ap, format);
    raise_panic(__builtin_return_address(0), 0, format, ap);
}

_Noreturn WF_NOINLINE void wf_panic_error(int error, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    raise_panic(__builtin_return_address(0), error, format, ap);
}

_Noreturn void wf_panic_again(void)
{
    const struct wf_extra *extra = wf_current()->extra;
    wf_panic_error(extra != NULL ? extra->panic_error : 0, "%s", weft_try_message());
}

/* ---- panics that nobody has seen yet ---- */

/* What is kept of a panicked routine as long as its future, in one piece: trace, this, message. */
struct note {
    uint64_t id;
    const struct weft__site *site;
    char name[32];
    size_t n_trace;
    char message[];
};

char *wf_panic_note(struct wf_routine *self, const char *message)
{
    const struct wf_departure *d = innermost(self);
    size_t n_trace = d != NULL && d->cause.message == message ? d->cause.n_trace : 0;
    size_t trace_bytes = n_trace * sizeof(uintptr_t), size = strlen(message) + 1;
    char *memory = wf_object_alloc(trace_bytes + sizeof(struct note) + size);
    if (memory == NULL)
        return NULL;
    struct note *note = (struct note *)(void *)(memory + trace_bytes);
    if (n_trace > 0)
        memcpy(memory, d->cause.trace, trace_bytes);
    note->id = wf_load_relaxed(&self->id);
    note->site = self->site;
    note->n_trace = n_trace;
    memcpy(note->name, self->extra != NULL ? self->extra->name : "", self->extra != NULL ? sizeof(note->name) : 1);
    memcpy(note->message, message, size);
    return note->message;
}

_Noreturn void wf_panic_unseen(const char *message)
{
    if (message == NULL)
        wf_fatal("panic in a routine whose future was detached; there was no memory for its message");
    const struct note *note = wf_container_of(message, struct note, message[0]);
    stop_process(&(struct account){
        .id = note->id,
        .name = note->name,
        .site = note->site,
        .message = message,
        .trace = (const uintptr_t *)(const void *)((const char *)note - note->n_trace * sizeof(uintptr_t)),
        .n_trace = note->n_trace,
    });
}

/* ---- weft_try ---- */

void wf_try_enter(struct wf_try *record)
{
    struct wf_routine *self = wf_current();
    record->outer = *try_top(self);
    record->end = record->outer != NULL ? record->outer->end : NULL;
    record->blocks = record->end != NULL && record->end->blocks == self->frame ? NULL : self->frame;
    record->begun = __atomic_load_n(&weft__n_departures, __ATOMIC_RELAXED);
    *try_top(self) = record;
}

void wf_try_leave(struct wf_try *record)
{
    *try_top(wf_current()) = record->outer;
}

_Unwind_Reason_Code wf_try_personality(int version, _Unwind_Action actions, _Unwind_Exception_Class class,
                                       struct _Unwind_Exception *exception, struct _Unwind_Context *context)
{
    (void)version, (void)class, (void)exception;
    struct wf_try **top = try_top(wf_current());
    bool is_left = (actions & _UA_CLEANUP_PHASE) != 0;
    if (is_left && *top != NULL && (uintptr_t)*top >= (uintptr_t)_Unwind_GetCFA(context))
        *top = (*top)->outer; /* those of frames below have gone the same way */
    return _URC_CONTINUE_UNWIND;
}

/* ---- weft_defer, where a cleanup must not raise anything ---- */

WF_PUBLIC void weft__defer_end(struct weft__defer *defer)
{
    struct wf_routine *self = wf_current();
    if (!is_later(self, innermost(self), defer->begun)) { /* the block's ordinary end */
        defer->fn(defer->arg);
        return;
    }
    WEFT__START(go, weft__try_capture, defer->fn, NULL, (uint32_t)GUARD, defer->arg);
}

/* ---- weft_exit ---- */

_Noreturn void wf_leave_coroutine(void)
{
    leave_frames(wf_current(), new_departure());
}

_Noreturn WF_PUBLIC void weft_exit(void)
{
    struct wf_routine *self = wf_current();
    if (*try_top(self) != NULL && (*try_top(self))->end != NULL)
        wf_leave_coroutine(); /* it goes on in the one that resumed it */
    if ((self->flags & WF_FOREIGN) != 0) {
        *try_top(self) = NULL; /* cannot be stopped on its way */
        self->thread_ends = true;
        pthread_exit(NULL);
    }
    leave_frames(self, new_departure());
}
