// SPDX-License-Identifier: MIT

// The Go peer of prodcons.c, which says what is measured.
package main

import "weftbench/bench"

const items = 1000000

func produce(c chan int32, items int32) {
	for i := int32(0); i < items; i++ {
		c <- i
	}
	close(c)
}

func consume(capacity int) {
	c := make(chan int32, capacity)
	expected := int32(0)
	go produce(c, items)
	for v := range c {
		bench.Require(v == expected, "order of items")
		expected++
	}
	bench.Require(expected == items, "number of items")
}

func main() {
	bench.Init()
	bench.Each("unbuffered", consume, 0, items, "ns")
	bench.Each("buffered_128", consume, 128, items, "ns")
}
