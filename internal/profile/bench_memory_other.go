//go:build !linux

package profile

import "runtime/metrics"

// memorySource says what anonymousMemory returns.
const memorySource = "memory that the Go runtime has from the system; this system does not tell a process's anonymous memory"

// anonymousMemory returns the memory that the Go runtime holds, in bytes.
func anonymousMemory() (int64, error) {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64() - s[1].Value.Uint64()), nil
}

// largestCache returns the bytes of the largest cache; 0 says that it is unknown.
func largestCache() int64 { return 0 }
