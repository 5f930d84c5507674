/* SPDX-License-Identifier: MIT */
/* coro.c - coroutines: their life, resume and suspend.
 *
 * Owns:    the coroutines' records, and the stacks under them from creation to destruction.
 * Callers: the user; debug/fault.c looks at the stack of the running one.
 * Locking: none. A coroutine is its holder's; the record of what a routine is in (r->wait.coro) is the routine's own.
 *
 * A resume does not enter the runtime: it touches the routine that it runs in and the coroutine, nothing of the worker.
 * Like waiting calls it is one flat function that ends in a tail call into the switch; what would have to be done after
 * it, the other side has done before. So the fast ways are a dozen loads and stores each, and nothing of the thread is
 * kept over a switch.
 *
 * The function of a coroutine runs under a weft_try record at the end of its stack. A panic that nothing else catches,
 * weft_exit and the end of a suspended coroutine all leave the frames up to that record.
 */
#include "coro/coro.h"

#include <errno.h>
#include <weft/panic.h>

#include "base/assert.h"
#include "coro/switch.h"
#include "sched/hooks.h"
#include "sched/sched.h"
#include "sched/try.h"
#include "sched/worker.h"
#include "scope/panic.h"
#include "stack/arena.h"
#include "stack/overflow.h"

/* How many coroutines a worker keeps: 32, fewer where stacks are few. */
static uint32_t cache_size(void)
{
    return wf_stack_cache / 2;
}

/* r goes over to c; its chain of weft_try records to the one kept in c. The barriers keep gcc from fusing neighbouring
 * fields into vectors: the load of a pair that was stored as two waits for both to reach the cache (4 ns). */
WF_INLINE void enter(struct wf_routine *r, struct weft_coro *c)
{
    struct wf_try *top = r->wait.try_top;
    c->resumer = r->wait.coro;
    wf_compiler_barrier();
    r->wait.coro = c;
    wf_compiler_barrier();
    c->sp = NULL; /* not before: from here to the switch nobody stops here, see [W4] in sched/world.c */
    wf_compiler_barrier();
    r->wait.try_top = c->try_top;
    wf_compiler_barrier();
    c->try_top = top;
    c->end.blocks = r->frame;
}

WF_INLINE void leave(struct wf_routine *r, struct weft_coro *c)
{
    struct wf_try *top = r->wait.try_top;
    r->wait.coro = c->resumer;
    wf_compiler_barrier();
    r->wait.try_top = c->try_top;
    wf_compiler_barrier();
    c->try_top = top;
}

/* ---- all of them, for the collector ---- */

static struct {
    struct wf_spinlock lock;
    struct wf_link ring; /* lock; next NULL: never used */
} coros;

static void enlist(struct weft_coro *c)
{
    wf_spinlock_lock(&coros.lock);
    if (coros.ring.next == NULL)
        coros.ring.next = coros.ring.prev = &coros.ring;
    c->fn = NULL;
    c->all = (struct wf_link){.next = &coros.ring, .prev = coros.ring.prev};
    coros.ring.prev->next = &c->all;
    coros.ring.prev = &c->all;
    wf_spinlock_unlock(&coros.lock);
}

static void delist(struct weft_coro *c)
{
    struct wf_thread *thread = wf_enter(); /* not to be stopped with the lock held */
    wf_spinlock_lock(&coros.lock);
    c->all.prev->next = c->all.next;
    c->all.next->prev = c->all.prev;
    wf_spinlock_unlock(&coros.lock);
    wf_leave(thread);
}

void wf_coros_clear(void)
{
    struct wf_link *link = coros.ring.next;
    while (link != NULL && link != &coros.ring) {
        struct weft_coro *c = wf_container_of(link, struct weft_coro, all);
        link = link->next;
        if (c->own_stack != NULL)
            continue;
        c->all.prev->next = c->all.next;
        c->all.next->prev = c->all.prev;
    }
}

void wf_coro_each_stack(void (*fn)(void *arg, const void *low, const void *high), void *arg)
{
    for (struct wf_link *link = coros.ring.next; link != NULL && link != &coros.ring; link = link->next) {
        struct weft_coro *c = wf_container_of(link, struct weft_coro, all);
        if (c->fn == NULL)
            continue;
        fn(arg, c, c + 1);
        if (c->sp != NULL)
            fn(arg, c->sp, c);
    }
}

