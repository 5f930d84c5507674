/* SPDX-License-Identifier: MIT */
/* backtrace.c - walks the calling frames, and prints them by name.
 *
 * Callers: scope/panic.c (through hooks), stack/overflow.c (through its hooks, in a signal handler).
 *
 * Printing happens in a child process made for it: debug information is read by a library that allocates, takes locks,
 * needs more stack than a routine has, and may fault on a broken file or on a process whose memory is broken. The child
 * has a copy of everything, a large stack, and a time limit; it notes in shared memory how far it came. What it did not
 * print, the parent prints as bare addresses: nothing that the parent does can wait for a lock. In a signal handler the child walks the frames too, since the unwinder
 * may fault on what caused the signal.
 *
 * Rejected: a thread instead of a process (a fault there ends all); linking libdw (a library that starts routines should
 * not bring an ELF reader into each program).
 */
#define _GNU_SOURCE
#include "debug/backtrace.h"

#include <dlfcn.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include "arch/context.h"
#include "base/assert.h"
#include "base/atomic.h"
#include "config.h"
#include "sched/hooks.h"

#if WF_HAVE_LIBDW
#include <elfutils/libdwfl.h>
#endif

enum { PATIENCE_MS = 5000, CHILD_STACK_BYTES = 4 << 20 };

/* In memory shared with the child. */
struct report {
    uintptr_t trace[WF_TRACE_MOST];
    _Atomic uint32_t n;         /* written by the parent before the child begins, or by the child */
    _Atomic uint32_t n_printed; /* written by the child */
};

/* ---- walking ---- */

struct walk {
    uintptr_t *trace;
    size_t n, most;
    uintptr_t from; /* where it begins */
    bool begun;
};

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *context, void *arg)
{
    struct walk *walk = arg;
    int exact = 0;
    uintptr_t ip = _Unwind_GetIPInfo(context, &exact);
    uintptr_t function = _Unwind_GetRegionStart(context);
    if (ip == 0 || walk->n == walk->most || function == (uintptr_t)wf_entry)
        return _URC_END_OF_STACK;
    walk->begun |= ip == walk->from;
    if (!walk->begun || function == (uintptr_t)wf_try_thunk)
        return _URC_NO_REASON;
    walk->trace[walk->n++] = exact ? ip : ip - 1; /* a return address may be the first one of the next line */
    return _URC_NO_REASON;
}

size_t wf_backtrace_take(uintptr_t *ret_trace, size_t most, const void *caller)
{
    struct walk walk = {.trace = ret_trace, .most = most, .from = (uintptr_t)caller};
    _Unwind_Backtrace(note_frame, &walk);
    if (!walk.begun) {
        walk.begun = true;
        _Unwind_Backtrace(note_frame, &walk);
    }
    return walk.n;
}

/* ---- names ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* What the dynamic linker knows. Weak: a static program has neither it nor, for us, libdw. */
#pragma weak dladdr
#pragma weak dlopen
#pragma weak dlsym

static void print_by_linker(uint32_t i, uintptr_t pc)
{
    Dl_info info = {.dli_fname = NULL};
    if (dladdr == NULL || dladdr((void *)pc, &info) == 0 || info.dli_fname == NULL)
        wf_message("  #%u %#lx", i, (unsigned long)pc);
    else if (info.dli_sname != NULL)
        wf_message("  #%u %s+%#lx in %s+%#lx", i, info.dli_sname, (unsigned long)(pc - (uintptr_t)info.dli_saddr),
                   base_name(info.dli_fname), (unsigned long)(pc - (uintptr_t)info.dli_fbase));
    else
        wf_message("  #%u %s+%#lx", i, base_name(info.dli_fname), (unsigned long)(pc - (uintptr_t)info.dli_fbase));
}

#if WF_HAVE_LIBDW
#define LIBDW_FUNCTIONS(X) \
    X(dwfl_begin) \
    X(dwfl_linux_proc_report) \
    X(dwfl_report_end) \
    X(dwfl_addrmodule) \
    X(dwfl_module_addrname) \
    X(dwfl_module_getsrc) \
    X(dwfl_module_nextcu) \
    X(dwfl_lineinfo) \
    X(dwarf_haspc) \
    X(dwarf_getsrc_die) \
    X(dwarf_linesrc) \
    X(dwarf_lineno) \
    X(dwfl_linux_proc_find_elf) \
    X(dwfl_standard_find_debuginfo)

