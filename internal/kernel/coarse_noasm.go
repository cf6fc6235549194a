//go:build noasm || !(amd64 || arm64)

package kernel

func coarseLevel(Level) *coarseKernels { return &genericCoarse }
