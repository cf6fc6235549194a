package trit

import (
	"context"
	"fmt"
	"time"

	"trit/internal/atomicfile"
	"trit/internal/repacked"
)

// RepackedCache names a folder for copies of weights as they lie in memory. Reading one
// takes a fraction of the time of repacking the weights of a large model. It is written
// beside what else is going on after the first Open, and holds for the file as it is: of a
// given size and time, with a given header. Close ends that, unless it would take less
// than a second more. All copies together have at most limit bytes; those used longest ago
// go first. What keeps a copy from being read or written is told to warn, which may be
// nil; the weights are repacked then.
func RepackedCache(dir string, limit int64, warn func(error)) Option {
	return func(o *openOptions) {
		if dir == "" || limit < 0 {
			o.fail("repacked_cache", "the folder is %q, the limit %d bytes", dir, limit)
			return
		}
		o.load.Repacked = &repacked.Cache{Dir: dir, Limit: limit, Least: repacked.Least, Free: atomicfile.FreeSpace, Patience: time.Second}
		o.load.Warn = warn
	}
}

// keepRepacked writes the repacked weights to the disk, if the options say so, while the
// model works. Close ends it.
func (m *Model) keepRepacked(warn func(error)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := m.model.KeepRepacked(ctx)
		if err != nil && ctx.Err() == nil && warn != nil {
			warn(fmt.Errorf("repacked weights: %w", err))
		}
	}()
	m.stopKeeping = func() {
		cancel()
		<-done
	}
}
