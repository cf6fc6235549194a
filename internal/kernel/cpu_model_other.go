//go:build !darwin && (noasm || !amd64)

package kernel

// cpuBrand returns "": there is no portable way to ask the processor.
func cpuBrand() string { return "" }