void wf_coro_each_outer_stack(const struct wf_routine *r, const void *high,
                              void (*fn)(void *arg, const void *low, const void *high), void *arg)
{
    for (const struct weft_coro *c = r->wait.coro; c != NULL; c = c->resumer)
        fn(arg, c->resumer_sp, c->resumer != NULL ? (const void *)c->resumer : high);
}

/* ---- the stack that a coroutine is on top of ---- */

const char *wf_coro_stack_low(const struct weft_coro *c)
{
    return c->own_stack != NULL ? (const char *)c->own_stack + WF_GUARD_SIZE : (const char *)wf_arena_low(c->slot);
}

static struct weft_coro *place_record(void *top)
{
    uintptr_t at = ((uintptr_t)top - sizeof(struct weft_coro)) & ~(uintptr_t)(WF_CACHELINE - 1);
    return (struct weft_coro *)at;
}

static WF_NOINLINE struct weft_coro *borrow_stack(void)
{
    uint32_t slot;
    if (!wf_slot_borrow(&slot))
        return NULL;
    struct weft_coro *c = place_record(wf_arena_top(slot));
    c->slot = slot;
    c->own_stack = NULL;
    c->stack_size = wf_arena.slot_size;
    enlist(c);
    return c;
}

static WF_NOINLINE struct weft_coro *map_stack(size_t least)
{
    if (least > (size_t)1 << 36)
        return NULL;
    size_t size = wf_arena.slot_size >= 16384 ? 16384 : wf_arena.slot_size;
    while (size < least)
        size *= 2;
    void *stack;
    if (wf_own_stack_map(size, &stack) != 0)
        return NULL;
    struct weft_coro *c = place_record((char *)stack + size - WF_STACK_HEADROOM);
    c->own_stack = stack;
    c->stack_size = size;
    enlist(c);
    return c;
}

/* ---- from the first frame to the end ---- */

static void run(struct weft_coro *c)
{
    struct wf_try *lowest = wf_current()->wait.try_top;
    lowest->end = &c->end;
    lowest->blocks = NULL; /* the next resume may come from elsewhere */
    if (c->captured != NULL)
        wf_captured_call(c->captured, c->fn, c->n_words);
    else
        ((void (*)(void *))c->fn)(c->arg);
}

static _Noreturn void finish(struct weft_coro *c)
{
    c->finished = true;
    leave(wf_current(), c);
    if (c->destroying)
        wf_coro_switch_out_for_ever(c, 0, NULL);
    switch ((enum wf_left)c->end.left) {
    case WF_LEFT_BY_PANIC:
        wf_coro_switch_out_for_ever(c, 0, wf_panic_again);
    case WF_LEFT_BY_EXIT:
        wf_coro_switch_out_for_ever(c, 0, weft_exit);
    case WF_LEFT_NOT:
        break;
    }
    wf_coro_switch_out_for_ever(c, -EPIPE, NULL);
}

static void first_frame(void *arg)
{
    struct weft_coro *c = arg;
    wf_coro_switch_entered(c);
    c->started = true;
    (void)weft_try(run, c); /* c->end.left tells how it ended */
    finish(c);
}

/* ---- create ---- */

WF_INLINE struct weft_coro *take_cached(struct wf_worker *worker)
{
    if (WF_UNLIKELY(worker == NULL))
        return NULL;
    struct weft_coro *c = worker->free_coros;
    if (c != NULL) {
        worker->free_coros = c->next;
        worker->n_free_coros--;
    }
    return c;
}

/* A plain thread gets what a thread of the runtime has: without it, an overflow could not be reported. */
static void prepare_for_overflow(struct wf_thread *thread)
{
    if (thread->worker == NULL && !thread->asked_for_signal_stack) {
        thread->asked_for_signal_stack = true;
        wf_signal_stack_create(&thread->signal_stack);
    }
}

static struct weft_coro *take(const weft_coro_attr *attr)
{
    if (WF_UNLIKELY(wf_n_workers == 0) && wf_hooks.ensure_started() != 0)
        return NULL;
    struct wf_thread *thread = wf_enter();
    if (WF_UNLIKELY((thread->current->flags & WF_FOREIGN) != 0))
        prepare_for_overflow(thread);
    struct weft_coro *c;
    if (WF_UNLIKELY(attr != NULL && attr->stack_size != 0 && attr->stack_size != wf_arena.slot_size))
        c = map_stack(attr->stack_size);
    else if (WF_UNLIKELY((c = take_cached(thread->worker)) == NULL))
        c = borrow_stack();
    wf_leave(thread);
    return c;
}

