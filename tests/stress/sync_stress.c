/* SPDX-License-Identifier: MIT */
/* sync_stress.c - routines and plain threads together on every primitive of weft/sync.h, under conservation checks.
 *
 *     sync_stress [--seed N] [--rounds N] [--workers N]
 *
 * Each round runs every section once, with everybody's random choices drawn from the seed. In the sections that say so
 * a plain thread ends waits from outside at random. Objects whose last user may free them are filled with a pattern
 * as soon as that user is through, and looked at again later. Exit: 0 passed, 1 failed (or stuck for 60 s).
 */
#include <weft/weft.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/membarrier.h"
#include "base/rand.h"
#include "sched/park.h"

enum { N_ROUTINES = 12, N_THREADS = 3, N_ACTORS = N_ROUTINES + N_THREADS };
enum { STUCK_AFTER_SECONDS = 60, PATTERN = 0xa5 };

static uint64_t seed = 1;
static unsigned rounds = 15, workers;
static const char *_Atomic section = "start";

#define REQUIRE(x) \
    do { \
        if (!(x)) \
            fail(__LINE__, #x); \
    } while (0)

static _Noreturn void fail(int line, const char *what)
{
    fprintf(stderr, "sync_stress.c:%d: section %s, seed %llu: not true: %s\n", line, atomic_load(&section),
            (unsigned long long)seed, what);
    _exit(1);
}

/* ---- actors: half of the test runs in routines, half in plain threads ---- */

struct actor {
    unsigned index;
    struct wf_rand rand;
    void (*act)(struct actor *self);
    struct wf_routine *_Atomic routine; /* NULL: not to be disturbed; `registry` */
};

static struct actor actors[N_ACTORS];
static atomic_uint n_acting;
static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint n_ended_waits;

static uint32_t draw(struct actor *self, uint32_t bound)
{
    return wf_rand_below(&self->rand, bound);
}

static void dawdle(struct actor *self)
{
    switch (draw(self, 8)) {
    case 0:
        weft_yield();
        break;
    case 1:
        for (uint32_t i = draw(self, 200); i > 0; i--)
            wf_cpu_relax();
        break;
    default:
        break;
    }
}

/* True: the wait was ended from outside, as it may; the next one may last again. */
static bool was_ended(struct actor *self, int error)
{
    if (error == 0)
        return false;
    REQUIRE(error == -ECANCELED);
    wf_store_relaxed(&atomic_load(&self->routine)->pending, 0);
    return true;
}

/* From here to leave_registry() the disturber may end this actor's waits. */
static void enter_registry(struct actor *self)
{
    struct wf_thread *thread = wf_enter();
    struct wf_routine *routine = thread->current;
    wf_leave(thread);
    atomic_store(&self->routine, routine);
}

static void leave_registry(struct actor *self)
{
    pthread_mutex_lock(&registry);
    if (atomic_load(&self->routine) != NULL)
        wf_store_relaxed(&atomic_load(&self->routine)->pending, 0);
    atomic_store(&self->routine, NULL);
    pthread_mutex_unlock(&registry);
}

static void act(struct actor *self)
{
    self->act(self);
    leave_registry(self);
    atomic_fetch_sub(&n_acting, 1);
}

static void *act_in_thread(void *self)
{
    act(self);
    return NULL;
}

static void pause_us(long us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

/* Ends the wait of a random actor: as a cancellation does, but only once. */
static void *disturb(void *arg)
{
    struct wf_rand rand;
    (void)arg;
    wf_rand_seed(&rand, seed ^ 0xd157);
    while (atomic_load(&n_acting) > 0) {
        pthread_mutex_lock(&registry);
        struct wf_routine *r = atomic_load(&actors[wf_rand_below(&rand, N_ACTORS)].routine);
        if (r != NULL) {
            wf_store_relaxed(&r->pending, -ECANCELED);
            wf_heavy_fence();
            struct wf_thread *thread = wf_enter();
            if (wf_wait_abort(thread, r, -ECANCELED))
                atomic_fetch_add(&n_ended_waits, 1);
            wf_leave(thread);
        }
        pthread_mutex_unlock(&registry);
        pause_us(20);
    }
    return NULL;
}

static void run_section(const char *name, unsigned round, bool disturbed, void (*body)(struct actor *self))
{
    pthread_t threads[N_THREADS], disturber;
    atomic_store(&section, name);
    alarm(STUCK_AFTER_SECONDS);
    atomic_store(&n_acting, N_ACTORS);
    for (unsigned i = 0; i < N_ACTORS; i++) {
        actors[i].index = i;
        actors[i].act = body;
        wf_rand_seed(&actors[i].rand, seed + (uint64_t)round * N_ACTORS + i);
    }
    for (unsigned i = 0; i < N_ROUTINES; i++) {
        int error = weft_go(act, &actors[i]);
        REQUIRE(error == 0);
    }
    for (unsigned i = 0; i < N_THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, act_in_thread, &actors[N_ROUTINES + i]) == 0);
    if (disturbed)
        REQUIRE(pthread_create(&disturber, NULL, disturb, NULL) == 0);
    for (unsigned i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    while (atomic_load(&n_acting) > 0)
        pause_us(50);
    if (disturbed)
        pthread_join(disturber, NULL);
}

static void on_alarm(int signal_number)
{
    (void)signal_number;
    dprintf(STDERR_FILENO, "sync_stress: stuck in section %s, seed %llu\n", atomic_load(&section),
            (unsigned long long)seed);
    weft_dump(STDERR_FILENO); /* not made for a handler, but there is nothing to lose */
    _exit(1);
}

static bool has_pattern(const void *object, size_t size)
{
    const unsigned char *bytes = object;
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != PATTERN)
            return false;
    }
    return true;
}