static struct {
#define X(name) __typeof__(&name) name;
    LIBDW_FUNCTIONS(X)
#undef X
} libdw;

static char *(*demangle)(const char *mangled, char *out, size_t *size, int *ret_status); /* when the program has C++ */

static bool load_libdw(void)
{
    void *library = dlopen != NULL ? dlopen("libdw.so.1", RTLD_NOW | RTLD_LOCAL) : NULL;
    if (library == NULL)
        return false;
#define X(name) \
    if ((libdw.name = (__typeof__(libdw.name))(uintptr_t)dlsym(library, #name)) == NULL) \
        return false;
    LIBDW_FUNCTIONS(X)
#undef X
    demangle = (__typeof__(demangle))(uintptr_t)dlsym(RTLD_DEFAULT, "__cxa_demangle");
    return true;
}

static Dwfl *open_self(void)
{
    static char *no_path;
    static Dwfl_Callbacks callbacks;
    callbacks.find_elf = libdw.dwfl_linux_proc_find_elf;
    callbacks.find_debuginfo = libdw.dwfl_standard_find_debuginfo;
    callbacks.debuginfo_path = &no_path;
    unsetenv("DEBUGINFOD_URLS"); /* nothing is fetched over the network */
    Dwfl *dwfl = libdw.dwfl_begin(&callbacks);
    if (dwfl == NULL || libdw.dwfl_linux_proc_report(dwfl, getpid()) != 0 ||
        libdw.dwfl_report_end(dwfl, NULL, NULL) != 0)
        return NULL;
    return dwfl;
}

/* Reading lines needs thread-local storage, which a library opened by a static program does not get. */
static bool is_static_program(void)
{
    return getauxval(AT_BASE) == 0;
}

static const char *find_line(Dwfl_Module *module, uintptr_t pc, int *ret_number)
{
    if (is_static_program())
        return NULL;
    Dwfl_Line *line = libdw.dwfl_module_getsrc(module, pc);
    if (line != NULL)
        return libdw.dwfl_lineinfo(line, NULL, ret_number, NULL, NULL, NULL);
    /* clang writes no index of addresses: every unit is asked. */
    Dwarf_Addr bias;
    for (Dwarf_Die *unit = NULL; (unit = libdw.dwfl_module_nextcu(module, unit, &bias)) != NULL;) {
        Dwarf_Line *found = libdw.dwarf_haspc(unit, pc - bias) > 0 ? libdw.dwarf_getsrc_die(unit, pc - bias) : NULL;
        if (found != NULL && libdw.dwarf_lineno(found, ret_number) == 0)
            return libdw.dwarf_linesrc(found, NULL, NULL);
    }
    return NULL;
}

/* Without what compilers append to names of copies and parts: "walk.lto_priv.0", "walk.cold". C++ has no dots in names. */
static int shown_length(const char *name)
{
    return (int)strcspn(name, ".");
}

static void print_by_libdw(Dwfl *dwfl, uint32_t i, uintptr_t pc)
{
    Dwfl_Module *module = libdw.dwfl_addrmodule(dwfl, pc);
    const char *name = module != NULL ? libdw.dwfl_module_addrname(module, pc) : NULL;
    int number = 0;
    const char *file = name != NULL ? find_line(module, pc, &number) : NULL;
    char *plain = name != NULL && name[0] == '_' && demangle != NULL ? demangle(name, NULL, NULL, NULL) : NULL;
    const char *shown = plain != NULL ? plain : name;
    int length = plain != NULL ? INT_MAX : name != NULL ? shown_length(name) : 0;
    Dl_info info = {.dli_fname = NULL};
    if (file != NULL)
        wf_message("  #%u %.*s at %s:%d", i, length, shown, file, number);
    else if (name != NULL && dladdr != NULL && dladdr((void *)pc, &info) != 0 && info.dli_fname != NULL)
        wf_message("  #%u %.*s in %s+%#lx", i, length, shown, base_name(info.dli_fname),
                   (unsigned long)(pc - (uintptr_t)info.dli_fbase));
    else if (name != NULL)
        wf_message("  #%u %.*s (%#lx)", i, length, shown, (unsigned long)pc);
    else
        print_by_linker(i, pc);
    free(plain);
}
#endif

/* ---- the child ---- */

/* Only the child writes it, in its copy. */
static struct report *to_print;

static void print_report(void)
{
    uint32_t n = wf_load_relaxed(&to_print->n);
#if WF_HAVE_LIBDW
    Dwfl *dwfl = load_libdw() ? open_self() : NULL;
#endif
    for (uint32_t i = 0; i < n; i++) {
#if WF_HAVE_LIBDW
        if (dwfl != NULL)
            print_by_libdw(dwfl, i, to_print->trace[i]);
        else
#endif
            print_by_linker(i, to_print->trace[i]);
        wf_store_release(&to_print->n_printed, i + 1);
    }
    _exit(0);
}

/* No routine's stack, and not the signal's, is large enough for what follows. */
static _Noreturn void print_on_large_stack(struct report *report)
{
    static ucontext_t context;
    to_print = report;
    void *stack = mmap(NULL, CHILD_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED || getcontext(&context) != 0)
        _exit(1);
    context.uc_stack = (stack_t){.ss_sp = stack, .ss_size = CHILD_STACK_BYTES};
    context.uc_link = NULL;
    makecontext(&context, print_report, 0);
    setcontext(&context);
    _exit(1);
}

/* A fault or a hang in the child is its own affair. */
static void become_expendable(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGALRM};
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    sigset_t all;
    sigemptyset(&all);
    for (size_t i = 0; i < WF_ARRAY_SIZE(signals); i++) {
        sigaddset(&all, signals[i]);
        sigaction(signals[i], &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    }
    sigprocmask(SIG_UNBLOCK, &all, NULL);
    alarm(PATIENCE_MS / 1000);
}

/* ---- the parent ---- */

static int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Whoever else may reap children may have reaped ours: then it has ended. */
static void wait_for_child(pid_t child)
{
    int64_t give_up_ms = clock_ms() + PATIENCE_MS;
    while (waitpid(child, NULL, WNOHANG) == 0) {
        if (clock_ms() > give_up_ms) {
            kill(child, SIGKILL);
            waitpid(child, NULL, 0);
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static void print_bare(const uintptr_t *trace, uint32_t from, uint32_t n)
{
    for (uint32_t i = from; i < n && i < WF_TRACE_MOST; i++)
        wf_message("  #%u %#lx", i, (unsigned long)trace[i]);
}

static void print_the_rest(const struct report *report)
{
    print_bare(report->trace, wf_load_acquire(&report->n_printed), wf_load_acquire(&report->n));
}

static struct report *new_report(void)
{
    void *p = mmap(NULL, sizeof(struct report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p != MAP_FAILED ? p : NULL;
}

/* Without the handlers that fork() runs: they take locks, which in a program that panics or faults may be held for ever.
 * So a lock of malloc may stay held in the child; then its time runs out. */
static pid_t fork_without_handlers(void)
{
#if WF_HAVE__FORK
    return _Fork();
#else
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
#endif
}

void wf_backtrace_print(const uintptr_t *trace, size_t n)
{
    struct report *report = new_report();
    if (report == NULL) {
        print_bare(trace, 0, (uint32_t)n);
        return;
    }
    memcpy(report->trace, trace, n * sizeof(*trace));
    wf_store_relaxed(&report->n, (uint32_t)n);
    pid_t child = fork_without_handlers();
    if (child == 0) {
        become_expendable();
        print_on_large_stack(report);
    }
    if (child > 0)
        wait_for_child(child);
    print_the_rest(report);
    munmap(report, sizeof(*report));
}

/* In the child: it may fault. */
static void walk_from_fault(struct report *report, uintptr_t pc, uintptr_t sp)
{
    struct walk walk = {.trace = report->trace, .most = WF_TRACE_MOST, .from = pc};
    _Unwind_Backtrace(note_frame, &walk);
    if (!walk.begun) { /* a jump to where no code is; by a call, most likely */
        report->trace[1] = *(const uintptr_t *)sp - 1;
        walk.n = 2;
    }
    wf_store_release(&report->n, (uint32_t)walk.n);
}

void wf_backtrace_fault(uintptr_t pc, uintptr_t sp)
{
    struct report *report = new_report();
    if (report == NULL)
        return;
    report->trace[0] = pc;
    wf_store_relaxed(&report->n, 1); /* when the child does not come further */
    pid_t child = fork_without_handlers();
    if (child == 0) {
        become_expendable();
        walk_from_fault(report, pc, sp);
        print_on_large_stack(report);
    }
    if (child > 0)
        wait_for_child(child);
    print_the_rest(report);
    munmap(report, sizeof(*report));
}
