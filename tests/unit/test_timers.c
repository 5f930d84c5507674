/* SPDX-License-Identifier: MIT */
/* test_timers.c - a set of timers against a model: a plain array of deadlines. */
#include <criterion/criterion.h>

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/rand.h"
#include "time/timers.h"

enum { N_MODEL = 700, TICK_NS = 1 << WF_TICK_SHIFT };
static const int64_t second = 1000000000;

/* One timer and what the model knows of it. */
struct entry {
    struct wf_timer timer;
    int64_t deadline_ns;
    bool pending;
};

static struct wf_timers set;
static struct entry entries[N_MODEL];
static int64_t run_now_ns, last_fired_ns;
static bool check_order;

static void fired(void *arg)
{
    struct entry *e = arg;
    cr_assert(e->pending, "a timer fired that was not pending");
    cr_assert_leq(e->deadline_ns, run_now_ns, "a timer fired early");
    if (check_order)
        cr_assert(e->deadline_ns >= last_fired_ns, "timers of one pass fired out of order");
    last_fired_ns = e->deadline_ns;
    e->pending = false;
}

static void arm(struct entry *e, int64_t deadline_ns)
{
    e->timer.deadline_ns = deadline_ns;
    e->timer.expire = fired;
    e->timer.arg = e;
    e->deadline_ns = deadline_ns;
    e->pending = true;
    wf_timers_add(&set, &e->timer);
}

/* Runs the set at `now` until it says that nothing more is due. */
static unsigned run_all(int64_t now)
{
    struct wf_timer_batch batch;
    unsigned n = 0;
    bool more;
    run_now_ns = now;
    do {
        more = wf_timers_run(&set, now, &batch);
        for (unsigned i = 0; i < batch.n; i++)
            batch.items[i].expire(batch.items[i].arg);
        n += batch.n;
        wf_timers_check(&set);
    } while (more);
    return n;
}

static int64_t model_earliest(void)
{
    int64_t least = INT64_MAX;
    for (unsigned i = 0; i < N_MODEL; i++)
        if (entries[i].pending && entries[i].deadline_ns < least)
            least = entries[i].deadline_ns;
    return least;
}

/* Right after run_all(now). */
static void compare_with_model(int64_t now)
{
    size_t n_pending = 0;
    for (unsigned i = 0; i < N_MODEL; i++) {
        struct entry *e = &entries[i];
        cr_assert_eq(e->pending, e->timer.set != NULL);
        cr_assert(!e->pending || e->deadline_ns > now, "a timer is late");
        n_pending += e->pending;
    }
    cr_assert_eq(set.n_pending, n_pending);
    cr_assert_leq(wf_load_relaxed(&set.earliest_ns), model_earliest());
    cr_assert_leq(wf_timers_next_wake(&set), model_earliest());
}

/* Distances of every order of magnitude, so that every level of the wheel is used. */
static int64_t random_distance(struct wf_rand *rand)
{
    unsigned bits = wf_rand_below(rand, 62);
    uint64_t wide = (uint64_t)wf_rand_next(rand) << 32 | wf_rand_next(rand);
    return (int64_t)(wide & ((UINT64_C(1) << bits) - 1));
}

static void random_walk(uint64_t seed, unsigned distance_bits, int64_t start_ns)
{
    struct wf_rand rand;
    wf_rand_seed(&rand, seed);
    int64_t now = start_ns;
    wf_timers_init(&set, now);
    for (unsigned step = 0; step < 40000; step++) {
        struct entry *e = &entries[wf_rand_below(&rand, N_MODEL)];
        unsigned what = wf_rand_below(&rand, 100);
        int64_t distance = random_distance(&rand) >> (62 - distance_bits);
        if (what < 55) {
            if (!e->pending)
                arm(e, distance > INT64_MAX - now ? INT64_MAX : now + distance);
        } else if (what < 90) {
            cr_assert_eq(wf_timer_cancel(&e->timer), e->pending);
            e->pending = false;
        } else {
            int64_t jump = random_distance(&rand) >> (62 - distance_bits + 4);
            int64_t due = wf_timers_next_wake(&set);
            if (wf_rand_below(&rand, 2) == 0)
                now = now > INT64_MAX - jump ? now : now + jump;
            else if (due != INT64_MAX && due > now)
                now = due - (int64_t)wf_rand_below(&rand, 2); /* also just before something is due */
            last_fired_ns = INT64_MIN;
            run_all(now);
            compare_with_model(now);
        }
    }
    run_all(INT64_MAX);
    compare_with_model(INT64_MAX);
    cr_assert_eq(set.n_pending, 0);
}

