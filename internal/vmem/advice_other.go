//go:build unix && !linux

package vmem

// noReserve is zero where untouched memory is not counted as used anyway.
const noReserve = 0

// advise does nothing: these systems choose the size of pages themselves.
func advise([]byte) {}
