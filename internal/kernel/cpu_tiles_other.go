//go:build !noasm && amd64 && !linux

package kernel

// permitTiles reports whether tiles may be used: other systems than Linux have ways of
// their own to ask for them, which have not been tried.
func permitTiles() bool { return false }
