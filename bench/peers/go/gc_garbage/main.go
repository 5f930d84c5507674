// SPDX-License-Identifier: MIT

// The Go peer of gc_garbage.c, which says what is measured.
package main

import (
	"fmt"
	"unsafe"
	"weftbench/bench"
)

const treeBytes, nodeBytes, garbageBytes = 64 << 20, 64, 512 << 20

type node struct {
	child [2]*node
	rest  [6]uintptr
}

// Pointers where C searches for them: all words.
type object16 struct{ word [2]unsafe.Pointer }
type object64 struct{ word [8]unsafe.Pointer }
type object256 struct{ word [32]unsafe.Pointer }

var sink unsafe.Pointer

func tree(bytes int) *node {
	n := new(node)
	for child := 0; child < 2 && bytes >= 3*nodeBytes; child++ {
		n.child[child] = tree((bytes - nodeBytes) / 2)
	}
	return n
}

func litter16(n int) {
	for ; n > 0; n-- {
		p := new(object16)
		p.word[1] = unsafe.Pointer(p)
		sink = unsafe.Pointer(p)
	}
}

func litter64(n int) {
	for ; n > 0; n-- {
		p := new(object64)
		p.word[1] = unsafe.Pointer(p)
		sink = unsafe.Pointer(p)
	}
}

func litter256(n int) {
	for ; n > 0; n-- {
		p := new(object256)
		p.word[1] = unsafe.Pointer(p)
		sink = unsafe.Pointer(p)
	}
}

func main() {
	bench.Init()
	root := tree(treeBytes)
	for _, kind := range []struct {
		size   int
		litter func(n int)
	}{{16, litter16}, {64, litter64}, {256, litter256}} {
		n := garbageBytes / kind.size
		bench.Each(fmt.Sprintf("object_%d", kind.size), kind.litter, n, float64(n), "ns")
	}
	bench.Require(root.child[0] != nil, "a tree")
}
