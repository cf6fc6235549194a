//go:build race

// Package race tells tests whether the race detector is on, which changes what
// can be counted: it makes sync.Pool forget on purpose.
package race

// Enabled reports whether the race detector is on.
const Enabled = true
