/* SPDX-License-Identifier: MIT */
/* future_stress.c - random futures and promises, awaited, raced, limited in time and cancelled by many at once.
 *
 * Every round has N_SLOTS futures, half of them promises, half of routines that wait for those before them. Actors,
 * routines and plain threads, settle promises, await, combine and cancel at random. Of all calls that settle a promise
 * exactly one may succeed, unless it was cancelled; and whoever looks at a future sees the same outcome, that one.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include <weft/weft.h>

#include "../support/stress.h"

enum { N_SLOTS = 64, N_ACTORS = 10, N_THREADS = 2, STEPS = 120, MOST_AT_ONCE = 12 };

typedef weft_future(long) long_future;
typedef weft_promise(long) long_promise;

static struct slot {
    long_promise p; /* NULL: a routine's */
    long_future f;
    _Atomic long winner;  /* outcome() that the successful resolve or reject made; 0: none */
    _Atomic long outcome; /* what the first to look saw; 0: nobody has looked */
    atomic_uint n_ran;
} slots[N_SLOTS];
static weft_tracker actors;
static _Atomic unsigned long n_done, n_failed;

/* Never 0. */
static long outcome(int error, long value)
{
    return error != 0 ? error : value + 1;
}

static void note(struct slot *s, int error, long value)
{
    long seen = 0, now = outcome(error, value);
    require(error == 0 || error == -ECANCELED || (s->p != NULL && error == -EIO));
    require(error != 0 || value % N_SLOTS == s - slots);
    if (!atomic_compare_exchange_strong(&s->outcome, &seen, now))
        require(seen == now);
}

static void settle(struct wf_rand *rand, struct slot *s)
{
    long value = (s - slots) + (long)wf_rand_below(rand, 1 << 20) * N_SLOTS;
    int error = wf_rand_below(rand, 4) == 0 ? -EIO : 0;
    if (s->p == NULL)
        return;
    int result = error != 0 ? weft_reject(s->p, error) : weft_resolve(s->p, value);
    require(result == 0 || result == -EALREADY);
    if (result == 0)
        require(atomic_exchange(&s->winner, outcome(error, value)) == 0);
    require(weft_future_done(s->f));
}

/* What a slot's routine does: waits for some before it, so that there is no circle. */
static long work(unsigned index, unsigned round)
{
    struct wf_rand rand;
    seed_actor(&rand, round, 1000 + index);
    require(atomic_fetch_add(&slots[index].n_ran, 1) == 0);
    for (unsigned i = wf_rand_below(&rand, 4); i > 0 && index > 0; i--) {
        switch (wf_rand_below(&rand, 3)) {
        case 0:
            weft_sleep((weft_duration)wf_rand_below(&rand, 100000));
            break;
        case 1:
            weft_yield();
            break;
        default: {
            struct slot *before = &slots[wf_rand_below(&rand, index)];
            long value;
            if (weft_try_await(before->f, &value) == 0)
                note(before, 0, value);
        }
        }
    }
    return (long)index;
}

static void look(struct slot *s)
{
    long value = -1;
    int error = weft_try_await(s->f, &value);
    note(s, error, value);
}

static void combine(struct wf_rand *rand, unsigned how)
{
    long_future fs[MOST_AT_ONCE];
    long out[MOST_AT_ONCE];
    unsigned at[MOST_AT_ONCE], n = 1 + wf_rand_below(rand, MOST_AT_ONCE);
    int statuses[MOST_AT_ONCE], result;
    for (unsigned i = 0; i < n; i++) {
        at[i] = wf_rand_below(rand, N_SLOTS);
        fs[i] = slots[at[i]].f;
    }
    switch (how) {
    case 0:
        result = weft_all(fs, n, out);
        for (unsigned i = 0; result == 0 && i < n; i++)
            note(&slots[at[i]], 0, out[i]);
        break;
    case 1:
        require(weft_all_settled(fs, n, statuses, out) == 0);
        for (unsigned i = 0; i < n; i++)
            note(&slots[at[i]], statuses[i], out[i]);
        break;
    default:
        result = how == 2 ? weft_race(fs, n, out) : weft_any(fs, n, out);
        require(result < (int)n);
        if (result >= 0)
            note(&slots[at[result]], 0, out[0]);
    }
    for (unsigned i = 0; i < n; i++) {
        require(weft_future_done(fs[i]));
        look(&slots[at[i]]);
    }
}

