// SPDX-License-Identifier: MIT

// The Go peer of idle.c, which says what is measured.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"weftbench/bench"
)

const routines, settleSeconds, sampleSeconds = 10000, 1, 3

var gate = make(chan int32)
var starting sync.WaitGroup

func init() { runtime.LockOSThread() } // main samples from the main thread, as in C

func waitAtGate() {
	starting.Done()
	<-gate
}

// sleepThread sleeps in the kernel, so that the runtime's own timers are not used.
func sleepThread(seconds int) {
	until := time.Now().Add(time.Duration(seconds) * time.Second)
	for left := time.Until(until); left > 0; left = time.Until(until) {
		wait := syscall.NsecToTimespec(left.Nanoseconds())
		syscall.Nanosleep(&wait, nil)
	}
}

func switchesOf(thread string) int {
	text, _ := os.ReadFile("/proc/self/task/" + thread + "/status")
	sum, n := 0, 0
	for _, line := range strings.Split(string(text), "\n") {
		if name, value, _ := strings.Cut(line, ":"); strings.HasSuffix(name, "voluntary_ctxt_switches") {
			fmt.Sscan(value, &n)
			sum += n
		}
	}
	return sum
}

func switchesOfOthers() int {
	sum := 0
	tasks, err := os.ReadDir("/proc/self/task")
	bench.Require(err == nil, "/proc/self/task")
	for _, task := range tasks {
		if task.Name() != strconv.Itoa(os.Getpid()) { // main's thread id is the process id
			sum += switchesOf(task.Name())
		}
	}
	return sum
}

func main() {
	bench.Init()
	starting.Add(routines)
	for i := 0; i < routines; i++ {
		go waitAtGate()
	}
	starting.Wait()
	sleepThread(settleSeconds)
	for round := 0; round < bench.Rounds; round++ {
		before := switchesOfOthers()
		sleepThread(sampleSeconds)
		bench.Print("wakeups", float64(switchesOfOthers()-before)/sampleSeconds, "1/s")
	}
	close(gate)
}
