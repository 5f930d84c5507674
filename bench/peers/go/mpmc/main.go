// SPDX-License-Identifier: MIT

// The Go peer of mpmc.c, which says what is measured.
package main

import (
	"sync"
	"weftbench/bench"
)

const producers, consumers, capacity, items = 4, 4, 128, 1000000

var producing, consuming sync.WaitGroup
var sums [consumers][8]int64 // a cache line each

func produce(c chan int32, items int) {
	for i := 0; i < items; i++ {
		c <- int32(i)
	}
	producing.Done()
}

func consume(c chan int32, self int) {
	sum := int64(0)
	for v := range c {
		sum += int64(v)
	}
	sums[self][0] = sum
	consuming.Done()
}

func share(items int) {
	each := items / producers
	sum := int64(0)
	c := make(chan int32, capacity)
	producing.Add(producers)
	consuming.Add(consumers)
	for i := 0; i < producers; i++ {
		go produce(c, each)
	}
	for i := 0; i < consumers; i++ {
		go consume(c, i)
	}
	producing.Wait()
	close(c)
	consuming.Wait()
	for i := range sums {
		sum += sums[i][0]
	}
	bench.Require(sum == producers*(int64(each)*int64(each-1)/2), "sum of items")
}

func main() {
	bench.Init()
	bench.Each("item", share, items, items, "ns")
}
