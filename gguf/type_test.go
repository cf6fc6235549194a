package gguf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestSize(t *testing.T) {
	tests := []struct {
		typ  Type
		dims []int64
		want int64
	}{
		{TypeF32, nil, 4},
		{TypeF32, []int64{3, 5, 7, 2}, 840},
		{TypeF16, []int64{3}, 6},
		{TypeBF16, []int64{3}, 6},
		{TypeI64, []int64{3}, 24},
		{TypeQ4_0, []int64{64, 2}, 72},
		{TypeQ8_0, []int64{64, 2}, 136},
		{TypeQ6_K, []int64{512, 3}, 1260},
		{TypeTQ1_0, []int64{256, 4}, 216},
		{TypeTQ2_0, []int64{256, 4}, 264},
		{TypeMXFP4, []int64{64}, 34},
		{TypeQ2_0, []int64{128}, 36},
		{TypeQ2_0G128, []int64{128}, 34},
		{TypeIQ1BN, []int64{8640, 3200}, 3200 * (2 + 135*13)},
		{TypeIQ2BN, []int64{128, 3, 2}, 6 * (4 + 32)},
		{TypeIQ2BNR4, []int64{128, 8}, 8 * (4 + 32)},
		{TypeIQ1BNBare, []int64{128, 3}, 3 * 26},
		// The projections of a layer of bitnet-b1.58-2B-4T: with the 7 tails
		// of 32 bytes they are 17 367 040 + 7·32 bytes.
		{TypeI2S, []int64{2560, 2560}, 1638400 + 32},
		{TypeI2S, []int64{2560, 640}, 409600 + 32},
		{TypeI2S, []int64{2560, 6912}, 4423680 + 32},
		{TypeI2S, []int64{8640, 3200}, 6912000 + 32}, // rows are no multiple of 128, the whole is
		{TypeTL1, []int64{1536, 4096}, 1536*4096/4 + 32},
		// (8640−256)·3200/3·5/8 + 256·3200/2·4/8 = 5 589 333 + 204 800, rounded
		// up to 5 794 144, and the tail.
		{TypeTL2, []int64{8640, 3200}, 5794144 + 32},
		{TypeTL2, []int64{256, 32}, 2048 + 32},
	}
	for _, tt := range tests {
		if got, err := tt.typ.Size(tt.dims); got != tt.want || err != nil {
			t.Errorf("%v.Size(%v) = %d, %v, want %d", tt.typ, tt.dims, got, err, tt.want)
		}
	}
}

func TestSizeRefuses(t *testing.T) {
	for _, tt := range []struct {
		typ  Type
		dims []int64
		want error
	}{
		{Type(36 | 1<<20), []int64{4}, ErrUnsupported},
		{Type(5), []int64{4}, ErrUnsupported},
		{TypeF32, []int64{0}, ErrCorrupt},
		{TypeIQ2BNR4, []int64{128, 6}, ErrCorrupt},
		{TypeIQ1BN, []int64{96, 6}, ErrCorrupt},
		{TypeF32, []int64{4, -1}, ErrCorrupt},
		{TypeF32, []int64{1, 1, 1, 1, 1}, ErrCorrupt},
		{TypeF32, []int64{math.MaxInt64}, ErrCorrupt},
		{TypeI8, []int64{math.MaxInt64, 2}, ErrCorrupt},
		{TypeQ8_0, []int64{31}, ErrCorrupt},
		{TypeQ6_K, []int64{128, 2}, ErrCorrupt},
		{TypeI2S, []int64{64}, ErrCorrupt},
		{TypeTL1, []int64{3}, ErrCorrupt},
		{TypeTL2, []int64{128, 3}, ErrCorrupt},
	} {
		if got, err := tt.typ.Size(tt.dims); !errors.Is(err, tt.want) {
			t.Errorf("%v.Size(%v) = %d, %v, want %v", tt.typ, tt.dims, got, err, tt.want)
		}
	}
	// The largest size there is must not overflow on the way.
	if got, err := TypeI8.Size([]int64{math.MaxInt64}); got != math.MaxInt64 || err != nil {
		t.Errorf("I8 of 2^63-1 elements: %d, %v", got, err)
	}
	if got, err := TypeTL2.Size([]int64{math.MaxInt64}); got <= 0 || err != nil {
		t.Errorf("TL2 of 2^63-1 elements: %d, %v", got, err)
	}
}

