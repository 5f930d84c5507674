/* SPDX-License-Identifier: MIT */
/* lifetimes.c - collected memory where reachability alone does not say it all: a guard for a pointer that the collector
 * cannot see, a cache that keeps nothing alive, and clean-up of what lies outside the heap.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <weft/go.h>
#include <weft/weft.h>

/* ---- a guard: the only pointer is hidden, as in a tagged or compressed word ---- */

static size_t through_hidden_pointer(void)
{
    char *text = weft_strdup("out of sight");
    weft_root(text); /* alive until this block is left, whatever becomes of `text` */
    uintptr_t hidden = ~(uintptr_t)text;
    weft_gc();
    return strlen((const char *)~hidden);
}

/* ---- weak handles: a picture is made once for all who use it at the same time, and is gone when nobody does ---- */

enum { PICTURES = 4 };
struct picture {
    unsigned char pixels[4096];
};
static weft_weak *cache[PICTURES]; /* static data is searched: the handles stay, the pictures need not */
static int made;
static struct picture *picture(int number)
{
    struct picture *p = cache[number] != NULL ? weft_weak_get(cache[number]) : NULL;
    if (p == NULL) {
        made++;
        p = weft_new(struct picture);
        cache[number] = weft_weak_make(p);
    }
    return p;
}

static void use_pictures(int times)
{
    struct picture *held[PICTURES];
    for (int i = 0; i < times; i++)
        held[i % PICTURES] = picture(i % PICTURES);
    weft_keep(held);
}

/* ---- cleanups: a file that is closed when nobody can write to it any more ---- */

static chan(int) closed;
static void close_file(void *file)
{
    chan_send(closed, fclose(file));
}

static void write_and_forget(void)
{
    FILE **writer = weft_new(FILE *);
    if ((*writer = tmpfile()) != NULL) {
        weft_cleanup(writer, close_file, *writer);
        fputs("the last words\n", *writer);
    }
}

int main(void)
{
    printf("%zu letters\n", through_hidden_pointer());
    use_pictures(100);
    printf("%d pictures made for 100 uses\n", made);
    closed = chan_make(int, 1);
    int result;
    do { /* one pointer may be left somewhere on a stack: the next file's is not */
        go(write_and_forget);
        weft_sleep(WEFT_MS);
        weft_gc();
    } while (chan_try_recv(closed, &result) != 0);
    printf("a forgotten file was closed: %d\n", result);
    return 0;
}
