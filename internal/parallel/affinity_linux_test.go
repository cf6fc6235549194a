package parallel

import "golang.org/x/sys/unix"

// affinity returns the processors that the calling thread may run on.
func affinity() (cpus []int) {
	var mask unix.CPUSet
	if unix.SchedGetaffinity(0, &mask) != nil {
		return nil
	}
	for cpu := range len(mask) * 64 {
		if mask.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}
