/* SPDX-License-Identifier: MIT */
/* idle.c - how often do the threads of the process wake up while 10000 routines wait and nothing happens?
 *
 * Context switches of all threads but main over 3 s per round, from the plain main thread, after 1 s to settle.
 * Not measured: wake-ups that timers or I/O ask for. A thread that ends in between takes its count with it.
 */
#include "bench.h"
#include <weft/weft.h>

#include <dirent.h>
#include <unistd.h>

enum { ROUTINES = 10000, SETTLE_SECONDS = 1, SAMPLE_SECONDS = 3 };

static weft_chan(int) gate;
static weft_waitgroup starting;

static void wait_at_gate(void)
{
    weft_waitgroup_done(&starting);
    weft_chan_recv(gate, NULL);
}

static void sleep_thread(int seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
        continue; /* a signal came in between */
}

static long switches_of(const char *thread)
{
    char path[300], line[200];
    long sum = 0, n;
    snprintf(path, sizeof path, "/proc/self/task/%s/status", thread);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0; /* it has just ended */
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "voluntary_ctxt_switches: %ld", &n) == 1 ||
            sscanf(line, "nonvoluntary_ctxt_switches: %ld", &n) == 1)
            sum += n;
    fclose(f);
    return sum;
}

static long switches_of_others(void)
{
    long sum = 0;
    DIR *tasks = opendir("/proc/self/task");
    bench_require(tasks != NULL, "/proc/self/task");
    for (struct dirent *e; (e = readdir(tasks)) != NULL;)
        if (e->d_name[0] != '.' && atoi(e->d_name) != getpid()) /* main's thread id is the process id */
            sum += switches_of(e->d_name);
    closedir(tasks);
    return sum;
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    gate = weft_chan_make(int, 0);
    weft_waitgroup_add(&starting, ROUTINES);
    for (int i = 0; i < ROUTINES; i++)
        weft_go(wait_at_gate);
    weft_waitgroup_wait(&starting);
    sleep_thread(SETTLE_SECONDS);
    for (int round = 0; round < bench_rounds; round++) {
        long before = switches_of_others();
        sleep_thread(SAMPLE_SECONDS);
        bench_print("wakeups", (double)(switches_of_others() - before) / SAMPLE_SECONDS, "1/s");
    }
    weft_chan_close(gate);
    return 0;
}
