/* SPDX-License-Identifier: MIT */
/* test_chan_sharing.c - what those who share a channel may rely on. */
#include <criterion/criterion.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <weft/chan.h>
#include <weft/routine.h>

#include "../support/elements.h"
#include "../support/expect.h"
#include "../support/start.h"

/* ---- memory order ---- */

static int64_t plain_counter; /* guarded by a channel of capacity 1 */

static void count_guarded(weft_chan(struct nothing) guard, weft_chan(struct nothing) done, int n)
{
    for (int i = 0; i < n; i++) {
        require(weft_chan_send(guard, (struct nothing){}) == 0);
        plain_counter++;
        require(weft_chan_recv(guard, NULL) == 0);
    }
    weft_chan_send(done, (struct nothing){});
}

Test(chan, a_receive_happens_before_the_send_that_takes_its_place, .timeout = 60)
{
    weft_chan(struct nothing) guard = weft_chan_make(struct nothing, 1), done = weft_chan_make(struct nothing, 0);
    for (int i = 0; i < 6; i++)
        weft_go(count_guarded, guard, done, 20000);
    for (int i = 0; i < 6; i++)
        cr_assert(weft_chan_recv(done, NULL) == 0);
    cr_assert(plain_counter == 120000);
}

static _Atomic int inside, most_inside;

static void enter_limited(weft_chan(int) limit, weft_chan(int) done)
{
    for (int i = 0; i < 300; i++) {
        require(weft_chan_send(limit, i) == 0);
        int now = ++inside, most = most_inside;
        while (now > most && !atomic_compare_exchange_weak(&most_inside, &most, now))
            ;
        weft_yield();
        inside--;
        require(weft_chan_recv(limit, NULL) == 0);
    }
    weft_chan_send(done, 0);
}

Test(chan, a_channel_of_capacity_c_lets_c_in_at_once, .timeout = 60)
{
    weft_chan(int) limit = weft_chan_make(int, 3), done = weft_chan_make(int, 0);
    for (int i = 0; i < 20; i++)
        weft_go(enter_limited, limit, done);
    for (int i = 0; i < 20; i++)
        weft_chan_recv(done, NULL);
    cr_assert(most_inside <= 3);
}

static void send_boxes(weft_chan(int64_t *) c, weft_chan(int64_t *) back, int n)
{
    int64_t *box = malloc(sizeof(*box));
    for (int i = 0; i < n; i++) {
        *box = i;
        require(weft_chan_send(c, box) == 0);
        require(weft_chan_recv(back, &box) == 0);
        require(*box == -i);
    }
    free(box);
    weft_chan_close(c);
}

static void return_boxes(weft_chan(int64_t *) c, weft_chan(int64_t *) back)
{
    int64_t expected = 0;
    weft_chan_each(int64_t *, box, c) {
        require(*box == expected++);
        *box = -*box;
        require(weft_chan_send(back, box) == 0);
    }
}

Test(chan, what_was_written_before_a_send_is_seen_after_its_receive, .timeout = 60)
{
    for (size_t cap = 0; cap < 2; cap++) {
        weft_chan(int64_t *) c = weft_chan_make(int64_t *, cap), back = weft_chan_make(int64_t *, cap);
        weft_go(return_boxes, c, back);
        in_routine(send_boxes, c, back, 50000);
    }
}

/* ---- many at once ---- */

enum { SHARERS = 8, SHARE = 5000 };
static _Atomic unsigned char seen[SHARERS * SHARE];

static void share_send(weft_chan(int) c, weft_chan(int) done, int self)
{
    for (int i = 0; i < SHARE; i++)
        require(weft_chan_send(c, self * SHARE + i) == 0);
    weft_chan_send(done, 0);
}

static void share_recv(weft_chan(int) c, weft_chan(int) done)
{
    weft_chan_each(int, v, c)
        require(seen[v]++ == 0);
    weft_chan_send(done, 0);
}

static void *share_recv_thread(void *arg)
{
    weft_chan(int) *both = arg;
    share_recv(both[0], both[1]);
    return NULL;
}

Test(chan, every_value_arrives_exactly_once_whoever_shares_the_channel, .timeout = 60)
{
    size_t caps[] = {0, 1, 7, 128, WEFT_UNBOUNDED};
    for (size_t k = 0; k < sizeof(caps) / sizeof(caps[0]); k++) {
        weft_chan(int) c = weft_chan_make(int, caps[k]), done = weft_chan_make(int, 0), both[2] = {c, done};
        pthread_t thread;
        memset((void *)seen, 0, sizeof(seen));
        for (int i = 0; i < SHARERS; i++)
            weft_go(share_send, c, done, i);
        for (int i = 0; i < SHARERS; i++)
            weft_go(share_recv, c, done);
        pthread_create(&thread, NULL, share_recv_thread, both);
        for (int i = 0; i < SHARERS; i++)
            weft_chan_recv(done, NULL);
        weft_chan_close(c);
        for (int i = 0; i < SHARERS + 1; i++)
            weft_chan_recv(done, NULL);
        pthread_join(thread, NULL);
        for (int i = 0; i < SHARERS * SHARE; i++)
            cr_assert(seen[i] == 1);
    }
}
