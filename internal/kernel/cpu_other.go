//go:build noasm || !(amd64 || arm64)

package kernel

func supported() []Level { return []Level{Generic} }

func kernelsOf(Level) *kernels { return &generic }
