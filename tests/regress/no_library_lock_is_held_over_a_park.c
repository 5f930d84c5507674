/* SPDX-License-Identifier: MIT */
/* no_library_lock_is_held_over_a_park.c - whatever a call locks is free again once the caller waits.
 *
 * Each kind of wait is begun in a routine, and while it lasts a plain thread uses the same object, and another routine on
 * the same worker does; then the plain thread ends the wait, so that the routine mostly continues on another thread
 * than it began on. A lock kept over the wait, to be released "afterwards", stops the one or is released by the other.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include <weft/weft.h>

#include "../support/expect.h"
#include "sched/park.h"

enum { N_ROUNDS = 300 };

static weft_chan(int) rendezvous, buffered;
static weft_mutex mutex;
static weft_rwmutex rwmutex;
static weft_cond cond;
static weft_mutex cond_mutex;
static weft_waitgroup group;
static weft_sem sem;
static weft_barrier barrier;
static weft_latch latch;
static weft_once once;
static atomic_bool once_begun, once_may_end;
static _Atomic(struct wf_routine *) waiter;
static atomic_uint moved, ended;

static void nothing(void *arg)
{
    (void)arg;
}

static void slow_once(void *arg)
{
    (void)arg;
    atomic_store(&once_begun, true);
    while (!atomic_load(&once_may_end))
        require(weft_sleep(50 * WEFT_US) == 0);
}

/* One kind of wait: how it is begun, what others do meanwhile, what ends it. */
struct kind {
    const char *name;
    void (*prepare)(void), (*wait)(void), (*meanwhile)(void), (*end)(void);
};

static void wait_recv(void) { require(weft_chan_recv(rendezvous, NULL) == 0); }
static void poll_recv(void) { require(weft_chan_try_recv(rendezvous, NULL) == -EAGAIN); }
static void end_recv(void) { require(weft_chan_send(rendezvous, 1) == 0); }

static void fill_buffer(void) { require(weft_chan_try_send(buffered, 1) == 0); }
static void wait_send(void) { require(weft_chan_send(buffered, 2) == 0); }
static void poll_send(void) { require(weft_chan_try_send(buffered, 3) == -EAGAIN && weft_chan_len(buffered) == 1); }
static void end_send(void)
{
    require(weft_chan_recv(buffered, NULL) == 0);
    require(weft_chan_recv(buffered, NULL) == 0);
}

static void wait_select(void) { require(weft_select(weft_on_recv(buffered, NULL), weft_on_recv(rendezvous, NULL)) == 1); }
static void poll_both(void)
{
    require(weft_chan_try_recv(buffered, NULL) == -EAGAIN);
    poll_recv();
}

static void lock(void) { weft_mutex_lock(&mutex); }
static void wait_lock(void)
{
    weft_mutex_lock(&mutex);
    weft_mutex_unlock(&mutex);
}
static void poll_lock(void) { require(weft_mutex_try_lock(&mutex) == -EAGAIN); }
static void unlock(void) { weft_mutex_unlock(&mutex); }

static void write_lock(void) { weft_rwmutex_lock(&rwmutex); }
static void wait_read_lock(void)
{
    weft_rwmutex_rlock(&rwmutex);
    weft_rwmutex_runlock(&rwmutex);
}
static void poll_read_lock(void) { require(weft_rwmutex_try_rlock(&rwmutex) == -EAGAIN); }
static void write_unlock(void) { weft_rwmutex_unlock(&rwmutex); }

static void wait_cond(void)
{
    weft_mutex_lock(&cond_mutex);
    require(weft_cond_wait(&cond, &cond_mutex) == 0);
    weft_mutex_unlock(&cond_mutex);
}
static void poll_cond(void)
{
    weft_mutex_lock(&cond_mutex);
    weft_mutex_unlock(&cond_mutex);
}
static void end_cond(void) { weft_cond_broadcast(&cond); }

