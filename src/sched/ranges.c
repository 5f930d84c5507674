/* SPDX-License-Identifier: MIT */
/* ranges.c - see ranges.h. Owns nothing.
 *
 * Callers: gc/roots.c, debug/leaks.c (the walk), thread.c (new threads).
 */
#define _GNU_SOURCE
#include "sched/ranges.h"

#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/assert.h"
#include "sched/hooks.h"
#include "sched/memory.h"
#include "sched/threads.h"
#include "sched/world.h"
#include "stack/arena.h"

/* Of cold memory, while walking over routines: descriptors, then the lines of their stacks, on their way into the cache. */
enum { DESCRIPTORS_AHEAD = 24, STACKS_AHEAD = 12, STACK_LINES = 5 };
static const size_t MAIN_STACK_GAP = (size_t)120 << 20; /* the kernel maps nothing so close below the main stack */

/* A routine in a coroutine stands on that one's stack, which ends with the coroutine's record. */
static void each_stack(const struct wf_routine *r, const void *high, wf_range_fn *fn, void *arg)
{
    if (r->wait.coro == NULL) {
        fn(arg, r->sp, high);
        return;
    }
    fn(arg, r->sp, r->wait.coro);
    wf_hooks.each_outer_stack(r, high, fn, arg);
}

/* What is waited on, and where the value goes, are kept by the wait itself: the waiting call has left nothing on the stack, and
 * its caller may have no more use for either. */
static void each_range_of_wait(struct wf_routine *r, wf_range_fn *fn, void *arg)
{
    uint64_t waits_on = wf_load_relaxed(&r->waits_on);
    enum wf_wait_kind kind = wf_wait_kind_of(waits_on);
    if (kind == WF_WAIT_NONE || kind == WF_WAIT_SELECT || kind == WF_WAIT_SLEEP_THREAD) /* no address */
        return;
    const void *kept[] = {wf_wait_object_of(waits_on), NULL};
    if (kind == WF_WAIT_CHAN_SEND || kind == WF_WAIT_CHAN_RECV)
        kept[1] = r->wait.waiter.elem;
    fn(arg, kept, kept + WF_ARRAY_SIZE(kept));
}

static void each_range_of(struct wf_thread *thread, wf_range_fn *fn, void *arg)
{
    const ucontext_t *u = thread->stop_context;
    if (u == NULL)
        return;
    fn(arg, u, u + 1);
#if defined(__x86_64__)
    const struct _libc_fpstate *state = u->uc_mcontext.fpregs;
    if (state == NULL)
        return;
    uint32_t magic, size = sizeof(*state); /* the legacy area; behind it, if the kernel says so, the wider registers */
    memcpy(&magic, (const char *)state + 464, sizeof(magic));
    if (magic == 0x46505853u)
        memcpy(&size, (const char *)state + 468, sizeof(size));
    fn(arg, state, (const char *)state + size);
#endif
}

static int note_unloads(struct dl_phdr_info *info, size_t size, void *arg)
{
    if (size >= offsetof(struct dl_phdr_info, dlpi_subs) + sizeof(info->dlpi_subs))
        *(uint64_t *)arg = info->dlpi_subs;
    return 1;
}

/* The kernel reads the mask before it finds that there is no such way to set it. */
static bool is_readable(const void *low, const void *high)
{
    enum { STEP = 4096 };
    for (uintptr_t p = (uintptr_t)low & ~(uintptr_t)7; p < (uintptr_t)high; p = (p + STEP) & ~(uintptr_t)(STEP - 1))
        if (syscall(SYS_rt_sigprocmask, -1, p, NULL, 8) != 0 && errno == EFAULT)
            return false;
    return true;
}

/* Variables of a library that has been unloaded meanwhile may be anything, or nothing. */
static void each_tls_range(const struct wf_thread *t, uint64_t unloads, wf_range_fn *fn, void *arg)
{
    int saved = errno;
    uint32_t n = wf_load_acquire(&t->n_tls);
    for (uint32_t i = 0; i < n; i++) {
        const void *low = t->tls[i].low, *high = (const char *)low + t->tls[i].size;
        if (t->tls_unloads == unloads || is_readable(low, high))
            fn(arg, low, high);
    }
    errno = saved;
}

/* Registers, thread-local variables, and what a routine that has just begun is about to load its arguments from. */
static void each_range_of_thread(struct wf_thread *t, uint64_t unloads, wf_range_fn *fn, void *arg)
{
    each_range_of(t, fn, arg);
    each_tls_range(t, unloads, fn, arg);
    if (t->current != t->scheduler)
        fn(arg, &t->current->start, &t->current->start + 1);
}

void wf_world_each_range(wf_range_fn *fn, void *arg)
{
    uint64_t unloads = 0;
    dl_iterate_phdr(note_unloads, &unloads);
    for (struct wf_thread *t = wf_threads.all; t != NULL; t = t->next_all)
        each_range_of_thread(t, unloads, fn, arg);
    for (struct wf_thread *t = wf_threads.foreign; t != NULL; t = t->next_all) {
        each_range_of_thread(t, unloads, fn, arg);
        wf_hooks.each_local(t->current, fn, arg);
        each_range_of_wait(t->current, fn, arg);
        if (t->current->sp != NULL) /* else it has only just entered itself, and waits for the end of this stop */
            each_stack(t->current, t->stack_high, fn, arg);
    }
}

