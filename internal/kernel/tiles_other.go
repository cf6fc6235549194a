//go:build noasm || !amd64 || !linux

package kernel

// withTiles says whether the program has kernels that multiply tiles: only Linux has
// been tried; other systems have ways of their own to ask for them.
const withTiles = false

func permitTiles() bool { return false }

func tiledKernels() *kernels { return &generic }
