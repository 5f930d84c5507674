// SPDX-License-Identifier: MIT

// The Go peer of select_default.c, which says what is measured.
package main

import "weftbench/bench"

const polls = 5000000

func pollOne(polls int) {
	a := make(chan int32)
	found := 0
	for i := 0; i < polls; i++ {
		select {
		case <-a:
			found++
		default:
		}
	}
	bench.Require(found == 0, "empty channel was ready")
}

func pollFour(polls int) {
	a, b, c, d := make(chan int32), make(chan int32), make(chan int32), make(chan int32)
	found := 0
	for i := 0; i < polls; i++ {
		select {
		case <-a:
			found++
		case <-b:
			found++
		case <-c:
			found++
		case <-d:
			found++
		default:
		}
	}
	bench.Require(found == 0, "empty channel was ready")
}

func main() {
	bench.Init()
	bench.Each("channels_1", pollOne, polls, polls, "ns")
	bench.Each("channels_4", pollFour, polls, polls, "ns")
}
