/* SPDX-License-Identifier: MIT */
/* test_cancel_race.c - every public wait is raced against its event by a cancellation or a deadline.
 *
 * The event and the end of the block come at about the same time, thousands of times: exactly one of them counts, and
 * nothing that the event brought is lost or doubled.
 */
#include "test_sync.h"

#include "../support/waits.h"

enum { ROUNDS = 1500, MOST_DELAY = 400, RACE_MS = 1500 };

static void dawdle(struct wf_rand *rand)
{
    uint32_t turns = wf_rand_below(rand, MOST_DELAY);
    for (uint32_t i = 0; i < turns; i++)
        __builtin_ia32_pause();
    if (turns % 8 == 0)
        weft_yield();
}

static bool wait_for_round(struct scene *s, unsigned round)
{
    for (unsigned turn = 0; atomic_load(&s->round) < round; relax(&turn))
        if (atomic_load(&s->over))
            return false;
    return true;
}

static void act_trigger(void *arg)
{
    struct scene *s = arg;
    struct wf_rand rand;
    wf_rand_seed(&rand, 11);
    for (unsigned round = 1; wait_for_round(s, round); round++) {
        dawdle(&rand);
        if (s->kind->trigger != NULL)
            s->kind->trigger(s);
        atomic_store(&s->trigger_done, round);
    }
}

static void act_cancel(void *arg)
{
    struct scene *s = arg;
    struct wf_rand rand;
    wf_rand_seed(&rand, 12);
    for (unsigned round = 1; wait_for_round(s, round); round++) {
        dawdle(&rand);
        weft_cancel(atomic_load(&s->scope));
        atomic_store(&s->cancel_done, round);
    }
}

static int wait_once(struct scene *s, unsigned round, bool by_deadline)
{
    int result = 0, err = 0;
    if (by_deadline) {
        weft_deadline(wf_rand_below(&s->rand, 20000)) {
            atomic_store(&s->round, round);
            result = s->kind->wait(s);
        }
        REQUIRE(s, result == 0 || result == -ETIMEDOUT);
        return result;
    }
    weft_scope(scope, &err) {
        atomic_store(&s->scope, scope);
        atomic_store(&s->round, round);
        result = s->kind->wait(s);
    }
    REQUIRE(s, err == 0 || err == -ECANCELED);
    REQUIRE(s, result == 0 || (result == -ECANCELED && err == -ECANCELED));
    return result;
}

struct race {
    struct scene *scene;
    unsigned rounds; /* at most, */
    int64_t end_ns;  /* and none begins later than this: on one CPU each may take several turns of the scheduler */
    bool by_deadline;
    unsigned n_ended, n_events;
    atomic_bool done;
};

static void act_waiter(void *arg)
{
    struct race *race = arg;
    struct scene *s = race->scene;
    for (unsigned round = 1; round <= race->rounds && (round == 1 || wf_now_ns() < race->end_ns); round++) {
        atomic_store(&s->returned, false);
        atomic_store(&s->n_triggered, 0);
        s->kind->prepare(s);
        int result = wait_once(s, round, race->by_deadline);
        atomic_store(&s->returned, true);
        if (s->kind->settle != NULL)
            s->kind->settle(s, result);
        unsigned turn = 0;
        while (atomic_load(&s->trigger_done) < round || atomic_load(&s->cancel_done) < round)
            relax(&turn);
        if (s->kind->check != NULL)
            s->kind->check(s, result);
        *(result == 0 ? &race->n_events : &race->n_ended) += 1;
    }
    atomic_store(&s->over, true);
    atomic_store(&race->done, true);
}

static void *act_waiter_in_thread(void *race)
{
    act_waiter(race);
    return NULL;
}

static void run_race(const struct kind *kind, bool in_thread, bool by_deadline, unsigned rounds)
{
    struct race race = {.scene = new_scene(kind), .rounds = rounds, .by_deadline = by_deadline};
    race.end_ns = wf_now_ns() + RACE_MS * WEFT_MS;
    pthread_t thread;
    cr_assert_eq(weft_go(act_trigger, race.scene), 0);
    cr_assert_eq(weft_go(act_cancel, race.scene), 0);
    if (in_thread) {
        cr_assert_eq(pthread_create(&thread, NULL, act_waiter_in_thread, &race), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
    } else {
        cr_assert_eq(weft_go(act_waiter, &race), 0);
    }
    EVENTUALLY(atomic_load(&race.done));
    cr_log_info("%s: %u ended, %u events", kind->name, race.n_ended, race.n_events);
    cr_assert_gt(race.n_ended + race.n_events, 0);
}

static void race_all(bool in_thread, bool by_deadline, unsigned rounds)
{
    for (unsigned i = 0; i < N_KINDS; i++)
        run_race(&kinds[i], in_thread, by_deadline, rounds);
}

Test(cancel, and_the_event_race_and_one_wins_for_a_routine, .timeout = 100)
{
    race_all(false, false, ROUNDS);
}

Test(cancel, and_the_event_race_and_one_wins_for_a_plain_thread, .timeout = 100)
{
    race_all(true, false, ROUNDS / 20);
}

Test(cancel, a_deadline_and_the_event_race_and_one_wins_for_a_routine, .timeout = 100)
{
    race_all(false, true, ROUNDS);
}

Test(cancel, a_deadline_and_the_event_race_and_one_wins_for_a_plain_thread, .timeout = 100)
{
    race_all(true, true, ROUNDS / 20);
}
