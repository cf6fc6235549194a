package main

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"trit/gguf"
)

// hostileFile has names and values that must not reach a terminal as they are, and
// numbers that JSON does not have.
func hostileFile(t testing.TB) []byte {
	t.Helper()
	m := &gguf.Metadata{}
	for _, kv := range []struct {
		key   string
		value any
	}{
		{"general.architecture", "llama"},
		{"general.name", "a\x1b]0;title\a"},
		{"x.\x1b[31mred\nline", "text\x1b[2J"},
		{"x.list", []string{"one two", "a\x1b[31m", "b\nc"}},
		{"x.nan", float32(math.NaN())},
		{"x.infinite", []float32{1.5, float32(math.Inf(-1))}},
		{"x.double", math.Inf(1)},
		{"x.bytes", []uint8{1, 2, 255}},
	} {
		if err := m.Set(kv.key, kv.value); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	specs := []gguf.TensorSpec{{Name: "w\x1b[5m", Dims: []int64{32, 4}, Type: gguf.TypeF32, Write: func(w io.Writer) error {
		_, err := w.Write(make([]byte, 512))
		return err
	}}}
	if err := gguf.WriteTo(&b, m, specs); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestInspectHostile: what a file says is shown, not obeyed.
func TestInspectHostile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hostile.gguf")
	if err := os.WriteFile(path, hostileFile(t), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"inspect", "--model", path}, {"inspect", "--model", path, "--verbose"}, {"show", path}} {
		r := runTrit(t, args...)
		r.expect(t, exitOK, `\x1b`)
		if i := strings.IndexFunc(r.out, func(c rune) bool { return c < ' ' && c != '\n' || c == 0x7f }); i >= 0 {
			t.Errorf("%v: control characters in %q", args, r.out[max(0, i-40):i+1])
		}
	}
	r := runTrit(t, "inspect", "--model", path, "--json")
	r.expect(t, exitOK)
	var info fileInfo
	if err := json.Unmarshal([]byte(r.out), &info); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, m := range info.Metadata {
		text, err := json.Marshal(m.Value)
		if err != nil {
			t.Fatal(err)
		}
		got[m.Key] = string(text)
	}
	for key, want := range map[string]string{
		"x.nan": `"NaN"`, "x.infinite": `[1.5,"-Inf"]`, "x.double": `"+Inf"`, "x.bytes": `[1,2,255]`, "x.list": `["one two","a\u001b[31m","b\nc"]`,
	} {
		if got[key] != want {
			t.Errorf("%s is %s in JSON, want %s", key, got[key], want)
		}
	}
}

// TestInspectMutations inspects spoiled files: no panic, valid JSON, no memory
// without a reason. TRIT_LONG makes it ten thousand.
func TestInspectMutations(t *testing.T) {
	const perByte, constant = 256, 16 << 20
	demo := demoFile(t)
	cut := bytes.Index(demo, []byte("tokenizer.ggml.tokens"))
	seeds := [][]byte{hostileFile(t), demo[:cut]}
	count := 1000
	if os.Getenv("TRIT_LONG") != "" {
		count = 10_000
	}
	r := rand.New(rand.NewPCG(7, 8))
	read := 0
	for n := range count {
		data := slices.Clone(seeds[0])
		if n%8 == 0 { // the head of a real file, most of which is missing
			data = slices.Clone(seeds[1])
		}
		for range 1 + r.IntN(3) {
			at := r.IntN(len(data))
			switch r.IntN(6) {
			case 0:
				data = slices.Delete(data, at, min(at+r.IntN(9), len(data)))
			case 1:
				data = slices.Insert(data, at, make([]byte, r.IntN(9))...)
			case 2:
				for i := at; i < min(at+4, len(data)); i++ {
					data[i] = 0xff
				}
			default:
				data[at] ^= 1 << r.IntN(8)
			}
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if f, err := gguf.Parse(data); err == nil {
			read++
			for _, verbose := range []bool{false, true} {
				info := inspectFile("spoiled", f, verbose)
				text := info.String()
				if strings.ContainsFunc(text, func(c rune) bool { return c < ' ' && c != '\n' }) {
					t.Errorf("mutation %d: control characters in %q", n, text)
				}
				if _, err := json.Marshal(info); err != nil {
					t.Errorf("mutation %d: %v", n, err)
				}
			}
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > uint64(perByte*len(data)+constant) {
			t.Errorf("mutation %d: %d bytes allocated for a file of %d", n, got, len(data))
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d inputs, %d read", count, read)
	if read < count/20 {
		t.Errorf("only %d of %d inputs were read: the mutations are too coarse", read, count)
	}
}
