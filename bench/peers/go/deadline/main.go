// SPDX-License-Identifier: MIT

// The Go peer of deadline.c, which says what is measured: a deadline is a context with a timeout, and each operation
// inside becomes a select with its Done().
package main

import (
	"context"
	"sync"
	"time"
	"weftbench/bench"
)

const operations, trips, expiring = 1000000, 200000, 10000

var box = make(chan int32, 1)

func send(c chan int32, v int32, limit context.Context) {
	select {
	case c <- v:
	case <-limit.Done():
		bench.Require(false, "send")
	}
}

func receive(c chan int32, limit context.Context) (v int32) {
	select {
	case v = <-c:
	case <-limit.Done():
		bench.Require(false, "receive")
	}
	return v
}

func readyPlain(n int) {
	v := int32(0)
	for i := int32(0); i < int32(n); i++ {
		box <- i
		v = <-box
	}
	bench.Require(v == int32(n-1), "value")
}

func readyLimited(n int) {
	v := int32(0)
	for i := int32(0); i < int32(n); i++ {
		limit, cancel := context.WithTimeout(context.Background(), time.Second)
		send(box, i, limit)
		cancel()
		limit, cancel = context.WithTimeout(context.Background(), time.Second)
		v = receive(box, limit)
		cancel()
	}
	bench.Require(v == int32(n-1), "value")
}

func echo(ping, pong chan int32) {
	for v := range ping {
		pong <- v
	}
}

func waitingPlain(n int) {
	ping, pong := make(chan int32), make(chan int32)
	go echo(ping, pong)
	for i := int32(0); i < int32(n); i++ {
		ping <- i
		back := <-pong
		bench.Require(back == i, "echo")
	}
	close(ping)
}

func waitingLimited(n int) {
	ping, pong := make(chan int32), make(chan int32)
	go echo(ping, pong)
	for i := int32(0); i < int32(n); i++ {
		limit, cancel := context.WithTimeout(context.Background(), time.Second)
		send(ping, i, limit)
		back := receive(pong, limit)
		cancel()
		bench.Require(back == i, "echo")
	}
	close(ping)
}

func expireOne(never chan int32) {
	limit, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	select {
	case <-never:
	case <-limit.Done():
	}
	bench.Require(limit.Err() == context.DeadlineExceeded, "expires")
}

func expire(n int) {
	never := make(chan int32)
	var running sync.WaitGroup
	running.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			defer running.Done()
			expireOne(never)
		}()
	}
	running.Wait()
}

func timeOf(body func(int), n int) float64 {
	start := time.Now()
	body(n)
	return float64(time.Since(start).Nanoseconds()) / float64(n)
}

func main() {
	bench.Init()
	for round := -1; round < bench.Rounds; round++ { // the first one warms up
		plain, limited := timeOf(readyPlain, operations), timeOf(readyLimited, operations)
		waitPlain, waitLimited := timeOf(waitingPlain, trips), timeOf(waitingLimited, trips)
		expiry := timeOf(expire, expiring)
		if round < 0 {
			continue
		}
		bench.Print("ready", (limited-plain)/2, "ns")
		bench.Print("waiting", waitLimited-waitPlain, "ns")
		bench.Print("expire", expiry/1000, "us")
	}
}
