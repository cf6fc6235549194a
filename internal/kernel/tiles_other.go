//go:build noasm || !(amd64 || arm64)

package kernel

// withTiles says whether the program has kernels that multiply tiles.
const withTiles = false
