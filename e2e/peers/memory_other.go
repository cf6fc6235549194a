//go:build !unix

package main

import "os"

// maxResident returns 0: the system does not tell.
func maxResident(*os.ProcessState) float64 { return 0 }
