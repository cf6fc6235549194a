//go:build nommap || !(linux || darwin || freebsd || netbsd || openbsd || dragonfly || windows)

package mmap

import "os"

// mapFile sends Open to the path that reads the file into memory.
func mapFile(*os.File, int) ([]byte, error) { return nil, errCannotMap }

func unmapFile([]byte) error { return nil }

func adviseDontNeed([]byte) error { return nil }

func adviseWillNeed([]byte) error { return nil }
