/* SPDX-License-Identifier: MIT */
/* scope_stress.c - random trees of scopes, deadlines and shields whose members wait for each other in every way, while
 * they are cancelled, timed out, failed and panicked from all sides.
 *
 *     scope_stress [--seed N] [--rounds N] [--workers N] [--seconds N]
 *
 * Conservation: every value sent with result 0 is received or still in its channel; all permits come back; all tokens
 * given under the cond are taken or left. A scope that was left has no children. What a wait returns is what the blocks
 * around it allow. Exit: 0 passed, 1 failed (or stuck for 60 s).
 */
#include <weft/weft.h>

#include <pthread.h>
#include <stdatomic.h>

#include "../support/stress.h"
#include "base/compiler.h"

enum { N_CHANS = 5, N_NAMES = 64, N_ROOTS = 4, N_THREADS = 2, PERMITS = 3, DEPTH = 4 };
static const size_t capacities[N_CHANS] = {0, 0, 1, 4, WEFT_UNBOUNDED};

static weft_chan(uint64_t) chans[N_CHANS];
static _Atomic uint64_t n_sent, n_received, sum_sent, sum_received;
static weft_sem sem;
static weft_mutex mutex;
static weft_cond cond;
static int64_t n_tokens, n_given, n_taken; /* mutex */
static weft_waitgroup group;
static weft_latch latch;
static weft_barrier barrier;
static _Atomic(weft_scope_ref) names[N_NAMES]; /* of scopes in progress, or long gone */
static atomic_uint n_errors, n_cancelled, n_timed_out, n_panics;
static atomic_uint n_acting;

/* What a member knows of the blocks around it. */
struct place {
    struct wf_rand *rand;
    int depth;       /* how many levels of scopes may still be opened */
    bool may_cancel; /* inside of a scope that somebody may cancel, not shielded from it */
    bool may_time_out;
    bool must_end;   /* something around ends every wait */
};

static uint32_t draw(const struct place *p, uint32_t n)
{
    return wf_rand_below(p->rand, n);
}

/* ---- one wait ---- */

static int note(const struct place *p, int result)
{
    require(result != -ECANCELED || p->may_cancel);
    require(result != -ETIMEDOUT || p->may_time_out);
    require(result == 0 || result == -ECANCELED || result == -ETIMEDOUT);
    if (result != 0)
        atomic_fetch_add(result == -ECANCELED ? &n_cancelled : &n_timed_out, 1);
    return result;
}

static void note_sent(uint64_t value)
{
    atomic_fetch_add(&n_sent, 1);
    atomic_fetch_add(&sum_sent, value);
}

static void note_received(uint64_t value)
{
    atomic_fetch_add(&n_received, 1);
    atomic_fetch_add(&sum_received, value);
}

static void send_one(const struct place *p)
{
    uint64_t value = wf_rand_next(p->rand);
    if (note(p, weft_chan_send(chans[draw(p, N_CHANS)], value)) == 0)
        note_sent(value);
}

static void receive_one(const struct place *p)
{
    uint64_t value = 0;
    if (note(p, weft_chan_recv(chans[draw(p, N_CHANS)], &value)) == 0)
        note_received(value);
    else
        require(value == 0);
}

static void select_one(const struct place *p)
{
    uint64_t value = wf_rand_next(p->rand), first = 0, second = 0;
    weft_chan(uint64_t) to = chans[draw(p, N_CHANS)];
    int result = weft_select(weft_on_recv(chans[draw(p, N_CHANS)], &first), weft_on_send(to, value),
                             weft_on_recv(chans[draw(p, N_CHANS)], &second), weft_after(draw(p, 200) * WEFT_US));
    if (result < 0)
        note(p, result);
    require((result == 0 || first == 0) && (result == 2 || second == 0));
    if (result == 0)
        note_received(first);
    else if (result == 1)
        note_sent(value);
    else if (result == 2)
        note_received(second);
}

static void acquire_one(const struct place *p)
{
    int64_t n = 1 + draw(p, PERMITS);
    if (note(p, weft_sem_acquire(&sem, n)) != 0)
        return;
    for (uint32_t i = draw(p, 3); i > 0; i--)
        weft_yield();
    weft_sem_release(&sem, n);
}

static void take_token(const struct place *p)
{
    int result = 0;
    weft_mutex_lock(&mutex);
    while (n_tokens == 0 && result == 0) {
        result = note(p, weft_cond_wait(&cond, &mutex));
        require(weft_mutex_try_lock(&mutex) == -EAGAIN);
    }
    if (result == 0) {
        n_tokens--;
        n_taken++;
    }
    weft_mutex_unlock(&mutex);
}

static void give_token(const struct place *p)
{
    weft_mutex_lock(&mutex);
    n_tokens++;
    n_given++;
    if (draw(p, 8) == 0)
        weft_cond_broadcast(&cond);
    else
        weft_cond_signal(&cond);
    weft_mutex_unlock(&mutex);
}

