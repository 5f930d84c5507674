// SPDX-License-Identifier: MIT

// The Go peer of gc_chan.c, which says what is measured; what its collector takes is not told apart.
package main

import (
	"fmt"
	"time"
	"weftbench/bench"
)

const itemsInAll, itemBytes = 4000000, 64

type item struct {
	number      int
	left, right *item
	unused      [5]uintptr
}

func tree(bytes int) *item {
	t := new(item)
	if bytes >= 3*itemBytes {
		t.left = tree((bytes - itemBytes) / 2)
		t.right = tree((bytes - itemBytes) / 2)
	}
	return t
}

func main() {
	bench.Init()
	for _, megabytes := range []int{1, 64} {
		root := tree(megabytes << 20)
		for round := 0; round < bench.Rounds; round++ {
			items := make(chan *item, 128)
			start := time.Now()
			go func() {
				for i := 0; i < itemsInAll; i++ {
					items <- &item{number: i}
				}
				close(items)
			}()
			sum := 0
			for item := range items {
				sum += item.number
			}
			bench.Require(sum == itemsInAll*(itemsInAll-1)/2, "sum of numbers")
			bench.Print(fmt.Sprintf("item_live_%d", megabytes), float64(time.Since(start).Nanoseconds())/itemsInAll, "ns")
		}
		bench.Require(root.left != nil, "a tree")
	}
}
