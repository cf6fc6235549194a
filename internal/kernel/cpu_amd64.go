//go:build !noasm

package kernel

import "golang.org/x/sys/cpu"

func supported() []Level {
	levels := []Level{Generic}
	x := &cpu.X86
	// F16C has no flag in x/sys/cpu; every AVX2 CPU has it (AVX2 came with
	// Haswell and Excavator, F16C with Ivy Bridge and Piledriver).
	if !x.HasAVX2 || !x.HasFMA {
		return levels
	}
	levels = append(levels, AVX2)
	if !(x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasAVX512VNNI) {
		return levels
	}
	levels = append(levels, AVX512)
	if x.HasAVX512VBMI {
		levels = append(levels, AVX512VBMI)
	}
	return levels
}
