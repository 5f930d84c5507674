// SPDX-License-Identifier: MIT

// The Go peer of spread.c, which says what is measured.
package main

import (
	"math"
	"sync"
	"time"
	"weftbench/bench"
)

const tasks, taskNs = 10000, 1000

var running sync.WaitGroup
var stepsPerTask int // immutable after calibrate
var results [tasks]uint64

func churn(x uint64, steps int) uint64 {
	for i := 0; i < steps; i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}

func calibrate() {
	const steps, tries = 100000, 50
	best := int64(math.MaxInt64)
	x := uint64(1)
	for i := 0; i < tries; i++ {
		start := time.Now()
		x = churn(x, steps)
		if taken := time.Since(start).Nanoseconds(); taken < best {
			best = taken
		}
	}
	bench.Require(x != 0, "a xorshift never reaches zero")
	stepsPerTask = int(steps * taskNs / best)
}

func work(task int) { results[task] = churn(uint64(task)+1, stepsPerTask) }

func workAndEnd(task int) {
	work(task)
	running.Done()
}

func workInTurn(tasks int) {
	for i := 0; i < tasks; i++ {
		work(i)
	}
}

func workSpread(tasks int) {
	running.Add(tasks)
	for i := 0; i < tasks; i++ {
		go workAndEnd(i)
	}
	running.Wait()
}

// takeSum takes the results out: what nobody reads the compiler need not compute.
func takeSum() uint64 {
	sum := uint64(0)
	for i := range results {
		sum += results[i]
		results[i] = 0
	}
	return sum
}

func main() {
	bench.Init()
	calibrate()
	bench.Each("serial", workInTurn, tasks, 1e6, "ms")
	expected := takeSum()
	bench.Each("spread", workSpread, tasks, 1e6, "ms")
	bench.Require(takeSum() == expected, "sum of the results")
}
