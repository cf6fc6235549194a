package validate

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"
)

func TestCompareLogits(t *testing.T) {
	want := []float32{3, 4, 0, 1, 0, 0, 0, 2, 0}
	got := []float32{3, 4, 0, 0, 1, 0, 0, 2, 0.5}
	r, err := CompareLogits([]int32{7, 8, 9}, got, want, 3)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range []float64{0, math.Sqrt2, 0.25} {
		if math.Abs(float64(r.Tokens[i].Distance)-d) > 1e-12 {
			t.Errorf("token %d: distance %v, want %v", i, r.Tokens[i].Distance, d)
		}
	}
	if r.Median != 0.25 || r.Max != math.Sqrt2 || math.Abs(r.ArgMaxAgreement-2.0/3) > 1e-12 {
		t.Errorf("median %v, max %v, agreement %v", r.Median, r.Max, r.ArgMaxAgreement)
	}
	if r.Tokens[1].Got != 1 || r.Tokens[1].Want != 0 || r.Tokens[2].Token != 9 {
		t.Errorf("tokens: %+v", r.Tokens)
	}
}

func TestCompareLogitsNotANumber(t *testing.T) {
	r, err := CompareLogits([]int32{1}, []float32{float32(math.NaN()), 1}, []float32{1, 1}, 2)
	if err != nil || !math.IsInf(float64(r.Max), 1) {
		t.Errorf("distance %v, error %v; want +Inf", r.Max, err)
	}
	// A reference of zeros is met only by zeros.
	r, err = CompareLogits([]int32{1}, []float32{0, 1}, []float32{0, 0}, 2)
	if err != nil || !math.IsInf(float64(r.Max), 1) {
		t.Errorf("distance %v, error %v; want +Inf", r.Max, err)
	}
}

func TestCompareVectors(t *testing.T) {
	got := [][]float32{{1, 0}, {0, 2}, {float32(math.NaN()), 1}}
	r, err := CompareVectors([]int{3, 1, 2}, got, []float32{1, 0, 0, 1, 1, 0})
	if err != nil {
		t.Fatal(err)
	}
	if v := r.Vectors; len(v) != 3 || v[0] != (VectorDistance{3, 0}) || v[1] != (VectorDistance{1, 1}) || !math.IsInf(float64(v[2].Distance), 1) ||
		r.Median != 1 || !math.IsInf(float64(r.Max), 1) {
		t.Errorf("%+v", r)
	}
	for _, want := range [][]float32{nil, {1, 2, 3}} {
		if _, err := CompareVectors([]int{1}, got[:1], want); !errors.Is(err, ErrReference) {
			t.Errorf("a reference of %d values: %v", len(want), err)
		}
	}
}

func TestBadReference(t *testing.T) {
	if _, err := CompareLogits([]int32{1}, make([]float32, 3), make([]float32, 2), 2); !errors.Is(err, ErrReference) {
		t.Errorf("wrong shape: %v", err)
	}
	path := filepath.Join(t.TempDir(), "logits.f32")
	if _, err := ReadRows(path, 1, 2); !errors.Is(err, ErrReference) {
		t.Errorf("missing file: %v", err)
	}
	if err := os.WriteFile(path, make([]byte, 9), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRows(path, 1, 2); !errors.Is(err, ErrReference) {
		t.Errorf("wrong size: %v", err)
	}
	if err := os.WriteFile(path, []byte{0, 0, 128, 63, 0, 0, 0, 192}, 0o600); err != nil {
		t.Fatal(err)
	}
	if v, err := ReadRows(path, 1, 2); err != nil || v[0] != 1 || v[1] != -2 {
		t.Errorf("read %v, %v; want [1 -2]", v, err)
	}
}
