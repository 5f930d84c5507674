/* SPDX-License-Identifier: MIT */
/* generator.c - two trees of different shape with the same numbers: walks both in order, side by side, until they
 * differ. A recursive walk cannot be held in the middle; as a generator it can. */
#include <stdio.h>
#include <stdlib.h>
#include <weft/weft.h>

struct node {
    int key;
    struct node *left, *right;
};

static struct node *insert(struct node *tree, int key)
{
    if (tree == NULL) {
        tree = calloc(1, sizeof(*tree));
        if (tree == NULL)
            abort();
        tree->key = key;
    } else if (key < tree->key) {
        tree->left = insert(tree->left, key);
    } else {
        tree->right = insert(tree->right, key);
    }
    return tree;
}

static void discard(struct node *tree)
{
    if (tree == NULL)
        return;
    discard(tree->left);
    discard(tree->right);
    free(tree);
}

static void walk(weft_generator(int) self, const struct node *tree)
{
    if (tree == NULL)
        return;
    walk(self, tree->left);
    weft_gen_yield(self, tree->key);
    walk(self, tree->right);
}

/* The first key that only one of them has at its place, or 0. */
static int first_difference(const struct node *a, const struct node *b)
{
    weft_generator(int) other = weft_gen_make(int, walk, b);
    int theirs, difference = 0;
    weft_gen_each(int, ours, weft_gen_make(int, walk, a))
        if (weft_gen_next(other, &theirs) != 0 || theirs != ours) {
            difference = ours;
            break; /* ends the walk through `a` wherever it is */
        }
    if (difference == 0 && weft_gen_next(other, &theirs) == 0)
        difference = theirs;
    weft_gen_destroy(other);
    return difference;
}

int main(void)
{
    struct node *rising = NULL, *mixed = NULL;
    for (int i = 1; i <= 100; i++) {
        rising = insert(rising, i);
        mixed = insert(mixed, i * 37 % 101);
    }
    printf("first difference: %d\n", first_difference(rising, mixed));
    insert(mixed, 60);
    printf("first difference: %d\n", first_difference(rising, mixed));
    discard(rising);
    discard(mixed);
    return 0;
}
