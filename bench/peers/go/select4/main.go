// SPDX-License-Identifier: MIT

// The Go peer of select4.c, which says what is measured.
package main

import "weftbench/bench"

const items = 1000000

func produce(c chan int32, items int) {
	for i := 0; i < items; i++ {
		c <- int32(i)
	}
}

func receiveFromFour(capacity int) {
	a, b := make(chan int32, capacity), make(chan int32, capacity)
	c, d := make(chan int32, capacity), make(chan int32, capacity)
	each := items / 4
	var v int32
	sum := int64(0)
	go produce(a, each)
	go produce(b, each)
	go produce(c, each)
	go produce(d, each)
	for i := 0; i < items; i++ {
		select {
		case v = <-a:
		case v = <-b:
		case v = <-c:
		case v = <-d:
		}
		sum += int64(v)
	}
	bench.Require(sum == 4*(int64(each)*int64(each-1)/2), "sum of items")
}

func main() {
	bench.Init()
	bench.Each("unbuffered", receiveFromFour, 0, items, "ns")
	bench.Each("buffered_128", receiveFromFour, 128, items, "ns")
}
