// SPDX-License-Identifier: MIT

// The Go peer of cancel.c, which says what is measured.
package main

import (
	"context"
	"sync"
	"time"
	"weftbench/bench"
)

const goroutines = 10000

func parked(never chan int32, scope context.Context, here *sync.WaitGroup) {
	here.Done()
	select {
	case <-never:
		bench.Require(false, "every goroutine was cancelled")
	case <-scope.Done():
	}
}

func once() (call, ended float64) {
	never := make(chan int32)
	scope, cancel := context.WithCancel(context.Background())
	var here, running sync.WaitGroup
	here.Add(goroutines)
	running.Add(goroutines)
	for i := 0; i < goroutines; i++ {
		go func() {
			defer running.Done()
			parked(never, scope, &here)
		}()
	}
	here.Wait()
	time.Sleep(time.Millisecond) // the last ones have counted down but may not have begun to wait
	start := time.Now()
	cancel()
	called := time.Since(start)
	running.Wait()
	left := time.Since(start)
	bench.Require(scope.Err() == context.Canceled, "the scope was cancelled")
	return float64(called.Nanoseconds()) / goroutines, float64(left.Nanoseconds()) / goroutines
}

func main() {
	bench.Init()
	for round := -1; round < bench.Rounds; round++ { // the first one warms up
		call, ended := once()
		if round < 0 {
			continue
		}
		bench.Print("call", call, "ns")
		bench.Print("ended", ended, "ns")
	}
}
