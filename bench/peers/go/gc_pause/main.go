// SPDX-License-Identifier: MIT

// The Go peer of gc_pause.c, which says what is measured; most of its collection runs while the program does.
package main

import (
	"runtime"
	"sort"
	"time"
	"weftbench/bench"
)

const routines, liveBytes, nodeBytes, collections = 100, 4 << 20, 64, 200

type node struct {
	child [2]*node
	rest  [6]uintptr
}

func tree(bytes int) *node {
	n := new(node)
	for child := 0; child < 2 && bytes >= 3*nodeBytes; child++ {
		n.child[child] = tree((bytes - nodeBytes) / 2)
	}
	return n
}

func main() {
	bench.Init()
	gate := make(chan int32)
	for i := 0; i < routines; i++ {
		go func() { <-gate }()
	}
	root := tree(liveBytes)
	time.Sleep(10 * time.Millisecond)
	pauses := make([]float64, collections)
	for round := 0; round < bench.Rounds; round++ {
		for i := range pauses {
			start := time.Now()
			runtime.GC()
			pauses[i] = float64(time.Since(start).Nanoseconds())
		}
		sort.Float64s(pauses)
		bench.Print("whole", pauses[collections/2]/1e3, "us")
	}
	bench.Require(root.child[0] != nil, "a tree")
}
