//go:build !linux

package parallel

// physicalCores reports that the topology is unknown.
func physicalCores() int { return 0 }
