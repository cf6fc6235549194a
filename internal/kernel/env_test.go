package kernel

import (
	"errors"
	"strings"
	"testing"
)

func TestVariantFromEnv(t *testing.T) {
	for _, c := range []struct {
		trit, bitnet string
		want         Variant
		set, fails   bool
	}{
		{"", "", Auto, false, false},
		{"lut", "", LUT, true, false},
		{"", "basic", Basic, true, false},
		{"simd", "basic", SIMD, true, false},
		{"", "Blocked", Blocked, true, false},
		{"", "turbo", Auto, false, true},
		{"turbo", "lut", Auto, false, true},
	} {
		t.Setenv(VariantEnv, c.trit)
		t.Setenv(VariantEnvBitNet, c.bitnet)
		v, set, err := VariantFromEnv()
		if v != c.want || set != c.set || errors.Is(err, ErrVariant) != c.fails {
			t.Errorf("%+v: %v, %v, %v", c, v, set, err)
		}
		if err != nil && !strings.Contains(err.Error(), "KERNEL") {
			t.Errorf("%+v: the error %q does not name the variable", c, err)
		}
	}
}
