package quant

import (
	"bytes"
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"trit/gguf"
)

// The golden blocks were produced by llama.cpp's and bitnet.cpp's own quantisers
// from two formulas: x is real-valued, w is 0.75 times trits.

func goldenX(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32((37*i)%101-50) / 16
	}
	return x
}

func goldenTrits() []int8 {
	trits := make([]int8, 256)
	for i := range trits {
		trits[i] = int8((i*i+i/7)%3) - 1
	}
	return trits
}

func goldenW() []float32 {
	w := make([]float32, 256)
	for i, t := range goldenTrits() {
		w[i] = 0.75 * float32(t)
	}
	return w
}

func goldenCodes(t testing.TB) []byte {
	codes := make([]byte, 256)
	if err := CodesFromTrits(codes, goldenTrits()); err != nil {
		t.Fatal(err)
	}
	return codes
}

var golden = []struct {
	typ     gguf.Type
	src     []float32
	ternary bool
	hex     string
}{
	{gguf.TypeQ4_0, goldenX(32), false, "4036e046acf258bd1379df358be046acf268"},
	{gguf.TypeQ8_0, goldenX(32), false, "4d2681df3d9af856b41270cd2b89e745a2005ebb1977d53390ee4caa0866c3217fdc"},
	{gguf.TypeTQ1_0, goldenW(), true, "4782901198581cf8b76bc2d685b033c80953e723414782901198581cf8b76bc2e429ee3d35f70d501567a805705c22e38fc1e756003a"},
	{gguf.TypeTQ2_0, goldenW(), true, "589509901901a02a122162562542640680a84a8488589509901901a02a12216209901901a02a122162562542640680a84a8488589509901901a02a1221625625003a"},
	{gguf.TypeI2S, goldenW(), true, "2556600664400aa88448899558811990022aa112222556600664400aa8844889600664400aa88448899558811990022aa112222556600664400aa884488995580000403f" + strings.Repeat("00", 28)},
	{gguf.TypeQ2_0, goldenW()[:64], true, "003a1485a6892050149a26824051689a0802"},
	{gguf.TypeQ2_0, goldenX(64), false, "404214491649924592659164912459244916"},
	{gguf.TypePQ2_0, goldenW()[:128], true, "003a1485a6892050149a26824051689a080245a16922081485a6892050149a268240"},
	{gguf.TypeQ2_0G128, goldenW()[:128], true, "003a1485a6892050149a26824051689a080245a16922081485a6892050149a268240"},
	{gguf.TypePTQ1_0, goldenW()[:128], true, "1567a805705c22e3ac7bcab6a1e429ee29dd05523b76a739ab3d003a"},
	{gguf.TypeQ1_0, goldenX(128), false, "4e3ea4a52d6d69494b5b5ad2d29696b4b4a5"},
	{gguf.TypeQ6_K, goldenX(256), false, "d158bf37be25ad048b047bf37ad159d0c941ea63eb74fb741d951ea72fc841c9bf35ad169b048df26be069d147cf38bd1a922c840d85ed77ff57d038b04aa22b67df58c139b22aa22b931c85fd76ee57ce5ad137b31a902c830f86ec78ff55d1c841da62eb63fc840d951ea63fb840c9d129b30b931c74fe86de67ff47d129b118b1c66cb11b6c861b71c61cb1c76cb22453f9248ef9138ef4538d2452f9248ed4a209d47e09a37e14a349d4ae09d77ec863be1463c9147ec923bec463bd1463807f897a867a84877f737d7a81877c897592"},
}

func goldenBytes(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGoldenEncode(t *testing.T) {
	for _, g := range golden {
		want := goldenBytes(t, g.hex)
		got := make([]byte, len(want))
		for i := range got {
			got[i] = 0xee // every byte must be written
		}
		if err := Encode(g.typ, got, g.src); err != nil {
			t.Errorf("%v: %v", g.typ, err)
			continue
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%v:\n got %x\nwant %x", g.typ, got, want)
		}
		if !g.ternary {
			continue
		}
		clear(got)
		if err := EncodeCodes(g.typ, got, goldenCodes(t)[:len(g.src)], 0.75); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v from codes: %v\n got %x\nwant %x", g.typ, err, got, want)
		}
	}
}

func TestGoldenDecode(t *testing.T) {
	// How far a value may be from the input, in units of the input's largest
	// magnitude: half a quantisation step.
	bound := map[gguf.Type]float64{gguf.TypeQ4_0: 1.0 / 8, gguf.TypeQ8_0: 0.5 / 126, gguf.TypeQ6_K: 0.75 / 31, gguf.TypeQ2_0: 0.51, gguf.TypeQ1_0: 1}
	for _, g := range golden {
		got := make([]float32, len(g.src))
		if err := Decode(g.typ, got, goldenBytes(t, g.hex)); err != nil {
			t.Errorf("%v: %v", g.typ, err)
			continue
		}
		magnitude, _ := absMax(g.src)
		for i := range got {
			if d := math.Abs(float64(got[i] - g.src[i])); d > bound[g.typ]*float64(magnitude) {
				t.Errorf("%v: element %d is %g, encoded from %g", g.typ, i, got[i], g.src[i])
			}
		}
		if g.typ == gguf.TypeQ6_K {
			for i, want := range map[int]float32{0: -3.12762451, 1: -0.807128906, 2: 1.5133667, 100: 0.879644394, 200: -1.40144062, 255: -0.468986034} {
				if got[i] != want {
					t.Errorf("Q6_K: element %d is %.9g, want %.9g", i, got[i], want)
				}
			}
		}
	}
	// A few exact values of the other two, worked out by hand from their blocks:
	// Q4_0 d = 0x3640 = 0.390625, Q8_0 d = 0x264d = 1613·2⁻¹⁶.
	q4, q8 := make([]float32, 32), make([]float32, 32)
	if err := Decode(gguf.TypeQ4_0, q4, goldenBytes(t, golden[0].hex)); err != nil {
		t.Fatal(err)
	}
	if err := Decode(gguf.TypeQ8_0, q8, goldenBytes(t, golden[1].hex)); err != nil {
		t.Fatal(err)
	}
	if want := float32(0x0-8) * 0.390625; q4[0] != want {
		t.Errorf("Q4_0: element 0 is %g, want %g", q4[0], want)
	}
	if want := float32(0xe-8) * 0.390625; q4[16] != want {
		t.Errorf("Q4_0: element 16 is %g, want %g", q4[16], want)
	}
	if want := float32(-127) * 1613 / 65536; q8[0] != want {
		t.Errorf("Q8_0: element 0 is %g, want %g", q8[0], want)
	}
}

func TestGoldenViews(t *testing.T) {
	want := goldenCodes(t)
	if got := want[:7]; !bytes.Equal(got, []byte{0, 1, 1, 0, 1, 1, 0}) {
		t.Fatalf("the golden trits begin %v", got)
	}
	for _, g := range golden {
		if !g.ternary {
			continue
		}
		v, err := NewTernary(g.typ, LayoutA, goldenBytes(t, g.hex), 1, len(g.src))
		if err != nil {
			t.Errorf("%v: %v", g.typ, err)
			continue
		}
		got := make([]byte, len(g.src))
		if err := v.Codes(got, 0); err != nil || !bytes.Equal(got, want[:len(got)]) {
			t.Errorf("%v: %v\n got %v\nwant %v", g.typ, err, got, want[:len(got)])
		}
		if scales, groupCols := v.Scales(); len(scales) != 1 || scales[0] != 0.75 || groupCols != len(got) {
			t.Errorf("%v: scales %v per %d columns", g.typ, scales, groupCols)
		}
	}
}
