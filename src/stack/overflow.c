/* SPDX-License-Identifier: MIT */
/* overflow.c - the handlers of SIGSEGV and SIGBUS, and the stacks that they run on.
 *
 * Owns:    the two signals' dispositions between install and uninstall; the alternate stacks.
 * Callers: rt/init.c (install, uninstall), sched/thread.c (signal stacks), the kernel.
 *
 * Everything below `handle` is async-signal-safe: no allocation, no stdio, one write(2) per report.
 *
 * Is it an overflow? The address lies in the guard of the running routine's stack, and the stack pointer is not above
 * it: a push or call faults a few bytes below the stack pointer, a large frame has moved it below the address first.
 * An index gone wrong in a caller's array can reach the guard too, but with the stack pointer above.
 */
#define _GNU_SOURCE
#include "stack/overflow.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/compiler.h"
#include "stack/arena.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

enum {
    PUSH_REACH = 512,           /* how far below the stack pointer one instruction, or the red zone, reaches */
    HANDLER_BYTES = 16 * 1024,  /* of an alternate stack, for us and chained handlers */
    DEFAULT_FRAME_BYTES = 8192, /* where the kernel does not tell */
    N_SIGNALS = 2,
};

static const int fault_signals[N_SIGNALS] = {SIGSEGV, SIGBUS};

static struct {
    _Atomic(const struct wf_overflow_hooks *) hooks; /* NULL: not installed, pass everything on */
    struct sigaction previous[N_SIGNALS];            /* written before the handler is installed */
    bool left_behind[N_SIGNALS];                     /* somebody's handler may chain to ours: do not install it again */
} state;

/* ---- the report ---- */

struct line {
    size_t length;
    char text[1024];
};

static void put(struct line *l, const char *text)
{
    while (*text != '\0' && l->length < sizeof(l->text) - 1)
        l->text[l->length++] = *text++;
}

static void put_number(struct line *l, uint64_t value, unsigned base)
{
    char digits[24], *at = digits + sizeof(digits);
    *--at = '\0';
    do
        *--at = "0123456789abcdef"[value % base];
    while ((value /= base) != 0);
    put(l, at);
}

static void put_address(struct line *l, uintptr_t address)
{
    put(l, "0x");
    put_number(l, address, 16);
}

static void put_routine(struct line *l, const struct wf_fault *f)
{
    if (f->in_coroutine)
        put(l, "a coroutine of ");
    if (f->id == 0) {
        put(l, "a plain thread");
        return;
    }
    put(l, "routine ");
    put_number(l, f->id, 10);
    if (f->name != NULL && f->name[0] != '\0') {
        put(l, " \"");
        put(l, f->name);
        put(l, "\"");
    }
    if (f->file != NULL) {
        put(l, ", started at ");
        put(l, f->file);
        put(l, ":");
        put_number(l, (uint64_t)f->line, 10);
    }
    if (f->function != NULL) {
        put(l, " (");
        put(l, f->function);
        put(l, ")");
    }
}

static void put_size(struct line *l, size_t bytes)
{
    put_number(l, bytes >> 10, 10);
    put(l, "KiB");
}

static void write_line(struct line *l)
{
    l->text[l->length++] = '\n';
    size_t written = 0;
    while (written < l->length) {
        ssize_t n = write(STDERR_FILENO, l->text + written, l->length - written);
        if (n <= 0 && errno != EINTR)
            return;
        written += n > 0 ? (size_t)n : 0;
    }
}

static void report_overflow(const struct wf_fault *f)
{
    struct line l = {0};
    put(&l, "weft: stack overflow in ");
    put_routine(&l, f);
    put(&l, ", stack ");
    put_size(&l, f->stack_size);
    put(&l, f->own_stack ? " (its own)" : " (the default)");
    put(&l, f->in_coroutine ? "; raise it with a weft_coro_attr (.stack_size = "
                            : "; raise it with weft_attr(.stack_size = ");
    put_number(&l, 2 * f->stack_size, 10);
    if (f->own_stack) {
        put(&l, ")");
    } else {
        put(&l, "), or for all with WEFT_STACK=");
        put_size(&l, 2 * f->stack_size);
    }
    write_line(&l);
}

