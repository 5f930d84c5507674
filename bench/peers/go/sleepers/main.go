// SPDX-License-Identifier: MIT

// The Go peer of sleepers.c, which says what is measured.
package main

import (
	"sync"
	"syscall"
	"time"
	"weftbench/bench"
)

const sleepers = 100000

var running sync.WaitGroup

func sleepOnce(duration time.Duration) {
	time.Sleep(duration)
	running.Done()
}

func sleepAll(sleepers int) {
	running.Add(sleepers)
	for i := 0; i < sleepers; i++ {
		go sleepOnce(time.Duration(bench.Hash(uint64(i)) % uint64(100*time.Millisecond)))
	}
	running.Wait()
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func main() {
	bench.Init()
	sleepAll(sleepers)
	for round := 0; round < bench.Rounds; round++ {
		cpu := cpuSeconds()
		start := time.Now()
		sleepAll(sleepers)
		bench.Print("cpu", cpuSeconds()-cpu, "s")
		bench.Print("wall", time.Since(start).Seconds(), "s")
	}
}