/* ---- mutex: what it protects is plain memory ---- */

enum { MUTEX_TURNS = 600 };
static weft_mutex mutex;
static uint64_t mutex_counter, mutex_mirror;

static void act_mutex(struct actor *self)
{
    for (unsigned i = 0; i < MUTEX_TURNS; i++) {
        if (draw(self, 4) != 0)
            weft_mutex_lock(&mutex);
        else
            while (weft_mutex_try_lock(&mutex) != 0)
                weft_yield();
        REQUIRE(mutex_counter == mutex_mirror);
        mutex_counter++;
        dawdle(self);
        mutex_mirror++;
        weft_mutex_unlock(&mutex);
        dawdle(self);
    }
}

/* The last to leave a locked object frees it, while the others' unlocks may not have returned. */
enum { N_SHARED = 40 };
struct shared {
    weft_mutex mutex;
    weft_rwmutex rwmutex;
    unsigned users, rw_users;
};
static struct shared shared[N_SHARED];

static void act_last_user(struct actor *self)
{
    for (unsigned i = 0; i < N_SHARED; i++) {
        struct shared *s = &shared[i];
        weft_mutex_lock(&s->mutex);
        dawdle(self);
        bool last = --s->users == 0;
        weft_mutex_unlock(&s->mutex);
        if (last)
            memset(&s->mutex, PATTERN, sizeof(s->mutex));
        for (unsigned reads = draw(self, 3); reads > 0; reads--) {
            weft_rwmutex_rlock(&s->rwmutex);
            REQUIRE(s->rw_users > 0);
            dawdle(self);
            weft_rwmutex_runlock(&s->rwmutex);
        }
        weft_rwmutex_lock(&s->rwmutex);
        last = --s->rw_users == 0;
        weft_rwmutex_unlock(&s->rwmutex);
        if (last)
            memset(&s->rwmutex, PATTERN, sizeof(s->rwmutex));
    }
}

/* ---- rwmutex ---- */

enum { RW_TURNS = 500 };
static weft_rwmutex rwmutex;
static uint64_t rw_left, rw_right;
static atomic_int rw_readers, rw_writers;

static void read_once(struct actor *self)
{
    atomic_fetch_add(&rw_readers, 1);
    REQUIRE(atomic_load(&rw_writers) == 0);
    uint64_t left = rw_left;
    dawdle(self);
    REQUIRE(left == rw_right);
    atomic_fetch_sub(&rw_readers, 1);
    weft_rwmutex_runlock(&rwmutex);
}

