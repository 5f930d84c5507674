// SPDX-License-Identifier: MIT

// The Go peer of coro.c, which says what is measured. iter.Pull, the coroutine of Go, came with 1.23; before it one is a
// goroutine and two channels, which is what this one uses. It is told of its end by a closed channel.
package main

import (
	"weftbench/bench"
)

const (
	resumes = 500000
	lives   = 200000
)

type coro struct {
	in, out chan int
}

func create(fn func(c coro)) coro {
	c := coro{make(chan int), make(chan int)}
	go func() {
		if _, more := <-c.in; more {
			fn(c)
		}
		close(c.out)
	}()
	return c
}

func (c coro) resume(value int) (int, bool) {
	c.in <- value
	got, more := <-c.out
	return got, more
}

func (c coro) suspend(value int) (int, bool) {
	c.out <- value
	got, more := <-c.in
	return got, more
}

func (c coro) destroy() {
	close(c.in)
	<-c.out
}

func addUp(c coro) {
	sum := 0
	for {
		value, more := c.suspend(sum)
		if !more {
			return
		}
		sum += value
	}
}

func resumeOften(times int) {
	c := create(addUp)
	sum := 0
	for i := 0; i <= times; i++ {
		sum, _ = c.resume(1)
	}
	bench.Require(sum == times, "sum of the words")
	c.destroy()
}

func generate(values int) {
	c := create(func(c coro) {
		for i := 0; i < values; i++ {
			c.suspend(i)
		}
	})
	sum := 0
	for n, more := c.resume(0); more; n, more = c.resume(0) {
		sum += n
	}
	bench.Require(sum == values*(values-1)/2, "sum of the values")
}

func liveOften(times int) {
	count := 0
	for i := 0; i < times; i++ {
		c := create(func(coro) { count++ })
		c.resume(0)
	}
	bench.Require(count == times, "number of lives")
}

func endHalfWay(times int) {
	for i := 0; i < times; i++ {
		c := create(addUp)
		c.resume(0)
		c.destroy()
	}
}

func main() {
	bench.Init()
	bench.Each("round_trip", resumeOften, resumes, resumes, "ns")
	bench.Each("generator", generate, resumes, resumes, "ns")
	bench.Each("life", liveOften, lives, lives, "ns")
	bench.Each("life_half_way", endHalfWay, lives, lives, "ns")
}
