package main

import (
	"path/filepath"
	"slices"
	"strings"
)

// isModelName reports whether what is to be saved is a model: what looks like the path of a file is none.
func isModelName(name string) bool {
	return name != "" && !strings.ContainsAny(name, `/\`) && !slices.Contains([]string{".json", ".txt"}, filepath.Ext(name))
}