static void add_one(void) { weft_waitgroup_add(&group, 1); }
static void wait_group(void) { require(weft_waitgroup_wait(&group) == 0); }
static void poll_group(void)
{
    weft_waitgroup_add(&group, 1);
    weft_waitgroup_done(&group);
}
static void end_group(void) { weft_waitgroup_done(&group); }

static void init_sem(void) { weft_sem_init(&sem, 1); }
static void wait_sem(void) { require(weft_sem_acquire(&sem, 2) == 0); }
static void poll_sem(void) { require(weft_sem_try_acquire(&sem, 2) == -EAGAIN); }
static void end_sem(void) { weft_sem_release(&sem, 1); }

static void init_barrier(void) { weft_barrier_init(&barrier, 2); }
static void wait_barrier(void) { require(weft_barrier_wait(&barrier) == 0); }

static void init_latch(void) { weft_latch_init(&latch, 2); }
static void wait_latch(void) { require(weft_latch_wait(&latch) == 0); }
static void end_latch(void)
{
    weft_latch_count_down(&latch);
    weft_latch_count_down(&latch);
}

static void begin_once(void)
{
    once = (weft_once){0};
    atomic_store(&once_begun, false);
    atomic_store(&once_may_end, false);
    require(weft_go(weft_once_do, &once, slow_once, NULL) == 0);
    eventually(atomic_load(&once_begun));
}
static void wait_once(void) { weft_once_do(&once, nothing, NULL); }
static void end_once(void) { atomic_store(&once_may_end, true); }

static void wait_sleep(void) { require(weft_sleep(300 * WEFT_US) == 0); }
static void idle(void) {}

static const struct kind kinds[] = {
    {"receive", idle, wait_recv, poll_recv, end_recv},
    {"send", fill_buffer, wait_send, poll_send, end_send},
    {"select", idle, wait_select, poll_both, end_recv},
    {"mutex", lock, wait_lock, poll_lock, unlock},
    {"rwmutex", write_lock, wait_read_lock, poll_read_lock, write_unlock},
    {"cond", idle, wait_cond, poll_cond, end_cond},
    {"wait group", add_one, wait_group, poll_group, end_group},
    {"semaphore", init_sem, wait_sem, poll_sem, end_sem},
    {"barrier", init_barrier, wait_barrier, idle, wait_barrier},
    {"latch", init_latch, wait_latch, idle, end_latch},
    {"once", begin_once, wait_once, idle, end_once},
    {"sleep", idle, wait_sleep, idle, idle},
};
enum { N_KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static void wait_as(const struct kind *kind)
{
    struct wf_thread *thread = wf_enter();
    struct wf_routine *self = thread->current;
    wf_leave(thread);
    pid_t tid = gettid();
    atomic_store(&waiter, self);
    kind->wait();
    atomic_fetch_add(&moved, gettid() != tid);
    atomic_fetch_add(&ended, 1);
}

static bool waits(void)
{
    struct wf_routine *r = atomic_load(&waiter);
    return r != NULL && wf_load_acquire(&r->waits_on) != 0;
}

static void go_through(const struct kind *kind)
{
    unsigned before = atomic_load(&ended);
    atomic_store(&waiter, NULL);
    kind->prepare();
    require(weft_go(wait_as, kind) == 0);
    eventually(waits() || kind->wait == wait_sleep);
    kind->meanwhile();
    weft_await(weft_async(kind->meanwhile)); /* and in a routine, on whichever worker */
    kind->end();
    eventually(atomic_load(&ended) == before + 1);
}

int main(void)
{
    alarm(50);
    rendezvous = weft_chan_make(int, 0);
    buffered = weft_chan_make(int, 1);
    /* That a wait ends on another thread is luck, each time; if it never does the alarm ends it. */
    for (unsigned round = 0; round < N_ROUNDS || (weft_procs() > 1 && atomic_load(&moved) == 0); round++)
        for (unsigned i = 0; i < N_KINDS; i++)
            go_through(&kinds[i]);
    printf("%u of %u waits ended on another thread\n", atomic_load(&moved), atomic_load(&ended));
    return 0;
}
