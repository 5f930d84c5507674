/* SPDX-License-Identifier: MIT */
/* stop_survives_lost_signals_and_new_processes.c - a stop of the world waits neither for a signal that was lost nor for
 * threads that are making processes.
 *
 * A plain thread takes the signal of the stop away from itself (blocks it, waits until it is pending, and fetches it), and then
 * computes with the signal unblocked; two more, and a routine, start processes one after the other. Main collects.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/watch.h"
#include "sched/world.h"

enum { LOSSES = 25, PROCESSES = 15, MOST_MS = 10000 };

static atomic_bool over;
static _Atomic unsigned n_lost, n_processes, n_ended;

static void compute_ns(int64_t ns)
{
    int64_t end = clock_ns() + ns;
    while (clock_ns() < end)
        ;
}

static void *lose_signals(void *arg)
{
    sigset_t stop, pending;
    sigemptyset(&stop);
    sigaddset(&stop, WF_STOP_SIGNAL);
    struct node *n = make_node(1);
    while (atomic_load(&n_lost) < LOSSES && !atomic_load(&over)) {
        pthread_sigmask(SIG_BLOCK, &stop, NULL);
        do
            sigpending(&pending);
        while (sigismember(&pending, WF_STOP_SIGNAL) == 0 && !atomic_load(&over));
        if (sigtimedwait(&stop, NULL, &(struct timespec){0}) == WF_STOP_SIGNAL)
            atomic_fetch_add(&n_lost, 1);
        pthread_sigmask(SIG_UNBLOCK, &stop, NULL);
        compute_ns(3000000); /* the stop that has lost its signal ends here, by another */
        require(is_node(n, 1));
    }
    atomic_fetch_add(&n_ended, 1);
    return arg;
}

static void start_processes(void)
{
    extern char **environ;
    struct node *n = make_node(2);
    for (int i = 0; i < PROCESSES; i++) {
        pid_t pid;
        int status;
        char *argv[] = {(char *)"true", NULL};
        if (i % 2 == 0) {
            require(posix_spawnp(&pid, "true", NULL, NULL, argv, environ) == 0);
        } else if ((pid = fork()) == 0) {
            execvp("true", argv);
            _exit(1);
        }
        while (waitpid(pid, &status, 0) != pid)
            require(errno == EINTR);
        require(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        require(is_node(n, 2));
        atomic_fetch_add(&n_processes, 1);
    }
    atomic_fetch_add(&n_ended, 1);
}

static void *start_processes_in_thread(void *arg)
{
    start_processes();
    return arg;
}

int main(void)
{
    pthread_t loser, makers[2];
    int64_t longest = 0;
    unsigned n_collections = 0;
    alarm(55);
    require(pthread_create(&loser, NULL, lose_signals, NULL) == 0);
    for (int i = 0; i < 2; i++)
        require(pthread_create(&makers[i], NULL, start_processes_in_thread, NULL) == 0);
    require(weft_go(start_processes) == 0);
    while (atomic_load(&n_ended) < 4) {
        int64_t begin = clock_ns();
        weft_gc();
        n_collections++;
        int64_t took = clock_ns() - begin;
        longest = took > longest ? took : longest;
    }
    pthread_join(loser, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(makers[i], NULL);
    printf("%u collections, %u signals lost, %u processes, longest %lld us; resent %llu, given up %llu\n", n_collections,
           atomic_load(&n_lost), atomic_load(&n_processes), (long long)longest / 1000,
           (unsigned long long)wf_world_stats.resent, (unsigned long long)wf_world_stats.given_up);
    require(atomic_load(&n_lost) >= LOSSES);
    require(wf_world_stats.resent >= LOSSES / 2);
    require(longest < MOST_MS * INT64_C(1000000));
    return 0;
}
