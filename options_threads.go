package trit

import "trit/internal/parallel"

// Threads sets the number of worker threads; 0 means one per physical core. There are
// never more than the process has processors: these would take turns.
func Threads(n int) Option { return func(o *openOptions) { o.engine.Threads = o.count("threads", n) } }

// NUMAMode says where workers and weights are on a machine whose memory has several nodes.
type NUMAMode = parallel.NUMA

// The values of NUMAMode: on all nodes, with threads that stay on theirs and weights in the
// memory of those that read them; wherever the system puts them; on one node.
const (
	NUMAAuto    = parallel.NUMAAuto
	NUMAOff     = parallel.NUMAOff
	NUMAIsolate = parallel.NUMAIsolate
)

// NUMA is for all models that the process opens from then on, until it is given again.
// Machines with one node, and systems other than Linux, do not heed it.
func NUMA(n NUMAMode) Option {
	return func(o *openOptions) { o.numa = new(known(o, "numa", n, parallel.ParseNUMA)) }
}

// placeThreads decides how many threads there are, and where, once all options are known.
func (o *openOptions) placeThreads() {
	if o.numa != nil && o.err == nil {
		parallel.SetNUMA(*o.numa)
	}
	o.engine.Threads = parallel.Workers(o.engine.Threads)
}
