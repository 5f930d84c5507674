/* SPDX-License-Identifier: MIT */
/* pool_stress.c - routines and plain threads get and put objects of several pools while the collector empties them. An object
 * in use is marked with its user: nobody else may get it, and it may not be collected. */
#include <pthread.h>
#include <stdatomic.h>

#include <weft/weft.h>

#include "../support/stress.h"

enum { POOLS = 3, HELD_MOST = 100, STEPS = 4000, ROUTINES = 12, THREADS = 2 };
static const uint64_t COLOUR = UINT64_C(0xc0ffee0ddba11);

struct object {
    _Atomic uint64_t user; /* 0: in a pool, or fresh */
    uint64_t colour;
};

static weft_pool pools[POOLS];
static atomic_uint n_reused;

static void *make(void *arg)
{
    (void)arg;
    struct object *o = weft_alloc_data(sizeof(*o));
    require(o != NULL);
    atomic_store(&o->user, 0);
    o->colour = COLOUR;
    return o;
}

static void check_and_put(weft_pool *pool, struct object *o, uint64_t self)
{
    require(o->colour == COLOUR);
    require(atomic_exchange(&o->user, 0) == self);
    weft_pool_put(pool, o);
}

static void act(unsigned round, unsigned actor)
{
    struct wf_rand rand;
    struct object *held[HELD_MOST];
    unsigned n = 0, n_got = 0;
    uint64_t self = actor + 1;
    seed_actor(&rand, round, actor);
    weft_pool *pool = &pools[wf_rand_next(&rand) % POOLS];
    for (unsigned step = 0; step < STEPS; step++) {
        uint64_t draw = wf_rand_next(&rand);
        if (n < HELD_MOST && (draw & 7) < 4) {
            struct object *o = weft_pool_get(pool);
            require(o != NULL && o->colour == COLOUR);
            require(atomic_exchange(&o->user, self) == 0);
            held[n++] = o;
            n_got++;
        } else if (n > 0) {
            check_and_put(pool, held[--n], self);
        }
        if ((draw >> 8 & 1023) == 0)
            weft_gc();
        if ((draw >> 20 & 63) == 0)
            weft_yield();
    }
    while (n > 0)
        check_and_put(pool, held[--n], self);
    atomic_fetch_add(&n_reused, n_got);
}

static void *act_on_thread(void *arg)
{
    act((unsigned)((uintptr_t)arg >> 8), (unsigned)((uintptr_t)arg & 255));
    return NULL;
}

static void play(unsigned round)
{
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        require(pthread_create(&threads[i], NULL, act_on_thread, (void *)((uintptr_t)round << 8 | (ROUTINES + i))) == 0);
    weft_scope(s)
        for (unsigned i = 0; i < ROUTINES; i++)
            require(weft_scope_go(s, act, round, i) == 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
    read_stress_options(argc, argv);
    for (unsigned i = 0; i < POOLS; i++)
        pools[i].make = make;
    for (unsigned round = 0; stress_goes_on(round); round++)
        play(round);
    weft_gc_info info;
    weft_gc_stats(&info);
    printf("%u objects, %llu collections\n", atomic_load(&n_reused), (unsigned long long)info.cycles);
    require(info.cycles > 0);
    return 0;
}
