package convert

import (
	"fmt"
	"runtime"

	"trit/internal/parallel"
)

// partElems is about how many elements a worker takes at a time. It does not depend
// on the number of workers, because errors are summed part by part and reports must
// not depend on it either.
const partElems = 1 << 16

// team shares the work on a piece of a tensor among workers. The zero value is the
// caller alone.
type team struct{ workers *parallel.Team }

// newTeam returns a team of the given size, or of one worker per CPU for 0.
func newTeam(threads int) (team, error) {
	if threads < 0 || threads > parallel.MaxThreads {
		return team{}, fmt.Errorf("%w: %d threads, want 0 to %d", ErrOptions, threads, parallel.MaxThreads)
	}
	if threads == 0 {
		threads = min(runtime.GOMAXPROCS(0), parallel.MaxThreads)
	}
	if threads == 1 {
		return team{}, nil
	}
	workers, err := parallel.NewTeam(threads)
	if err != nil {
		return team{}, fmt.Errorf("convert: %w", err)
	}
	return team{workers}, nil
}

// close ends the workers.
func (t team) close() {
	if t.workers != nil {
		t.workers.Close()
	}
}

// parts returns how many parts split makes of n elements.
func parts(n, unit int) int {
	size := partSize(unit)
	return (n + size - 1) / size
}

func partSize(unit int) int { return max(1, partElems/unit) * unit }

// split cuts n elements into parts of a multiple of unit elements and calls do for
// each of them: for elements lo to hi, on several workers at once. The error is
// that of the first part that has one, in the order of the elements.
func (t team) split(n, unit int, do func(part, lo, hi int) error) error {
	s := section{elems: n, size: partSize(unit), do: do}
	count := parts(n, unit)
	if count <= 1 || t.workers == nil {
		for part := range count {
			if err := s.run(part); err != nil {
				return err
			}
		}
		return nil
	}
	s.errs = make([]error, count)
	t.workers.Run(&s, count)
	for _, err := range s.errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// section is what split has a team do.
type section struct {
	elems, size int
	do          func(part, lo, hi int) error
	errs        []error // by part
}

// Do implements parallel.Task.
func (s *section) Do(_, part int) { s.errs[part] = s.run(part) }

func (s *section) run(part int) error {
	return s.do(part, part*s.size, min(s.elems, (part+1)*s.size))
}
