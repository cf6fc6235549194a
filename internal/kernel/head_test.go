package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"trit/gguf"
	"trit/internal/half"
)

var headTypes = []gguf.Type{gguf.TypeF32, gguf.TypeF16, gguf.TypeBF16, gguf.TypeQ8_0, gguf.TypeQ6_K, gguf.TypeQ4_0, gguf.TypeQ4_K, gguf.TypeQ5_K}

// randomRows fills rows with data of a type: random codes, finite scales. With
// extreme set, the float types hold every bit pattern.
func randomRows(rows []byte, typ gguf.Type, r *rand.Rand, extreme bool) {
	for i := range rows {
		rows[i] = byte(r.Uint32())
	}
	f := &genericHead.formats[headIndex(typ)]
	for block := rows; len(block) > 0; block = block[f.bytes:] {
		scale := block
		switch typ {
		case gguf.TypeF32:
			if !extreme {
				binary.LittleEndian.PutUint32(block, math.Float32bits(float32(r.NormFloat64())))
			}
			continue
		case gguf.TypeBF16:
			if !extreme {
				binary.LittleEndian.PutUint16(block, half.F32ToBF16(float32(r.NormFloat64())))
			}
			continue
		case gguf.TypeQ6_K:
			scale = block[208:]
		case gguf.TypeQ4_K, gguf.TypeQ5_K:
			if !extreme {
				binary.LittleEndian.PutUint16(block[2:], half.F32ToF16(float32(r.NormFloat64())))
			}
		}
		if !extreme {
			binary.LittleEndian.PutUint16(scale, half.F32ToF16(float32(r.NormFloat64())))
		}
	}
}

// TestHeadTwins compares HeadRows and DecodeRow with the twins for every type,
// column count, and number of rows and tokens; the rows lie at odd addresses at
// the end of readable memory.
func TestHeadTwins(t *testing.T) {
	const maxRows, maxTokens = 9, 9
	area := guardedBytes(t, maxRows*4*longest+maxRows*2*1024)
	inputs := guardedFloats(t, maxTokens*longest)
	forEachLevel(t, headPart, func(t *testing.T, k *kernels) {
		r := rand.New(rand.NewPCG(13, 14))
		for _, typ := range headTypes {
			f := genericHead.formats[headIndex(typ)]
			for cols := 0; cols <= longest; cols += f.elems {
				nRows, nTok := r.IntN(maxRows+1), 1+r.IntN(maxTokens)
				if cols%3 == 0 {
					nTok = 1
				}
				extreme := cols%4 == 1
				rowBytes := cols / f.elems * f.bytes
				rows := area[len(area)-nRows*rowBytes:]
				randomRows(rows, typ, r, extreme)
				x := inputs(nTok * cols)
				fill(x, r, floatData["normal"])
				compareHead(t, k, rows, typ, nRows, cols, x, nTok)

				// The same at another alignment.
				shifted := area[len(area)-1-nRows*rowBytes : len(area)-1]
				copy(shifted, rows)
				compareHead(t, k, shifted, typ, nRows, cols, x, nTok)
			}
		}
	})
}

func compareHead(t *testing.T, k *kernels, rows []byte, typ gguf.Type, nRows, cols int, x []float32, nTok int) {
	t.Helper()
	const yStride = 11
	run := func(k *kernels) (y, decoded []float32) {
		old := active
		active = k
		defer func() { active = old }()
		y, decoded = make([]float32, nTok*yStride), make([]float32, nRows*cols)
		for i := range y {
			y[i] = -777
		}
		HeadRows(y, yStride, rows, typ, nRows, cols, x, cols, nTok, make([]float32, HeadScratch(cols)))
		for i := range nRows {
			rowBytes := len(rows) / nRows
			DecodeRow(decoded[i*cols:(i+1)*cols], rows[i*rowBytes:], typ)
		}
		return y, decoded
	}
	want, wantDecoded := run(&generic)
	got, gotDecoded := run(k)
	if i := firstDifference(gotDecoded, wantDecoded); i >= 0 {
		t.Fatalf("%s cols=%d: element %d of row %d decodes to %g, the twin's %g",
			typ, cols, i%cols, i/cols, gotDecoded[i], wantDecoded[i])
	}
	if i := firstDifference(got, want); i >= 0 {
		t.Fatalf("%s cols=%d rows=%d tokens=%d: token %d row %d is %g, the twin's %g",
			typ, cols, nRows, nTok, i/yStride, i%yStride, got[i], want[i])
	}
	for tok := range nTok {
		for row := range nRows {
			dot := dotGeneric(wantDecoded[row*cols:(row+1)*cols], x[tok*cols:(tok+1)*cols])
			if !sameBits(want[tok*yStride+row], dot) {
				t.Fatalf("%s cols=%d: twin token %d row %d is %g, want %g", typ, cols, tok, row, want[tok*yStride+row], dot)
			}
		}
	}
}

