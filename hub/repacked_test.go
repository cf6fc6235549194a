package hub

import (
	"os"
	"testing"

	"trit/internal/repacked"
	"trit/internal/ternary"
)

// The copy of a model's weights goes with the model, and with no other.
func TestRemoveRepacked(t *testing.T) {
	newStore(t)
	dir, err := Repacked()
	if err != nil {
		t.Fatal(err)
	}
	cache := &repacked.Cache{Dir: dir, Limit: 1 << 30}
	matrix, err := ternary.New(ternary.T2, 1024, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two"} {
		if _, err := Copy(t.Context(), Demo, name, false); err != nil {
			t.Fatal(err)
		}
		m, err := Resolve(name)
		if err != nil {
			t.Fatal(err)
		}
		tensors := []repacked.Tensor{{Name: "a", Matrices: []*ternary.Matrix{matrix}}}
		if err := cache.Write(t.Context(), m.Path, repacked.NewKey(), tensors); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"one", "two"} {
		r, err := Remove(name)
		if err != nil || r.Bytes < int64(len(demoFile(t)))+matrix.Bytes() {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if files, err := os.ReadDir(dir); len(files) != 1-i || err != nil {
			t.Errorf("after %s: %v, %v", name, files, err)
		}
	}
}
