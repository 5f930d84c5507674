/* SPDX-License-Identifier: MIT */
/* lockdebug.c - the two reports of WEFT_DEBUG=locks=1.
 *
 * Owns:    for each holder the list of what it holds; a graph with an edge A -> B for each pair of which B was once
 *          locked while A was held, with the places of both calls. A path back from B to A when the edge is new is a
 *          cycle: some interleaving of those calls is a deadlock. Nothing is ever forgotten but what is given back.
 * Locking: `guard` for all of it. It blocks the thread; nothing waits, and nothing of the runtime is called, under it.
 */
#define _GNU_SOURCE
#include "sync/lockdebug.h"

#include "base/assert.h"
#include "sched/thread.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CHAINS = 1024, REPORT_SIZE = 8192 };

struct held {
    struct held *next;
    const void *lock;
    void *site;
    enum wf_lockdebug_mode mode;
};

struct holder {
    struct holder *next; /* chain */
    uint64_t key;
    struct held *held; /* latest first */
};

struct node;
struct edge {
    struct edge *next;
    struct node *from, *to;
    void *from_site, *to_site; /* where `from` had been locked, and `to` was */
};

struct node {
    struct node *next; /* chain */
    const void *lock;
    struct edge *edges;
    /* Of the last search. */
    uint64_t search;
    struct edge *via;
    struct node *next_found;
};

bool wf_lockdebug;

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static struct holder *holders[CHAINS];
static struct node *nodes[CHAINS];
static uint64_t n_searches;
static char report[REPORT_SIZE];
static size_t report_length;

void wf_lockdebug_enable(void)
{
    wf_lockdebug = true;
}

/* ---- text ---- */

static WF_PRINTF(1, 2) void say(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(report + report_length, REPORT_SIZE - report_length, format, ap);
    va_end(ap);
    if (n > 0)
        report_length += (size_t)n;
    if (report_length > REPORT_SIZE - 1)
        report_length = REPORT_SIZE - 1;
}

/* As addr2line and a reader want it: function+0x12 (program+0x3456). */
static void say_site(void *site)
{
    Dl_info info;
    if (site == NULL || dladdr(site, &info) == 0 || info.dli_fname == NULL) {
        say("%p", site);
        return;
    }
    if (info.dli_sname != NULL)
        say("%s+%#zx ", info.dli_sname, (size_t)((char *)site - (char *)info.dli_saddr));
    say("(%s+%#zx)", info.dli_fname, (size_t)((char *)site - (char *)info.dli_fbase));
}

