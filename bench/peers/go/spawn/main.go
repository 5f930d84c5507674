// SPDX-License-Identifier: MIT

// The Go peer of spawn.c, which says what is measured.
package main

import (
	"sync"
	"weftbench/bench"
)

const batch, batches = 1000, 500

var running sync.WaitGroup

func endAtOnce() { running.Done() }

func spawnBatches(batches int) {
	for b := 0; b < batches; b++ {
		running.Add(batch)
		for i := 0; i < batch; i++ {
			go endAtOnce()
		}
		running.Wait()
	}
}

func main() {
	bench.Init()
	bench.Each("spawn", spawnBatches, batches, batch*batches, "ns")
}
