package gguf

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"trit/internal/fixtures"
)

// goldenFiles returns the real files among the fixtures, by base name.
func goldenFiles(t testing.TB) map[string][]byte {
	files := make(map[string][]byte)
	for _, folder := range []string{"golden", "tokenizers"} {
		root := fixtures.Path(t, folder)
		for _, pattern := range []string{"*.gguf", "*.gguf.gz"} {
			paths, err := filepath.Glob(filepath.Join(root, pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range paths {
				data, err := os.ReadFile(path)
				if err == nil && filepath.Ext(path) == ".gz" {
					var z *gzip.Reader
					if z, err = gzip.NewReader(bytes.NewReader(data)); err == nil {
						data, err = io.ReadAll(z)
					}
				}
				if err != nil {
					t.Fatal(err)
				}
				files[filepath.Base(path)] = data
			}
		}
	}
	if len(files) == 0 {
		t.Fatal("the fixtures hold no GGUF file")
	}
	return files
}

// TestGoldenRoundTrip opens every real file in three ways and writes it again:
// the copy has the same metadata, tensors and bytes in the same order, and,
// unless a vocabulary without tensors lacks padding, is the same file.
func TestGoldenRoundTrip(t *testing.T) {
	for name, data := range goldenFiles(t) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "in.gguf")
			if err := os.WriteFile(path, data, 0o666); err != nil {
				t.Fatal(err)
			}
			mapped, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer mapped.Close()
			parsed, err := Parse(data)
			if err != nil {
				t.Fatal(err)
			}
			reader, err := NewReader(bytes.NewReader(data), int64(len(data)))
			if err != nil {
				t.Fatal(err)
			}
			sameFile(t, parsed, mapped)
			sameFile(t, parsed, reader)
			if p := parsed.Problems(); len(p) > 0 {
				t.Errorf("problems in a real file: %v", p)
			}
			if _, err := parsed.Metadata.String(keyArchitecture); err != nil {
				t.Error(err)
			}

			out := filepath.Join(t.TempDir(), "out.gguf")
			if err := Repair(mapped, out); err != nil {
				t.Fatal(err)
			}
			written, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Parse(written)
			if err != nil {
				t.Fatal(err)
			}
			sameFile(t, parsed, again)
			rest, ok := bytes.CutPrefix(written, data)
			if !ok || len(rest) > 0 && len(parsed.Tensors) > 0 || len(bytes.Trim(rest, "\x00")) > 0 {
				t.Errorf("the copy, %d bytes, is another file than the original, %d bytes", len(written), len(data))
			}
		})
	}
}

// TestGoldenTypes checks that the types of the fixtures' weights are what their
// names say.
func TestGoldenTypes(t *testing.T) {
	files := goldenFiles(t)
	for name, want := range map[string]Type{
		"a.i2_s.gguf": TypeI2S, "c.i2_s.gguf": TypeI2S, "d.i2_s.gguf": TypeI2S,
		"a.tq1_0.gguf": TypeTQ1_0, "b.tq2_0.gguf": TypeTQ2_0, "a.f16.gguf.gz": TypeF16,
	} {
		data, ok := files[name]
		if !ok {
			t.Fatalf("no fixture %s", name)
		}
		f, err := Parse(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		q, ok := f.Tensor("blk.0.attn_q.weight")
		if !ok || q.Type != want || q.Cols() != 256 || q.Rows() != 256 {
			t.Errorf("%s: blk.0.attn_q.weight is %+v, want %v of 256 × 256", name, q, want)
		}
	}
}

// sameFile compares everything that survives rewriting.
func sameFile(t *testing.T, want, got *File) {
	t.Helper()
	if !want.Metadata.Equal(got.Metadata) {
		t.Errorf("metadata differ:\n%v\n%v", want.Metadata.Keys(), got.Metadata.Keys())
	}
	sameTensors(t, want, got)
}

func sameTensors(t *testing.T, want, got *File) {
	t.Helper()
	if len(want.Tensors) != len(got.Tensors) {
		t.Fatalf("%d tensors, want %d", len(got.Tensors), len(want.Tensors))
	}
	for i, w := range want.Tensors {
		g := got.Tensors[i]
		if w.Name != g.Name || w.Type != g.Type || w.Size != g.Size || !equalDims(w.Dims, g.Dims) {
			t.Errorf("tensor %d is %v %v %v, want %v %v %v", i, g.Name, g.Type, g.Dims, w.Name, w.Type, w.Dims)
			continue
		}
		wd, err := w.Data()
		if err != nil {
			t.Fatal(err)
		}
		gd, err := g.Data()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(wd, gd) {
			t.Errorf("tensor %s: bytes differ", w.Name)
		}
		streamed, err := io.ReadAll(g.Reader())
		if err != nil || !bytes.Equal(streamed, gd) {
			t.Errorf("tensor %s: Reader gives other bytes than Data (%v)", w.Name, err)
		}
		if found, ok := got.Tensor(w.Name); !ok || found != g {
			t.Errorf("tensor %s is not found by name", w.Name)
		}
	}
}

func equalDims(a, b []int64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func BenchmarkOpenVocabulary(b *testing.B) {
	path := fixtures.Path(b, "tokenizers", "falcon.vocab.gguf")
	b.ReportAllocs()
	for b.Loop() {
		f, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(f.Size)
		f.Close()
	}
}

func BenchmarkVocabularyStrings(b *testing.B) {
	f, err := Open(fixtures.Path(b, "tokenizers", "falcon.vocab.gguf"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Metadata.Strings("tokenizer.ggml.merges"); err != nil {
			b.Fatal(err)
		}
	}
}
