/* SPDX-License-Identifier: MIT */
/* spawn.c - from a captured call to a running routine, and to its end.
 *
 * A routine that has not run yet is only a descriptor with the captured registers; it gets a stack when it is first
 * picked. One that ends hands its stack, still warm, to the next fresh one without a switch.
 */
#include "arch/context.h"
#include "base/assert.h"
#include "sched/hooks.h"
#include "sched/memory.h"
#include "sched/park.h"
#include "sched/sanitizer.h"
#include "sched/sched.h"

#include <errno.h>
#include <string.h>

enum { ID_BLOCK = 4096 };
static _Atomic uint64_t next_id_block = 1;

void (*const weft__capture)(void) __attribute__((visibility("default"))) = wf_capture_thunk;

static uint64_t new_id(struct wf_worker *worker)
{
    if (worker == NULL)
        return wf_add_relaxed(&next_id_block, 1);
    if (WF_UNLIKELY(worker->next_id == worker->end_id)) {
        worker->next_id = wf_add_relaxed(&next_id_block, ID_BLOCK);
        worker->end_id = worker->next_id + ID_BLOCK;
    }
    return worker->next_id++;
}

/* A plain thread, or the pilot, while weft_stop takes away what would run its routine. */
WF_INLINE bool is_too_late(const struct wf_thread *thread)
{
    return WF_UNLIKELY(thread->worker == NULL) && wf_load_seq_cst(&wf_spawn_closed) != 0; /* [K2] */
}

/* A descriptor with everything but the call filled in; NULL when there is none. */
WF_INLINE struct wf_routine *take_descriptor(struct wf_thread *thread, const struct weft__site *site)
{
    struct wf_worker *worker = thread->worker;
    struct wf_routine *r;
    if (WF_LIKELY(worker != NULL && worker->free_routines != NULL)) {
        r = worker->free_routines;
        worker->free_routines = r->link;
        worker->n_free_routines--;
    } else if ((r = wf_routine_alloc_slow(worker)) == NULL) {
        return NULL;
    }
    r->flags = thread->start_flags;
    r->ret = 0;
    r->saved_errno = 0;
    r->stack_slot = 0;
    r->site = site;
    r->future = NULL;
    r->extra = NULL;
    wf_store_relaxed(&r->waits_on, 0);
    wf_store_relaxed(&r->pending, wf_load_relaxed(&wf_born_pending));
    wf_store_relaxed(&r->id, new_id(worker));
    return r;
}

/* Attributes and whatever else is uncommon about a start. */
static WF_COLD int apply_attributes(struct wf_routine *r, const weft_go_attr *attr)
{
    struct wf_extra *extra = wf_routine_extra(r);
    if (extra == NULL)
        return -ENOMEM;
    if (attr->name != NULL)
        strncpy(extra->name, attr->name, sizeof(extra->name) - 1);
    if (attr->workers != NULL) {
        struct wf_pool *pool = wf_pool_named(attr->workers);
        if (pool == NULL)
            return -EINVAL;
        r->flags = (r->flags & ~WF_POOL_FLAGS) | wf_pool_flag(pool);
    }
    if (attr->pin)
        r->flags |= WF_PINNED;
    else if (attr->priority > 0)
        r->flags |= WF_HIGH;
    else if (attr->priority < 0)
        r->flags |= WF_LOW;
    if (attr->stack_size == 0 || attr->stack_size == wf_arena.slot_size)
        return 0;
    if (attr->stack_size > (size_t)1 << 36)
        return -EINVAL;
    size_t size = wf_arena.slot_size >= 16384 ? 16384 : wf_arena.slot_size;
    while (size < attr->stack_size)
        size *= 2;
    int error = wf_own_stack_map(size, &extra->own_stack);
    if (error != 0)
        return error;
    extra->own_stack_size = size;
    r->flags |= WF_OWN_STACK;
    return 0;
}

/* Stack words of the call; the over-read upwards stays within WF_STACK_HEADROOM. Not instrumented: they are the
 * caller's frame. Volatile, so that no instrumented memcpy is put in its place. */
__attribute__((no_sanitize("address"), no_sanitize("thread"))) static void copy_words(uint64_t *to,
                                                                                      const uint64_t *from, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        ((volatile uint64_t *)to)[i] = ((const volatile uint64_t *)from)[i];
}

/* At most two vector registers an argument, and only as many as may matter. */
WF_INLINE uint32_t copy_vectors(struct wf_routine *r, const struct wf_captured *frame, uint32_t n_numbers)
{
    if (n_numbers == 0)
        return 0;
    if (n_numbers > 2)
        memcpy(r->start.vectors[4], frame->vectors[4], 64);
    memcpy(r->start.vectors[0], frame->vectors[0], 64);
    return n_numbers > 2 ? 8 : 4;
}

