// SPDX-License-Identifier: MIT

// The Go peer of spawn_await.c, which says what is measured.
package main

import "weftbench/bench"

const calls = 500000

func increment(x int) int { return x + 1 }

func callInTurn(calls int) {
	result := make(chan int)
	x := 0
	for i := 0; i < calls; i++ {
		go func(x int) { result <- increment(x) }(x)
		x = <-result
	}
	bench.Require(x == calls, "spawn_await")
}

func main() {
	bench.Init()
	bench.Each("spawn_await", callInTurn, calls, calls, "ns")
}
