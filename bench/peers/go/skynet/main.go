// SPDX-License-Identifier: MIT

// The Go peer of skynet.c, which says what is measured.
package main

import (
	"syscall"
	"weftbench/bench"
)

const leaves, children = 1000000, 10

func node(parent chan int64, first int64, leaves int) {
	if leaves == 1 {
		parent <- first
		return
	}
	results := make(chan int64)
	share := leaves / children
	sum := int64(0)
	for i := 0; i < children; i++ {
		go node(results, first+int64(i*share), share)
	}
	for i := 0; i < children; i++ {
		sum += <-results
	}
	parent <- sum
}

func grow(leaves int) {
	result := make(chan int64)
	go node(result, 0, leaves)
	sum := <-result
	bench.Require(sum == int64(leaves)*int64(leaves-1)/2, "sum of the leaves")
}

func main() {
	bench.Init()
	bench.Each("skynet", grow, leaves, 1e6, "ms")
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	bench.Print("peak_memory", float64(usage.Maxrss)*1024/1e6, "MB")
}
