/* SPDX-License-Identifier: MIT */
/* gc_trees_each.c - how long does binary-trees of depth 20 take with a routine (peers in C: a thread) for each depth? See
 * gc_trees.h.
 */
#include "gc_trees.h"

int main(int argc, char **argv)
{
    (void)all_depths;
    trees_main(argc, argv, one_depth, N_DEPTHS);
    return 0;
}
