//go:build !linux

package kernel

import "testing"

// guardedBytes has no guard outside Linux.
func guardedBytes(tb testing.TB, size int) []byte { return make([]byte, size) }
