/* SPDX-License-Identifier: MIT */
/* future.h - the cell that a routine's result goes to. See weft/future.h for the contract. */
#ifndef WEFT_SCOPE_FUTURE_H
#define WEFT_SCOPE_FUTURE_H

#include <weft/future.h>

#include "base/spinlock.h"
#include "sched/thread.h"

struct wf_result;

enum wf_future_state { WF_FUTURE_PENDING, WF_FUTURE_DONE, WF_FUTURE_PANICKED };

/* One line of memory. `state` leaves PENDING once, under the lock, after the payload is written ([F1] release); whoever
 * has loaded another value ([F2] acquire) reads the payload without the lock. */
struct wf_future {
    struct wf_spinlock lock;
    _Atomic uint8_t state;
    bool x87;                  /* payload: the value is x87_value */
    bool detached;             /* lock: nobody will ask; freed when settled */
    _Atomic bool seen;         /* PANICKED: somebody was told. Whoever detaches has ordered that before itself */
    struct wf_waiter *waiters; /* lock; newest first */
    union {
        struct weft__chan *done; /* PENDING; lock: closed when it settles; NULL: nobody has asked for it */
        struct {
            uint64_t integer[2];
            double vector[2][2];
        } value;
        long double x87_value;
        char *message; /* PANICKED; NULL when there was no memory for it */
    };
};

struct wf_future *wf_future_create(struct wf_worker *worker);
void wf_future_free(struct wf_worker *worker, struct wf_future *f);
void wf_future_settle(struct wf_thread *thread, struct wf_future *f, const struct wf_result *result);
/* False: it is detached, so nobody will see the panic; nothing was done. */
bool wf_future_settle_panic(struct wf_thread *thread, struct wf_future *f, const char *message);

/* What the await stub calls: waits until f has settled, in a tail call, so that the stub is the only frame left. 0, or why
 * the wait was ended. */
int wf_future_join(struct wf_future *f);
/* ... when it has settled by a panic, */
_Noreturn void wf_future_raise(struct wf_future *f);
/* ... and when the wait was ended by `error`. */
_Noreturn void wf_future_interrupted(int error);

/* wf_wait_ops.abort of WF_WAIT_FUTURE. */
bool wf_future_abort(struct wf_routine *r, void *object);

#endif