func TestNames(t *testing.T) {
	for typ, tr := range traits {
		for _, name := range []string{tr.name, strings.ToLower(tr.name)} {
			if got, err := ParseType(name); got != typ || err != nil {
				t.Errorf("ParseType(%q) = %v, %v, want %v", name, got, err, typ)
			}
		}
		if !typ.hasTail() && (typ.BlockElements() < 1 || typ.BlockBytes() < 1) {
			t.Errorf("%v: block of %d elements in %d bytes", typ, typ.BlockElements(), typ.BlockBytes())
		}
		for _, f := range tr.scalars {
			if f.width < 2 || int64(f.offset+f.width*f.count) > tr.blockLen {
				t.Errorf("%v: field %+v is outside the block of %d bytes", typ, f, tr.blockLen)
			}
		}
	}
	if _, err := ParseType("q9_9"); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "q9_9") {
		t.Errorf("ParseType of nonsense: %v", err)
	}
	if got := Type(99).String(); got != "type(99)" || Type(99).Known() {
		t.Errorf("unknown type prints as %s", got)
	}
	if TypeMXFP4.ID() != 39 || TypeQ2_0G128.ID() != 42 {
		t.Error("a contested id is wrong")
	}
}

// oneType is a file whose tensors have the same id and dims but the given
// sizes on disk, in order.
func oneType(arch string, fileType int, id uint32, dims []uint64, sizes ...int) []byte {
	r := header(uint64(len(sizes)), 1)
	if fileType >= 0 {
		r = header(uint64(len(sizes)), 2).key(keyFileType, ValueUint32).u32(uint32(fileType))
	}
	r.key(keyArchitecture, ValueString).str(arch)
	offset := 0
	for i, size := range sizes {
		r.tensor(fmt.Sprint("t", i), id, uint64(offset), dims...)
		offset += (size + 31) / 32 * 32
	}
	return r.pad(32).raw(make([]byte, offset)...).b
}

