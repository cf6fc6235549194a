package kernel_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"trit/gguf"
	"trit/internal/kernel"
	"trit/quant"
)

// TestDecodeRowMatchesQuant: the embedding of a token is what package quant
// decodes, bit for bit.
func TestDecodeRowMatchesQuant(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, typ := range []gguf.Type{gguf.TypeF32, gguf.TypeF16, gguf.TypeBF16, gguf.TypeQ8_0, gguf.TypeQ6_K, gguf.TypeQ4_0, gguf.TypeQ4_K, gguf.TypeQ5_K} {
		const cols = 1280
		size, err := quant.RowBytes(typ, cols)
		if err != nil {
			t.Fatal(err)
		}
		row := make([]byte, size)
		for range 50 {
			for i := range row {
				row[i] = byte(r.Uint32())
			}
			got, want := make([]float32, cols), make([]float32, cols)
			kernel.DecodeRow(got, row, typ)
			if err := quant.Decode(typ, want, row); err != nil {
				t.Fatal(err)
			}
			for i := range got {
				if math.Float32bits(got[i]) != math.Float32bits(want[i]) && (got[i] == got[i] || want[i] == want[i]) {
					t.Fatalf("%s element %d is %g, quant decodes %g", typ, i, got[i], want[i])
				}
			}
		}
	}
}