static void write_once(struct actor *self)
{
    REQUIRE(atomic_fetch_add(&rw_writers, 1) == 0);
    REQUIRE(atomic_load(&rw_readers) == 0);
    rw_left++;
    dawdle(self);
    rw_right++;
    atomic_fetch_sub(&rw_writers, 1);
    weft_rwmutex_unlock(&rwmutex);
}

static void act_rwmutex(struct actor *self)
{
    for (unsigned i = 0; i < RW_TURNS; i++) {
        switch (draw(self, 8)) {
        case 0:
        case 1:
            weft_rwmutex_lock(&rwmutex);
            write_once(self);
            break;
        case 2:
            if (weft_rwmutex_try_lock(&rwmutex) == 0)
                write_once(self);
            break;
        case 3:
            if (weft_rwmutex_try_rlock(&rwmutex) == 0)
                read_once(self);
            break;
        default:
            weft_rwmutex_rlock(&rwmutex);
            read_once(self);
        }
        dawdle(self);
    }
}

/* ---- semaphore: permits are conserved, with waits ended from outside ---- */

enum { SEM_TURNS = 400, SEM_PERMITS = 10 };
static weft_sem sem;
static atomic_int sem_taken;

static void act_sem(struct actor *self)
{
    enter_registry(self);
    for (unsigned i = 0; i < SEM_TURNS;) {
        int n = (int)draw(self, SEM_PERMITS) + 1;
        int error = draw(self, 4) == 0 ? weft_sem_try_acquire(&sem, n) : weft_sem_acquire(&sem, n);
        if (error == -EAGAIN || was_ended(self, error)) {
            weft_yield();
            continue;
        }
        i++;
        REQUIRE(atomic_fetch_add(&sem_taken, n) + n <= SEM_PERMITS);
        dawdle(self);
        atomic_fetch_sub(&sem_taken, n);
        int first = (int)draw(self, (uint32_t)n + 1);
        weft_sem_release(&sem, first);
        weft_sem_release(&sem, n - first);
    }
}

/* ---- barrier: nobody is a round ahead, with waits ended from outside ---- */

enum { BARRIER_ROUNDS = 120 };
static weft_barrier barrier;
static atomic_uint barrier_round[N_ACTORS];

static void act_barrier(struct actor *self)
{
    enter_registry(self);
    for (unsigned round = 1; round <= BARRIER_ROUNDS; round++) {
        atomic_store_explicit(&barrier_round[self->index], round, memory_order_relaxed);
        dawdle(self);
        while (was_ended(self, weft_barrier_wait(&barrier)))
            ;
        for (unsigned i = 0; i < N_ACTORS; i++) {
            unsigned other = atomic_load_explicit(&barrier_round[i], memory_order_relaxed);
            REQUIRE(other == round || other == round + 1);
        }
    }
}

/* ---- cond: a bounded queue; what goes in comes out, in order for each producer; waits are ended from outside ---- */

enum { QUEUE_CAPACITY = 4, QUEUE_ITEMS = 400, N_PRODUCERS = 7, N_CONSUMERS = N_ACTORS - N_PRODUCERS };
static weft_mutex queue_mutex;
static weft_cond queue_not_empty, queue_not_full;
static struct item {
    unsigned producer, number;
} queue[QUEUE_CAPACITY];
static unsigned queue_head, queue_length, queue_consumed, queue_last[N_PRODUCERS];

static void wait_on(struct actor *self, weft_cond *c)
{
    (void)was_ended(self, weft_cond_wait(c, &queue_mutex));
    REQUIRE(weft_mutex_try_lock(&queue_mutex) == -EAGAIN);
}

static void produce(struct actor *self, unsigned producer)
{
    for (unsigned number = 1; number <= QUEUE_ITEMS; number++) {
        weft_mutex_lock(&queue_mutex);
        while (queue_length == QUEUE_CAPACITY)
            wait_on(self, &queue_not_full);
        queue[(queue_head + queue_length++) % QUEUE_CAPACITY] = (struct item){producer, number};
        if (draw(self, 2) == 0)
            weft_cond_signal(&queue_not_empty);
        weft_mutex_unlock(&queue_mutex);
        /* One signal for each item, or all are called. */
        if (draw(self, 8) == 0)
            weft_cond_broadcast(&queue_not_empty);
        else
            weft_cond_signal(&queue_not_empty);
        dawdle(self);
    }
}

