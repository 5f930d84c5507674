// SPDX-License-Identifier: MIT

// The Go peer of timers.c, which says what is measured.
package main

import (
	"time"
	"weftbench/bench"
)

const timerCount = 1000000

var timers [timerCount]*time.Timer

func never() { bench.Require(false, "a stopped timer fired") }

func startFar(i int) *time.Timer {
	return time.AfterFunc(time.Hour+time.Duration(bench.Hash(uint64(i))%uint64(time.Hour)), never)
}

func arm(n int) {
	for i := 0; i < n; i++ {
		timers[i] = startFar(i)
	}
}

func armAndStop(n int) {
	stopped := 0
	for i := 0; i < n; i++ {
		if startFar(i).Stop() {
			stopped++
		}
	}
	bench.Require(stopped == n, "timers stopped at once")
}

func stop(n int) {
	stopped := 0
	for i := 0; i < n; i++ {
		if timers[i].Stop() {
			stopped++
		}
	}
	bench.Require(stopped == n, "timers stopped")
}

func printTime(metric string, body func(int)) {
	start := time.Now()
	body(timerCount)
	bench.Print(metric, float64(time.Since(start).Nanoseconds())/timerCount, "ns")
}

func main() {
	bench.Init()
	arm(timerCount)
	stop(timerCount)
	for round := 0; round < bench.Rounds; round++ {
		printTime("arm", arm)
		printTime("arm_stop", armAndStop)
		printTime("stop", stop)
	}
}
