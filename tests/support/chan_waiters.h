/* SPDX-License-Identifier: MIT */
/* chan_waiters.h - who waits on a channel, seen from outside. */
#ifndef WEFT_TESTS_CHAN_WAITERS_H
#define WEFT_TESTS_CHAN_WAITERS_H

#include <time.h>

#include <weft/chan.h>

#include "chan/chan.h"
#include "expect.h"

static inline void pause_ns(int64_t ns)
{
    struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    nanosleep(&ts, NULL);
}

static inline size_t count_queue(struct weft__chan *c, struct wf_waitq *q)
{
    size_t n = 0;
    wf_spinlock_lock(&c->lock);
    struct wf_waiter *first = wf_waitq_first(q), *w = first;
    if (first != NULL) {
        do {
            n++;
            w = w->next;
        } while (w != first);
    }
    wf_spinlock_unlock(&c->lock);
    return n;
}

/* Return once exactly n wait to receive, to send. From a plain thread. */
#define await_receivers(c, n) await_queue(WEFT__CHAN_OF(c), &WEFT__CHAN_OF(c)->receivers, n)
#define await_senders(c, n) await_queue(WEFT__CHAN_OF(c), &WEFT__CHAN_OF(c)->senders, n)
static inline void await_queue(struct weft__chan *c, struct wf_waitq *q, size_t n)
{
    while (count_queue(c, q) != n)
        pause_ns(20000);
}

static _Atomic int passed;

static inline void send_then_pass(weft_chan(int) c, int v)
{
    require(weft_chan_send(c, v) == 0);
    passed++;
}

static inline void recv_then_pass(weft_chan(int) c, int expected)
{
    int v = -1;
    require(weft_chan_recv(c, &v) == 0);
    require(v == expected);
    passed++;
}

#endif