static void report_bad_address(const struct wf_fault *f, int signal, const siginfo_t *info, uintptr_t pc)
{
    struct line l = {0};
    put(&l, "weft: ");
    put_routine(&l, f);
    if (info->si_code == SI_KERNEL) { /* the processor does not tell an address that no mapping can have */
        put(&l, ", touched a bad address");
    } else {
        put(&l, ", touched bad address ");
        put_address(&l, (uintptr_t)info->si_addr);
    }
    put(&l, " at pc ");
    put_address(&l, pc);
    put(&l, signal == SIGBUS ? " (SIGBUS)" : " (SIGSEGV)");
    write_line(&l);
}

/* ---- the handler ---- */

struct registers {
    uintptr_t pc, sp; /* 0: not known on this architecture */
};

static struct registers registers_of(const void *context)
{
    const ucontext_t *u = context;
#if defined(__x86_64__)
    return (struct registers){(uintptr_t)u->uc_mcontext.gregs[REG_RIP], (uintptr_t)u->uc_mcontext.gregs[REG_RSP]};
#elif defined(__aarch64__)
    return (struct registers){(uintptr_t)u->uc_mcontext.pc, (uintptr_t)u->uc_mcontext.sp};
#else
    (void)u;
    return (struct registers){0, 0};
#endif
}

static bool is_overflow(const struct wf_fault *f, const siginfo_t *info, uintptr_t sp)
{
    uintptr_t address = (uintptr_t)info->si_addr, low = (uintptr_t)f->stack_low;
    return info->si_code != SI_KERNEL && address < low && low - address <= WF_GUARD_SIZE && sp <= address + PUSH_REACH;
}

/* Sent by a kill, not by an access to memory. */
static bool is_sent(const siginfo_t *info)
{
    return info->si_code <= 0;
}

static bool is_function(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) != 0 || (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN);
}

static void set_default(int signal)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigaction(signal, &action, NULL);
}

static _Noreturn void die(int signal)
{
    set_default(signal);
    abort();
}

/* As the kernel would have called it, but for the stack. */
static void call_previous(struct sigaction *previous, int signal, siginfo_t *info, void *context)
{
    struct sigaction action = *previous;
    sigset_t before, self;
    if ((action.sa_flags & (int)SA_RESETHAND) != 0)
        *previous = (struct sigaction){.sa_handler = SIG_DFL};
    sigprocmask(SIG_BLOCK, &action.sa_mask, &before);
    if ((action.sa_flags & SA_NODEFER) != 0) {
        sigemptyset(&self);
        sigaddset(&self, signal);
        sigprocmask(SIG_UNBLOCK, &self, NULL);
    }
    if ((action.sa_flags & SA_SIGINFO) != 0)
        action.sa_sigaction(signal, info, context);
    else
        action.sa_handler(signal);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

/* What would have happened without us. */
static void pass_on(struct sigaction *previous, int signal, siginfo_t *info, void *context)
{
    if (is_function(previous)) {
        call_previous(previous, signal, info, context);
        return;
    }
    if (is_sent(info) && previous->sa_handler == SIG_IGN)
        return;
    set_default(signal);
    if (is_sent(info))
        raise(signal); /* delivered when the handler returns; a bad access faults again by itself */
}

static void handle(int signal, siginfo_t *info, void *context)
{
    int saved = errno;
    struct sigaction *previous = &state.previous[signal == SIGBUS];
    const struct wf_overflow_hooks *hooks = wf_load_acquire(&state.hooks); /* [O2] */
    struct wf_fault fault = {0};
    struct registers registers = registers_of(context);
    if (hooks == NULL || is_sent(info) || !hooks->describe(info->si_addr, &fault)) {
        pass_on(previous, signal, info, context);
    } else if (is_overflow(&fault, info, registers.sp)) {
        report_overflow(&fault);
        if (hooks->trace != NULL)
            hooks->trace(registers.pc, registers.sp);
        if (is_function(previous))
            call_previous(previous, signal, info, context);
        die(signal);
    } else if (is_function(previous)) {
        call_previous(previous, signal, info, context);
    } else {
        report_bad_address(&fault, signal, info, registers.pc);
        if (hooks->trace != NULL)
            hooks->trace(registers.pc, registers.sp);
        die(signal);
    }
    errno = saved;
}

/* ---- install ---- */

static bool is_ours(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) != 0 && action->sa_sigaction == handle;
}