/* For ever, but for what is around. */
static void wait_in_vain(const struct place *p)
{
    int result = 0;
    switch (draw(p, 5)) {
    case 0:
        result = weft_chan_recv((weft_chan(int))NULL, NULL);
        break;
    case 1:
        result = weft_latch_wait(&latch);
        break;
    case 2:
        result = weft_waitgroup_wait(&group);
        break;
    case 3:
        result = weft_barrier_wait(&barrier);
        break;
    default:
        result = weft_sleep(WEFT_HOUR);
    }
    require(note(p, result) != 0);
}

static void wait_once(const struct place *p)
{
    switch (p->must_end ? draw(p, 9) : 6 + draw(p, 2)) {
    case 0:
        send_one(p);
        break;
    case 1:
        receive_one(p);
        break;
    case 2:
        select_one(p);
        break;
    case 3:
        acquire_one(p);
        break;
    case 4:
        take_token(p);
        break;
    case 5:
        wait_in_vain(p);
        break;
    case 6:
        note(p, weft_sleep(draw(p, 100) * WEFT_US));
        break;
    case 7:
        give_token(p);
        weft_yield();
        break;
    default:
        send_one(p);
        receive_one(p);
    }
}

/* ---- blocks ---- */

static int member(uint64_t seed, int depth, atomic_uint *live);
static void act(struct place p, unsigned steps);

static void cancel_any(const struct place *p)
{
    weft_cancel(atomic_load(&names[draw(p, N_NAMES)]));
}

static void cancel_late(void *name)
{
    weft_cancel((weft_scope_ref)name);
}

static void start_members(const struct place *p, weft_scope_ref s, atomic_uint *live)
{
    for (uint32_t n = p->depth > 0 ? draw(p, 5) : 0; n > 0; n--)
        require(weft_scope_go(s, member, wf_rand_next(p->rand), p->depth - 1, live) == 0);
}

static void body(struct place p, weft_scope_ref s, atomic_uint *live)
{
    atomic_store(&names[draw(&p, N_NAMES)], s);
    p.may_cancel = true;
    start_members(&p, s, live);
    p.depth--;
    act(p, 1 + draw(&p, 4));
    if (draw(&p, 16) == 0)
        require(weft_timer_start(draw(&p, 200) * WEFT_US, cancel_late, s) != NULL);
    if (draw(&p, 6) == 0)
        weft_cancel(s);
    if (draw(&p, 40) == 0)
        weft_panic("in a body");
    if (draw(&p, 3) == 0)
        start_members(&p, s, live);
}

static void open_scope(struct place p)
{
    atomic_uint live = 0; /* children that have not ended */
    int err = 4711;
    if (draw(&p, 4) == 0) { /* a child's panic is raised again */
        weft_scope(s) {
            body(p, s, &live);
            if (draw(&p, 2) == 0)
                continue;
        }
    } else {
        weft_scope(s, &err) {
            body(p, s, &live);
            if (draw(&p, 2) == 0)
                break;
        }
        require(err == 0 || err == -ECANCELED || err == WEFT_EPANIC || err == -EIO || err == 17);
        if (err != 0)
            atomic_fetch_add(err == WEFT_EPANIC ? &n_panics : &n_errors, 1);
    }
    require(atomic_load(&live) == 0);
}

static void open_deadline(struct place p)
{
    p.may_time_out = p.must_end = true;
    weft_deadline((int64_t)draw(&p, 400) * WEFT_US - 20 * WEFT_US) {
        act(p, 1 + draw(&p, 3));
        if (draw(&p, 2) == 0)
            break;
    }
}

static void open_shield(struct place p)
{
    p.may_time_out = p.may_cancel = p.must_end = false;
    weft_shield
        act(p, 1 + draw(&p, 2));
}

static void act(struct place p, unsigned steps)
{
    while (steps-- > 0) {
        switch (draw(&p, 16)) {
        case 0:
        case 1:
            if (p.depth > 0)
                open_scope(p);
            break;
        case 2:
        case 3:
            open_deadline(p);
            break;
        case 4:
            open_shield(p);
            break;
        case 5:
            cancel_any(&p);
            break;
        case 6:
            weft_yield();
            break;
        default:
            wait_once(&p);
        }
    }
}

static void count_down(atomic_uint **live)
{
    atomic_fetch_sub(*live, 1);
}

/* A child: inside of a scope that is ended at the latest by the deadline around the root. Its own shields do not count for
 * its parent's: it may be inside of one of those, so only what it knows is assumed. */
