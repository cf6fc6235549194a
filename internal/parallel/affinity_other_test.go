//go:build !linux

package parallel

func affinity() []int { return nil }