Test(timers, agree_with_a_model_over_all_distances, .timeout = 60)
{
    check_order = true;
    for (uint64_t seed = 1; seed <= 4; seed++)
        random_walk(seed, 62, 12345678901);
}

Test(timers, agree_with_a_model_over_short_distances, .timeout = 60)
{
    check_order = true;
    for (uint64_t seed = 1; seed <= 4; seed++)
        random_walk(seed, 25, 12345678901);
}

Test(timers, agree_with_a_model_around_a_carry_through_all_digits, .timeout = 60)
{
    check_order = true;
    int64_t carry = (INT64_C(1) << (WF_TICK_SHIFT + 36)) - 5 * TICK_NS;
    for (uint64_t seed = 1; seed <= 4; seed++)
        random_walk(seed, 30, carry);
}

Test(timers, fire_at_their_nanosecond_and_not_before, .timeout = 60)
{
    struct wf_rand rand;
    wf_rand_seed(&rand, 7);
    int64_t now = 3 * second;
    wf_timers_init(&set, now);
    for (unsigned i = 0; i < 500; i++) {
        int64_t deadline = now + 1 + (int64_t)wf_rand_below(&rand, 300000000);
        arm(&entries[0], deadline);
        cr_assert_eq(run_all(deadline - 1), 0);
        cr_assert_eq(run_all(deadline), 1);
        now = deadline;
    }
}

Test(timers, following_next_wake_meets_every_deadline_exactly, .timeout = 60)
{
    struct wf_rand rand;
    wf_rand_seed(&rand, 8);
    int64_t now = 0;
    wf_timers_init(&set, now);
    for (unsigned i = 0; i < N_MODEL; i++)
        arm(&entries[i], (int64_t)wf_rand_next(&rand) * 1000);
    unsigned wakes = 0;
    for (;;) {
        int64_t due = wf_timers_next_wake(&set);
        if (due == INT64_MAX)
            break;
        cr_assert_gt(due, now, "a wake-up made no progress");
        cr_assert_leq(due, model_earliest());
        now = due;
        run_all(now);
        wakes++;
    }
    compare_with_model(now);
    cr_assert_lt(wakes, 2 * N_MODEL, "%u wake-ups for %d timers", wakes, N_MODEL);
}

Test(timers, a_lone_far_timer_costs_one_wake_up)
{
    wf_timers_init(&set, second);
    arm(&entries[0], 3600 * second);
    cr_assert_eq(wf_timers_next_wake(&set), 3600 * second);
}

Test(timers, the_farthest_deadline_is_an_ordinary_one)
{
    wf_timers_init(&set, 5);
    arm(&entries[0], INT64_MAX);
    arm(&entries[1], INT64_MAX - 1);
    cr_assert_eq(run_all(INT64_MAX - 2), 0);
    cr_assert_eq(wf_timers_next_wake(&set), INT64_MAX - 1);
    cr_assert_eq(run_all(INT64_MAX - 1), 1);
    cr_assert(wf_timer_cancel(&entries[0].timer));
    cr_assert_eq(wf_timers_next_wake(&set), INT64_MAX);
}

