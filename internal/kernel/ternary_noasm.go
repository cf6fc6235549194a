//go:build noasm || !(amd64 || arm64)

package kernel

func simdKernels(Level) simd { return simdGeneric }