/* Its frames begin below `top`. */
WF_INLINE void make_ready(struct weft_coro *c, void *top, void (*fn)(void))
{
    c->sp = wf_coro_prepare(top, first_frame, c);
    c->try_top = NULL;
    c->fn = fn;
    c->end.left = WF_LEFT_NOT;
    c->end.n_leaving = 0;
    c->started = c->finished = c->destroying = false;
    wf_coro_switch_made(c);
}

WF_INLINE struct weft_coro *create(const weft_coro_attr *attr, void (*fn)(void *arg), void *arg)
{
    struct weft_coro *c = take(attr);
    if (WF_UNLIKELY(c == NULL))
        return NULL;
    make_ready(c, c, (void (*)(void))fn);
    c->arg = arg;
    c->captured = NULL;
    return c;
}

WF_PUBLIC weft_coro *weft_coro_create(void (*fn)(void *arg), void *arg)
{
    return create(NULL, fn, arg);
}

WF_PUBLIC weft_coro *weft_coro_create_with(const weft_coro_attr *attr, void (*fn)(void *arg), void *arg)
{
    return create(attr, fn, arg);
}

/* ---- generators: a call captured as weft_go does ---- */

void (*const weft__gen_capture)(void) __attribute__((visibility("default"))) = wf_coro_capture_thunk;

/* As in sched/spawn.c: the over-read upwards stays within WF_STACK_HEADROOM; not instrumented, they are the caller's
 * frame; volatile, so that no instrumented memcpy is put in its place. */
__attribute__((no_sanitize("address"), no_sanitize("thread"))) static void copy_words(uint64_t *to,
                                                                                      const uint64_t *from, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        ((volatile uint64_t *)to)[i] = ((const volatile uint64_t *)from)[i];
}

/* Called by the capture thunk. The first argument, which the macro gives as 0, becomes the generator itself. */
void wf_coro_capture(const struct wf_captured *frame, struct weft__go *go);
void wf_coro_capture(const struct wf_captured *frame, struct weft__go *go)
{
    struct weft_coro *c = take((const weft_coro_attr *)(const void *)go->attr);
    go->future = c;
    if (c == NULL)
        return;
    uint32_t n_words = go->n_words & 255;
    uint64_t *words = (uint64_t *)(void *)c - (n_words + n_words % 2); /* 16-byte aligned */
    struct wf_captured *call = (struct wf_captured *)(void *)words - 1;
    copy_words(words, frame->words, n_words);
    *call = *frame;
    call->words = words;
    call->integers[0] = (uint64_t)(uintptr_t)c;
    make_ready(c, call, go->fn);
    c->captured = call;
    c->n_words = n_words;
}

/* ---- resume and suspend ---- */

static WF_COLD int cannot_resume(const struct weft_coro *c)
{
    if (c == NULL)
        wf_misuse("weft_coro_resume: there is no coroutine (NULL)");
    if (c->finished && c->fn == NULL)
        wf_misuse("weft_coro_resume(%p): it is destroyed", (const void *)c);
    return c->finished ? -EPIPE : -EBUSY;
}

static WF_COLD int attach_and_resume(struct weft_coro *c, void *in, void **out)
{
    wf_current();
    return weft_coro_resume(c, in, out);
}

WF_PUBLIC int weft_coro_resume(weft_coro *c, void *in, void **out)
{
    void *sp;
    if (WF_UNLIKELY(c == NULL || (sp = c->sp) == NULL))
        return cannot_resume(c);
    struct wf_thread *thread = wf_thread_self();
    if (WF_UNLIKELY(thread == NULL))
        return attach_and_resume(c, in, out);
    struct wf_routine *r = thread->current;
    c->out = out;
    enter(r, c);
    return wf_coro_switch_in(c, r, sp, in, NULL);
}

