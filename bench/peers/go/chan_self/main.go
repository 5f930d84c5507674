// SPDX-License-Identifier: MIT

// The Go peer of chan_self.c, which says what is measured.
package main

import "weftbench/bench"

const pairs, capacity = 3000000, 128

func sendAndReceive(pairs int) {
	c := make(chan int32, capacity)
	sum := int64(0)
	for i := 0; i < pairs; i++ {
		c <- int32(i)
		sum += int64(<-c)
	}
	bench.Require(sum == int64(pairs)*int64(pairs-1)/2, "sum of items")
}

func main() {
	bench.Init()
	bench.Each("send_recv", sendAndReceive, pairs, pairs, "ns")
}
