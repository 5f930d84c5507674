/* SPDX-License-Identifier: MIT */
/* cells.c CASE - a fault in the use of collected memory, to be seen by AddressSanitizer and Valgrind; or "none". See cells.sh. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

struct node {
    struct node *next;
    uint64_t number[5];
};

static uintptr_t hidden[100]; /* complements */
static volatile uint64_t sink;

static __attribute__((noinline)) void make_garbage(size_t size)
{
    for (int i = 0; i < 100; i++) {
        uint64_t *p = weft_alloc(size);
        p[0] = 1;
        hidden[i] = ~(uintptr_t)p;
    }
}

static __attribute__((noinline)) void clear_stack(void)
{
    char room[16 << 10];
    memset(room, 0, sizeof(room));
    __asm__ volatile("" : : "r"(room) : "memory");
}

static void read_collected(size_t size)
{
    make_garbage(size);
    clear_stack();
    weft_gc();
    for (int i = 0; i < 100; i++)
        sink += *(uint64_t *)~hidden[i]; /* NOLINT */
}

static void read_freed(size_t size)
{
    uint64_t *p = weft_alloc(size);
    p[0] = 1;
    weft_free(p);
    sink = p[0];
}

static void write_behind(size_t size)
{
    char *p = NULL;
    for (int i = 0; i < 3; i++) /* what follows is not handed out yet */
        p = weft_alloc(size);
    ((volatile char *)p)[weft_size(p)] = 1;
}

static void branch_on_unwritten(void)
{
    volatile int *p = weft_alloc_data(100);
    if (*p == 12345)
        puts("lucky");
}

static void work(unsigned depth)
{
    struct node *list = NULL;
    for (uint64_t i = 0; i < 100; i++) {
        struct node *n = weft_new(struct node);
        n->next = list;
        n->number[4] = i;
        list = n;
        char *text = weft_sprintf("%u", depth);
        char *large = weft_alloc(i % 50 == 0 ? 150000 : 300);
        large[weft_size(large) - 1] = text[0];
        if (i % 3 == 0)
            weft_free(large);
    }
    weft_yield();
    weft_gc(); /* looks at stacks and objects that were never written */
    uint64_t sum = 0;
    for (struct node *n = list; n != NULL; n = n->next)
        sum += n->number[4];
    if (sum != 100 * 99 / 2)
        abort();
    if (depth > 0)
        weft_await(weft_async(work, depth - 1));
}

int main(int argc, char **argv)
{
    const char *fault = argc > 1 ? argv[1] : "none";
    if (strcmp(fault, "none") == 0) {
        weft_scope(s)
            for (unsigned i = 0; i < 2; i++)
                weft_scope_go(s, work, i);
        work(0);
    } else if (strcmp(fault, "collected") == 0) {
        read_collected(48);
    } else if (strcmp(fault, "collected-large") == 0) {
        read_collected(200000);
    } else if (strcmp(fault, "freed") == 0) {
        read_freed(48);
    } else if (strcmp(fault, "freed-large") == 0) {
        read_freed(200000);
    } else if (strcmp(fault, "behind") == 0) {
        write_behind(48);
    } else if (strcmp(fault, "behind-large") == 0) {
        write_behind(200000);
    } else if (strcmp(fault, "unwritten") == 0) {
        branch_on_unwritten();
    } else {
        return 3;
    }
    return weft_stop() == 0 ? 0 : 1;
}