Test(timers, a_deadline_in_the_past_is_due_at_once)
{
    wf_timers_init(&set, 100 * second);
    arm(&entries[0], 0);
    cr_assert_eq(run_all(100 * second), 1);
}

Test(timers, a_clock_read_before_the_last_run_does_no_harm)
{
    wf_timers_init(&set, 0);
    arm(&entries[0], 10 * second);
    arm(&entries[1], 20 * second);
    cr_assert_eq(run_all(15 * second), 1);
    cr_assert_eq(run_all(2 * second), 0);
    arm(&entries[0], 3 * second);
    cr_assert_eq(run_all(2 * second), 0);
    cr_assert_eq(run_all(20 * second), 2);
}

Test(timers, add_tells_when_the_timer_is_the_earliest)
{
    static struct wf_timer a = {.deadline_ns = 500, .expire = fired}, b = {.deadline_ns = 400, .expire = fired},
                           c = {.deadline_ns = 450, .expire = fired};
    wf_timers_init(&set, 0);
    cr_assert(wf_timers_add(&set, &a));
    cr_assert(wf_timers_add(&set, &b));
    cr_assert_not(wf_timers_add(&set, &c));
    cr_assert_eq(wf_load_relaxed(&set.earliest_ns), 400);
}

Test(timers, a_batch_is_bounded_and_says_so)
{
    struct wf_timer_batch batch;
    wf_timers_init(&set, 0);
    for (unsigned i = 0; i < 150; i++)
        arm(&entries[i], second + i);
    cr_assert(wf_timers_run(&set, 2 * second, &batch));
    cr_assert_eq(batch.n, WF_TIMER_BATCH);
    cr_assert_leq(wf_load_relaxed(&set.earliest_ns), second + WF_TIMER_BATCH);
    cr_assert(wf_timers_run(&set, 2 * second, &batch));
    cr_assert_not(wf_timers_run(&set, 2 * second, &batch));
    cr_assert_eq(batch.n, 150 - 2 * WF_TIMER_BATCH);
}

Test(timers, a_crowded_slot_is_emptied_in_steps_and_loses_nothing, .timeout = 60)
{
    enum { CROWD = 20000 };
    struct entry *crowd = calloc(CROWD, sizeof(*crowd));
    struct wf_timer_batch batch;
    wf_timers_init(&set, 0);
    for (unsigned i = 0; i < CROWD; i++)
        arm(&crowd[i], 40 * second + i * (int64_t)7919 % TICK_NS);
    unsigned fires = 0, cancelled = 0, step = 0;
    bool more;
    run_now_ns = 41 * second;
    do {
        more = wf_timers_run(&set, run_now_ns, &batch);
        wf_timers_check(&set);
        for (unsigned i = 0; i < batch.n; i++)
            batch.items[i].expire(batch.items[i].arg);
        fires += batch.n;
        /* Cancel some while the slot is half-way moved, and add another that is due earlier. */
        for (unsigned i = step++; i < CROWD; i += 997) {
            cr_assert_eq(wf_timer_cancel(&crowd[i].timer), crowd[i].pending);
            cancelled += crowd[i].pending;
            crowd[i].pending = false;
        }
        if (more)
            cr_assert_leq(wf_timers_next_wake(&set), run_now_ns);
    } while (more);
    cr_assert_eq(fires + cancelled, CROWD);
    cr_assert_gt(cancelled, 0);
    cr_assert_eq(wf_timers_next_wake(&set), INT64_MAX);
    free(crowd);
}

static bool refuse(struct wf_timer *timer)
{
    cr_assert_not_null(timer->set, "a canceller could have believed that the timer is done with");
    return false;
}

Test(timers, a_timer_whose_claim_fails_does_not_expire)
{
    wf_timers_init(&set, 0);
    entries[0].timer.claim = refuse;
    arm(&entries[0], second);
    cr_assert_eq(run_all(2 * second), 0);
    cr_assert_null(entries[0].timer.set);
    cr_assert_not(wf_timer_cancel(&entries[0].timer));
}

