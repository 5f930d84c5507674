// SPDX-License-Identifier: MIT

// The Go peer of pool.c, which says what is measured: sync.Pool.
package main

import (
	"sync"
	"weftbench/bench"
)

const pairs, burstSize, bursts = 20000000, 100, 100000

type object [64]byte

var pool = sync.Pool{New: func() any { return new(object) }}

func getPut(n int) {
	for i := 0; i < n; i++ {
		p := pool.Get().(*object)
		p[0] = byte(i)
		pool.Put(p)
	}
}

func burst(n int) {
	var held [burstSize]*object
	for b := 0; b < n; b++ {
		for i := range held {
			held[i] = pool.Get().(*object)
			held[i][0] = byte(i)
		}
		for i := range held {
			pool.Put(held[i])
		}
	}
}

func main() {
	bench.Init()
	bench.Each("get_put", getPut, pairs, pairs, "ns")
	bench.Each("burst", burst, bursts, burstSize*bursts, "ns")
}
