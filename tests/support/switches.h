/* SPDX-License-Identifier: MIT */
/* switches.h - how often the kernel has switched to and from the threads of this process. */
#ifndef WEFT_TESTS_SWITCHES_H
#define WEFT_TESTS_SWITCHES_H

#include <dirent.h>
#include <stdbool.h>
#include <unistd.h>

#include "expect.h"

/* Of one thread; may_end: one that has just ended has none. */
static inline unsigned long switches_of(const char *tid, bool may_end)
{
    char path[300], line[128];
    unsigned long sum = 0, n;
    snprintf(path, sizeof(path), "/proc/self/task/%s/status", tid);
    FILE *f = fopen(path, "re");
    require(f != NULL || may_end);
    if (f == NULL)
        return 0;
    while (fgets(line, sizeof(line), f) != NULL)
        if (sscanf(line, "voluntary_ctxt_switches: %lu", &n) == 1 ||
            sscanf(line, "nonvoluntary_ctxt_switches: %lu", &n) == 1)
            sum += n;
    fclose(f);
    return sum;
}

/* Of all threads but the main one. may_end: some of them may end just now; else that fails. */
static inline unsigned long switches_of_others(bool may_end)
{
    unsigned long sum = 0;
    DIR *d = opendir("/proc/self/task");
    require(d != NULL);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.' && atoi(e->d_name) != getpid())
            sum += switches_of(e->d_name, may_end);
    closedir(d);
    return sum;
}

#endif