static void print_report(void)
{
    size_t done = 0;
    while (done < report_length) {
        ssize_t n = write(STDERR_FILENO, report + done, report_length - done);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    report_length = 0;
}

static const char *name_of(enum wf_lockdebug_mode mode)
{
    switch (mode) {
    case WF_LOCKDEBUG_MUTEX:
        return "mutex";
    case WF_LOCKDEBUG_READ:
        return "rwmutex (to read)";
    case WF_LOCKDEBUG_WRITE:
        return "rwmutex (to write)";
    case WF_LOCKDEBUG_ONCE:
        return "once";
    }
    return "lock";
}

/* ---- who ---- */

struct caller {
    uint64_t key; /* a routine's number, which is never used twice; a plain thread's descriptor */
    uint64_t id;
    char name[32];
};

static struct caller calling(void)
{
    struct wf_thread *thread = wf_enter();
    const struct wf_routine *r = thread->current;
    uint64_t id = wf_load_relaxed(&r->id);
    struct caller caller = {.id = id, .key = id != 0 ? id : (uint64_t)(uintptr_t)r};
    if (r->extra != NULL)
        snprintf(caller.name, sizeof(caller.name), "%s", r->extra->name);
    wf_leave(thread);
    return caller;
}

static void say_caller(const struct caller *caller)
{
    if (caller->id == 0)
        say("a thread");
    else
        say("routine %llu", (unsigned long long)caller->id);
    if (caller->name[0] != '\0')
        say(" (%s)", caller->name);
}

/* ---- tables ---- */

static void *allocate(size_t size)
{
    void *p = calloc(1, size);
    if (p == NULL)
        wf_fatal("out of memory while watching locks (WEFT_DEBUG=locks=1)");
    return p;
}

static size_t chain_of(uint64_t key)
{
    return (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) % CHAINS;
}

static struct holder **find_holder(uint64_t key)
{
    struct holder **at = &holders[chain_of(key)];
    while (*at != NULL && (*at)->key != key)
        at = &(*at)->next;
    return at;
}

static struct node *find_node(const void *lock)
{
    struct node **at = &nodes[chain_of((uint64_t)(uintptr_t)lock)];
    while (*at != NULL && (*at)->lock != lock)
        at = &(*at)->next;
    if (*at == NULL) {
        *at = allocate(sizeof(struct node));
        (*at)->lock = lock;
    }
    return *at;
}

/* Takes `lock` out of a holder's list, and the holder out of its chain when it holds nothing more. */
static bool drop(struct holder **at, const void *lock)
{
    struct held **held = &(*at)->held;
    while (*held != NULL && (*held)->lock != lock)
        held = &(*held)->next;
    struct held *gone = *held;
    if (gone == NULL)
        return false;
    *held = gone->next;
    free(gone);
    struct holder *holder = *at;
    if (holder->held == NULL) {
        *at = holder->next;
        free(holder);
    }
    return true;
}

/* ---- the two reports ---- */

static _Noreturn void report_self(const struct caller *caller, const struct held *held, enum wf_lockdebug_mode mode,
                                  void *site)
{
    say("weft: fatal: self-deadlock: ");
    say_caller(caller);
    say(" locks %s %p, which it holds already\n  now at    ", name_of(mode), held->lock);
    say_site(site);
    say("\n  locked at ");
    say_site(held->site);
    say("\n");
    print_report();
    abort();
}

static void say_edge(const struct edge *edge)
{
    say("    %p locked at ", edge->to->lock);
    say_site(edge->to_site);
    say("\n      while holding %p, locked at ", edge->from->lock);
    say_site(edge->from_site);
    say("\n");
}

/* A shortest path from `from` to `to`, as `via` links back from `to`. */
static bool find_path(struct node *from, struct node *to)
{
    struct node *last = from;
    n_searches++;
    from->search = n_searches;
    from->via = NULL;
    from->next_found = NULL;
    for (struct node *at = from; at != NULL; at = at->next_found) {
        if (at == to)
            return true;
        for (struct edge *edge = at->edges; edge != NULL; edge = edge->next) {
            if (edge->to->search == n_searches)
                continue;
            edge->to->search = n_searches;
            edge->to->via = edge;
            edge->to->next_found = NULL;
            last->next_found = edge->to;
            last = edge->to;
        }
    }
    return false;
}

static void report_cycle(const struct caller *caller, const struct edge *closing)
{
    say("weft: lock order cycle, a possible deadlock: ");
    say_caller(caller);
    say(" locks\n");
    say_edge(closing);
    say("  but before, in the other order,\n");
    for (const struct edge *edge = closing->from->via; edge != NULL; edge = edge->from->via)
        say_edge(edge);
    print_report();
}

/* Notes that `lock` is locked while `held` is. A cycle is reported when its last edge is new, so once. */
static void note_order(const struct caller *caller, const struct held *held, const void *lock, void *site)
{
    struct node *from = find_node(held->lock), *to = find_node(lock);
    for (const struct edge *edge = from->edges; edge != NULL; edge = edge->next) {
        if (edge->to == to)
            return;
    }
    struct edge *edge = allocate(sizeof(*edge));
    *edge = (struct edge){.next = from->edges, .from = from, .to = to, .from_site = held->site, .to_site = site};
    bool cycle = find_path(to, from);
    from->edges = edge;
    if (cycle)
        report_cycle(caller, edge);
}

/* ---- calls ---- */

void wf_lockdebug_before(const void *lock, enum wf_lockdebug_mode mode, void *site)
{
    struct caller caller = calling();
    pthread_mutex_lock(&guard);
    const struct holder *holder = *find_holder(caller.key);
    const struct held *held = holder == NULL ? NULL : holder->held;
    for (; held != NULL; held = held->next) {
        if (held->lock != lock)
            note_order(&caller, held, lock, site);
        else if (mode != WF_LOCKDEBUG_READ || held->mode != WF_LOCKDEBUG_READ)
            report_self(&caller, held, mode, site);
    }
    pthread_mutex_unlock(&guard);
}

void wf_lockdebug_locked(const void *lock, enum wf_lockdebug_mode mode, void *site)
{
    struct caller caller = calling();
    struct held *held = allocate(sizeof(*held));
    pthread_mutex_lock(&guard);
    struct holder **at = find_holder(caller.key);
    if (*at == NULL) {
        *at = allocate(sizeof(struct holder));
        (*at)->key = caller.key;
    }
    *held = (struct held){.next = (*at)->held, .lock = lock, .site = site, .mode = mode};
    (*at)->held = held;
    pthread_mutex_unlock(&guard);
}

void wf_lockdebug_unlocked(const void *lock)
{
    struct caller caller = calling();
    pthread_mutex_lock(&guard);
    struct holder **own = find_holder(caller.key);
    bool found = *own != NULL && drop(own, lock);
    for (size_t i = 0; i < CHAINS && !found; i++) {
        for (struct holder **at = &holders[i]; *at != NULL && !found;) {
            found = drop(at, lock);
            if (!found)
                at = &(*at)->next;
        }
    }
    pthread_mutex_unlock(&guard);
}