/* The one found is remembered before ours can be called. */
static int install_one(unsigned i)
{
    struct sigaction ours = {.sa_flags = SA_SIGINFO | SA_ONSTACK, .sa_sigaction = handle};
    if (state.left_behind[i])
        return 0;
    if (sigaction(fault_signals[i], NULL, &state.previous[i]) != 0)
        return -errno;
    sigemptyset(&ours.sa_mask);
    return sigaction(fault_signals[i], &ours, NULL) == 0 ? 0 : -errno;
}

static void uninstall_one(unsigned i)
{
    struct sigaction now;
    if (sigaction(fault_signals[i], NULL, &now) != 0)
        return;
    state.left_behind[i] = !is_ours(&now);
    if (!state.left_behind[i])
        sigaction(fault_signals[i], &state.previous[i], NULL);
}

int wf_overflow_install(const struct wf_overflow_hooks *hooks)
{
    int saved = errno;
    wf_store_release(&state.hooks, hooks); /* [O1] pairs with [O2] */
    int error = install_one(0);
    if (error == 0 && (error = install_one(1)) != 0)
        uninstall_one(0);
    if (error != 0)
        wf_store_release(&state.hooks, NULL);
    errno = saved;
    return error;
}

void wf_overflow_uninstall(void)
{
    int saved = errno;
    for (unsigned i = 0; i < N_SIGNALS; i++)
        uninstall_one(i);
    wf_store_release(&state.hooks, NULL);
    errno = saved;
}

/* ---- alternate stacks ---- */

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* Without the guard page; a multiple of the page. */
static size_t signal_stack_size(void)
{
    size_t frame = getauxval(AT_MINSIGSTKSZ), page = page_size();
    if (frame < DEFAULT_FRAME_BYTES)
        frame = DEFAULT_FRAME_BYTES;
    return (frame + HANDLER_BYTES + page - 1) / page * page;
}

static bool has_signal_stack(void)
{
    stack_t now;
    return sigaltstack(NULL, &now) == 0 && (now.ss_flags & SS_DISABLE) == 0;
}

int wf_signal_stack_create(void **ret_stack)
{
    int saved = errno, error = 0;
    size_t size = signal_stack_size(), guard = page_size();
    *ret_stack = NULL;
    if (has_signal_stack())
        goto restore_errno;
    char *stack = mmap(NULL, guard + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) {
        error = -errno;
        goto restore_errno;
    }
    stack_t ours = {.ss_sp = stack + guard, .ss_size = size};
    if (mprotect(stack, guard, PROT_NONE) != 0 || sigaltstack(&ours, NULL) != 0) {
        error = -errno;
        munmap(stack, guard + size);
        goto restore_errno;
    }
    *ret_stack = stack;
restore_errno:
    errno = saved;
    return error;
}

void wf_signal_stack_destroy(void *stack)
{
    if (stack == NULL)
        return;
    int saved = errno;
    stack_t now, none = {.ss_flags = SS_DISABLE};
    /* Somebody may have replaced it; then it is theirs to end. */
    if (sigaltstack(NULL, &now) == 0 && now.ss_sp == (char *)stack + page_size())
        sigaltstack(&none, NULL);
    munmap(stack, page_size() + signal_stack_size());
    errno = saved;
}
