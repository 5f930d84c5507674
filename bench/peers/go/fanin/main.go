// SPDX-License-Identifier: MIT

// The Go peer of fanin.c, which says what is measured.
package main

import "weftbench/bench"

const workers, messages = 8, 200000

var in, out [workers]chan int32

func deal(messages int, dealt chan bool) {
	for i := 0; i < messages; i++ {
		in[i%workers] <- int32(i)
	}
	for i := range in {
		close(in[i])
	}
	close(dealt)
}

func relay(from, to chan int32) {
	for v := range from {
		to <- v
	}
}

func collect(messages int) {
	for i := range in {
		in[i], out[i] = make(chan int32), make(chan int32)
		go relay(in[i], out[i])
	}
	a, b, c, d, e, f, g, h := out[0], out[1], out[2], out[3], out[4], out[5], out[6], out[7]
	dealt := make(chan bool)
	go deal(messages, dealt)
	var v int32
	sum := int64(0)
	for i := 0; i < messages; i++ {
		select {
		case v = <-a:
		case v = <-b:
		case v = <-c:
		case v = <-d:
		case v = <-e:
		case v = <-f:
		case v = <-g:
		case v = <-h:
		}
		sum += int64(v)
	}
	<-dealt // it closes the channels, which the next round replaces
	bench.Require(sum == int64(messages)*int64(messages-1)/2, "sum of messages")
}

func main() {
	bench.Init()
	bench.Each("message", collect, messages, messages*1e3, "us")
}
