/* SPDX-License-Identifier: MIT */
/* objects_in_registers_survive_a_stop.c - a routine that stops at a poll may hold its only pointer to an object in a
 * register that calls preserve.
 *
 * The function that put these registers on the stack ended in a tail call, which took them off again before the thread
 * stood still. A tree whose halves are returned in registers while others collect then lost one of them. It takes several
 * routines that allocate, and so stop each other in the midst of an allocation.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include <weft/weft.h>

#include "../support/expect.h"

enum { ROUTINES = 3, DEPTH = 12, TREES = 300 };

struct tree {
    struct tree *left, *right;
};

static weft_waitgroup running;
static atomic_uint n_wrong;

static struct tree *grow(int depth)
{
    struct tree *t = weft_new(struct tree);
    require(t != NULL);
    t->left = depth > 0 ? grow(depth - 1) : NULL;
    t->right = depth > 0 ? grow(depth - 1) : NULL;
    return t;
}

/* A cell that is used twice makes a tree that is too small, or has no end. */
static long count(const struct tree *t, int depth)
{
    return depth < 0 ? 1 << 20 : t->left == NULL ? 1 : 1 + count(t->left, depth - 1) + count(t->right, depth - 1);
}

static void grow_and_count(void)
{
    for (int i = 0; i < TREES; i++)
        if (count(grow(DEPTH), DEPTH) != (2L << DEPTH) - 1)
            atomic_fetch_add(&n_wrong, 1);
    weft_waitgroup_done(&running);
}

int main(void)
{
    weft_waitgroup_add(&running, ROUTINES);
    for (int i = 0; i < ROUTINES; i++)
        weft_go(grow_and_count);
    weft_waitgroup_wait(&running);
    weft_gc_info info;
    weft_gc_stats(&info);
    require(info.cycles > 0);
    require(atomic_load(&n_wrong) == 0);
    return 0;
}
