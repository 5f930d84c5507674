// SPDX-License-Identifier: MIT

// The Go peer of gc_full.c, which says what is measured.
package main

import (
	"runtime"
	"time"
	"weftbench/bench"
)

const nNodes, blockBytes, nBlocks = 1 << 24, 64 << 10, 1 << 14

type node struct {
	to    [3]*node
	value [5]uintptr
}

func collect(name string) {
	runtime.GC()
	for round := 0; round < bench.Rounds; round++ {
		start := time.Now()
		runtime.GC()
		bench.Print(name, float64(time.Since(start).Nanoseconds())/1e6, "ms")
	}
}

func connect(nodes []*node) *node {
	for i, n := range nodes {
		n.to = [3]*node{}
		if 2*i+1 < nNodes {
			n.to[0] = nodes[2*i+1]
		}
		if 2*i+2 < nNodes {
			n.to[1] = nodes[2*i+2]
		}
		if i+1 < nNodes {
			n.to[2] = nodes[i+1]
		}
	}
	return nodes[0]
}

var root *node
var blocks [][]byte

func main() {
	bench.Init()
	nodes := make([]*node, nNodes)
	for i := range nodes {
		nodes[i] = &node{value: [5]uintptr{uintptr(i)}}
	}
	root = connect(nodes)
	nodes = nil
	collect("in_order")
	nodes = make([]*node, 0, nNodes)
	for n := root; n != nil; n = n.to[2] {
		nodes = append(nodes, n)
	}
	for i := nNodes - 1; i > 0; i-- {
		j := bench.Hash(uint64(i)) % uint64(i+1)
		nodes[i], nodes[j] = nodes[j], nodes[i]
	}
	root = connect(nodes)
	nodes = nil
	collect("random")
	bench.Require(root.value[0] < nNodes, "a node")
	root = nil
	runtime.GC()
	blocks = make([][]byte, nBlocks)
	for i := range blocks {
		blocks[i] = make([]byte, blockBytes)
	}
	collect("data")
	bench.Require(blocks[0] != nil, "a block")
}
