// SPDX-License-Identifier: MIT

// The Go peer of gc_trees_each.c, which says what is measured.
package main

import (
	"weftbench/bench"
	"weftbench/trees"
)

func main() {
	bench.Init()
	trees.Main(true)
}
