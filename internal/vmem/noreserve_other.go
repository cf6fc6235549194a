//go:build unix && !linux

package vmem

// noReserve is zero where untouched memory is not counted as used anyway.
const noReserve = 0
