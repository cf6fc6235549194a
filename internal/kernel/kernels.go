package kernel

// kernels are the inner loops of one level, by family. Levels share the families
// in which they do not differ. The functions that the package exports check their
// operands and call these.
type kernels struct {
	float   *floatKernels
	attend  *attendKernels
	head    *headKernels
	ternary *ternaryKernels // of the variant SIMD
	grouped *groupedKernels // of the variant SIMD
	lines   *lineKernels
	int8    *int8Kernels
	coarse  *coarseKernels
	measure *measureKernels
}

// generic are the twins, which define what the others compute.
var generic = kernels{
	float:   &genericFloat,
	attend:  &genericAttend,
	head:    &genericHead,
	ternary: &blockedTernary,
	grouped: &genericGrouped,
	lines:   &genericLines,
	int8:    &genericInt8,
	coarse:  &genericCoarse,
	measure: &genericMeasure,
}

// level is the level in use, levelErr why it is not the one that TRIT_CPU names.
var level, levelErr = chooseLevel(levelFromEnv(), supported())

// active is the table in use. Only tests change it.
var active = kernelsOf(level)