static void consume(struct actor *self)
{
    for (;;) {
        weft_mutex_lock(&queue_mutex);
        while (queue_length == 0 && queue_consumed < N_PRODUCERS * QUEUE_ITEMS)
            wait_on(self, &queue_not_empty);
        if (queue_length == 0) {
            weft_mutex_unlock(&queue_mutex);
            return;
        }
        struct item item = queue[queue_head];
        queue_head = (queue_head + 1) % QUEUE_CAPACITY;
        queue_length--;
        REQUIRE(item.number == ++queue_last[item.producer]);
        if (++queue_consumed == N_PRODUCERS * QUEUE_ITEMS)
            weft_cond_broadcast(&queue_not_empty);
        weft_cond_signal(&queue_not_full);
        weft_mutex_unlock(&queue_mutex);
        dawdle(self);
    }
}

static void act_queue(struct actor *self)
{
    enter_registry(self);
    if (self->index % 2 == 0 && self->index / 2 < N_PRODUCERS)
        produce(self, self->index / 2);
    else
        consume(self);
}

/* ---- cond: whoever has waited longest is served first ---- */

enum { FIFO_SIGNALS = 300 };
static weft_mutex fifo_mutex;
static weft_cond fifo_served, fifo_turn;
static unsigned fifo_next_ticket, fifo_next_served, fifo_waiting;

/* Actor 0 serves one at a time and waits for the one served; the others queue for it, again and again. */
static void act_fifo(struct actor *self)
{
    weft_mutex_lock(&fifo_mutex);
    while (fifo_next_served < FIFO_SIGNALS) {
        if (self->index != 0) {
            unsigned ticket = fifo_next_ticket++;
            fifo_waiting++;
            REQUIRE(weft_cond_wait(&fifo_served, &fifo_mutex) == 0);
            if (fifo_next_served >= FIFO_SIGNALS)
                break;
            REQUIRE(ticket == fifo_next_served++);
            fifo_waiting--;
            weft_cond_signal(&fifo_turn);
        } else if (fifo_waiting == 0) {
            weft_mutex_unlock(&fifo_mutex);
            weft_yield();
            weft_mutex_lock(&fifo_mutex);
        } else {
            unsigned before = fifo_next_served;
            weft_cond_signal(&fifo_served);
            while (fifo_next_served == before)
                REQUIRE(weft_cond_wait(&fifo_turn, &fifo_mutex) == 0);
        }
    }
    weft_mutex_unlock(&fifo_mutex);
    weft_cond_broadcast(&fifo_served);
}

/* ---- objects that end with a wait: who returns from it may free them ---- */

enum { N_MORTALS = 60 };
static struct mortal {
    weft_waitgroup group;
    weft_latch latch;
    weft_sem sem;
} mortals[N_MORTALS];
static atomic_uint mortal_done[N_MORTALS];

static int wait_for_mortal(struct mortal *m, unsigned kind)
{
    switch (kind) {
    case 0:
        return weft_waitgroup_wait(&m->group);
    case 1:
        return weft_latch_wait(&m->latch);
    default:
        return weft_sem_acquire(&m->sem, N_ACTORS);
    }
}

/* Everybody counts down; one of them also waits, for as often as it is disturbed, and destroys the object. */
static void act_mortals(struct actor *self)
{
    enter_registry(self);
    for (unsigned i = 0; i < N_MORTALS; i++) {
        struct mortal *m = &mortals[i];
        bool waits = i % N_ACTORS == self->index;
        dawdle(self);
        atomic_fetch_add_explicit(&mortal_done[i], 1, memory_order_relaxed);
        weft_waitgroup_done(&m->group);
        weft_latch_count_down(&m->latch);
        weft_sem_release(&m->sem, 1);
        for (unsigned kind = 0; waits && kind < 3; kind++) {
            while (was_ended(self, wait_for_mortal(m, kind)))
                ;
            REQUIRE(atomic_load_explicit(&mortal_done[i], memory_order_relaxed) == N_ACTORS);
            if (kind == 0)
                memset(&m->group, PATTERN, sizeof(m->group));
            else if (kind == 1)
                memset(&m->latch, PATTERN, sizeof(m->latch));
            else
                memset(&m->sem, PATTERN, sizeof(m->sem));
        }
    }
}