static void count(void *arg)
{
    ++*(unsigned *)arg;
}

Test(timers, a_periodic_timer_skips_the_periods_that_were_missed)
{
    unsigned n = 0;
    struct wf_timer t = {.deadline_ns = 10 * second, .period_ns = 3 * second, .expire = count, .arg = &n};
    wf_timers_init(&set, 0);
    wf_timers_add(&set, &t);
    cr_assert_eq(run_all(10 * second), 1);
    cr_assert_eq(t.deadline_ns, 13 * second);
    cr_assert_eq(run_all(22 * second), 1);
    cr_assert_eq(t.deadline_ns, 25 * second);
    cr_assert_eq(run_all(24 * second + 999999999), 0);
    cr_assert_eq(run_all(25 * second), 1);
    cr_assert_eq(n, 3);
    cr_assert(wf_timer_cancel(&t));
    cr_assert_eq(run_all(100 * second), 0);
}

Test(timers, a_periodic_timer_whose_next_turn_is_beyond_time_waits_for_ever)
{
    unsigned n = 0;
    struct wf_timer t = {.deadline_ns = second, .period_ns = INT64_MAX, .expire = count, .arg = &n};
    wf_timers_init(&set, 0);
    wf_timers_add(&set, &t);
    cr_assert_eq(run_all(2 * second), 1);
    cr_assert_eq(t.deadline_ns, INT64_MAX);
    cr_assert(wf_timer_cancel(&t));
}

Test(timers, clear_takes_out_everything_and_fires_nothing)
{
    struct wf_rand rand;
    wf_rand_seed(&rand, 9);
    wf_timers_init(&set, 0);
    for (unsigned i = 0; i < N_MODEL; i++)
        arm(&entries[i], random_distance(&rand));
    wf_timers_clear(&set);
    wf_timers_check(&set);
    cr_assert_eq(set.n_pending, 0);
    cr_assert_eq(run_all(INT64_MAX), 0);
    for (unsigned i = 0; i < N_MODEL; i++)
        cr_assert_not(wf_timer_cancel(&entries[i].timer));
}

/* ---- two threads ---- */

enum { RACE_ROUNDS = 200000 };
static _Atomic unsigned race_fires;
static _Atomic int64_t race_now;
static _Atomic bool race_over;

static void race_fired(void *arg)
{
    (void)arg;
    wf_add_acq_rel(&race_fires, 1);
}

static void *run_the_set(void *arg)
{
    (void)arg;
    struct wf_timer_batch batch;
    while (!wf_load_acquire(&race_over)) {
        wf_timers_run(&set, wf_load_acquire(&race_now), &batch);
        for (unsigned i = 0; i < batch.n; i++)
            batch.items[i].expire(batch.items[i].arg);
    }
    return NULL;
}

Test(timers, cancel_and_expiry_have_exactly_one_winner, .timeout = 60)
{
    pthread_t runner;
    struct wf_timer t = {.expire = race_fired};
    unsigned won = 0;
    wf_timers_init(&set, 0);
    cr_assert_eq(pthread_create(&runner, NULL, run_the_set, NULL), 0);
    for (unsigned i = 1; i <= RACE_ROUNDS; i++) {
        t.deadline_ns = i * (int64_t)100000;
        wf_timers_add(&set, &t);
        wf_store_release(&race_now, t.deadline_ns);
        for (unsigned spin = 0; spin < i % 64; spin++)
            wf_cpu_relax();
        won += wf_timer_cancel(&t);
    }
    wf_store_release(&race_over, true);
    pthread_join(runner, NULL);
    cr_assert_eq(won + wf_load_acquire(&race_fires), RACE_ROUNDS);
}

static _Atomic bool claim_entered;

/* Holds the set's lock for long enough that the canceller comes to wait for it. */
static bool claim_slowly(struct wf_timer *timer)
{
    (void)timer;
    wf_store_release(&claim_entered, true);
    nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
    return true;
}

