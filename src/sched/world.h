/* SPDX-License-Identifier: MIT */
/* world.h - stops every thread that uses weft, and lets them go on; ranges.h shows where they stand.
 *
 * A thread counts as stopped when it can touch neither collected memory nor the runtime until it is let go:
 *   inside the runtime   never; it is waited for. What the runtime does between wf_enter() and wf_leave() is short;
 *   at a poll            it finds WF_ATTN_STOP in wf_enter() (or the scheduler loop) and waits in wf_world_attend();
 *   asleep in weft       it is outside (in_rt 0) and `dozing`: when it wakes, it passes a poll first. Its stack, if it has
 *                        one to show, begins at current->sp;
 *   in the user's code   a signal stops it where it is, with all its registers; if the signal finds it inside the runtime
 *                        it does nothing and is sent again later.
 *
 *   initiator: [W1] stopping = 1, attn |= STOP for every thread    wf_heavy_fence()    [W2] load in_rt
 *   thread:    [G1] in_rt = 1    compiler barrier    [G2] load attn
 * As in thread.h: a thread that [W2] sees outside will see STOP at its next [G2]. Threads that register while the world is
 * being stopped are given STOP when they do, under the lock of the list.
 *
 * A routine that runs on a stopped thread gets its `sp` filled in, so while the world is stopped every started routine
 * has a valid one.
 */
#ifndef WEFT_SCHED_WORLD_H
#define WEFT_SCHED_WORLD_H

#include "sched/thread.h"

/* Becomes the one that may stop the world; false: somebody else is. No wait. The caller is inside the runtime, as in all that
 * follows. */
bool wf_world_try_claim(void);
/* Waits until nobody may stop it, outside the runtime: the caller may be on another thread afterwards. */
struct wf_thread *wf_world_wait_unclaimed(struct wf_thread *thread);
/* The same in one: becomes the one that may stop the world. False: somebody else was; that is over now, the caller has
 * been outside meanwhile and may be on another thread. The caller is inside the runtime, and stays so from here to
 * wf_world_resume(). */
bool wf_world_claim(struct wf_thread **thread);
/* Stops all threads but the calling one. False: it took too long and was given up, the world goes on: to be tried again, with
 * attempt + 1, a little later. */
bool wf_world_stop(struct wf_thread *self, unsigned attempt);
/* Lets them go on. */
void wf_world_resume(void);
/* Others may stop it now. */
void wf_world_unclaim(void);
/* wf_world_help has been set: wakes up to n of those that sleep, stopped or dozing, to see it. */
void wf_world_call_helpers(unsigned n);
/* What a dozing thread waits with for its `wake` to become other than 0; it helps meanwhile. As wf_futex_wait(); 0 may also
 * mean nothing. */
int wf_world_doze(struct wf_thread *thread, int64_t deadline_ns);

/* What stopped threads do instead of sleeping; NULL: nothing. Set while the world is stopped, or before. Called with a
 * small stack, perhaps in a signal handler. */
extern void (*_Atomic wf_world_help)(void);

/* Keeps the world from being stopped; for starting and stopping the runtime. The caller is outside. */
void wf_world_hold(void);
void wf_world_release(void);

/* Around a dl_iterate_phdr() of weft's own, begun inside the runtime, and waited for in a doze: no fork() is to happen while the
 * loader's lock is held, the child would find it so for ever. */
void wf_world_loader_begin(void);
/* The same for a thread that is not in its list yet. */
void wf_world_loader_begin_unknown(void);
void wf_world_loader_end(void);

/* Around a fork() while the runtime does not run, though threads may use collected memory. The caller is outside.
 * Afterwards nobody else is inside the runtime, so no lock of its own is held; what the program does goes on, and so are locks
 * of the host released that fork() wants. In the child there is no thread but the calling one. */
void wf_world_before_fork(void);
void wf_world_after_fork_in_parent(void);
void wf_world_after_fork_in_child(void);

/* Called by wf_guard_attend() when it sees WF_ATTN_STOP: waits until the world goes on. */
void wf_world_attend(struct wf_thread *thread);
/* A thread is entered into its list, whose lock is held. */
void wf_world_register(struct wf_thread *thread);

/* The one signal that weft uses: debuggers pass it on, libc does not use it, and one too many does no harm. */
#define WF_STOP_SIGNAL SIGURG

/* Installs the handler of the signal. 0 or a negative errno. */
int wf_world_init(void);

enum { WF_STOP_TIMES = 24 };

struct wf_last_to_stop {
    int tid;               /* the thread; 0: all stood still already */
    uint64_t routine_id;   /* 0: it ran none */
    char routine_name[32];
};

struct wf_world_stats {
    uint64_t stops, signals, resent;
    uint64_t given_up;    /* stops that took too long: a thread that had stopped held what another needed in order to stop */
    _Atomic uint32_t named; /* how often a thread was named on stderr; read at any time */
    uint64_t vanished;    /* plain threads that had ended unnoticed */
    int64_t last_stop_ns; /* from the request until all had stopped */
    struct wf_last_to_stop last;
    uint64_t times[WF_STOP_TIMES]; /* how many stops took less than 1 us << index, and more than the one before; the last: more */
};
extern struct wf_world_stats wf_world_stats; /* written by who has claimed the world */

/* Writes "routine 12 "reader" on thread 4711 "server"", "thread 4711 "server"" or "none", at most `size` bytes with the zero;
 * gives `text`. Reads /proc: not while the world stands still. */
const char *wf_last_to_stop_text(const struct wf_last_to_stop *last, char *text, size_t size);

/* For tests; set before anything is stopped. */
struct wf_world_tuning {
    int64_t silence_ns;  /* a thread that cannot be stopped for so long is named on stderr; again after ten times that, ... */
    uint32_t lose_every; /* n > 0: every n-th signal is not sent, as a debugger may swallow it */
};
extern struct wf_world_tuning wf_world_tuning;

#endif