static _Noreturn WF_COLD void cannot_suspend(const struct weft_coro *c)
{
    if (c == NULL)
        wf_misuse("weft_coro_suspend: the caller is not in a coroutine");
    if (c->end.n_leaving == 0)
        wf_misuse("weft_coro_suspend in coroutine %p: inside of a scope, deadline or shield of its own", (const void *)c);
    if (!c->destroying)
        wf_misuse("weft_coro_suspend in coroutine %p: a panic or weft_exit is leaving it", (const void *)c);
    wf_misuse("weft_coro_suspend in coroutine %p: it is being destroyed", (const void *)c);
}

WF_INLINE void *suspend(struct wf_routine *r, struct weft_coro *c, void *value)
{
    if (WF_UNLIKELY(c->end.n_leaving != 0 || r->frame != c->end.blocks))
        cannot_suspend(c);
    if (c->out != NULL)
        *c->out = value;
    leave(r, c);
    return wf_coro_switch_out(c);
}

WF_PUBLIC void *weft_coro_suspend(void *value)
{
    struct wf_thread *thread = wf_thread_self();
    struct weft_coro *c;
    if (WF_UNLIKELY(thread == NULL || (c = thread->current->wait.coro) == NULL))
        cannot_suspend(NULL);
    return suspend(thread->current, c, value);
}

static _Noreturn WF_COLD void cannot_yield(const struct weft_coro *c)
{
    wf_misuse("weft_gen_yield(%p): the caller is not in that generator, or in another one inside", (const void *)c);
}

WF_PUBLIC void *weft__coro_yield(weft_coro *c, void *value)
{
    struct wf_thread *thread = wf_thread_self();
    if (WF_UNLIKELY(thread == NULL || c == NULL || thread->current->wait.coro != c))
        cannot_yield(c);
    return suspend(thread->current, c, value);
}

WF_PUBLIC bool weft_coro_done(const weft_coro *c)
{
    return c->finished;
}

WF_PUBLIC weft_coro *weft_coro_current(void)
{
    return wf_current()->wait.coro;
}

/* ---- destroy ---- */

/* Inside the runtime. */
static void return_slot(struct weft_coro *c)
{
    uint32_t slot = c->slot;
    wf_spinlock_lock(&coros.lock);
    c->all.prev->next = c->all.next;
    c->all.next->prev = c->all.prev;
    wf_spinlock_unlock(&coros.lock);
    wf_slot_return(slot);
}

static WF_NOINLINE void return_some(struct wf_worker *worker)
{
    while (worker->n_free_coros > cache_size() / 2)
        return_slot(take_cached(worker));
}

static void release(struct weft_coro *c)
{
    wf_coro_switch_gone(c);
    if (WF_UNLIKELY(c->own_stack != NULL)) {
        delist(c);
        wf_own_stack_unmap(c->own_stack, c->stack_size);
        return;
    }
    c->sp = NULL;
    c->fn = NULL;
    c->finished = true;
    struct wf_thread *thread = wf_enter();
    struct wf_worker *worker = thread->worker;
    if (WF_LIKELY(worker != NULL)) {
        c->next = worker->free_coros;
        worker->free_coros = c;
        if (++worker->n_free_coros > cache_size())
            return_some(worker);
    } else {
        return_slot(c);
    }
    wf_leave(thread);
}

/* Not flat: the stack is given back after the last frame has been left. */
static WF_NOINLINE void unwind(struct weft_coro *c)
{
    struct wf_routine *r = wf_current();
    void *sp = c->sp;
    c->destroying = true;
    c->end.n_leaving = 1; /* for ever, whatever is caught on the way */
    enter(r, c);
    wf_coro_switch_in(c, r, sp, NULL, (void (*)(void))wf_leave_coroutine);
}

WF_PUBLIC void weft_coro_destroy(weft_coro *c)
{
    if (c == NULL)
        return;
    if (WF_UNLIKELY(c->fn == NULL))
        wf_misuse("weft_coro_destroy(%p): it is destroyed already", (void *)c);
    if (WF_UNLIKELY(c->sp == NULL && !c->finished))
        wf_misuse("weft_coro_destroy(%p): it is running", (void *)c);
    bool panicked = false;
    if (c->started && !c->finished) {
        unwind(c);
        panicked = c->end.left == WF_LEFT_BY_PANIC;
    }
    release(c);
    if (WF_UNLIKELY(panicked))
        wf_panic_again();
}
