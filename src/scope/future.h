/* SPDX-License-Identifier: MIT */
/* future.h - the cell that a routine's result, or a promise's value, goes to. See weft/future.h for the contract.
 *
 *                wf_future_settle, wf_future_resolve         DONE
 *   PENDING --------------------------------------------->   PANICKED   wf_future_settle_panic
 *                                                            FAILED     wf_future_reject, _settle_error, _settle when cancelled
 *
 * A routine's future is settled by that routine alone, at its end; a promise's by whoever comes first.
 */
#ifndef WEFT_SCOPE_FUTURE_H
#define WEFT_SCOPE_FUTURE_H

#include <weft/future.h>

#include "base/spinlock.h"
#include "sched/thread.h"

struct wf_result;

enum wf_future_state { WF_FUTURE_PENDING, WF_FUTURE_DONE, WF_FUTURE_PANICKED, WF_FUTURE_FAILED };

/* What makes settling uncommon. */
enum wf_future_marks {
    WF_FUTURE_DETACHED = 1,   /* nobody will ask; freed when settled */
    WF_FUTURE_CANCELLING = 2, /* somebody is in wf_cancel_routine(): the routine must not end yet */
    WF_FUTURE_CANCELLED = 4,  /* that has been done */
    WF_FUTURE_TRACKED = 8,    /* pending.tracker counts it */
};

/* One line of memory. `state` leaves PENDING once, under the lock, after the payload is written ([F1] release); whoever
 * has loaded another value ([F2] acquire) reads the payload without the lock. */
struct wf_future {
    struct wf_spinlock lock;
    _Atomic uint8_t state;
    bool x87;                  /* payload: the value is x87_value */
    uint8_t marks;             /* lock */
    _Atomic bool seen;         /* PANICKED: somebody was told. Whoever detaches has ordered that before itself */
    struct wf_waiter *waiters; /* lock; newest first. One with no routine belongs to a group: scope/group.h */
    union {
        struct {                        /* PENDING; lock */
            struct weft__chan *done;    /* closed when it settles; NULL: nobody has asked for it */
            struct wf_routine *routine; /* whose result this will be; NULL: a promise's value */
            void *tracker;              /* TRACKED: left when it settles */
        } pending;
        struct { /* DONE */
            uint64_t integer[2];
            double vector[2][2];
        } value;
        long double x87_value;
        char *message; /* PANICKED; NULL when there was no memory for it */
        int error;     /* FAILED: a negative errno */
    };
};

/* For a routine that is about to start, or (routine NULL) a promise. */
struct wf_future *wf_future_create(struct wf_worker *worker, struct wf_routine *routine, void *tracker);
void wf_future_free(struct wf_worker *worker, struct wf_future *f);

/* The calling routine ends: with a value (NULL: zero, it left by weft_exit) or by a panic. Inside the runtime; both wait
 * for a cancellation that is under way, so the routine may be on another thread afterwards: the first returns it. */
struct wf_thread *wf_future_settle(struct wf_thread *thread, struct wf_future *f, const struct wf_result *result);
/* False: it is detached, so nobody will see the panic; nothing was done. */
bool wf_future_settle_panic(struct wf_thread *thread, struct wf_future *f, const char *message);
/* By a wait that was ended by `error` and had no way to return it. False: it is detached and was not cancelled. */
bool wf_future_settle_error(struct wf_thread *thread, struct wf_future *f, int error);

/* A promise's future, by anybody inside the runtime. False: it had settled. */
bool wf_future_resolve(struct wf_thread *thread, struct wf_future *f, const struct wf_result *value);
bool wf_future_reject(struct wf_thread *thread, struct wf_future *f, int error);

/* What the await thunk calls: waits until f has settled, in a tail call, so that the thunk is the only frame left. 0, or why
 * the wait was ended. */
int wf_future_join(struct wf_future *f);
/* ... when it has settled without a value, */
_Noreturn void wf_future_raise(struct wf_future *f);
/* ... and when the wait was ended by `error`. */
_Noreturn void wf_future_interrupted(int error);

/* How f, which has settled, did: 0, its error, or WEFT_EPANIC with the message kept. Outside the runtime. */
int wf_future_outcome(struct wf_future *f);

/* wf_wait_ops.abort of WF_WAIT_FUTURE. */
bool wf_future_abort(struct wf_routine *r, void *object);

static inline bool wf_future_has_settled(struct wf_future *f)
{
    return f != NULL && wf_load_acquire(&f->state) != WF_FUTURE_PENDING; /* [F2] */
}

#endif
