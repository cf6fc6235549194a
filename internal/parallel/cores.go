package parallel

import "runtime"

// DefaultThreads returns the team size to use when the user names none: the
// number of physical cores that this process may run on, because the second
// hardware thread of a core shares the vector units that the kernels saturate.
// Where the topology cannot be read it is the number of processors.
func DefaultThreads() int {
	n := runtime.GOMAXPROCS(0)
	if cores := physicalCores(); cores > 0 && cores < n {
		n = cores
	}
	return min(n, MaxThreads)
}
