// SPDX-License-Identifier: MIT

// The Go peer of mutex.c, which says what is measured.
package main

import (
	"sync"
	"weftbench/bench"
)

const locks, contenders = 2000000, 8

var lock sync.Mutex
var counter int64 // protected by lock
var running sync.WaitGroup

func lockOften(times int) {
	for i := 0; i < times; i++ {
		lock.Lock()
		counter++
		lock.Unlock()
	}
}

func contend(times int) {
	lockOften(times)
	running.Done()
}

func contendAll(times int) {
	counter = 0
	running.Add(contenders)
	for i := 0; i < contenders; i++ {
		go contend(times / contenders)
	}
	running.Wait()
	bench.Require(counter == int64(times), "count under the lock")
}

func main() {
	bench.Init()
	bench.Each("uncontended", lockOften, locks, locks, "ns")
	bench.Each("contended_8", contendAll, locks, locks, "ns")
}
