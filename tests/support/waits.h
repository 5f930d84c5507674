/* SPDX-License-Identifier: MIT */
/* waits.h - every public wait, as a row of a table: the call, its event, and what must be true after it has returned. */
#ifndef WEFT_TESTS_WAITS_H
#define WEFT_TESTS_WAITS_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <weft/weft.h>

#include "base/rand.h"

/* In routines too; ends the process. */
#define REQUIRE(scene, x) \
    do { \
        if (!(x)) { \
            fprintf(stderr, "%s:%d: %s: not true: %s\n", __FILE__, __LINE__, (scene)->kind->name, #x); \
            abort(); \
        } \
    } while (0)

/* Lets others go on; now and then for so long that they get a CPU. */
static inline void relax(unsigned *turn)
{
    if (++*turn % 64 == 0)
        weft_sleep(20 * WEFT_US);
    else
        weft_yield();
}

struct scene;
struct kind {
    const char *name;
    /* Before each round, by the one who is going to wait. */
    void (*prepare)(struct scene *scene);
    /* The call: 0, -ECANCELED or -ETIMEDOUT. */
    int (*wait)(struct scene *scene);
    /* The event, by somebody else. NULL: time, or nothing, brings it. Gives up when the wait has returned. */
    void (*trigger)(struct scene *scene);
    /* After the wait has returned, perhaps before the event: lets the trigger go. May be NULL. */
    void (*settle)(struct scene *scene, int result);
    /* After all is over. `result` 0: the event counted, else it had no effect. May be NULL. */
    void (*check)(struct scene *scene, int result);
};

struct scene {
    const struct kind *kind;
    struct wf_rand rand; /* of who waits */
    weft_chan(int) a, b, c;
    weft_mutex mutex;
    weft_cond cond;
    weft_sem sem;
    weft_latch latch;
    weft_waitgroup group;
    weft_barrier barrier;
    weft_future(int) future;
    weft_promise(int) promise;
    bool used;    /* the promise: by an earlier wait of this round */
    int resolved; /* what weft_resolve gave */
    weft_tracker tracker;
    bool first_waits, second_waits, second_is_done; /* mutex */
    int value;
    int64_t limit;
    atomic_uint n_triggered; /* events that had an effect */
    atomic_bool returned;
    _Atomic(weft_scope_ref) scope;
    atomic_uint round, trigger_done, cancel_done;
    atomic_bool over;
};

/* ---- channels ---- */

static void make_chans(struct scene *s)
{
    if (s->a != NULL)
        return;
    s->a = weft_chan_make(int, 0);
    s->b = weft_chan_make(int, 1);
    s->c = weft_chan_make(int, WEFT_UNBOUNDED);
}

static void send_until_returned(struct scene *s, weft_chan(int) c)
{
    for (unsigned turn = 0; !atomic_load(&s->returned); relax(&turn))
        if (weft_chan_try_send(c, 7) == 0) {
            atomic_fetch_add(&s->n_triggered, 1);
            return;
        }
}

static void receive_until_returned(struct scene *s, weft_chan(int) c)
{
    int v = 0;
    for (unsigned turn = 0; !atomic_load(&s->returned); relax(&turn))
        if (weft_chan_try_recv(c, &v) == 0) {
            REQUIRE(s, v == 9);
            atomic_fetch_add(&s->n_triggered, 1);
            return;
        }
}

static int receive_from(struct scene *s, weft_chan(int) c)
{
    s->value = -1;
    int result = weft_chan_recv(c, &s->value);
    REQUIRE(s, s->value == (result == 0 ? 7 : -1));
    return result;
}

static int recv_rendezvous(struct scene *s) { return receive_from(s, s->a); }
static int send_rendezvous(struct scene *s) { return weft_chan_send(s->a, 9); }
static void meet_receiver(struct scene *s) { send_until_returned(s, s->a); }
static void meet_sender(struct scene *s) { receive_until_returned(s, s->a); }
static void check_met(struct scene *s, int result)
{
    REQUIRE(s, atomic_load(&s->n_triggered) == (result == 0));
    REQUIRE(s, weft_chan_try_recv(s->a, NULL) == -EAGAIN && weft_chan_try_send(s->a, 1) == -EAGAIN);
}

static int recv_buffered(struct scene *s) { return receive_from(s, s->b); }
static int recv_unbounded(struct scene *s) { return receive_from(s, s->c); }
static void put_buffered(struct scene *s) { REQUIRE(s, weft_chan_try_send(s->b, 7) == 0); }
static void put_unbounded(struct scene *s) { REQUIRE(s, weft_chan_send(s->c, 7) == 0); }
static void check_put(struct scene *s, int result)
{
    weft_chan(int) c = s->kind->wait == recv_buffered ? s->b : s->c;
    REQUIRE(s, weft_chan_len(c) == (result != 0));
    REQUIRE(s, result == 0 || (weft_chan_try_recv(c, &s->value) == 0 && s->value == 7));
}

static void fill(struct scene *s)
{
    make_chans(s);
    REQUIRE(s, weft_chan_try_send(s->b, 8) == 0);
}
static int send_buffered(struct scene *s) { return weft_chan_send(s->b, 9); }
static void make_room(struct scene *s)
{
    int v = 0;
    REQUIRE(s, weft_chan_try_recv(s->b, &v) == 0 && v == 8);
}
static void check_room(struct scene *s, int result)
{
    REQUIRE(s, weft_chan_len(s->b) == (result == 0));
    REQUIRE(s, result != 0 || (weft_chan_try_recv(s->b, &s->value) == 0 && s->value == 9));
}

static int recv_nil(struct scene *s)
{
    (void)s;
    return weft_chan_recv((weft_chan(int))NULL, NULL);
}
static int send_nil(struct scene *s)
{
    (void)s;
    return weft_chan_send((weft_chan(int))NULL, 1);
}

static int recv_by_each(struct scene *s)
{
    int n = 0;
    weft_chan_each(int, v, s->a) {
        REQUIRE(s, v == 7);
        n++;
        break;
    }
    /* It does not say which error ended it. */
    return n == 1 ? 0 : weft_chan_recv((weft_chan(int))NULL, NULL);
}

/* ---- select ---- */

static int select_recv(struct scene *s)
{
    int first = -1, second = -1, third = -1, status = -1;
    int result = weft_select(weft_on_recv(s->a, &first), weft_on_recv(s->b, &second, &status), weft_after(WEFT_HOUR),
                             weft_on_recv(s->a, &third), weft_on_recv((weft_chan(int))NULL, NULL));
    REQUIRE(s, first == (result == 0 ? 7 : -1) && second == (result == 1 ? 7 : -1) && third == (result == 3 ? 7 : -1));
    REQUIRE(s, status == (result == 1 ? 0 : -1));
    return result > 0 ? 0 : result;
}
static void put_somewhere(struct scene *s)
{
    if (atomic_load(&s->round) % 2 == 0)
        send_until_returned(s, s->a);
    else
        send_until_returned(s, s->b);
}
static void check_somewhere(struct scene *s, int result)
{
    unsigned taken = result == 0;
    if (weft_chan_try_recv(s->b, &s->value) == 0) /* put after the wait had ended */
        taken++;
    REQUIRE(s, atomic_load(&s->n_triggered) == taken);
    check_met(s, result == 0 || atomic_load(&s->n_triggered) != 0 ? 0 : result);
}

static int select_send(struct scene *s)
{
    int got = -1;
    int result = weft_select(weft_on_send(s->a, 9), weft_on_recv(s->b, &got), weft_on_send(s->a, 9));
    REQUIRE(s, got == -1);
    return result > 0 ? 0 : result;
}

static int select_nothing(struct scene *s)
{
    (void)s;
    return weft_select_n(NULL, 0);
}

static void choose_limit(struct scene *s)
{
    make_chans(s);
    s->limit = wf_rand_below(&s->rand, 30000);
}
static int select_after(struct scene *s)
{
    int64_t began = weft_now();
    int result = weft_select(weft_on_recv(s->a, NULL), weft_after(s->limit));
    REQUIRE(s, result != 1 || weft_now() >= began + s->limit);
    return result == 1 ? 0 : result;
}
static int sleep_limit(struct scene *s)
{
    int64_t began = weft_now();
    int result = weft_sleep(s->limit);
    REQUIRE(s, result != 0 || weft_now() >= began + s->limit);
    return result;
}

static int select_done(struct scene *s)
{
    return weft_select(weft_on_recv(s->a, NULL), weft_on_done(s->future)) == 1 ? 0 : weft_chan_recv(s->a, NULL);
}

/* ---- futures ---- */

static int pass_on(weft_chan(int) c)
{
    int v = 0;
    weft_chan_recv(c, &v);
    return v;
}
static void make_future(struct scene *s)
{
    make_chans(s);
    s->future = weft_async(pass_on, s->b);
}
static int try_await(struct scene *s)
{
    int v = -1;
    int result = weft_try_await(s->future, &v);
    REQUIRE(s, v == (result == 0 ? 7 : -1));
    return result;
}
static void check_future(struct scene *s, int result)
{
    (void)result;
    REQUIRE(s, weft_await(s->future) == 7);
    weft_detach(s->future);
}

/* ---- promises, several futures, trackers ---- */

static void make_promise(struct scene *s)
{
    s->promise = weft_promise_make(int);
    s->used = false;
}

/* The calls that wait for several cancel them when their own wait is ended: another wait needs another one. */
static weft_future(int) promised(struct scene *s)
{
    if (s->used)
        make_promise(s);
    s->used = true;
    return weft_promise_future(s->promise);
}

static void resolve(struct scene *s) { s->resolved = weft_resolve(s->promise, 7); }

/* Settled once: by the event, or by the wait that was ended. */
static void check_promise(struct scene *s, int result)
{
    int v = 0, outcome = weft_try_await(weft_promise_future(s->promise), &v);
    REQUIRE(s, s->resolved == 0 || s->resolved == -EALREADY);
    REQUIRE(s, outcome == (s->resolved == 0 ? 0 : -ECANCELED));
    REQUIRE(s, result != 0 || (s->resolved == 0 && v == 7));
}

static int await_promise(struct scene *s)
{
    int v = -1, result = weft_try_await(weft_promise_future(s->promise), &v);
    REQUIRE(s, v == (result == 0 ? 7 : -1));
    return result;
}
static int wait_all(struct scene *s)
{
    weft_future(int) fs[2] = {promised(s), weft_promise_future(s->promise)};
    int out[2] = {-1, -1}, result = weft_all(fs, 2, out);
    REQUIRE(s, out[0] == (result == 0 ? 7 : -1) && out[1] == out[0]);
    return result;
}
static int wait_all_settled(struct scene *s)
{
    weft_future(int) fs[2] = {promised(s), weft_promise_future(s->promise)};
    int statuses[2] = {1, 1}, result = weft_all_settled(fs, 2, statuses, NULL);
    REQUIRE(s, statuses[0] == (result == 0 ? 0 : 1) && statuses[1] == statuses[0]);
    return result;
}
static int wait_race(struct scene *s)
{
    weft_future(int) fs[2] = {NULL, promised(s)};
    int v = -1, result = weft_race(fs, 2, &v);
    REQUIRE(s, result < 0 || (result == 1 && v == 7));
    return result < 0 ? result : 0;
}
static int wait_any(struct scene *s)
{
    weft_future(int) fs[2] = {NULL, promised(s)};
    int v = -1, result = weft_any(fs, 2, &v);
    REQUIRE(s, result < 0 || (result == 1 && v == 7));
    return result < 0 ? result : 0;
}
static int wait_timeout(struct scene *s) { return weft_timeout(promised(s), WEFT_HOUR); }

static void enter_tracker(struct scene *s)
{
    s->tracker = (weft_tracker){0};
    weft_tracker_enter(&s->tracker);
}
static int tracker_wait(struct scene *s) { return weft_tracker_wait(&s->tracker); }
static void leave_tracker(struct scene *s)
{
    weft_tracker_close(&s->tracker);
    weft_tracker_leave(&s->tracker);
}
static void check_tracker(struct scene *s, int result)
{
    (void)result;
    REQUIRE(s, weft_tracker_count(&s->tracker) == 0);
    REQUIRE(s, weft_tracker_wait(&s->tracker) == 0);
}

/* ---- sync ---- */

/* Two wait, the first may be cancelled: one signal lets exactly one of them go. */
static void no_second(struct scene *s)
{
    s->first_waits = s->second_waits = s->second_is_done = false;
}
static int cond_wait(struct scene *s)
{
    weft_mutex_lock(&s->mutex);
    s->first_waits = true;
    int result = weft_cond_wait(&s->cond, &s->mutex);
    REQUIRE(s, weft_mutex_try_lock(&s->mutex) == -EAGAIN);
    weft_mutex_unlock(&s->mutex);
    return result;
}
static void second_wait(struct scene *s)
{
    weft_mutex_lock(&s->mutex);
    while (!s->first_waits) {
        weft_mutex_unlock(&s->mutex);
        weft_yield();
        weft_mutex_lock(&s->mutex);
    }
    s->second_waits = true;
    REQUIRE(s, weft_cond_wait(&s->cond, &s->mutex) == 0);
    s->second_is_done = true;
    weft_mutex_unlock(&s->mutex);
}
static bool flag_is_set(struct scene *s, bool *flag)
{
    weft_mutex_lock(&s->mutex);
    bool set = *flag;
    weft_mutex_unlock(&s->mutex);
    return set;
}
static void signal_one(struct scene *s)
{
    REQUIRE(s, weft_go(second_wait, s) == 0);
    while (!flag_is_set(s, &s->second_waits))
        weft_yield();
    weft_cond_signal(&s->cond);
}
static void check_signal(struct scene *s, int result)
{
    for (int i = 0; i < 5; i++)
        weft_yield();
    if (result == 0) {
        REQUIRE(s, !flag_is_set(s, &s->second_is_done));
        weft_cond_signal(&s->cond);
    }
    while (!flag_is_set(s, &s->second_is_done))
        weft_yield();
}

static void make_sync(struct scene *s)
{
    s->group = (weft_waitgroup){0};
    weft_waitgroup_add(&s->group, 1);
    weft_sem_init(&s->sem, 1);
    weft_latch_init(&s->latch, 1);
}
static int waitgroup_wait(struct scene *s) { return weft_waitgroup_wait(&s->group); }
static void waitgroup_done(struct scene *s) { weft_waitgroup_done(&s->group); }
static void check_waitgroup(struct scene *s, int result)
{
    (void)result;
    REQUIRE(s, weft_waitgroup_wait(&s->group) == 0);
    REQUIRE(s, s->group.state == 0);
}
static int latch_wait(struct scene *s) { return weft_latch_wait(&s->latch); }
static void latch_count(struct scene *s) { weft_latch_count_down(&s->latch); }
static void check_latch(struct scene *s, int result)
{
    (void)result;
    REQUIRE(s, weft_latch_wait(&s->latch) == 0);
}
static int sem_acquire(struct scene *s) { return weft_sem_acquire(&s->sem, 3); }
static void sem_release(struct scene *s) { weft_sem_release(&s->sem, 2); }
static void check_sem(struct scene *s, int result)
{
    REQUIRE(s, weft_sem_try_acquire(&s->sem, result == 0 ? 1 : 3) == (result == 0 ? -EAGAIN : 0));
    REQUIRE(s, weft_sem_try_acquire(&s->sem, 1) == -EAGAIN);
}

/* Behind the large request waits a small one, which must go when the large one gives up. */
static void small_acquire(struct scene *s)
{
    while (weft_sem_try_acquire(&s->sem, 1) == 0) { /* not yet behind it */
        weft_sem_release(&s->sem, 1);
        if (atomic_load(&s->returned))
            break;
        weft_yield();
    }
    REQUIRE(s, weft_sem_acquire(&s->sem, 1) == 0);
    weft_sem_release(&s->sem, 1);
}
static void sem_release_last(struct scene *s)
{
    small_acquire(s); /* only if the large one is served and gives back, or gives up */
}
static int sem_acquire_all(struct scene *s)
{
    return weft_sem_acquire(&s->sem, 100);
}
static void check_sem_all(struct scene *s, int result)
{
    REQUIRE(s, result != 0);
    REQUIRE(s, weft_sem_try_acquire(&s->sem, 1) == 0 && weft_sem_try_acquire(&s->sem, 1) == -EAGAIN);
}

static void make_barrier(struct scene *s)
{
    if (s->barrier.size == 0)
        weft_barrier_init(&s->barrier, 2);
}
static int barrier_wait(struct scene *s) { return weft_barrier_wait(&s->barrier); }
static void barrier_meet(struct scene *s) { REQUIRE(s, weft_barrier_wait(&s->barrier) == 0); }
static void settle_barrier(struct scene *s, int result)
{
    if (result != 0) /* it does not count any more: the other one waits for another */
        REQUIRE(s, weft_barrier_wait(&s->barrier) == 0);
}
static void check_barrier(struct scene *s, int result)
{
    (void)result;
    REQUIRE(s, s->barrier.arrived == 0);
}

static const struct kind kinds[] = {
    {"recv, rendezvous", make_chans, recv_rendezvous, meet_receiver, NULL, check_met},
    {"send, rendezvous", make_chans, send_rendezvous, meet_sender, NULL, check_met},
    {"recv, buffered", make_chans, recv_buffered, put_buffered, NULL, check_put},
    {"send, buffered", fill, send_buffered, make_room, NULL, check_room},
    {"recv, unbounded", make_chans, recv_unbounded, put_unbounded, NULL, check_put},
    {"recv, nil", make_chans, recv_nil, NULL, NULL, NULL},
    {"send, nil", make_chans, send_nil, NULL, NULL, NULL},
    {"each", make_chans, recv_by_each, meet_receiver, NULL, check_met},
    {"select, recv", make_chans, select_recv, put_somewhere, NULL, check_somewhere},
    {"select, send", make_chans, select_send, meet_sender, NULL, check_met},
    {"select, nothing", make_chans, select_nothing, NULL, NULL, NULL},
    {"select, after", choose_limit, select_after, NULL, NULL, NULL},
    {"select, done", make_future, select_done, put_buffered, NULL, check_future},
    {"sleep", choose_limit, sleep_limit, NULL, NULL, NULL},
    {"try_await", make_future, try_await, put_buffered, NULL, check_future},
    {"cond", no_second, cond_wait, signal_one, NULL, check_signal},
    {"wait group", make_sync, waitgroup_wait, waitgroup_done, NULL, check_waitgroup},
    {"semaphore", make_sync, sem_acquire, sem_release, NULL, check_sem},
    {"semaphore, too large", make_sync, sem_acquire_all, sem_release_last, NULL, check_sem_all},
    {"barrier", make_barrier, barrier_wait, barrier_meet, settle_barrier, check_barrier},
    {"latch", make_sync, latch_wait, latch_count, NULL, check_latch},
    {"promise", make_promise, await_promise, resolve, NULL, check_promise},
    {"all", make_promise, wait_all, resolve, NULL, check_promise},
    {"all settled", make_promise, wait_all_settled, resolve, NULL, check_promise},
    {"race", make_promise, wait_race, resolve, NULL, check_promise},
    {"any", make_promise, wait_any, resolve, NULL, check_promise},
    {"timeout", make_promise, wait_timeout, resolve, NULL, check_promise},
    {"tracker", enter_tracker, tracker_wait, leave_tracker, NULL, check_tracker},
};
enum { N_KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static inline struct scene *new_scene(const struct kind *kind)
{
    struct scene *s = calloc(1, sizeof(*s)); /* kept: threads may look at it late */
    s->kind = kind;
    wf_rand_seed(&s->rand, (uint64_t)(kind - kinds) + 1);
    return s;
}

#endif