void wf_world_each_range_of(struct wf_routine *r, wf_range_fn *fn, void *arg)
{
    if (r->extra != NULL)
        wf_hooks.each_local(r, fn, arg);
    if ((r->flags & WF_STARTED) == 0) {
        fn(arg, &r->start, &r->start + 1);
        if (r->extra != NULL && r->extra->words != NULL)
            fn(arg, r->extra->words, r->extra->words + r->stack_slot);
        return;
    }
    const void *high = (r->flags & WF_OWN_STACK) != 0 ? (const char *)r->extra->own_stack + r->extra->own_stack_size
                                                      : wf_arena_top(r->stack_slot);
    each_range_of_wait(r, fn, arg);
    each_stack(r, high, fn, arg);
}

uint32_t wf_world_routines(void)
{
    return wf_n_workers != 0 ? wf_routines_count() : 0;
}

static void prefetch_descriptor(const struct wf_routine *r)
{
    __builtin_prefetch(r);
    __builtin_prefetch(&r->wait.coro);
}

static void prefetch_stack(const struct wf_routine *r)
{
    const char *sp = r->sp; /* of a fresh one: the function; no harm done */
    for (unsigned line = 0; line < STACK_LINES; line++)
        __builtin_prefetch(sp + (size_t)line * 64);
}

void wf_world_each_routine_range(uint32_t from, uint32_t to, wf_range_fn *fn, void *arg)
{
    for (uint32_t i = from; i < to && i < from + DESCRIPTORS_AHEAD; i++)
        prefetch_descriptor(wf_routine_at(i));
    for (uint32_t i = from; i < to && i < from + STACKS_AHEAD; i++)
        prefetch_stack(wf_routine_at(i));
    for (uint32_t i = from; i < to; i++) {
        struct wf_routine *r = wf_routine_at(i);
        if (i + DESCRIPTORS_AHEAD < to)
            prefetch_descriptor(wf_routine_at(i + DESCRIPTORS_AHEAD));
        if (i + STACKS_AHEAD < to)
            prefetch_stack(wf_routine_at(i + STACKS_AHEAD));
        if (wf_load_relaxed(&r->id) != 0)
            wf_world_each_range_of(r, fn, arg);
    }
}

/* ---- where a thread's own variables and stack are ---- */

/* What the library has of thread-local variables in the calling thread: the range, if it has one. */
static bool tls_of(const struct dl_phdr_info *info, size_t size, struct wf_tls_range *ret_range)
{
    if (size < offsetof(struct dl_phdr_info, dlpi_tls_data) + sizeof(info->dlpi_tls_data) || info->dlpi_tls_data == NULL)
        return false;
    for (unsigned i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_TLS) {
            *ret_range = (struct wf_tls_range){.low = info->dlpi_tls_data, .size = info->dlpi_phdr[i].p_memsz};
            return true;
        }
    return false;
}

static int count_tls(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct wf_tls_range range;
    *(unsigned *)arg += tls_of(info, size, &range);
    return 0;
}

struct tls_note {
    struct wf_thread *thread;
    unsigned most;
};

static int note_tls(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct tls_note *note = arg;
    struct wf_thread *thread = note->thread;
    note_unloads(info, size, &thread->tls_unloads);
    uint32_t n = wf_load_relaxed(&thread->n_tls);
    if (n < note->most && tls_of(info, size, &thread->tls[n]))
        wf_store_release(&thread->n_tls, n + 1);
    return 0;
}

/* Counted first: nothing can be allocated while the loader's lock is held. */
static void note_thread_locals(struct wf_thread *thread)
{
    unsigned n = 0;
    struct tls_note note = {.thread = thread, .most = WF_FEW_TLS_RANGES};
    dl_iterate_phdr(count_tls, &n);
    if (n > WF_FEW_TLS_RANGES) {
        struct wf_tls_range *many = wf_memory_take(n * sizeof(*many));
        if (many == NULL)
            wf_fatal("out of memory for the thread-local variables of a thread");
        thread->tls = many;
        note.most = n;
    }
    wf_store_relaxed(&thread->n_tls, 0);
    dl_iterate_phdr(note_tls, &note);
}

void wf_world_note_thread(struct wf_thread *thread)
{
    pthread_attr_t attr;
    void *low;
    size_t size;
    int saved = errno;
    wf_world_loader_begin_unknown();
    note_thread_locals(thread);
    wf_world_loader_end();
    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        if (pthread_attr_getstack(&attr, &low, &size) == 0) {
            thread->stack_high = (char *)low + size;
            if (gettid() == getpid() && size < MAIN_STACK_GAP)
                size = MAIN_STACK_GAP; /* its limit may be raised later */
            thread->stack_low = (const char *)thread->stack_high - size;
        }
        pthread_attr_destroy(&attr);
    }
    errno = saved;
}
