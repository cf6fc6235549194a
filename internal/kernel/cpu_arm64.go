//go:build !noasm

package kernel

import (
	"runtime"

	"golang.org/x/sys/cpu"
)

func supported() []Level {
	levels := []Level{Generic, NEON}
	// Every Apple arm64 CPU that Go runs on has the dot product; x/sys/cpu
	// cannot read it from user space there.
	if cpu.ARM64.HasASIMDDP || runtime.GOOS == "darwin" {
		levels = append(levels, NEONDot)
	}
	return levels
}
