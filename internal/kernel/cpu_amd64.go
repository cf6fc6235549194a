//go:build !noasm

package kernel

import "golang.org/x/sys/cpu"

func supported() []Level {
	levels := []Level{Generic}
	x := &cpu.X86
	if !x.HasSSSE3 || !x.HasSSE41 {
		return levels
	}
	levels = append(levels, SSE41)
	// F16C has no flag in x/sys/cpu; every AVX2 CPU has it (AVX2 came with
	// Haswell and Excavator, F16C with Ivy Bridge and Piledriver).
	if !x.HasAVX2 || !x.HasFMA {
		return levels
	}
	levels = append(levels, AVX2)
	if x.HasAVXVNNI {
		levels = append(levels, AVXVNNI)
	}
	if !(x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasAVX512VNNI) {
		return levels
	}
	levels = append(levels, AVX512)
	if !x.HasAVX512VBMI {
		return levels
	}
	levels = append(levels, AVX512VBMI)
	if x.HasAMXTile && x.HasAMXInt8 && x.HasAVX512GFNI && permitTiles() {
		levels = append(levels, AMX)
	}
	return levels
}

// kernelsOf returns the table of a supported level.
func kernelsOf(l Level) *kernels {
	switch l {
	case SSE41:
		return &sse41
	case AVX2:
		return &avx2
	case AVXVNNI:
		return &avxVNNI
	case AVX512:
		return &avx512
	case AVX512VBMI:
		return &avx512VBMI
	case AMX:
		return tiledKernels()
	}
	return &generic
}

// sse41 has kernels for what takes the time in generating and in prompts.
var sse41 = kernels{
	float:   &sse41Float,
	attend:  &sse41Attend,
	head:    &sse41Head,
	ternary: &sse41Ternary,
	grouped: &sse41Grouped,
	lines:   &sse41Lines,
	int8:    &sse41Int8,
	coarse:  &sse41Coarse,
	measure: &sse41Measure,
}

var avx2 = kernels{
	float:   &avx2Float,
	attend:  &avx2Attend,
	head:    &avx2Head,
	ternary: &avx2Ternary,
	grouped: &avx2Grouped,
	lines:   &avx2Lines,
	int8:    &avx2Int8,
	coarse:  &avx2Coarse,
	measure: &avx2Measure,
}

// avxVNNI differs where int8 numbers are multiplied.
var avxVNNI = kernels{
	float:   &avx2Float,
	attend:  &avx2Attend,
	head:    &avx2Head,
	ternary: &avxVNNITernary,
	grouped: &avxVNNIGrouped,
	lines:   &avx2Lines,
	int8:    &avx2Int8,
	coarse:  &avxVNNICoarse,
	measure: &avxVNNIMeasure,
}

var avx512 = kernels{
	float:   &avx512Float,
	attend:  &avx512Attend,
	head:    &avx512Head,
	ternary: &avx512Ternary,
	grouped: &avx512Grouped,
	lines:   &avx512Lines,
	int8:    &avx512Int8,
	coarse:  &avx512Coarse,
	measure: &avx512Measure,
}

// avx512VBMI differs where weights of layout T5 are decoded.
var avx512VBMI = kernels{
	float:   &avx512Float,
	attend:  &avx512Attend,
	head:    &avx512Head,
	ternary: &avx512VBMITernary,
	grouped: &avx512VBMIGrouped,
	lines:   &avx512VBMILines,
	int8:    &avx512Int8,
	coarse:  &avx512Coarse,
	measure: &avx512Measure,
}