/* ---- once ---- */

enum { N_ONCES = 200 };
static weft_once onces[N_ONCES];
static unsigned once_value[N_ONCES];

static void set_value(void *arg)
{
    unsigned *value = arg;
    weft_yield();
    (*value)++;
}

static void act_once(struct actor *self)
{
    for (unsigned i = 0; i < N_ONCES; i++) {
        weft_once_do(&onces[i], set_value, &once_value[i]);
        REQUIRE(once_value[i] == 1);
        dawdle(self);
    }
}

/* ---- all ---- */

static void prepare(void)
{
    memset(&mutex, 0, sizeof(mutex));
    memset(&rwmutex, 0, sizeof(rwmutex));
    memset(onces, 0, sizeof(onces));
    memset(once_value, 0, sizeof(once_value));
    memset(queue_last, 0, sizeof(queue_last));
    queue_head = queue_length = queue_consumed = 0;
    fifo_next_ticket = fifo_next_served = fifo_waiting = 0;
    weft_sem_init(&sem, SEM_PERMITS);
    weft_barrier_init(&barrier, N_ACTORS);
    for (unsigned i = 0; i < N_ACTORS; i++)
        atomic_store(&barrier_round[i], 0);
    for (unsigned i = 0; i < N_SHARED; i++)
        shared[i] = (struct shared){.users = N_ACTORS, .rw_users = N_ACTORS};
    for (unsigned i = 0; i < N_MORTALS; i++) {
        memset(&mortals[i].group, 0, sizeof(mortals[i].group));
        weft_waitgroup_add(&mortals[i].group, N_ACTORS);
        weft_latch_init(&mortals[i].latch, N_ACTORS);
        weft_sem_init(&mortals[i].sem, 0);
        atomic_store(&mortal_done[i], 0);
    }
}

static void run_round(unsigned round)
{
    prepare();
    uint64_t before = mutex_counter;
    run_section("mutex", round, false, act_mutex);
    REQUIRE(mutex_counter == before + (uint64_t)MUTEX_TURNS * N_ACTORS);
    run_section("last user", round, false, act_last_user);
    for (unsigned i = 0; i < N_SHARED; i++) {
        REQUIRE(has_pattern(&shared[i].mutex, sizeof(weft_mutex)));
        REQUIRE(has_pattern(&shared[i].rwmutex, sizeof(weft_rwmutex)));
    }
    run_section("rwmutex", round, false, act_rwmutex);
    REQUIRE(weft_rwmutex_try_lock(&rwmutex) == 0);
    run_section("sem", round, true, act_sem);
    REQUIRE(weft_sem_try_acquire(&sem, SEM_PERMITS) == 0);
    REQUIRE(weft_sem_try_acquire(&sem, 1) == -EAGAIN);
    run_section("barrier", round, true, act_barrier);
    run_section("queue", round, true, act_queue);
    REQUIRE(queue_consumed == N_PRODUCERS * QUEUE_ITEMS);
    run_section("fifo", round, false, act_fifo);
    run_section("mortals", round, true, act_mortals);
    for (unsigned i = 0; i < N_MORTALS; i++) {
        REQUIRE(has_pattern(&mortals[i].group, sizeof(weft_waitgroup)));
        REQUIRE(has_pattern(&mortals[i].latch, sizeof(weft_latch)));
        REQUIRE(has_pattern(&mortals[i].sem, sizeof(weft_sem)));
    }
    run_section("once", round, false, act_once);
}

static void parse(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "--rounds") == 0)
            rounds = (unsigned)strtoul(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "--workers") == 0)
            workers = (unsigned)strtoul(argv[i + 1], NULL, 0);
    }
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    if (workers != 0) {
        char text[16];
        snprintf(text, sizeof(text), "%u", workers);
        setenv("WEFT_PROCS", text, 1);
    }
    printf("seed %llu, %u rounds\n", (unsigned long long)seed, rounds);
    signal(SIGALRM, on_alarm);
    for (unsigned round = 0; round < rounds; round++)
        run_round(round);
    printf("passed; %u waits were ended from outside\n", atomic_load(&n_ended_waits));
    return 0;
}