static void *cancel_during_claim(void *timer)
{
    while (!wf_load_acquire(&claim_entered))
        wf_cpu_relax();
    return wf_timer_cancel(timer) ? timer : NULL;
}

Test(timers, a_cancel_during_an_expiry_waits_and_loses, .timeout = 60)
{
    pthread_t canceller;
    void *cancelled;
    struct wf_timer t = {.deadline_ns = second, .claim = claim_slowly, .expire = race_fired};
    wf_timers_init(&set, 0);
    wf_timers_add(&set, &t);
    cr_assert_eq(pthread_create(&canceller, NULL, cancel_during_claim, &t), 0);
    cr_assert_eq(run_all(second), 1);
    pthread_join(canceller, &cancelled);
    cr_assert_null(cancelled);
    cr_assert_eq(set.n_pending, 0);
}

/* ---- moving ---- */

static struct wf_timers other_set;

static void check_both(void)
{
    wf_timers_check(&set);
    wf_timers_check(&other_set);
}

Test(timers, all_move_to_another_set_and_fire_there, .timeout = 60)
{
    struct wf_rand rand;
    wf_rand_seed(&rand, 11);
    for (unsigned round = 0; round < 20; round++) {
        wf_timers_init(&other_set, (int64_t)wf_rand_below(&rand, 1000) * second / 100);
        wf_timers_init(&set, 0);
        for (unsigned i = 0; i < N_MODEL; i++) /* near, far, and some that share a slot */
            arm(&entries[i], (int64_t)(1 + wf_rand_below(&rand, 1000)) * (i % 3 == 0 ? 1000 : i % 3 == 1 ? 1000000 : second));
        run_all((int64_t)wf_rand_below(&rand, 500) * 1000000);
        size_t n = set.n_pending;
        cr_assert(wf_timers_move(&set, &other_set));
        check_both();
        cr_assert_eq(set.n_pending, 0);
        cr_assert_eq(other_set.n_pending, n);
        cr_assert_not(wf_timers_move(&set, &other_set));
        cr_assert_eq(wf_timers_next_wake(&set), INT64_MAX);
        cr_assert(wf_timers_move(&other_set, &set));
        check_both();
        run_all(1001 * second);
        cr_assert_eq(set.n_pending, 0);
        for (unsigned i = 0; i < N_MODEL; i++)
            cr_assert_not(entries[i].pending);
    }
}

static _Atomic bool moving_over;

static void *move_to_and_fro(void *arg)
{
    (void)arg;
    while (!wf_load_relaxed(&moving_over)) {
        wf_timers_move(&set, &other_set);
        wf_timers_move(&other_set, &set);
    }
    return NULL;
}

Test(timers, one_that_moves_can_be_cancelled_at_any_moment, .timeout = 60)
{
    pthread_t mover;
    struct wf_rand rand;
    wf_rand_seed(&rand, 12);
    wf_timers_init(&set, 0);
    wf_timers_init(&other_set, 0);
    for (unsigned i = 0; i < 64; i++)
        arm(&entries[i], (i + 1) * second);
    cr_assert_eq(pthread_create(&mover, NULL, move_to_and_fro, NULL), 0);
    for (time_t end = time(NULL) + 2; time(NULL) < end;) {
        struct entry *e = &entries[wf_rand_below(&rand, 64)];
        for (uint32_t pause = wf_rand_below(&rand, 200); pause > 0; pause--) /* else the mover never gets half-way */
            wf_cpu_relax();
        cr_assert(wf_timer_cancel(&e->timer), "it was pending all the time");
        arm(e, (1 + wf_rand_below(&rand, 1000)) * second / 10);
    }
    wf_store_relaxed(&moving_over, true);
    pthread_join(mover, NULL);
    check_both();
    cr_assert_eq(set.n_pending + other_set.n_pending, 64);
}
