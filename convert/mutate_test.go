package convert

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"trit/gguf"
	"trit/quant"
)

// memoryPerByte and memoryConstant bound what a hostile input may make us
// allocate, garbage included: buffers for a piece of a tensor, the tables of a
// vocabulary, and what the template engine allows itself.
const (
	memoryPerByte  = 64
	memoryConstant = 64 << 20
)

// mutations says how many inputs TestMutations tries.
func mutations() int {
	if os.Getenv("TRIT_LONG") != "" {
		return 10_000
	}
	if testing.Short() {
		return 800
	}
	return 2_000
}

// TestMutations feeds spoiled files to inspection, repair, quantisation and export:
// no panic, no memory without a reason, and whatever is written is clean.
func TestMutations(t *testing.T) {
	var seeds [][]byte
	for _, name := range []string{"v1", "v2", "v3", "big-endian", "misaligned", "overlong"} {
		form := untidy[name]
		seeds = append(seeds, form.file(smallKeys("bitnet-b1.58"), smallTensors(quant.LayoutA)))
	}
	r := rand.New(rand.NewPCG(11, 12))
	accepted, written := 0, 0
	var out bytes.Buffer
	write := func(_ string, m *gguf.Metadata, s []gguf.TensorSpec) error {
		out.Reset()
		return gguf.WriteTo(&out, m, s)
	}
	for n := range mutations() {
		data := spoil(r, seeds[n%len(seeds)])
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, err := gguf.Parse(data)
		if err == nil {
			accepted++
			f.Problems()
			Findings(f)
			for _, v := range f.Metadata.All() {
				v.Any()
			}
			ctx := context.Background()
			o := RepairOptions{Input: f, Output: "x", I2SLayout: quant.I2SLayout(n % 3)}
			if _, err := repair(ctx, o, write); err == nil {
				written++
				checkClean(t, n, out.Bytes())
			}
			if n%4 == 0 {
				typ, embedding := QuantizeTypes()[n/4%7], EmbeddingTypes()[n/4%6]
				q := QuantizeOptions{Input: f, Output: "x", Type: &typ, Embedding: &embedding, Method: Method(n % 3), Round: true}
				if _, err := quantize(ctx, q, write); err == nil {
					written++
					if g, err := gguf.Parse(out.Bytes()); err != nil {
						t.Errorf("mutation %d: the quantised file: %v", n, err)
					} else if p := g.Problems(); len(p) > 0 {
						t.Errorf("mutation %d: the quantised file: %v", n, p)
					}
				}
			}
			if n%16 == 0 {
				_, _ = ToHF(ctx, ToHFOptions{Input: f, Output: filepath.Join(t.TempDir(), "x")})
			}
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > memoryPerByte*uint64(len(data))+memoryConstant {
			t.Errorf("mutation %d: %d bytes allocated for a file of %d", n, got, len(data))
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d inputs, %d read, %d files written", mutations(), accepted, written)
	if accepted < mutations()/10 || written < mutations()/10 {
		t.Errorf("only %d of %d inputs were read, %d files written: the mutations are too coarse", accepted, mutations(), written)
	}
}

// checkClean reads a repaired file.
func checkClean(t *testing.T, n int, data []byte) {
	g, err := gguf.Parse(data)
	if err != nil {
		t.Errorf("mutation %d: the repaired file: %v", n, err)
		return
	}
	for _, x := range Findings(g) {
		if x.Repairable {
			t.Errorf("mutation %d: the repaired file: %v", n, x)
		}
	}
}

// spoil changes a few bytes, mostly of the header: bits, runs, numbers, lengths.
func spoil(r *rand.Rand, seed []byte) []byte {
	data := slices.Clone(seed)
	header := bytes.Index(data, []byte("ffn_down")) + 60
	for range 1 + r.IntN(3) {
		at := r.IntN(min(header, len(data)))
		if r.IntN(8) == 0 {
			at = r.IntN(len(data))
		}
		switch r.IntN(16) {
		default:
			data[at] ^= 1 << r.IntN(8)
		case 0, 1, 2:
			data[at] = byte(r.Uint32())
		case 3, 4:
			for i := at; i < min(at+8, len(data)); i++ {
				data[i] = byte(r.Uint32() >> r.IntN(32))
			}
		case 5:
			for i := at; i < min(at+4, len(data)); i++ {
				data[i] = 0xff
			}
		case 6:
			data = slices.Delete(data, at, at+min(r.IntN(16), len(data)-at))
		case 7:
			data = slices.Insert(data, at, make([]byte, r.IntN(16))...)
		case 8:
			if r.IntN(4) == 0 {
				data = data[:at]
			}
		}
		if len(data) < 8 {
			return data
		}
	}
	return data
}

// TestMutatedCheckpoint converts checkpoints with a spoiled safetensors file,
// configuration or tokenizer: no panic, no memory without a reason, and whatever is
// written is clean.
func TestMutatedCheckpoint(t *testing.T) {
	c := packedMultiplier.make(newWeights(t, shape{hidden: 64, ffn: 128, layers: 1, heads: 2, kvHeads: 1, vocab: 264}, false))
	dir := c.write(t)
	names := []string{"model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"}
	original := map[string][]byte{}
	size := 0
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		original[name] = data
		size += len(data)
	}
	header := 8 + int(binary.LittleEndian.Uint64(original[names[0]]))
	r := rand.New(rand.NewPCG(5, 6))
	written := 0
	var out bytes.Buffer
	write := func(_ string, m *gguf.Metadata, s []gguf.TensorSpec) error {
		out.Reset()
		return gguf.WriteTo(&out, m, s)
	}
	total := mutations() / 4
	if mutations() > 2000 {
		total = mutations()
	}
	for n := range total {
		name := names[n%len(names)]
		data := original[name]
		if name == names[0] {
			data = slices.Concat(mutateBytes(r, data[:header]), data[header:])
		} else {
			data = mutateBytes(r, data)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		o := Options{Input: dir, Output: "x", Type: Types()[n/4%6], Embedding: EmbeddingTypes()[n/24%6]}
		if _, err := fromHF(context.Background(), o, write); err == nil {
			written++
			if g, err := gguf.Parse(out.Bytes()); err != nil {
				t.Errorf("mutation %d: the file: %v", n, err)
			} else if p := g.Problems(); len(p) > 0 {
				t.Errorf("mutation %d: the file: %v", n, p)
			}
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > uint64(memoryPerByte*size+memoryConstant) {
			t.Errorf("mutation %d of %s: %d bytes allocated for a checkpoint of %d", n, name, got, size)
		}
		if err := os.WriteFile(filepath.Join(dir, name), original[name], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d inputs, %d converted", total, written)
	if written < total/40 || written > total*19/20 {
		t.Errorf("%d of %d checkpoints convert: the mutations are not what this test is about", written, total)
	}
}
