//go:build !noasm && !linux

package kernel

// permitTiles says no: only Linux has been tried; other systems have ways of their own to
// ask for the tiles of matrix units.
func permitTiles() bool { return false }

func tiledKernels() *kernels { return &generic }
