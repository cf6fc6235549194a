//go:build noasm || !(linux && amd64)

package kernel

// illegal says that instructions of a level are not there, "" that they are or that
// nobody can tell.
func illegal(Level) string { return "" }
