/* SPDX-License-Identifier: MIT */
/* memory.c - see memory.h. /proc/self/maps says what is mapped, /proc/self/pagemap which pages of it are there.
 *
 * Memory is copied by process_vm_readv(), not read where it is: a page may be a guard, or a file that has become shorter.
 */
#define _GNU_SOURCE
#include "debug/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/compiler.h"

enum { PAGE = 4096, PAGES_AT_A_TIME = 16, ENTRIES_AT_A_TIME = 512, LINE_MOST = 512 };
static const uintptr_t LARGEST = (uintptr_t)64 << 30;
#define PAGE_IS_THERE (UINT64_C(3) << 62) /* in memory, or swapped out */

static struct {
    _Alignas(16) char copy[PAGE * PAGES_AT_A_TIME];
    uint64_t entries[ENTRIES_AT_A_TIME];
    char text[8192];
} buffers;

struct walk {
    const struct wf_excluded *excluded;
    size_t n_excluded;
    void (*fn)(void *arg, const void *low, const void *high);
    void *arg;
    int pagemap; /* -1: none, all pages are read */
    bool refused;
};

static void read_pages(struct walk *w, uintptr_t low, uintptr_t high)
{
    while (low < high && !w->refused) {
        size_t size = high - low < sizeof(buffers.copy) ? high - low : sizeof(buffers.copy);
        struct iovec to = {buffers.copy, size}, from = {(void *)low, size}; /* NOLINT */
        ssize_t n = process_vm_readv(getpid(), &to, 1, &from, 1, 0);
        if (n > 0) {
            w->fn(w->arg, buffers.copy, buffers.copy + n);
            low += (size_t)n;
        } else if (n == 0 || errno == EFAULT) {
            low = (low + PAGE) & ~(uintptr_t)(PAGE - 1);
        } else {
            w->refused = true;
        }
    }
}

/* The pages of [low, high) that are there. */
static void read_present(struct walk *w, uintptr_t low, uintptr_t high)
{
    while (low < high && !w->refused) {
        uintptr_t first = low / PAGE;
        size_t n = (high + PAGE - 1) / PAGE - first;
        n = n < ENTRIES_AT_A_TIME ? n : ENTRIES_AT_A_TIME;
        ssize_t got = w->pagemap >= 0
                          ? pread(w->pagemap, buffers.entries, n * sizeof(uint64_t), (off_t)(first * sizeof(uint64_t)))
                          : -1;
        if (got <= 0) {
            read_pages(w, low, high);
            return;
        }
        n = (size_t)got / sizeof(uint64_t);
        for (size_t i = 0; i < n;) {
            size_t from = i;
            while (i < n && (buffers.entries[i] & PAGE_IS_THERE) != 0)
                i++;
            uintptr_t begin = (first + from) * PAGE, end = (first + i) * PAGE;
            if (i > from)
                read_pages(w, begin > low ? begin : low, end < high ? end : high);
            while (i < n && (buffers.entries[i] & PAGE_IS_THERE) == 0)
                i++;
        }
        low = (first + n) * PAGE;
    }
}

/* What of [low, high) is not excluded by the ranges from number i on. Recursion: as deep as ranges lie in one mapping. */
static void read_but_excluded(struct walk *w, uintptr_t low, uintptr_t high, size_t i)
{
    for (; i < w->n_excluded; i++) {
        const struct wf_excluded *e = &w->excluded[i];
        if (e->high <= low || e->low >= high)
            continue;
        if (e->low > low)
            read_but_excluded(w, low, e->low, i + 1);
        if (e->high >= high)
            return;
        low = e->high;
    }
    if (low < high)
        read_present(w, low, high);
}

static bool parse_hex(const char **at, uintptr_t *ret)
{
    uintptr_t value = 0;
    const char *p = *at;
    for (;; p++) {
        unsigned c = (unsigned char)*p, digit = c - '0';
        if (digit > 9)
            digit = c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
        if (digit == 16)
            break;
        value = value << 4 | digit;
    }
    bool found = p != *at;
    *at = p;
    *ret = value;
    return found;
}

/* "7f00-7f10 rw-p 00000000 00:00 0   [heap]". The main thread's stack is looked at by whoever knows where it stands. */
static void read_mapping(struct walk *w, const char *line)
{
    uintptr_t low, high;
    if (!parse_hex(&line, &low) || *line++ != '-' || !parse_hex(&line, &high) || *line++ != ' ')
        return;
    if (strncmp(line, "rw", 2) != 0 || line[3] != 'p' || strstr(line, "[stack]") != NULL || high - low > LARGEST)
        return;
    read_but_excluded(w, low, high, 0);
}

static bool each_line(struct walk *w, int maps)
{
    size_t length = 0;
    ssize_t n;
    while ((n = read(maps, buffers.text + length, sizeof(buffers.text) - 1 - length)) > 0) {
        length += (size_t)n;
        buffers.text[length] = '\0';
        char *line = buffers.text, *end;
        while ((end = strchr(line, '\n')) != NULL) {
            *end = '\0';
            read_mapping(w, line);
            line = end + 1;
        }
        length = (size_t)(buffers.text + length - line);
        if (length == sizeof(buffers.text) - 1)
            return false; /* no such line */
        memmove(buffers.text, line, length);
    }
    return n == 0;
}

bool wf_memory_each(const struct wf_excluded *excluded, size_t n_excluded,
                    void (*fn)(void *arg, const void *low, const void *high), void *arg)
{
    struct walk w = {.excluded = excluded, .n_excluded = n_excluded, .fn = fn, .arg = arg};
    int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (maps < 0)
        return false;
    w.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    bool whole = each_line(&w, maps) && !w.refused;
    close(maps);
    if (w.pagemap >= 0)
        close(w.pagemap);
    return whole;
}
