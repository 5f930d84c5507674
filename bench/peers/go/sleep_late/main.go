// SPDX-License-Identifier: MIT

// The Go peer of sleep_late.c, which says what is measured.
package main

import (
	"runtime"
	"sync/atomic"
	"time"
	"weftbench/bench"
)

const sleeps, busy = 200, 4

var stop atomic.Bool

func keepBusy() {
	for !stop.Load() {
		runtime.Gosched()
	}
}

func meanLatenessUs() float64 {
	late := time.Duration(0)
	for i := 0; i < sleeps; i++ {
		start := time.Now()
		time.Sleep(time.Millisecond)
		over := time.Since(start) - time.Millisecond
		bench.Require(over >= 0, "a sleep was short")
		late += over
	}
	return float64(late.Nanoseconds()) / sleeps / 1e3
}

func repeat(metric string) {
	meanLatenessUs()
	for round := 0; round < bench.Rounds; round++ {
		bench.Print(metric, meanLatenessUs(), "us")
	}
}

func main() {
	bench.Init()
	repeat("late")
	for i := 0; i < busy; i++ {
		go keepBusy()
	}
	repeat("late_busy")
	stop.Store(true)
}
