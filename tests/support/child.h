/* SPDX-License-Identifier: MIT */
/* child.h - runs a function in a forked child and tells how it ended and what it wrote.
 *
 * The caller must not have used weft yet: a child of fork() has none of the runtime's threads.
 */
#ifndef WEFT_TESTS_CHILD_H
#define WEFT_TESTS_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "expect.h"

struct ending {
    int exit_status; /* -1: it did not exit */
    int signal;      /* 0: it was not killed. SIGALRM: it had to be stopped */
    int64_t took_ns;
    char text[16384]; /* of its stdout and stderr, cut */
};

static inline void be_child(void (*fn)(void), int out, unsigned seconds)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(SIGABRT, SIG_DFL); /* whatever the test's framework has installed is not for children */
    signal(SIGSEGV, SIG_DFL);
    signal(SIGBUS, SIG_DFL);
    signal(SIGALRM, SIG_DFL);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    close(out);
    alarm(seconds);
    fn();
    fflush(stdout);
    _exit(0);
}

static inline size_t read_all(int fd, char *text, size_t size)
{
    size_t length = 0;
    char rest[256];
    ssize_t n;
    while (length < size - 1 && (n = read(fd, text + length, size - 1 - length)) > 0)
        length += (size_t)n;
    text[length] = '\0';
    while (read(fd, rest, sizeof(rest)) > 0)
        ;
    return length;
}

/* fn() in a child that is stopped after so many seconds; returning from fn is exit status 0. */
static inline struct ending run_in_child(void (*fn)(void), unsigned seconds)
{
    struct ending e = {.exit_status = -1};
    int pipe_ends[2], status;
    int64_t begin = clock_ns();
    require(pipe(pipe_ends) == 0);
    fflush(stdout);
    fflush(stderr);
    pid_t child = fork();
    require(child >= 0);
    if (child == 0) {
        close(pipe_ends[0]);
        be_child(fn, pipe_ends[1], seconds);
    }
    close(pipe_ends[1]);
    read_all(pipe_ends[0], e.text, sizeof(e.text));
    close(pipe_ends[0]);
    require(waitpid(child, &status, 0) == child);
    e.took_ns = clock_ns() - begin;
    if (WIFEXITED(status))
        e.exit_status = WEXITSTATUS(status);
    else
        e.signal = WTERMSIG(status);
    return e;
}

static inline bool says(const struct ending *e, const char *text)
{
    return strstr(e->text, text) != NULL;
}

#endif