WF_INLINE int capture_arguments(struct wf_routine *r, const struct wf_captured *frame, const struct weft__go *go)
{
    uint32_t n_words = go->n_words & 255;
    r->sp = (void *)(uintptr_t)go->fn;
    r->stack_slot = n_words;
    if ((go->flags & WEFT__GO_X87) != 0)
        r->flags |= WF_RESULT_IN_X87;
    if (n_words == 0)
        return 0;
    memcpy(r->start.integers, frame->integers, sizeof(r->start.integers));
    r->flags |= copy_vectors(r, frame, go->n_words >> 8) << WF_VECTORS_SHIFT;
    if (WF_LIKELY(n_words <= WF_START_WORDS)) {
        copy_words(r->start.words, frame->words, n_words);
        return 0;
    }
    struct wf_extra *extra = wf_routine_extra(r);
    if (extra == NULL || (extra->words = wf_memory_take(n_words * sizeof(uint64_t))) == NULL)
        return -ENOMEM;
    copy_words(extra->words, frame->words, n_words);
    return 0;
}

static WF_COLD int undo_spawn(struct wf_worker *worker, struct wf_routine *r, int error)
{
    if (r->future != NULL)
        wf_hooks.future_discard(worker, r->future);
    if (r->extra != NULL) {
        if ((r->flags & WF_OWN_STACK) != 0)
            wf_own_stack_unmap(r->extra->own_stack, r->extra->own_stack_size);
        wf_extra_free(r->extra);
    }
    wf_routine_free(worker, r);
    return error;
}

/* Before it can run: it must not be counted as ended first. `own`: a worker of its pool starts it. */
WF_INLINE void count_started(struct wf_worker *worker, struct wf_routine *r, bool own)
{
    if (WF_LIKELY(own))
        wf_count(&worker->n_started);
    else
        wf_add_seq_cst(&wf_pool_of(r)->n_started_outside, 1);
}

WF_INLINE int spawn(struct wf_thread *thread, const struct wf_captured *frame, struct weft__go *go, bool with_attributes)
{
    struct wf_worker *worker = thread->worker;
    if (is_too_late(thread))
        return -ECANCELED;
    struct wf_routine *r = take_descriptor(thread, go->site);
    if (WF_UNLIKELY(r == NULL))
        return -ENOMEM;
    int error = 0;
    bool own = worker != NULL;
    if (with_attributes) {
        error = apply_attributes(r, go->attr);
        own = (r->flags & WF_POOL_FLAGS & thread->slow_flags) == 0;
    }
    if (error == 0)
        error = capture_arguments(r, frame, go);
    if (error == 0 && (go->flags & WEFT__GO_FUTURE) != 0) {
        r->future = wf_hooks.future_create(worker, r, go->future);
        go->future = r->future;
        if (r->future == NULL)
            error = -ENOMEM;
    } else if (WF_UNLIKELY(error == 0 && (go->flags & WEFT__GO_SCOPE) != 0)) {
        error = wf_hooks.child_start(thread, r, go->future, (go->flags & WEFT__GO_ERROR) != 0);
    }
    if (WF_UNLIKELY(error != 0))
        return undo_spawn(worker, r, error);
    count_started(worker, r, own);
    wf_ready(thread, r);
    return 0;
}

static WF_COLD int spawn_with_attributes(struct wf_thread *thread, const struct wf_captured *frame, struct weft__go *go)
{
    return spawn(thread, frame, go, true);
}

/* Called by the capture thunk. */
void wf_capture_call(const struct wf_captured *frame, struct weft__go *go);
void wf_capture_call(const struct wf_captured *frame, struct weft__go *go)
{
    struct wf_thread *thread = wf_enter();
    int error = 0;
    if (WF_UNLIKELY(wf_n_workers == 0)) {
        wf_leave(thread);
        error = wf_hooks.ensure_started();
        thread = wf_enter();
    }
    if (WF_LIKELY(error == 0))
        error = WF_LIKELY(go->attr == NULL) ? spawn(thread, frame, go, false) : spawn_with_attributes(thread, frame, go);
    go->result = error;
    if (WF_UNLIKELY(error != 0)) {
        if ((go->flags & WEFT__GO_SCOPE) != 0)
            wf_hooks.child_refused(thread, go->future, error);
        go->future = NULL;
    }
    wf_leave(thread);
}

