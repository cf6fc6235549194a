package convert

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// partElems is about how many elements one goroutine takes at a time. It does not
// depend on the number of goroutines, because errors are summed part by part and
// reports must not depend on it either.
const partElems = 1 << 16

// maxThreads bounds what a caller may ask for.
const maxThreads = 1024

// team is a number of goroutines that share the work on a piece of a tensor. The
// zero value is one goroutine.
type team int

// newTeam returns a team of the given size, or of one goroutine per CPU for 0.
func newTeam(threads int) (team, error) {
	if threads < 0 || threads > maxThreads {
		return 0, fmt.Errorf("%w: %d threads, want 0 to %d", ErrOptions, threads, maxThreads)
	}
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	return team(threads), nil
}

// parts returns how many parts split makes of n elements.
func parts(n, unit int) int {
	size := partSize(unit)
	return (n + size - 1) / size
}

func partSize(unit int) int { return max(1, partElems/unit) * unit }

// split cuts n elements into parts of a multiple of unit elements and calls do for
// each of them: for elements lo to hi, on several goroutines at once. The error is
// that of the first part that has one, in the order of the elements.
func (t team) split(n, unit int, do func(part, lo, hi int) error) error {
	size, count := partSize(unit), parts(n, unit)
	if count <= 1 || t <= 1 {
		for part := range count {
			if err := do(part, part*size, min(n, (part+1)*size)); err != nil {
				return err
			}
		}
		return nil
	}
	errs := make([]error, count)
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(int(t), count) {
		group.Go(func() {
			for {
				part := int(next.Add(1)) - 1
				if part >= count {
					return
				}
				errs[part] = do(part, part*size, min(n, (part+1)*size))
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
