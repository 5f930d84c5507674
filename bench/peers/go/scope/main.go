// SPDX-License-Identifier: MIT

// The Go peer of scope.c, which says what is measured.
package main

import (
	"context"
	"sync"
	"weftbench/bench"
)

const scopes, children = 20000, 10

// A group is the part of golang.org/x/sync/errgroup that is needed here, written like it (and as fast), so that these
// programs build with the standard library alone: the first error of a member cancels the context of all.
type group struct {
	running sync.WaitGroup
	cancel  context.CancelFunc
	failed  sync.Once
	err     error
}

func newGroup(around context.Context) (*group, context.Context) {
	inside, cancel := context.WithCancel(around)
	return &group{cancel: cancel}, inside
}

func (g *group) start(member func() error) {
	g.running.Add(1)
	go func() {
		defer g.running.Done()
		if err := member(); err != nil {
			g.failed.Do(func() {
				g.err = err
				g.cancel()
			})
		}
	}()
}

func (g *group) wait() error {
	g.running.Wait()
	g.cancel()
	return g.err
}

func one() int { return 1 }

func awaits(n int) {
	result := make(chan int)
	sum := 0
	for i := 0; i < n; i++ {
		go func() { result <- one() }()
		sum += <-result
	}
	bench.Require(sum == n, "spawn_await")
}

func child(cell *int) error {
	*cell++
	return nil
}

func enterScopes(n int) {
	var cells [children]int
	for i := 0; i < n; i++ {
		g, _ := newGroup(context.Background())
		for k := range cells {
			cell := &cells[k]
			g.start(func() error { return child(cell) })
		}
		bench.Require(g.wait() == nil, "error of the scope")
	}
	for _, cell := range cells {
		bench.Require(cell == n, "children")
	}
}

func descend(around context.Context, depth int, entered *int) error {
	*entered++
	g, inside := newGroup(around)
	if depth > 1 {
		g.start(func() error { return descend(inside, depth-1, entered) })
	}
	return g.wait()
}

func nested(n int) {
	entered := 0
	for i := 0; i < n; i++ {
		bench.Require(descend(context.Background(), children, &entered) == nil, "error of the outermost scope")
	}
	bench.Require(entered == n*children, "nested")
}

func main() {
	bench.Init()
	bench.Each("spawn_await", awaits, scopes*children, scopes*children, "ns")
	bench.Each("scope_10", enterScopes, scopes, scopes, "ns")
	bench.Each("nested", nested, scopes, scopes*children, "ns")
}
