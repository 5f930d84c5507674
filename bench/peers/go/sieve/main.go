// SPDX-License-Identifier: MIT

// The Go peer of sieve.c, which says what is measured.
package main

import "weftbench/bench"

const primes, lastPrime = 2000, 17389

func generate(out chan int32) {
	for i := int32(2); i <= lastPrime; i++ {
		out <- i
	}
	close(out)
}

func filter(in, out chan int32, prime int32) {
	for i := range in {
		if i%prime != 0 {
			out <- i
		}
	}
	close(out)
}

func sieve(primes int) {
	c := make(chan int32)
	prime := int32(0)
	go generate(c)
	for i := 0; i < primes; i++ {
		next := make(chan int32)
		prime = <-c
		go filter(c, next, prime)
		c = next
	}
	bench.Require(prime == lastPrime, "last prime")
	_, ok := <-c
	bench.Require(!ok, "number after the last prime")
}

func main() {
	bench.Init()
	bench.Each("sieve", sieve, primes, 1e6, "ms")
}
