// SPDX-License-Identifier: MIT

// The Go peer of ring.c, which says what is measured.
package main

import "weftbench/bench"

const members, laps = 128, 8000

func passOn(in, out chan int32) {
	for hops := range in {
		out <- hops + 1
	}
	close(out)
}

// The caller is a member of the ring too.
func runLaps(laps int) {
	first := make(chan int32)
	last := first
	hops := int32(0)
	for i := 1; i < members; i++ {
		next := make(chan int32)
		go passOn(last, next)
		last = next
	}
	for i := 0; i < laps; i++ {
		first <- hops + 1
		hops = <-last
	}
	close(first)
	bench.Require(hops == int32(laps*members), "number of hops")
}

func main() {
	bench.Init()
	bench.Each("hop", runLaps, laps, laps*members, "ns")
}