func TestReadingsOfIDs(t *testing.T) {
	const refused, cut = Type(math.MaxUint32), Type(math.MaxUint32 - 1)
	square := []uint64{256, 256}
	i2s, tl2, mxfp4 := 256*256/4+32, 16384+32, 256*256/32*17
	q64, q128 := 256*256/64*18, 256*256/128*34
	tests := []struct {
		name     string
		arch     string
		fileType int
		id       uint32
		dims     []uint64
		size     int
		want     Type
	}{
		{"I2_S by architecture", "bitnet", -1, 36, square, i2s, TypeI2S},
		{"I2_S by architecture 2B", "bitnet-b1.58", 0, 36, square, i2s, TypeI2S},
		{"I2_S by older architecture", "bitnet-25", -1, 36, square, i2s, TypeI2S},
		{"I2_S by file type", "llama", 40, 36, square, i2s, TypeI2S},
		{"I2_S by its bytes", "llama", -1, 36, square, i2s, TypeI2S},
		{"36 of llama.cpp", "llama", 36, 36, square, 256 * 256 / 32 * 18, refused},
		{"36 of llama.cpp in bitnet", "bitnet", 40, 36, square, 256 * 256 / 32 * 18, refused},
		{"36 cut off", "bitnet", 40, 36, square, i2s / 2, cut},
		{"36 cut off elsewhere", "llama", -1, 36, square, i2s / 2, refused},
		{"TL1 by architecture", "bitnet", -1, 38, square, i2s, TypeTL1},
		{"TL1 by file type", "llama", 38, 38, square, i2s, TypeTL1},
		{"TL1 by its bytes", "llama", 7, 38, square, i2s, TypeTL1},
		{"38 of llama.cpp", "llama", 7, 38, square, 256 * 256 / 32 * 18, refused},
		{"TL2 by architecture", "bitnet", -1, 39, square, tl2, TypeTL2},
		{"TL2 by size", "llama", -1, 39, square, tl2, TypeTL2},
		{"MXFP4", "gpt-oss", 38, 39, square, mxfp4, TypeMXFP4}, // llama.cpp's file type 38 is MXFP4
		{"Q2_0 of llama.cpp", "llama", -1, 42, square, q64, TypeQ2_0},
		{"Q2_0 of Prism", "llama", -1, 42, square, q128, TypeQ2_0G128},
		{"Q2_0 of neither size", "llama", -1, 42, square, q64 + 4096, refused},
		{"Q2_0 too small to tell", "llama", -1, 42, []uint64{128}, 36, refused},
		{"I8_S", "bitnet", -1, 37, square, 65536, refused},
		{"Q4_2", "llama", -1, 4, square, 65536, refused},
		{"Q4_0_4_4", "llama", -1, 31, square, 65536, refused},
		{"NVFP4", "llama", -1, 40, square, 65536, refused},
		{"NVFP4 by its bytes", "llama", -1, 40, square, 256 * 256 / 64 * 36, refused},
		{"Q1_0 of llama.cpp", "qwen3", -1, 41, square, 256 * 256 / 128 * 18, TypeQ1_0},
		{"41 of Tencent", "hunyuan-dense", -1, 41, []uint64{512, 64}, 64 * 130, TypeQ2SEQ},
		{"41 of neither size", "qwen3", -1, 41, square, 65536, refused},
		{"42 of Tencent", "hunyuan-dense", -1, 42, square, 256 * 42, TypeSTQ1_0},
		{"43", "hunyuan-dense", -1, 43, square, 256 * 42, TypeSTQ1_0},
		{"IQ1_BN", "bitnet", -1, 134, square, 256 * (2 + 4*13), TypeIQ1BN},
		{"IQ1_BN without row scales", "bitnet", -1, 134, square, 256 * 4 * 13, TypeIQ1BNBare},
		{"IQ2_BN", "bitnet", -1, 135, square, 256 * (4 + 4*16), TypeIQ2BN},
		{"IQ2_BN without row scales", "bitnet", -1, 135, square, 256 * 4 * 16, TypeIQ2BNBare},
		{"IQ2_BN of neither size", "bitnet", -1, 135, square, 256 * 100, refused},
		{"IQ2_BN_R4", "bitnet", -1, 335, square, 256 * (4 + 4*16), TypeIQ2BNR4},
		{"PQ2_0", "qwen3", -1, 142, square, 256 * 256 / 128 * 34, TypePQ2_0},
		{"PTQ1_0", "qwen3", -1, 143, square, 256 * 256 / 128 * 28, TypePTQ1_0},
		{"nonsense", "llama", -1, 4711, square, 65536, refused},
		{"our own constant", "llama", -1, uint32(TypeMXFP4), square, mxfp4, refused},
	}
	for _, tt := range tests {
		f, err := Parse(oneType(tt.arch, tt.fileType, tt.id, tt.dims, tt.size))
		if tt.want == cut {
			if !errors.Is(err, ErrTruncated) {
				t.Errorf("%s: %v, want ErrTruncated", tt.name, err)
			}
			continue
		}
		if tt.want == refused {
			if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), `"t0"`) || !strings.Contains(err.Error(), fmt.Sprint("id ", tt.id)) {
				t.Errorf("%s: %v, want ErrUnsupported naming tensor and id", tt.name, err)
			}
			continue
		}
		if err != nil || f.Tensors[0].Type != tt.want || f.Tensors[0].TypeID != tt.id {
			t.Errorf("%s: %v, %v, want %v", tt.name, f, err, tt.want)
		}
	}
}

// TestSmallQ2FollowsLarge settles a tensor too small to tell by a larger one.
func TestSmallQ2FollowsLarge(t *testing.T) {
	for _, tt := range []struct {
		want         Type
		block, bytes int
	}{{TypeQ2_0, 64, 18}, {TypeQ2_0G128, 128, 34}} {
		r := header(2, 0)
		r.tensor("small", 42, 0, 128).tensor("large", 42, 64, 65536)
		r.pad(32).raw(make([]byte, 64+65536/tt.block*tt.bytes)...).pad(32)
		f, err := Parse(r.b)
		if err != nil {
			t.Errorf("%v: %v", tt.want, err)
			continue
		}
		for _, x := range f.Tensors {
			if x.Type != tt.want {
				t.Errorf("%s is %v, want %v", x.Name, x.Type, tt.want)
			}
		}
	}
}