int wf_spawn_call(struct wf_thread *thread, const struct weft__site *site, void (*fn)(void *), void *arg)
{
    if (is_too_late(thread))
        return -ECANCELED;
    struct wf_routine *r = take_descriptor(thread, site);
    if (r == NULL)
        return -ENOMEM;
    r->sp = (void *)(uintptr_t)fn;
    r->start.integers[0] = (uint64_t)(uintptr_t)arg;
    count_started(thread->worker, r, thread->worker != NULL);
    wf_ready(thread, r);
    return 0;
}

/* ---- first run ---- */

static const uint64_t *captured_words(const struct wf_routine *r)
{
    return r->stack_slot <= WF_START_WORDS ? r->start.words : r->extra->words;
}

struct wf_routine *wf_stack_bind(struct wf_thread *thread, struct wf_worker *worker, struct wf_routine *r)
{
    const uint64_t *words = captured_words(r);
    uint64_t n_words = r->stack_slot;
    void (*fn)(void) = (void (*)(void))(uintptr_t)r->sp;
    void *top;
    if (WF_UNLIKELY((r->flags & WF_OWN_STACK) != 0)) {
        top = (char *)r->extra->own_stack + r->extra->own_stack_size - WF_STACK_HEADROOM;
    } else if (WF_LIKELY(worker->n_free_stacks > 0)) {
        r->stack_slot = worker->free_stacks[--worker->n_free_stacks];
        top = wf_arena_top(r->stack_slot);
    } else {
        WF_CHECK(worker->stackless == NULL);
        worker->stackless = r;
        return thread->scheduler;
    }
    r->sp = wf_context_prepare(r, top, fn, words, n_words);
    r->flags |= WF_STARTED;
    wf_sanitizer_started(r);
    return r;
}

/* ---- the end ---- */

static void give_stack(struct wf_worker *worker, uint32_t slot)
{
    if (WF_UNLIKELY(worker->n_free_stacks >= wf_stack_cache)) {
        uint32_t n = worker->n_free_stacks / 2 + worker->n_free_stacks % 2;
        worker->n_free_stacks -= n;
        wf_arena_give(&worker->free_stacks[worker->n_free_stacks], n);
    }
    worker->free_stacks[worker->n_free_stacks++] = slot;
}

static WF_COLD void end_extra(struct wf_worker *worker, struct wf_routine *self)
{
    if (self->extra->home != NULL)
        wf_sub_relaxed(&self->extra->home->n_homed, 1);
    if ((self->flags & WF_OWN_STACK) != 0) {
        worker->dead_stack = self->extra->own_stack;
        worker->dead_stack_size = self->extra->own_stack_size;
        worker->budget = 1; /* the scheduler loop unmaps it, next */
    }
    wf_extra_free(self->extra);
}

_Noreturn void wf_routine_end(struct wf_thread *thread)
{
    struct wf_worker *worker = thread->worker;
    struct wf_routine *self = thread->current;
    uint32_t slot = self->stack_slot;
    bool own = (self->flags & WF_OWN_STACK) != 0;
    wf_sanitizer_ending(self);
    if (WF_UNLIKELY(self->extra != NULL))
        end_extra(worker, self);
    wf_count(&worker->n_ended);
    wf_routine_free(worker, self);
    struct wf_routine *r = wf_pick_any(thread, worker);
    if (!WF_ASAN && !WF_TSAN && !own && (r->flags & (WF_STARTED | WF_OWN_STACK)) == 0) {
        const uint64_t *words = captured_words(r);
        uint64_t n_words = r->stack_slot;
        void (*fn)(void) = (void (*)(void))(uintptr_t)r->sp;
        r->stack_slot = slot;
        r->flags |= WF_STARTED;
        thread->current = r;
        wf_switch_start(r, thread, wf_arena_top(slot), fn, words, n_words);
    }
    if ((r->flags & WF_STARTED) == 0)
        r = wf_stack_bind(thread, worker, r); /* before our own stack may be taken */
    if (!own)
        give_stack(worker, slot);
    thread->current = r;
    wf_sanitizer_release(thread, NULL);
    wf_sanitizer_before_switch(NULL, r);
    wf_switch_away(r, thread);
}

/* The entry code calls it when the routine's function has returned. */
_Noreturn void wf_routine_return(const struct wf_result *result);
_Noreturn void wf_routine_return(const struct wf_result *result)
{
    struct wf_thread *thread = wf_enter();
    struct wf_routine *self = thread->current;
    if (WF_UNLIKELY(self->extra != NULL && self->extra->n_locals > 0)) {
        wf_leave(thread);
        wf_hooks.end_locals();
        thread = wf_enter(); /* perhaps another one */
    }
    if (WF_UNLIKELY(wf_routine_is_child(self)))
        wf_hooks.child_end(thread, self, result);
    else if (self->future != NULL)
        thread = wf_hooks.future_settle(thread, self->future, result);
    wf_routine_end(thread);
}