static int member(uint64_t seed, int depth, atomic_uint *live)
{
    __attribute__((cleanup(count_down))) atomic_uint *mine = live;
    struct wf_rand rand;
    wf_rand_seed(&rand, seed);
    struct place p = {.rand = &rand, .depth = depth, .may_cancel = true, .may_time_out = true, .must_end = false};
    atomic_fetch_add(mine, 1);
    /* The parent may be shielded from the root's deadline: so one of its own. */
    weft_deadline(draw(&p, 2000) * WEFT_US) {
        p.must_end = true;
        act(p, 1 + draw(&p, 4));
    }
    p.must_end = false;
    switch (draw(&p, 24)) {
    case 0:
        return -EIO;
    case 1:
        return 17;
    case 2:
        weft_panic("of a member");
        break;
    case 3:
        weft_exit();
    default:
        return 0;
    }
}

static void one_tree(struct wf_rand *rand)
{
    struct place p = {.rand = rand, .depth = DEPTH, .must_end = true, .may_time_out = true};
    weft_deadline((200 + draw(&p, 2000)) * WEFT_US)
        open_scope(p);
}

static void plant_trees(unsigned round, unsigned actor)
{
    struct wf_rand rand;
    seed_actor(&rand, round, actor);
    for (int i = 0; i < 6; i++) {
        weft_try(one_tree, &rand);
        require(!weft_cancelled());
        require(weft_sleep(WEFT_US) == 0);
    }
    atomic_fetch_sub(&n_acting, 1);
}

struct thread_arg {
    unsigned round, actor;
};

static void *plant_in_thread(void *arg)
{
    struct thread_arg *a = arg;
    plant_trees(a->round, a->actor);
    return NULL;
}

/* Meets those that wait on rendezvous channels, and cancels whomever it finds. */
static void *disturb(void *arg)
{
    struct thread_arg *a = arg;
    struct wf_rand rand;
    seed_actor(&rand, a->round, a->actor);
    struct place p = {.rand = &rand};
    while (atomic_load(&n_acting) > 0) {
        uint64_t value = wf_rand_next(&rand);
        if (weft_chan_try_recv(chans[draw(&p, N_CHANS)], &value) == 0)
            note_received(value);
        value = wf_rand_next(&rand);
        if (weft_chan_try_send(chans[draw(&p, N_CHANS - 1)], value) == 0)
            note_sent(value);
        if (draw(&p, 4) == 0)
            cancel_any(&p);
        if (draw(&p, 8) == 0)
            give_token(&p);
        nanosleep(&(struct timespec){.tv_nsec = 20000 + (long)draw(&p, 50000)}, NULL);
    }
    return NULL;
}

static void check_conservation(void)
{
    uint64_t value;
    for (unsigned i = 0; i < N_CHANS; i++)
        while (weft_chan_try_recv(chans[i], &value) == 0)
            note_received(value);
    require(atomic_load(&n_sent) == atomic_load(&n_received));
    require(atomic_load(&sum_sent) == atomic_load(&sum_received));
    require(weft_sem_try_acquire(&sem, PERMITS) == 0);
    require(weft_sem_try_acquire(&sem, 1) == -EAGAIN);
    weft_sem_release(&sem, PERMITS);
    require(n_given - n_taken == n_tokens);
    require(cond.waiters == NULL && mutex.state == 0);
    require(barrier.arrived == 0 && barrier.waiters == NULL);
    require(latch.waiters == NULL && group.waiters == NULL && sem.waiters == NULL);
    n_tokens = n_given = n_taken = 0;
}

static void run_round(unsigned round)
{
    pthread_t threads[N_THREADS + 1];
    struct thread_arg args[N_THREADS + 1];
    atomic_store(&n_acting, N_ROOTS + N_THREADS);
    for (unsigned i = 0; i < N_ROOTS; i++)
        require(weft_go(plant_trees, round, i) == 0);
    for (unsigned i = 0; i < N_THREADS + 1; i++) {
        args[i] = (struct thread_arg){round, N_ROOTS + i};
        require(pthread_create(&threads[i], NULL, i < N_THREADS ? plant_in_thread : disturb, &args[i]) == 0);
    }
    for (unsigned i = 0; i < N_THREADS + 1; i++)
        require(pthread_join(threads[i], NULL) == 0);
    check_conservation();
}

int main(int argc, char **argv)
{
    read_stress_options(argc, argv);
    if (stress.workers != 0)
        require(weft_start(&(weft_config){.procs = stress.workers}) == 0);
    for (unsigned i = 0; i < N_CHANS; i++)
        chans[i] = weft_chan_make(uint64_t, capacities[i]);
    weft_sem_init(&sem, PERMITS);
    weft_latch_init(&latch, 1);
    weft_waitgroup_add(&group, 1);
    weft_barrier_init(&barrier, 1000000);
    unsigned round = 0;
    for (; stress_goes_on(round); round++) {
        run_round(round);
        if (round % 16 == 15)
            require(weft_stop() == 0);
    }
    printf("%u rounds: %llu values, %u waits cancelled, %u timed out, %u scopes with errors, %u with panics\n", round,
           (unsigned long long)atomic_load(&n_sent), atomic_load(&n_cancelled), atomic_load(&n_timed_out),
           atomic_load(&n_errors), atomic_load(&n_panics));
    return 0;
}
