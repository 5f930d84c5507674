// SPDX-License-Identifier: MIT

// The Go peer of gc_parked.c, which says what is measured.
package main

import (
	"runtime"
	"sync"
	"syscall"
	"time"
	"weftbench/bench"
)

const routines = 1000000

var gate = make(chan int32)
var starting sync.WaitGroup

func waitAtGate(number int) {
	mine := new(int)
	*mine = number
	starting.Done()
	<-gate
	bench.Require(*mine == number, "an object of its own")
}

func cpu() float64 {
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return float64(used.Utime.Nano() + used.Stime.Nano())
}

func main() {
	bench.Init()
	starting.Add(routines)
	for i := 0; i < routines; i++ {
		go waitAtGate(i)
	}
	starting.Wait()
	time.Sleep(100 * time.Millisecond)
	for round := -1; round < bench.Rounds; round++ {
		start, startWall := cpu(), time.Now()
		runtime.GC()
		if round < 0 {
			continue
		}
		bench.Print("cpu", (cpu()-start)/routines, "ns")
		bench.Print("wall", float64(time.Since(startWall).Nanoseconds())/routines, "ns")
	}
}
