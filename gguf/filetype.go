package gguf

// fileTypes are the values of general.file_type, by the type of the projections.
// 0 to 37 are llama.cpp's numbers, 38 to 40 those of bitnet.cpp, and those of the types
// with scales for groups of columns are llama.cpp's and Prism's.
var fileTypes = map[Type]uint32{
	TypeF32: 0, TypeF16: 1, TypeQ8_0: 7, TypeBF16: 32,
	TypeTQ1_0: 36, TypeTQ2_0: 37, TypeTL1: 38, TypeTL2: 39, TypeI2S: 40,
	TypeQ1_0: 40, TypeQ2_0: 41, TypePQ2_0: 142, TypePTQ1_0: 143,
}

// FileType returns the value of general.file_type for a model whose projections
// have the type t. It is known for the types that ternary models are stored in:
// F32, F16, BF16, Q8_0, TQ1_0, TQ2_0, TL1, TL2, I2_S, Q1_0, Q2_0, PQ2_0 and PTQ1_0.
func (t Type) FileType() (id uint32, ok bool) {
	id, ok = fileTypes[t]
	return id, ok
}
