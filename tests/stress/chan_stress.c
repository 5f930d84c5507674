/* SPDX-License-Identifier: MIT */
/* chan_stress.c - random operations on a few channels by routines and plain threads; what is sent is received once.
 *
 * Every round: N_ACTORS routines and some plain threads send, receive, try and select at random on the same channels
 * of all kinds, with time limits that fire and that do not; a round ends by close, or by weft_stop() in the midst of it.
 * Each value carries its number; at the end every number that was sent has been received exactly once or is in a buffer.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weft/weft.h>

enum { N_CHANNELS = 5, N_ACTORS = 12, N_THREADS = 2, STEPS = 400, MOST = (N_ACTORS + N_THREADS) * STEPS };

struct value {
    uint64_t number, copies[3];
};

static weft_chan(struct value) channels[N_CHANNELS];
static weft_chan(int) ended;
static _Atomic unsigned char sent[MOST], received[MOST];

static void fail(const char *what, uint64_t number)
{
    fprintf(stderr, "chan_stress: %s: value %llu\n", what, (unsigned long long)number);
    exit(1);
}

static uint32_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static struct value make_value(uint64_t number)
{
    return (struct value){number, {number + 1, number + 2, number + 3}};
}

static void note(const struct value *v)
{
    for (uint64_t i = 0; i < 3; i++)
        if (v->copies[i] != v->number + i + 1)
            fail("torn", v->number);
    if (v->number >= MOST)
        fail("never made", v->number);
    if (received[v->number]++ != 0)
        fail("received twice", v->number);
}

static int act(uint64_t *seed, uint64_t number)
{
    weft_chan(struct value) a = channels[next(seed) % N_CHANNELS], b = channels[next(seed) % N_CHANNELS];
    weft_chan(struct value) c = channels[next(seed) % N_CHANNELS];
    struct value in = make_value(number), x, y, z;
    int sx = 1, sy = 1, sz = 1, result = 0;
    memset(&x, 0, sizeof(x));
    memset(&y, 0, sizeof(y));
    switch (next(seed) % 8) {
    case 0:
        result = weft_chan_try_send(a, in);
        sent[number] = result == 0;
        break;
    case 1:
        if ((result = weft_chan_try_recv(a, &x)) == 0)
            note(&x);
        break;
    case 2:
        switch (result = weft_select(weft_on_send(a, in, &sx), weft_on_recv(b, &y, &sy), weft_on_recv(c, &z, &sz),
                                     weft_otherwise)) {
        case 0: sent[number] = sx == 0; break;
        case 1: if (sy == 0) note(&y); break;
        case 2: if (sz == 0) note(&z); break;
        default: break;
        }
        break;
    case 3:
    case 4:
        switch (result = weft_select(weft_on_send(a, in, &sx), weft_on_recv(b, &y, &sy), weft_on_recv(c, &z, &sz),
                                     weft_after(next(seed) % 20000))) {
        case 0: sent[number] = sx == 0; break;
        case 1: if (sy == 0) note(&y); break;
        case 2: if (sz == 0) note(&z); break;
        default: break;
        }
        break;
    case 5:
        switch (result = weft_select(weft_on_send(a, in, &sx), weft_on_recv(a, &y, &sy), weft_on_recv(a, &z, &sz),
                                     weft_after(next(seed) % 64 != 0 ? next(seed) % 30000 : WEFT_HOUR), weft_on_recv((weft_chan(int))NULL, NULL))) {
        case 0: sent[number] = sx == 0; break;
        case 1: if (sy == 0) note(&y); break;
        case 2: if (sz == 0) note(&z); break;
        default: break;
        }
        break;
    case 6: {
        weft_case cases[12];
        struct value outs[12];
        int statuses[12];
        for (int i = 0; i < 12; i++)
            cases[i] = weft_on_recv(channels[next(seed) % N_CHANNELS], &outs[i], &statuses[i]);
        cases[3] = weft_on_send_from(a, &in, &statuses[3]);
        cases[9] = weft_after(next(seed) % 64 != 0 ? next(seed) % 30000 : WEFT_HOUR);
        result = weft_select_n(cases, 12);
        if (result == 3)
            sent[number] = statuses[3] == 0;
        else if (result >= 0 && result != 9 && statuses[result] == 0)
            note(&outs[result]);
        break;
    }
    default:
        switch (result = weft_select(weft_on_recv(a, &x, &sx), weft_after(next(seed) % 3000))) {
        case 0: if (sx == 0) note(&x); break;
        default: break;
        }
    }
    return result;
}

static _Atomic uint64_t n_steps;
static void actor(int self, uint64_t seed)
{
    for (int i = 0; i < STEPS; i++, n_steps++)
        if (act(&seed, (uint64_t)(self * STEPS + i)) == -ECANCELED)
            break;
    weft_chan_try_send(ended, 1);
}

struct start {
    int self;
    uint64_t seed;
};
static void *thread_actor(void *arg)
{
    struct start *s = arg;
    actor(s->self, s->seed);
    return NULL;
}

static void run_round(uint64_t seed, bool stop)
{
    pthread_t threads[N_THREADS];
    struct start starts[N_THREADS];
    size_t caps[N_CHANNELS] = {0, 0, 1, 3, WEFT_UNBOUNDED};
    int n_threads = stop ? 0 : N_THREADS;
    memset((void *)sent, 0, sizeof(sent));
    memset((void *)received, 0, sizeof(received));
    for (int i = 0; i < N_CHANNELS; i++)
        channels[i] = weft_chan_make(struct value, caps[i]);
    ended = weft_chan_make(int, N_ACTORS + N_THREADS);
    for (int i = 0; i < N_ACTORS; i++)
        weft_go(actor, i, seed + (uint64_t)i);
    for (int i = 0; i < n_threads; i++) {
        starts[i] = (struct start){N_ACTORS + i, seed + (uint64_t)(N_ACTORS + i)};
        pthread_create(&threads[i], NULL, thread_actor, &starts[i]);
    }
    if (stop) {
        struct timespec ts = {.tv_nsec = (long)(next(&seed) % 2000000)};
        nanosleep(&ts, NULL);
        if (weft_stop() != 0)
            fail("weft_stop", 0);
    } else {
        /* Whoever is left over waits for ever: close lets it go. */
        int n = 0;
        while (n < N_ACTORS + n_threads && weft_select(weft_on_recv(ended, NULL), weft_after(20 * WEFT_MS)) == 0)
            n++;
        for (int i = 0; i < N_CHANNELS; i++)
            weft_chan_close(channels[i]);
        for (; n < N_ACTORS + n_threads; n++)
            weft_chan_recv(ended, NULL);
        for (int i = 0; i < n_threads; i++)
            pthread_join(threads[i], NULL);
    }
    struct value v;
    for (int i = 0; i < N_CHANNELS; i++)
        while (weft_chan_try_recv(channels[i], &v) == 0)
            note(&v);
    for (uint64_t i = 0; i < MOST; i++)
        if (sent[i] != received[i])
            fail(sent[i] != 0 ? "lost" : "received but not sent", i);
}

int main(int argc, char **argv)
{
    uint64_t seed = (uint64_t)time(NULL);
    int rounds = 60;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "--rounds") == 0)
            rounds = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--workers") == 0)
            setenv("WEFT_PROCS", argv[i + 1], 1);
    }
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    for (int i = 0; i < rounds; i++)
        run_round(seed + (uint64_t)i * 1000, i % 3 == 2);
    printf("%llu steps\n", (unsigned long long)n_steps);
    return 0;
}
