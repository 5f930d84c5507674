/* SPDX-License-Identifier: MIT */
/* trees.c - routines build binary search trees, join them and walk them; nobody frees a node, or says whose it is. */
#include <stdio.h>
#include <weft/go.h>
#include <weft/weft.h>

struct tree {
    struct tree *left, *right;
    int key;
    const char *name; /* collected, too */
};

/* A new version of the tree with the key in it. It shares all but the path with the old one, which stays as it was. */
static struct tree *insert(struct tree *old, int key)
{
    struct tree *t = weft_new(struct tree);
    if (old == NULL) {
        t->key = key;
        t->name = weft_sprintf("number %d", key);
        return t;
    }
    *t = *old;
    if (key < old->key)
        t->left = insert(old->left, key);
    else if (key > old->key)
        t->right = insert(old->right, key);
    return t;
}

/* Sends every version on its way. */
static void grow(int first, int n, chan(struct tree *) versions)
{
    struct tree *t = NULL;
    for (int i = 0; i < n; i++) {
        t = insert(t, first + i * 7919 % n);
        chan_send(versions, t);
    }
}

static long count(struct tree *t)
{
    if (t == NULL)
        return 0;
    weft_future(long) left = weft_async(count, t->left); /* a routine for each node: they are cheap */
    long right = count(t->right), total = 1 + right + weft_await(left);
    weft_detach(left);
    return total;
}

static struct tree *last(struct tree *t)
{
    while (t->right != NULL)
        t = t->right;
    return t;
}

int main(void)
{
    enum { GROWERS = 4, KEYS = 1000 };
    chan(struct tree *) versions = chan_make(struct tree *, 16);
    struct tree *greatest = NULL;

    for (int i = 0; i < GROWERS; i++)
        go(grow, i * KEYS, KEYS, versions);
    for (int i = 0; i < GROWERS * KEYS; i++) {
        struct tree *t;
        chan_recv(versions, &t);
        if (greatest == NULL || last(t)->key >= last(greatest)->key)
            greatest = t; /* all other versions are garbage */
    }
    weft_gc();
    printf("%ld nodes, the last is %s\n", count(greatest), last(greatest)->name);
    return 0;
}
