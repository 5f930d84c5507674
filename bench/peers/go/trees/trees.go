// SPDX-License-Identifier: MIT

// Package trees is the twin of gc_trees.h.
package trees

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
	"weftbench/bench"
)

const leastDepth, mostDepth = 4, 20

type tree struct{ left, right *tree }

func grow(depth int) *tree {
	if depth == 0 {
		return &tree{}
	}
	return &tree{grow(depth - 1), grow(depth - 1)}
}

func (t *tree) count() int {
	if t.left == nil {
		return 1
	}
	return 1 + t.left.count() + t.right.count()
}

func oneDepth(depth int) {
	n, nodes := 1<<(mostDepth-depth+leastDepth), 0
	for k := 0; k < n; k++ {
		nodes += grow(depth).count()
	}
	bench.Require(nodes == n*(2<<depth-1), "nodes")
}

func peakBytes() float64 {
	f, err := os.Open("/proc/self/status")
	bench.Require(err == nil, "status")
	defer f.Close()
	kib := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "VmHWM:") {
			fmt.Sscan(lines.Text()[6:], &kib)
		}
	}
	return float64(kib) * 1024
}

// Main prints the time and the memory of each round; each: a goroutine for each depth.
func Main(each bool) {
	for round := 0; round < bench.Rounds; round++ {
		start := time.Now()
		bench.Require(grow(mostDepth+1).count() == 4<<mostDepth-1, "nodes")
		longLived := grow(mostDepth)
		var running sync.WaitGroup
		for depth := leastDepth; depth <= mostDepth; depth += 2 {
			if !each {
				oneDepth(depth)
				continue
			}
			running.Add(1)
			go func(depth int) {
				oneDepth(depth)
				running.Done()
			}(depth)
		}
		running.Wait()
		bench.Require(longLived.count() == 2<<mostDepth-1, "nodes")
		bench.Print("total", time.Since(start).Seconds(), "s")
		bench.Print("peak_memory", peakBytes()/1e6, "MB")
	}
}