// TestDecodeRowOracle checks values worked out by hand from the formats'
// definitions.
func TestDecodeRowOracle(t *testing.T) {
	q8 := make([]byte, q8_0Bytes)
	binary.LittleEndian.PutUint16(q8, half.F32ToF16(0.5))
	q8[2], q8[33] = 0x80, 7 // −128 and 7
	q4 := make([]byte, q4_0Bytes)
	binary.LittleEndian.PutUint16(q4, half.F32ToF16(-2))
	q4[2], q4[17] = 0x5f, 0x80 // elements 0: 15, 16: 5; 15: 0, 31: 8
	q6 := make([]byte, q6_KBytes)
	binary.LittleEndian.PutUint16(q6[208:], half.F32ToF16(0.25))
	for g := range 16 {
		q6[192+g] = byte(g - 8)
	}
	// Element 128+96+17 is in the second half, last quarter: low byte 64+32+17,
	// upper nibble; high byte 128+32+17, bits 6 and 7; group 8+7.
	q6[64+32+17], q6[128+32+17] = 0xa0, 0x40
	tests := []struct {
		typ   gguf.Type
		row   []byte
		n     int
		index int
		want  float32
	}{
		{gguf.TypeF32, []byte{0, 0, 0xc0, 0xbf}, 1, 0, -1.5},
		{gguf.TypeF16, []byte{0, 0x3e}, 1, 0, 1.5},
		{gguf.TypeBF16, []byte{0xc0, 0xbf}, 1, 0, -1.5},
		{gguf.TypeQ8_0, q8, 32, 0, -64},
		{gguf.TypeQ8_0, q8, 32, 31, 3.5},
		{gguf.TypeQ4_0, q4, 32, 0, -14},
		{gguf.TypeQ4_0, q4, 32, 16, 6},
		{gguf.TypeQ4_0, q4, 32, 15, 16},
		{gguf.TypeQ4_0, q4, 32, 31, 0},
		{gguf.TypeQ6_K, q6, 256, 128 + 96 + 17, 0.25 * 7 * (10 + 16 - 32)},
		{gguf.TypeQ6_K, q6, 256, 0, 0.25 * -8 * -32},
	}
	check := func(t *testing.T, _ *kernels) {
		for _, test := range tests {
			dst := make([]float32, test.n)
			DecodeRow(dst, test.row, test.typ)
			if dst[test.index] != test.want {
				t.Errorf("%s element %d is %g, want %g", test.typ, test.index, dst[test.index], test.want)
			}
		}
	}
	forEachLevel(t, headPart, check)
}

func TestHeadTypes(t *testing.T) {
	for _, typ := range headTypes {
		if !HeadSupports(typ) {
			t.Errorf("%s is not supported", typ)
		}
		f := genericHead.formats[headIndex(typ)]
		if int64(f.elems) != typ.BlockElements() || int64(f.bytes) != typ.BlockBytes() {
			t.Errorf("%s: blocks of %d elements in %d bytes", typ, f.elems, f.bytes)
		}
	}
	if HeadSupports(gguf.TypeTQ2_0) {
		t.Error("TQ2_0 is supported")
	}
	for name, call := range map[string]func(){
		"type":   func() { DecodeRow(make([]float32, 256), make([]byte, 66), gguf.TypeTQ2_0) },
		"length": func() { DecodeRow(make([]float32, 31), make([]byte, 34), gguf.TypeQ8_0) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a wrong %s did not panic", name)
				}
			}()
			call()
		}()
	}
}

func TestHeadAllocations(t *testing.T) {
	rows, y := make([]byte, 5*1024), make([]float32, 10)
	x, scratch := make([]float32, 512), make([]float32, HeadScratch(256))
	for _, typ := range headTypes {
		if n := testing.AllocsPerRun(5, func() {
			HeadRows(y, 5, rows, typ, 5, 256, x, 256, 1, scratch)
			HeadRows(y, 5, rows, typ, 5, 256, x, 256, 2, scratch)
		}); n != 0 {
			t.Errorf("%s: %g allocations", typ, n)
		}
	}
}

// BenchmarkHead runs one core over rows of 2560 columns: 64 MB of them, streamed
// from memory, and 256 KB, which stay in the L2 cache and show the arithmetic.
func BenchmarkHead(b *testing.B) {
	const cols = 2560
	for _, typ := range headTypes {
		for _, size := range []struct {
			name        string
			bytes, nTok int
		}{{"memory", 64 << 20, 1}, {"L2", 256 << 10, 1}, {"L2", 256 << 10, 2}, {"L2", 256 << 10, 16}} {
			b.Run(fmt.Sprintf("%s/%s/tokens%d", typ, size.name, size.nTok), func(b *testing.B) {
				f := genericHead.formats[headIndex(typ)]
				rowBytes := cols / f.elems * f.bytes
				nRows, nTok := size.bytes/rowBytes, size.nTok
				rows := make([]byte, nRows*rowBytes)
				randomRows(rows[:rowBytes], typ, rand.New(rand.NewPCG(1, 1)), false)
				for n := rowBytes; n < len(rows); n *= 2 {
					copy(rows[n:], rows[:n])
				}
				x, y, scratch := make([]float32, cols*nTok), make([]float32, nRows*nTok), make([]float32, HeadScratch(cols))
				for b.Loop() {
					HeadRows(y, nRows, rows, typ, nRows, cols, x, cols, nTok, scratch)
				}
				b.SetBytes(int64(len(rows)))
				reportMACs(b, nRows*cols*nTok)
			})
		}
	}
}
