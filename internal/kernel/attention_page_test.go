package kernel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestStoreF16Twins compares the stores with their twins on all kinds of data,
// NaN bits included, and checks that nothing else is written.
func TestStoreF16Twins(t *testing.T) {
	forEachLevel(t, attendPart, func(t *testing.T, k *kernels) {
		for kind, data := range floatData {
			r := rand.New(rand.NewPCG(21, 22))
			for d := range MaxHeadDim + 1 {
				src := make([]float32, d)
				fill(src, r, data)
				var stores [2][2][]uint16
				for i, table := range []*kernels{&generic, k} {
					for j, store := range []func([]uint16, []float32){table.attend.rowF16, table.attend.laneF16} {
						dst := make([]uint16, PageTokens*(d+1))
						store(dst, src)
						stores[i][j] = dst
					}
				}
				for j := range stores[0] {
					if !slices.Equal(stores[0][j], stores[1][j]) {
						t.Fatalf("%s data, %d elements: store %d differs from its twin", kind, d, j)
					}
				}
			}
		}
	})
}

func TestKVType(t *testing.T) {
	for typ, want := range map[KVType]string{KVF32: "f32 12800", KVF16: "f16 6400", KVI8: "int8 3200", KVQ4: "q4 2304"} {
		if got := fmt.Sprint(typ, " ", typ.PageBytes(100)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got, err := ParseKVType(typ.String()); got != typ || err != nil {
			t.Errorf("%v is read as %v, %v", typ, got, err)
		}
	}
}
