// SPDX-License-Identifier: MIT

// The Go peer of yield.c, which says what is measured.
package main

import (
	"runtime"
	"sync"
	"weftbench/bench"
)

const yields = 2000000

var running sync.WaitGroup

func yieldOften(times int) {
	for i := 0; i < times; i++ {
		runtime.Gosched()
	}
	running.Done()
}

func yieldAmong(routines int) {
	running.Add(routines)
	for i := 0; i < routines; i++ {
		go yieldOften(yields / routines)
	}
	running.Wait()
}

func main() {
	bench.Init()
	bench.Each("routines_2", yieldAmong, 2, yields, "ns")
	bench.Each("routines_1000", yieldAmong, 1000, yields, "ns")
}
