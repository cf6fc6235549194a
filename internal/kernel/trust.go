package kernel

import (
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
)

// A CPU may promise more than it keeps: hypervisors pass on flags of instructions that
// they, or the machine that a guest has been moved to, do not have, and chips have
// errors. So the kernels of a level have to prove themselves before the first is used:
// the instructions must exist, and on a little data of all kinds the kernels must return
// what their twins do. A level that fails gives way to the next lower one.

// Dropped is a level that this CPU says it has but that cannot be used.
type Dropped struct {
	Level  Level
	Reason string
}

// String says what was dropped, and why.
func (d Dropped) String() string {
	return fmt.Sprintf("the kernels for %v are not used: %s", d.Level, d.Reason)
}

// trust is what has been found out.
var trust struct {
	once    sync.Once
	dropped []Dropped
}

// prove makes sure that the level in use can be trusted, or takes a lower one.
func prove() { trust.once.Do(func() { level, trust.dropped = trusted(level, supported(), fault) }) }

// trusted returns the highest of the levels up to l that has no fault. The twins need no
// check.
func trusted(l Level, have []Level, fault func(Level) string) (Level, []Dropped) {
	var dropped []Dropped
	for i := slices.Index(have, l); i > 0; i-- {
		reason := fault(have[i])
		if reason == "" {
			return have[i], dropped
		}
		dropped = append(dropped, Dropped{have[i], reason})
		active = kernelsOf(have[i-1])
	}
	return Generic, dropped
}

// fault says what is wrong with a level, "" if nothing is: the kernels run only if their
// instructions are there.
func fault(l Level) string {
	if reason := illegal(l); reason != "" {
		return reason
	}
	return differing(kernelsOf(l))
}

// differing says for which of the trials a table returns other bits than the twins, ""
// for none.
func differing(k *kernels) string {
	for i := range trials {
		if t := &trials[i]; t.try(k) != t.try(&generic) {
			return "wrong results of " + t.name
		}
	}
	return ""
}

// try returns a digest of what a trial computes with a table, 0 if it fails.
func (t *trial) try(k *kernels) (sum uint64) {
	old := active
	active = k
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		active = old
		if recover() != nil {
			sum = 0
		}
	}()
	d := digest{sum: 1}
	t.run(&d)
	return d.sum
}
