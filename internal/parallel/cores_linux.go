package parallel

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// physicalCores counts the distinct sets of sibling threads among the
// processors in the affinity mask, or returns 0 when they cannot be read.
func physicalCores() int {
	var mask unix.CPUSet
	if err := unix.SchedGetaffinity(0, &mask); err != nil {
		return 0
	}
	siblings := map[string]bool{}
	left := mask.Count()
	for cpu := 0; left > 0 && cpu < len(mask)*64; cpu++ {
		if !mask.IsSet(cpu) {
			continue
		}
		left--
		list, err := os.ReadFile(fmt.Sprintf("/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu))
		if err != nil {
			return 0
		}
		siblings[strings.TrimSpace(string(list))] = true
	}
	return len(siblings)
}
