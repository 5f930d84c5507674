// SPDX-License-Identifier: MIT

// Package bench is the clock, the repetition and the output of the Go peers: the twin of bench.h.
package bench

import (
	"flag"
	"fmt"
	"os"
	"time"
)

var Rounds int

func Init() {
	flag.IntVar(&Rounds, "rounds", 5, "rounds to measure")
	flag.Parse()
	if Rounds < 1 || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
}

func Print(metric string, value float64, unit string) {
	fmt.Printf("%s %.4f %s\n", metric, value, unit)
}

// Require stops a program that computes something wrong: it has no speed.
func Require(ok bool, what string) {
	if !ok {
		fmt.Fprintln(os.Stderr, "bench: wrong result:", what)
		os.Exit(1)
	}
}

// Each runs body(arg) once to warm up, then once per round, and prints nanoseconds / divisor of each.
func Each(metric string, body func(arg int), arg int, divisor float64, unit string) {
	body(arg)
	for round := 0; round < Rounds; round++ {
		start := time.Now()
		body(arg)
		Print(metric, float64(time.Since(start).Nanoseconds())/divisor, unit)
	}
}

// Hash gives a fixed spread-out number for each index, the same as in C.
func Hash(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}
