//go:build unix && !linux

package vmem

import "golang.org/x/sys/unix"

// noReserve is zero where untouched memory is not counted as used anyway.
const noReserve = 0

// discard lets the system take memory when it needs some.
const discard = unix.MADV_FREE

// advise does nothing: these systems choose the size of pages themselves.
func advise([]byte) {}