static void act(struct wf_rand *rand)
{
    struct slot *a = &slots[wf_rand_below(rand, N_SLOTS)], *b = &slots[wf_rand_below(rand, N_SLOTS)];
    int result;
    switch (wf_rand_below(rand, 16)) {
    case 0:
        look(a);
        break;
    case 1:
        result = weft_timeout(a->f, (weft_duration)wf_rand_below(rand, 200000));
        require(result == 0 ? weft_future_done(a->f) : result == -ETIMEDOUT);
        look(a);
        break;
    case 2:
        result = weft_select(weft_on_done(a->f), weft_on_done(b->f), weft_after(wf_rand_below(rand, 50000)));
        require(result >= 0);
        if (result < 2)
            look(result == 0 ? a : b);
        break;
    case 3:
        weft_future_cancel(a->f);
        break;
    case 4:
        if (wf_rand_below(rand, 4) == 0)
            combine(rand, wf_rand_below(rand, 4));
        break;
    case 5:
        weft_yield();
        break;
    default:
        settle(rand, a);
    }
}

static void be_actor(unsigned round, unsigned actor)
{
    struct wf_rand rand;
    seed_actor(&rand, round, actor);
    for (int i = 0; i < STEPS; i++)
        act(&rand);
}

struct thread_arg {
    pthread_t thread;
    unsigned round, actor;
};

static void *be_actor_in_thread(void *arg)
{
    struct thread_arg *a = arg;
    be_actor(a->round, a->actor);
    weft_tracker_leave(&actors);
    return NULL;
}

static void make_slots(unsigned round)
{
    memset(slots, 0, sizeof(slots));
    for (unsigned i = 0; i < N_SLOTS; i++) {
        if (i % 2 == 0) {
            slots[i].p = weft_promise_make(long);
            slots[i].f = weft_promise_future(slots[i].p);
        } else {
            slots[i].f = weft_async(work, i, round);
        }
        require(slots[i].f != NULL);
    }
}

static void check_slots(void)
{
    for (unsigned i = 0; i < N_SLOTS; i++) {
        look(&slots[i]);
        long seen = atomic_load(&slots[i].outcome), won = atomic_load(&slots[i].winner);
        if (slots[i].p != NULL)
            require(won != 0 ? seen == won : seen == -ECANCELED);
        else
            require(atomic_load(&slots[i].n_ran) == 1 && (seen == (long)i + 1 || seen == -ECANCELED));
        atomic_fetch_add(seen > 0 ? &n_done : &n_failed, 1);
        weft_detach(slots[i].f);
    }
}

static void run_round(unsigned round)
{
    struct thread_arg threads[N_THREADS];
    struct wf_rand rand;
    seed_actor(&rand, round, 999);
    memset(&actors, 0, sizeof(actors));
    make_slots(round);
    for (unsigned i = 0; i < N_ACTORS; i++)
        require(weft_tracker_go(&actors, be_actor, round, i) == 0);
    for (unsigned i = 0; i < N_THREADS; i++) {
        threads[i].round = round;
        threads[i].actor = N_ACTORS + i;
        require(weft_tracker_enter(&actors) == 0);
        require(pthread_create(&threads[i].thread, NULL, be_actor_in_thread, &threads[i]) == 0);
    }
    /* Nobody waits for ever: each is settled in the end. */
    for (unsigned i = 0; weft_tracker_count(&actors) > 0 || i < N_SLOTS; i++) {
        settle(&rand, &slots[i % N_SLOTS]);
        weft_sleep((weft_duration)wf_rand_below(&rand, 100000));
    }
    weft_tracker_close(&actors);
    require(weft_tracker_wait(&actors) == 0);
    for (unsigned i = 0; i < N_THREADS; i++)
        require(pthread_join(threads[i].thread, NULL) == 0);
    check_slots();
}

int main(int argc, char **argv)
{
    read_stress_options(argc, argv);
    if (stress.workers != 0)
        require(weft_start(&(weft_config){.procs = stress.workers}) == 0);
    unsigned round = 0;
    for (; stress_goes_on(round); round++)
        run_round(round);
    require(weft_stop() == 0);
    printf("%u rounds, %lu values, %lu failed\n", round, atomic_load(&n_done), atomic_load(&n_failed));
    return 0;
}
