package quant

import (
	"bytes"
	"slices"
	"testing"

	"trit/gguf"
	"trit/internal/fixtures"
)

// TestGoldenModels reads the same model in three storage types. The TQ1_0 and
// TQ2_0 files hold identical trits and scales; the I2_S file holds the same
// trits, and its scale is theirs before rounding to binary16.
func TestGoldenModels(t *testing.T) {
	for _, model := range []string{"a", "b"} {
		open := func(ext string) *gguf.File {
			f, err := gguf.Open(fixtures.Path(t, "golden", model+"."+ext+".gguf"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			})
			return f
		}
		i2s, tq1, tq2 := open("i2_s"), open("tq1_0"), open("tq2_0")
		compared := 0
		for _, tensor := range i2s.Tensors {
			if tensor.Type != gguf.TypeI2S {
				continue
			}
			compared++
			want, wantScale := readAll(t, i2s, tensor.Name)
			got1, scales1 := readAll(t, tq1, tensor.Name)
			got2, scales2 := readAll(t, tq2, tensor.Name)
			if !bytes.Equal(got1, want) || !bytes.Equal(got2, want) {
				t.Errorf("%s %s: trits differ: TQ1_0 equal: %v, TQ2_0 equal: %v", model, tensor.Name, bytes.Equal(got1, want), bytes.Equal(got2, want))
			}
			if !slices.Equal(scales1, scales2) {
				t.Errorf("%s %s: scales %v and %v", model, tensor.Name, scales1, scales2)
			}
			var d scale16
			if err := d.set(wantScale[0]); err != nil || !slices.Equal(scales1, []float32{d.float32()}) {
				t.Errorf("%s %s: TQ scales %v, I2_S %v (%v)", model, tensor.Name, scales1, wantScale, err)
			}
		}
		if compared == 0 {
			t.Errorf("%s: no I2_S tensors", model)
		}
		t.Logf("%s: %d tensors agree", model, compared)
	}
}

// readAll returns the codes of a whole tensor and its scales.
func readAll(t *testing.T, f *gguf.File, name string) ([]byte, []float32) {
	t.Helper()
	tensor, ok := f.Tensor(name)
	if !ok {
		t.Fatalf("%s has no tensor %s", f.Path, name)
	}
	data, err := tensor.Data()
	if err != nil {
		t.Fatal(err)
	}
	rows, cols := int(tensor.Rows()), int(tensor.Cols())
	v, err := NewTernary(tensor.Type, LayoutA, data, rows, cols)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	codes := make([]byte, rows*cols)
	for r := range rows {
		if err := v.Codes(codes[r*cols:(r+1)*cols], r); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	scales, _ := v.Scales()
	return codes, scales
}
