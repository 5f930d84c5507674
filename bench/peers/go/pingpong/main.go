// SPDX-License-Identifier: MIT

// The Go peer of pingpong.c, which says what is measured.
package main

import "weftbench/bench"

const trips = 500000

func echo(ping, pong chan int32) {
	for v := range ping {
		pong <- v
	}
}

func play(trips int) {
	ping, pong := make(chan int32), make(chan int32)
	go echo(ping, pong)
	for i := int32(0); i < int32(trips); i++ {
		ping <- i
		back := <-pong
		bench.Require(back == i, "pingpong")
	}
	close(ping)
}

func main() {
	bench.Init()
	bench.Each("round_trip", play, trips, trips, "ns")
}
