// SPDX-License-Identifier: MIT

// The Go peer of parked.c, which says what is measured.
package main

import (
	"fmt"
	"os"
	"sync"
	"time"
	"weftbench/bench"
)

const routines = 1000000

var gate chan int32
var starting, ending sync.WaitGroup

func waitAtGate() {
	starting.Done()
	<-gate
	ending.Done()
}

func residentBytes() float64 {
	var size, pages int
	text, err := os.ReadFile("/proc/self/statm")
	bench.Require(err == nil, "statm")
	fmt.Sscan(string(text), &size, &pages)
	return float64(pages * os.Getpagesize())
}

func main() {
	bench.Init()
	for round := 0; round < bench.Rounds; round++ {
		before := residentBytes()
		gate = make(chan int32)
		starting.Add(routines)
		ending.Add(routines)
		start := time.Now()
		for i := 0; i < routines; i++ {
			go waitAtGate()
		}
		starting.Wait()
		metric := "create_again"
		if round == 0 {
			metric = "create"
		}
		bench.Print(metric, float64(time.Since(start).Nanoseconds())/routines/1e3, "us")
		time.Sleep(100 * time.Millisecond)
		if round == 0 {
			bench.Print("memory", (residentBytes()-before)/routines/1e3, "KB")
		}
		start = time.Now()
		close(gate)
		ending.Wait()
		bench.Print("wake", float64(time.Since(start).Nanoseconds())/routines/1e3, "us")
	}
}