// TestByteOrderOfBlocks swaps two blocks of every type by hand.
func TestByteOrderOfBlocks(t *testing.T) {
	swapped := map[Type][][2]int{ // offset and width of every scalar in a block
		TypeF32: {{0, 4}}, TypeF16: {{0, 2}}, TypeBF16: {{0, 2}}, TypeF64: {{0, 8}},
		TypeI8: {}, TypeI16: {{0, 2}}, TypeI32: {{0, 4}}, TypeI64: {{0, 8}},
		TypeQ4_0: {{0, 2}}, TypeQ4_1: {{0, 2}, {2, 2}}, TypeQ8_0: {{0, 2}}, TypeQ6_K: {{208, 2}},
		TypeTQ1_0: {{52, 2}}, TypeTQ2_0: {{64, 2}}, TypeMXFP4: {},
		TypeQ1_0: {{0, 2}}, TypeQ2_0: {{0, 2}}, TypePQ2_0: {{0, 2}}, TypePTQ1_0: {{26, 2}}, TypeSTQ1_0: {{40, 2}}, TypeQ2SEQ: {{0, 2}},
	}
	for typ, fields := range swapped {
		block, elems := int(typ.BlockBytes()), typ.BlockElements()
		little := make([]byte, 2*block)
		for i := range little {
			little[i] = byte(i + 1)
		}
		big := bytes.Clone(little)
		for b := range 2 {
			for _, f := range fields {
				word := big[b*block+f[0]:][:f[1]]
				for i := range word {
					word[i] = little[b*block+f[0]+f[1]-1-i]
				}
			}
		}
		r := newRaw(3, binary.BigEndian).counts(1, 0).tensor("t", typ.ID(), 0, uint64(2*elems)).pad(32).raw(big...)
		f, err := Parse(r.b)
		if err != nil {
			t.Errorf("%v: %v", typ, err)
			continue
		}
		if got, err := f.Tensors[0].Data(); err != nil || !bytes.Equal(got, little) {
			t.Errorf("%v: %v, %v, want %v", typ, got, err, little)
		}
		if !bytes.HasSuffix(r.b, big) {
			t.Errorf("%v: reading changed the file's own bytes", typ)
		}
	}
}

// TestBigEndianUnknownLayout refuses to guess where a block's words are.
func TestBigEndianUnknownLayout(t *testing.T) {
	r := newRaw(3, binary.BigEndian).counts(1, 0).tensor("t", TypeIQ2XS.ID(), 0, 256).pad(32).raw(make([]byte, 74)...)
	f, err := Parse(r.b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Tensors[0].Data(); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "IQ2_XS") {
		t.Errorf("Data: %v, want ErrUnsupported", err)
	}
	if _, err := f.Tensors[0].Reader().Read(make([]byte, 10)); !errors.Is(err, ErrUnsupported) {
		t.Errorf("Read: %v, want ErrUnsupported", err)
	}
}

func TestFileType(t *testing.T) {
	for typ, want := range map[Type]uint32{TypeF32: 0, TypeF16: 1, TypeQ8_0: 7, TypeBF16: 32, TypeTQ1_0: 36, TypeTQ2_0: 37, TypeI2S: 40} {
		if got, ok := typ.FileType(); !ok || got != want {
			t.Errorf("%v: file type %d, %v; want %d", typ, got, ok, want)
		}
	}
	if _, ok := TypeQ2_K.FileType(); ok {
		t.Error("Q2_K has a file type")
	}
}

func TestParsePartName(t *testing.T) {
	for _, tt := range []struct {
		name      string
		stem      string
		no, count int
		ok        bool
	}{
		{"model-00001-of-00003.gguf", "model", 1, 3, true},
		{"sub/m-1-00012-of-00345.gguf", "sub/m-1", 12, 345, true},
		{"-00002-of-00002.gguf", "", 2, 2, true},
		{"model.gguf", "", 0, 0, false},
		{"model-0001-of-0003.gguf", "", 0, 0, false},
		{"model-00001-of-00003.gguf.part", "", 0, 0, false},
		{"model-00001-of-00003.safetensors", "", 0, 0, false},
	} {
		stem, no, count, ok := ParsePartName(tt.name)
		if stem != tt.stem || no != tt.no || count != tt.count || ok != tt.ok {
			t.Errorf("%s: %q %d %d %v, want %q %d %d %v", tt.name, stem, no, count, ok, tt.stem, tt.no, tt.count, tt.ok)
		}
	}
}
