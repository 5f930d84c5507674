/* SPDX-License-Identifier: MIT */
/* test_sync_lot.c - the queue of waiters against a plain array. */
#include "test_sync.h"

#include "base/rand.h"
#include "sync/lot.h"

enum { MOST = 12, STEPS = 20000 };
static struct wf_routine routines[MOST];
static struct wf_lot_queue queue;
static struct wf_routine *model[MOST], *idle[MOST];
static unsigned n_model, n_idle;

static void remove_from_model(unsigned at)
{
    idle[n_idle++] = model[at];
    memmove(&model[at], &model[at + 1], (--n_model - at) * sizeof(model[0]));
}

static void expect_same(struct wf_lot_queue *q)
{
    wf_lot_check(q);
    struct wf_waiter *w = wf_load_relaxed(&q->head);
    cr_assert_eq(w == NULL, n_model == 0);
    for (unsigned i = 0; i < n_model; i++, w = w->next)
        cr_assert_eq(w->routine, model[i]);
    cr_assert_eq(w, wf_load_relaxed(&q->head), "a ring");
}

Test(sync_lot, keeps_the_order_whatever_is_added_and_taken_out)
{
    struct wf_rand rand;
    wf_rand_seed(&rand, 7);
    for (; n_idle < MOST; n_idle++)
        idle[n_idle] = &routines[n_idle];
    for (unsigned step = 0; step < STEPS; step++) {
        switch (wf_rand_below(&rand, 4)) {
        case 0:
            if (n_idle == 0)
                break;
            model[n_model] = idle[--n_idle];
            wf_lot_append(&queue, model[n_model++]);
            break;
        case 1:
            if (n_idle == 0)
                break;
            memmove(&model[1], &model[0], n_model++ * sizeof(model[0]));
            model[0] = idle[--n_idle];
            wf_lot_prepend(&queue, model[0]);
            break;
        case 2:
            cr_assert_eq(wf_lot_pop(&queue), n_model == 0 ? NULL : model[0]);
            if (n_model > 0)
                remove_from_model(0);
            break;
        default:
            if (n_model == 0)
                break;
            unsigned at = wf_rand_below(&rand, n_model);
            wf_lot_unlink(&model[at]->wait.waiter);
            remove_from_model(at);
        }
        expect_same(&queue);
    }
}

Test(sync_lot, waiters_of_a_moved_queue_can_be_taken_out_one_by_one)
{
    struct wf_lot_queue moved;
    for (; n_model < 4; n_model++) {
        model[n_model] = &routines[n_model];
        wf_lot_append(&queue, model[n_model]);
    }
    wf_lot_move(&queue, &moved);
    cr_assert(wf_lot_is_empty(&queue));
    expect_same(&moved);
    wf_lot_append(&queue, &routines[4]); /* a newcomer does not join them */
    for (unsigned i = 0; i < 2; i++) {
        wf_lot_unlink(&model[i]->wait.waiter); /* the oldest, then the last but one */
        remove_from_model(i);
        expect_same(&moved);
    }
    cr_assert_eq(wf_lot_pop(&moved), model[0]);
    cr_assert_eq(wf_lot_pop(&moved), model[1]);
    cr_assert(wf_lot_is_empty(&moved));
    cr_assert_eq(wf_lot_pop(&queue), &routines[4]);
}

Test(sync_lot, taking_out_clears_what_is_waited_on)
{
    wf_store_relaxed(&routines[0].waits_on, 1);
    wf_lot_append(&queue, &routines[0]);
    wf_lot_pop(&queue);
    cr_assert_eq(wf_load_relaxed(&routines[0].waits_on), 0);
}
