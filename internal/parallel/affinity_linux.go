package parallel

import "golang.org/x/sys/unix"

// setAffinity lets the calling thread run on these processors only. Where the system
// refuses that, it runs where it did.
func setAffinity(cpus []int) (restore func()) {
	var before, mask unix.CPUSet
	for _, cpu := range cpus {
		mask.Set(cpu)
	}
	if unix.SchedGetaffinity(0, &before) != nil || unix.SchedSetaffinity(0, &mask) != nil {
		return func() {}
	}
	return func() { _ = unix.SchedSetaffinity(0, &before) } // it was allowed before
}
