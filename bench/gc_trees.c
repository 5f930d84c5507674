/* SPDX-License-Identifier: MIT */
/* gc_trees.c - how long does binary-trees of depth 20 take in one routine, and how much memory? See gc_trees.h. */
#include "gc_trees.h"

int main(int argc, char **argv)
{
    trees_main(argc, argv, all_depths, 1);
    return 0;
}
