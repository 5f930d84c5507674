/* SPDX-License-Identifier: MIT */
/* gc_large.c deep|parked N - collections of what is large: a list of N nodes, or N waiting routines with the only pointers to
 * their objects on their stacks. Says how long they took; fails when an object is lost, or when marking a list needs memory that
 * grows with its length. "parked" takes 5 KiB a routine: 5 GB for a million. */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <weft/weft.h>

#include "../support/expect.h"

struct node {
    struct node *next;
    uint64_t number;
};

static struct node *list;
static _Atomic uint64_t n_waiting, n_good;

static void say(const char *what)
{
    weft_gc_info info;
    weft_gc_stats(&info);
    printf("%s: %zu objects, pause %lld ms: stop %lld roots %lld mark %lld close %lld us\n", what, info.live_objects,
           (long long)info.pause_ns / 1000000, (long long)info.stop_ns / 1000, (long long)info.roots_ns / 1000,
           (long long)info.mark_ns / 1000, (long long)info.close_ns / 1000);
    fflush(stdout);
}

static long peak_kib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static void deep(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        struct node *next = weft_new(struct node);
        require(next != NULL);
        next->next = list;
        next->number = i;
        list = next;
    }
    long before = peak_kib();
    for (int i = 0; i < 3; i++) {
        weft_gc();
        say("list");
    }
    printf("%ld KiB for marking\n", peak_kib() - before);
    require(peak_kib() - before < 16 << 10);
    for (struct node *node = list; node != NULL; node = node->next)
        require(node->number == --n);
    require(n == 0);
}

static void wait_with_pointers(weft_chan(int) release, uint64_t number)
{
    struct node *mine = weft_new(struct node);
    require(mine != NULL);
    mine->number = number;
    mine->next = weft_new(struct node);
    mine->next->number = ~number;
    atomic_fetch_add(&n_waiting, 1);
    weft_chan_recv(release, NULL);
    require(mine->number == number && mine->next->number == ~number);
    atomic_fetch_add(&n_good, 1);
}

static void parked(uint64_t n)
{
    weft_chan(int) release = weft_chan_make(int, 0);
    for (uint64_t i = 0; i < n; i++)
        require(weft_go(wait_with_pointers, release, i) == 0);
    while (atomic_load(&n_waiting) < n)
        pause_thread_ms(10);
    for (int i = 0; i < 3; i++) {
        weft_gc();
        say("parked");
    }
    weft_gc_info info;
    weft_gc_stats(&info);
    require(info.live_objects >= 2 * n);
    weft_chan_close(release);
    while (atomic_load(&n_good) < n)
        pause_thread_ms(10);
    printf("peak %ld MiB\n", peak_kib() >> 10);
}

int main(int argc, char **argv)
{
    uint64_t n = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
    if (n == 0 || (strcmp(argv[1], "deep") != 0 && strcmp(argv[1], "parked") != 0)) {
        fprintf(stderr, "usage: gc_large deep|parked N\n");
        return 1;
    }
    (argv[1][0] == 'd' ? deep : parked)(n);
    return weft_stop() == 0 ? 0 : 1;
}
