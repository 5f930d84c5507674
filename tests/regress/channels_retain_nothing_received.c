/* SPDX-License-Identifier: MIT */
/* channels_retain_nothing_received.c - a value that was received, selected, or never sent is not kept alive by the channel:
 * not by the place in the buffer, not by what carried it from sender to receiver.
 */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <unistd.h>

#include "../support/watch.h"

enum { VALUES = 1000, SENDERS = 50 };

static _Atomic unsigned n_sent, n_refused;

static void fill(weft_chan(struct node *) c, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        require(weft_chan_send(c, make_node(i)) == 0);
}

static void take(weft_chan(struct node *) c, unsigned n)
{
    struct node *got = NULL;
    for (unsigned i = 0; i < n; i++) {
        require(weft_chan_recv(c, &got) == 0);
        require(is_node(got, got->tag));
        got = NULL;
    }
}

static void forget(const char *what, unsigned of)
{
    bool died = dies_down_to(of / 10);
    printf("%u of %u kept: %s\n", count_alive(), of, what);
    fflush(stdout);
    require(died);
    watched.n = 0;
}

static void send_one(weft_chan(struct node *) c, uint64_t tag)
{
    atomic_fetch_add(weft_chan_send(c, make_node(tag)) == 0 ? &n_sent : &n_refused, 1);
}

static void in_routines(weft_chan(struct node *) bounded, weft_chan(struct node *) unbounded, weft_chan(struct node *) none)
{
    fill(bounded, VALUES);
    take(bounded, VALUES);
    forget("in a bounded buffer", VALUES);
    fill(unbounded, VALUES);
    take(unbounded, VALUES);
    forget("in an unbounded buffer", VALUES);
    for (uint64_t i = 0; i < SENDERS; i++)
        require(weft_go(send_one, none, i) == 0);
    take(none, SENDERS);
    forget("handed over", SENDERS);
}

static void refuse(weft_chan(struct node *) none)
{
    for (uint64_t i = 0; i < SENDERS; i++)
        require(weft_go(send_one, none, i) == 0);
    weft_sleep(20 * WEFT_MS);
    weft_chan_close(none);
    while (atomic_load(&n_refused) < SENDERS)
        weft_sleep(WEFT_MS);
    forget("refused by a closed channel", SENDERS);
}

int main(void)
{
    weft_chan(struct node *) bounded = weft_chan_make(struct node *, VALUES), none = weft_chan_make(struct node *, 0),
                             unbounded = weft_chan_make(struct node *, WEFT_UNBOUNDED);
    alarm(50);
    weft_await(weft_async(in_routines, bounded, unbounded, none));
    weft_await(weft_async(refuse, none));
    return 0;
}
