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
		if cpu.ARM64.HasI8MM {
			levels = append(levels, NEONI8MM)
		}
	}
	return levels
}

// kernelsOf returns the table of a supported level.
func kernelsOf(l Level) *kernels {
	switch l {
	case NEON:
		return &neon
	case NEONDot:
		return &neonDot
	case NEONI8MM:
		return &neonI8MM
	}
	return &generic
}

var neon = kernels{
	float:   &neonFloat,
	attend:  &neonAttend,
	head:    &neonHead,
	ternary: &neonTernary,
	grouped: &neonGrouped,
	lines:   &neonLines,
	int8:    &neonInt8,
	coarse:  &genericCoarse, // int8 products pay off with the dot product only
	measure: &neonMeasure,
}

// neonDot differs where int8 numbers are multiplied.
var neonDot = kernels{
	float:   &neonFloat,
	attend:  &neonAttend,
	head:    &neonHead,
	ternary: &neonDotTernary,
	grouped: &neonDotGrouped,
	lines:   &neonDotLines,
	int8:    &neonInt8,
	coarse:  &neonDotCoarse,
	measure: &neonDotMeasure,
}

// neonI8MM differs where many rows of activations are multiplied.
var neonI8MM = kernels{
	float:   &neonFloat,
	attend:  &neonAttend,
	head:    &neonHead,
	ternary: &neonI8MMTernary,
	grouped: &neonI8MMGrouped,
	lines:   &neonDotLines,
	int8:    &neonInt8,
	coarse:  &neonDotCoarse,
	measure: &neonI8MMMeasure,
}
