// SPDX-License-Identifier: MIT

// The Go peer of gc_hot.c, which says what is measured.
package main

import (
	"fmt"
	"runtime"
	"time"
	"unsafe"
	"weftbench/bench"
)

const batchBytes, batches = 256 << 10, 60

type object16 struct{ word [2]unsafe.Pointer }
type object32 struct{ word [4]unsafe.Pointer }
type object64 struct{ word [8]unsafe.Pointer }

var sink unsafe.Pointer

func batch16(n int) {
	for ; n > 0; n-- {
		p := new(object16)
		p.word[1] = unsafe.Pointer(p)
		sink = unsafe.Pointer(p)
	}
}

func batch32(n int) {
	for ; n > 0; n-- {
		p := new(object32)
		p.word[1] = unsafe.Pointer(p)
		sink = unsafe.Pointer(p)
	}
}

func batch64(n int) {
	for ; n > 0; n-- {
		p := new(object64)
		p.word[1] = unsafe.Pointer(p)
		sink = unsafe.Pointer(p)
	}
}

func main() {
	bench.Init()
	for _, kind := range []struct {
		size  int
		batch func(n int)
	}{{16, batch16}, {32, batch32}, {64, batch64}} {
		n := batchBytes / kind.size
		for round := -1; round < bench.Rounds; round++ { // the first one warms up
			total := time.Duration(0)
			for i := 0; i < batches; i++ {
				start := time.Now()
				kind.batch(n)
				total += time.Since(start)
				runtime.GC()
			}
			if round >= 0 {
				bench.Print(fmt.Sprintf("object_%d", kind.size), float64(total.Nanoseconds())/float64(n*batches), "ns")
			}
		}
	}
}
