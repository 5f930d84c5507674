/* SPDX-License-Identifier: MIT */
/* test_generator.c - generators as weft/coro.h promises them. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "../support/cleanups.h"
#include "../support/coros.h"

struct point {
    double x, y;
    char name[24];
};

static void count(weft_generator(int) self, const int *limit)
{
    unsigned guard __attribute__((cleanup(count_cleanup))) = 1;
    (void)guard;
    for (int i = 0; i < *limit; i++)
        weft_gen_yield(self, i);
}

static void points(weft_generator(struct point) self)
{
    for (int i = 0; i < 3; i++)
        weft_gen_yield(self, {.x = i, .y = -i, .name = "point"});
}

static void squares(weft_generator(long) self, int *limit)
{
    weft_gen_each(int, n, weft_gen_make(int, count, limit))
        weft_gen_yield(self, (long)n * n);
}

static int first_above(int least)
{
    int limit = 100;
    weft_gen_each(int, n, weft_gen_make(int, count, &limit))
        if (n > least)
            return n;
    return -1;
}

static void sums(weft_generator(double) self, char a, double b, const char *text, struct point *p, long c, float d,
                 uint64_t e, int f, unsigned char g, long double h, int i, double j, double k, double l, double m)
{
    weft_gen_yield(self, a + b + (double)strlen(text) + p->x);
    weft_gen_yield(self, (double)(c + (long)e) + d);
    weft_gen_yield(self, f + g + (double)h + i);
    weft_gen_yield(self, j + k + l + m);
}

static int generators_take_any_arguments(void)
{
    struct point p = {.x = 1000};
    double expected[] = {1 + 2.5 + 3 + 1000, 4 + 6 + 5.5, 7 + 8 + 9.25 + 10, 11 + 12 + 13 + 14.5};
    int n = 0;
    weft_gen_each(double, sum, weft_gen_make(double, sums, 1, 2.5f, "abc", &p, 4, 5.5, 6, 7, 8, 9.25, 10, 11, 12, 13, 14.5))
        require(sum == expected[n++]);
    require(n == 4);
    return 1;
}
TestBoth(generators_take_any_arguments, generators_take_any_arguments)

static int generators_give_typed_values(void)
{
    int limit = 10, sum = 0, seen = 0;
    weft_gen_each(int, n, weft_gen_make(int, count, &limit)) {
        if (n == 3)
            continue;
        sum += n;
    }
    require(sum == 42);
    weft_gen_each(struct point, p, weft_gen_make(struct point, points)) {
        require(p.x == seen && p.y == -seen && strcmp(p.name, "point") == 0);
        seen++;
    }
    require(seen == 3);
    long total = 0;
    weft_gen_each(long, s, weft_gen_make(long, squares, &limit))
        total += s;
    require(total == 285);
    weft_generator(int) g = weft_gen_make(int, count, &limit);
    for (int i = 0, n = -1; i < 10; i++) {
        require(weft_gen_next(g, &n) == 0);
        require(n == i);
    }
    require(weft_gen_next(g, &sum) == -EPIPE);
    require(sum == 42);
    weft_gen_destroy(g);
    return 1;
}
TestBoth(generators_give_typed_values, generators_give_typed_values)

static void leave_by_panic(int *limit)
{
    weft_gen_each(long, s, weft_gen_make(long, squares, limit))
        if (s == 16)
            weft_panic("at %ld", s);
}

static int leaving_the_loop_destroys_the_generator(void)
{
    unsigned before = atomic_load(&cleanups);
    int limit = 100;
    require(first_above(4) == 5);
    require(atomic_load(&cleanups) == before + 1);
    weft_gen_each(long, s, weft_gen_make(long, squares, &limit))
        if (s == 4)
            break;
    require(atomic_load(&cleanups) == before + 2); /* that of the generator inside the generator */
    require(weft_try(leave_by_panic, &limit) == WEFT_EPANIC);
    require(strcmp(weft_try_message(), "at 16") == 0);
    require(atomic_load(&cleanups) == before + 3);
    return 1;
}
TestBoth(leaving_the_loop_destroys_the_generator, leaving_the_loop_destroys_the_generator)

static void yield_of_another(weft_generator(int) self)
{
    int limit = 3;
    weft_generator(int) inner = weft_gen_make(int, count, &limit);
    weft_gen_destroy(inner);
    (void)self;
    weft_gen_yield(inner, 1);
}

static int yield_in_another_generator_panics(void)
{
    weft_generator(int) g = weft_gen_make(int, yield_of_another);
    require(weft_try(weft_coro_resume, (weft_coro *)(uintptr_t)g, NULL, NULL) == WEFT_EPANIC);
    require(strstr(weft_try_message(), "weft_gen_yield") != NULL);
    weft_gen_destroy(g);
    return 1;
}
TestBoth(yield_in_another_generator_panics, yield_in_another_generator_panics)
