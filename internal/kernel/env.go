package kernel

import (
	"fmt"
	"os"
)

// The environment variables of this package. CPUEnv limits the instruction sets in
// use, so that one machine can run and test every path; it is read when the program
// starts. The others name the variant of the ternary products; the second is the one
// of BitNet-Oxidized.
const (
	CPUEnv           = "TRIT_CPU"
	VariantEnv       = "TRIT_KERNEL"
	VariantEnvBitNet = "BITNET_KERNEL_OVERRIDE"
)

// levelFromEnv returns the name of the level to use, "" for the best.
func levelFromEnv() string { return os.Getenv(CPUEnv) }

// VariantFromEnv returns the variant that TRIT_KERNEL or, when that is unset,
// BITNET_KERNEL_OVERRIDE names, and whether either is set. The error is ErrVariant
// with the variable's name.
func VariantFromEnv() (Variant, bool, error) {
	for _, name := range []string{VariantEnv, VariantEnvBitNet} {
		value := os.Getenv(name)
		if value == "" {
			continue
		}
		v, err := ParseVariant(value)
		if err != nil {
			return Auto, false, fmt.Errorf("environment variable %s: %w", name, err)
		}
		return v, true, nil
	}
	return Auto, false, nil
}
