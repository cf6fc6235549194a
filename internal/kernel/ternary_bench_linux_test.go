package kernel

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// pinThread keeps the calling goroutine on one CPU, so that the scheduler cannot
// put two busy workers on the same one.
func pinThread(cpu int) {
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(cpu % runtime.NumCPU())
	// A refusal only costs precision.
	_ = unix.SchedSetaffinity(0, &set)
}
