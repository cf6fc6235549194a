//go:build noasm || !(amd64 || arm64)

package kernel

func floatLevel(Level) *floatKernels { return &genericFloat }
