// SPDX-License-Identifier: MIT

// The Go peer of spawn_block.c, which says what is measured.
package main

import (
	"sync"
	"time"
	"weftbench/bench"
)

const routines = 200000

var starting, ending sync.WaitGroup

func waitAtGate(gate chan int32) {
	starting.Done()
	<-gate
	ending.Done()
}

func blockAndWake(routines int) {
	gate := make(chan int32)
	starting.Add(routines)
	ending.Add(routines)
	for i := 0; i < routines; i++ {
		go waitAtGate(gate)
	}
	starting.Wait()
	close(gate)
	ending.Wait()
}

func main() {
	bench.Init()
	blockAndWake(1)
	for round := 0; round < bench.Rounds; round++ {
		start := time.Now()
		blockAndWake(routines)
		metric := "total_again"
		if round == 0 {
			metric = "total"
		}
		bench.Print(metric, float64(time.Since(start).Nanoseconds())/routines/1e3, "us")
	}
}
