package parallel

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"trit/internal/topology"
)

// NUMA says where workers run on a machine whose memory has several nodes, each close to
// some of the processors.
type NUMA uint32

// The choices.
const (
	// NUMAAuto spreads workers over all nodes. Their threads stay there, and weights lie
	// in the memory of the node whose workers read them.
	NUMAAuto NUMA = iota
	NUMAOff       // leaves all of that to the system
	// NUMAIsolate takes one node, whose processors are enough for DefaultThreads.
	NUMAIsolate
)

// numaNames are the names of the choices, with those that other programs have for them.
// What numactl allows is all that there is in any case.
var numaNames = map[string]NUMA{
	"auto": NUMAAuto, "distribute": NUMAAuto, "numactl": NUMAAuto, "off": NUMAOff, "isolate": NUMAIsolate,
}

// String returns the name that ParseNUMA reads.
func (n NUMA) String() string {
	switch n {
	case NUMAAuto:
		return "auto"
	case NUMAOff:
		return "off"
	case NUMAIsolate:
		return "isolate"
	}
	return fmt.Sprintf("numa(%d)", uint32(n))
}

// ParseNUMA returns the choice of that name.
func ParseNUMA(name string) (NUMA, error) {
	n, ok := numaNames[strings.ToLower(name)]
	if !ok {
		return 0, fmt.Errorf("unknown way %q to use the nodes of memory; want auto, off, isolate, distribute or numactl", name)
	}
	return n, nil
}

var numa atomic.Uint32

// SetNUMA makes a choice for all teams that the process makes from now on.
func SetNUMA(n NUMA) { numa.Store(uint32(n)) }

// whole is the machine as it was before any thread was told where to run.
var whole = sync.OnceValue(func() topology.Machine {
	if runtime.GOOS != "linux" {
		return topology.Machine{}
	}
	return topology.Read(os.DirFS("/"))
})

// machine is what teams may use.
func machine() topology.Machine {
	if NUMA(numa.Load()) == NUMAIsolate {
		return whole().Isolate()
	}
	return whole()
}

// place returns where the workers of a team run, nil for wherever the system likes.
func place(size int) *topology.Place {
	m := machine()
	switch NUMA(numa.Load()) {
	case NUMAOff:
		return nil
	case NUMAIsolate:
		if len(m.CPUs) < len(whole().CPUs) {
			return m.Stay(size)
		}
	}
	return m.Place(size)
}

// DefaultThreads returns the team size to use when the user names none: the
// number of physical cores that this process may run on, because the second
// hardware thread of a core shares the vector units that the kernels saturate, without
// cores of less than half the speed of the fastest. Where the topology cannot be read, and
// where a control group has a smaller quota, it is the number of processors of which Go
// makes use.
func DefaultThreads() int {
	n := runtime.GOMAXPROCS(0)
	if cores := len(machine().Cores()); cores > 0 && cores < n {
		n = cores
	}
	return min(n, MaxThreads)
}

// Workers returns the size of a team for so many threads that the user asks for: 0
// means DefaultThreads, and more than can run at the same time only take turns, each
// waiting for the others at the end of every section.
func Workers(threads int) int {
	if threads == 0 {
		return DefaultThreads()
	}
	if threads > MaxThreads {
		return threads // which is a mistake
	}
	return min(threads, runtime.GOMAXPROCS(0))
}
