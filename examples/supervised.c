/* SPDX-License-Identifier: MIT */
/* supervised.c - a pool of workers in one scope, under one deadline; a job that fails is tried again, with a growing pause.
 *
 * usage: supervised [ms] [hopeless]    the time for all jobs, by default 2000; the number of a job that always fails
 *
 * A job that cannot be done is its worker's error, and so the scope's: the other workers are cancelled and waited
 * for. The same happens when the time is over. No worker outlives the block, whatever happens.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

enum { WORKERS = 4, JOBS = 20, ATTEMPTS = 4 };

struct tally {
    weft_mutex lock;
    int done, repeated;
};

static int hopeless = -1;

/* Stands for something unreliable: every fifth job fails twice. */
static int attempt(int job, int nth)
{
    int error = weft_sleep((1 + job % 4) * WEFT_MS);
    if (error != 0)
        return error; /* cancelled, or out of time */
    return job == hopeless || (job % 5 == 0 && nth <= 2) ? -EIO : 0;
}

static int do_job(int job, struct tally *tally)
{
    int error = attempt(job, 1);
    for (int nth = 2; error == -EIO && nth <= ATTEMPTS; nth++) {
        weft_mutex_lock(&tally->lock);
        tally->repeated++;
        weft_mutex_unlock(&tally->lock);
        error = weft_sleep(WEFT_MS << nth);
        if (error == 0)
            error = attempt(job, nth);
    }
    return error;
}

static int work(weft_chan(int) jobs, struct tally *tally)
{
    int job, error;
    while ((error = weft_chan_recv(jobs, &job)) == 0) {
        error = do_job(job, tally);
        if (error != 0)
            return error;
        weft_mutex_lock(&tally->lock);
        tally->done++;
        weft_mutex_unlock(&tally->lock);
    }
    return error == -EPIPE ? 0 : error; /* closed: there are no more */
}

int main(int argc, char **argv)
{
    struct tally tally = {.done = 0};
    weft_chan(int) jobs = weft_chan_make(int, 0);
    int err = 0;
    hopeless = argc > 2 ? atoi(argv[2]) : -1;
    weft_deadline((argc > 1 ? atoi(argv[1]) : 2000) * WEFT_MS) {
        weft_scope(workers, &err) {
            for (int i = 0; i < WORKERS; i++)
                weft_scope_go(workers, work, jobs, &tally);
            for (int job = 0; job < JOBS && weft_chan_send(jobs, job) == 0; job++)
                ;
            weft_chan_close(jobs);
        }
    }
    printf("%d of %d jobs done, %d attempts repeated: %s\n", tally.done, JOBS, tally.repeated,
           err == 0 ? "all well" : strerror(-err));
    return err == 0 ? 0 : 1;
}
