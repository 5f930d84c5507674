/* SPDX-License-Identifier: MIT */
/* scope.c - what does a scope with ten children cost, from entering it to having left it?
 *
 * `spawn_await` is one routine started and awaited in the same run, the unit the other two are to be seen in;
 * `nested` is one scope with one child, ten deep, divided by ten.
 * Not measured: children that wait (deadline.c, cancel.c), errors.
 */
#include "bench.h"
#include <weft/weft.h>

enum { SCOPES = 20000, CHILDREN = 10 };

static int one(void)
{
    return 1;
}

static int child(int *cell)
{
    *cell += 1;
    return 0;
}

static void awaits(int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++)
        sum += weft_await(weft_async(one));
    bench_require(sum == n, "spawn_await");
}

static void scopes(int n)
{
    int cells[CHILDREN] = {0};
    for (int i = 0; i < n; i++) {
        int err = 1;
        weft_scope(s, &err) {
            for (int k = 0; k < CHILDREN; k++)
                weft_scope_go(s, child, &cells[k]);
        }
        bench_require(err == 0, "error of the scope");
    }
    for (int k = 0; k < CHILDREN; k++)
        bench_require(cells[k] == n, "children");
}

static void descend(int depth, int *entered)
{
    *entered += 1;
    weft_scope(s) {
        if (depth > 1)
            weft_scope_go(s, descend, depth - 1, entered);
    }
}

static void nested(int n)
{
    int entered = 0;
    for (int i = 0; i < n; i++)
        descend(CHILDREN, &entered);
    bench_require(entered == n * CHILDREN, "nested");
}

static void measure(void)
{
    bench_each("spawn_await", awaits, SCOPES * CHILDREN, SCOPES * CHILDREN, "ns");
    bench_each("scope_10", scopes, SCOPES, SCOPES, "ns");
    bench_each("nested", nested, SCOPES, SCOPES * CHILDREN, "ns");
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}
