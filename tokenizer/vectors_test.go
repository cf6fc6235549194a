package tokenizer

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"trit/gguf"
	"trit/internal/fixtures"
)

type vector struct {
	Text string  `json:"text"`
	IDs  []int32 `json:"ids"`
}

func readVectors(t testing.TB, name string) []vector {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v []vector
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v) < 40 {
		t.Fatalf("%s: only %d vectors", name, len(v))
	}
	return v
}

// readFixture returns a file under tokenizers/, decompressed.
func readFixture(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(fixtures.Path(t, "tokenizers", name))
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Ext(name) == ".gz" {
		r, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if data, err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	return data
}

func fromGGUFFixture(t testing.TB, name string, opts ...Option) *Tokenizer {
	t.Helper()
	f, err := gguf.Open(fixtures.Path(t, "tokenizers", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tok, err := FromGGUF(f.Metadata, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// loaded keeps the tokenizers that several tests share: they are immutable.
var loaded sync.Map

func once(name string, load func() *Tokenizer) *Tokenizer {
	if v, ok := loaded.Load(name); ok {
		return v.(*Tokenizer)
	}
	tok := load()
	loaded.Store(name, tok)
	return tok
}

func llamaBPE(t testing.TB) *Tokenizer {
	return once("llama-bpe", func() *Tokenizer {
		tok, err := FromJSON(readFixture(t, "llama-bpe.tokenizer.json.gz"), readFixture(t, "llama-bpe.tokenizer_config.json"))
		if err != nil {
			t.Fatal(err)
		}
		return tok
	})
}

func jsonFixture(t testing.TB, name string) *Tokenizer {
	return once(name, func() *Tokenizer {
		tok, err := FromJSON(readFixture(t, name), nil)
		if err != nil {
			t.Fatal(err)
		}
		return tok
	})
}

// throughGGUF writes a tokenizer's metadata and reads it back.
func throughGGUF(t testing.TB, tok *Tokenizer) *Tokenizer {
	t.Helper()
	var m gguf.Metadata
	if err := m.Set("general.architecture", "llama"); err != nil {
		t.Fatal(err)
	}
	if err := tok.AppendMetadata(&m, 0); err != nil {
		t.Fatal(err)
	}
	back, err := FromGGUF(&m)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func TestVectors(t *testing.T) {
	for _, tc := range []struct {
		source, vectors string
		load            func(t testing.TB) *Tokenizer
	}{
		{"gpt-2.vocab.gguf", "gpt-2", func(t testing.TB) *Tokenizer { return fromGGUFFixture(t, "gpt-2.vocab.gguf") }},
		{"falcon.vocab.gguf", "falcon", func(t testing.TB) *Tokenizer { return fromGGUFFixture(t, "falcon.vocab.gguf") }},
		{"llama-spm.vocab.gguf", "llama-spm", func(t testing.TB) *Tokenizer { return fromGGUFFixture(t, "llama-spm.vocab.gguf") }},
		{"llama-bpe.tokenizer.json", "llama-bpe", llamaBPE},
		{"qwen2.tokenizer.json", "qwen2", func(t testing.TB) *Tokenizer { return jsonFixture(t, "qwen2.tokenizer.json.gz") }},
		{"llama-spm.tokenizer.json", "llama-spm", func(t testing.TB) *Tokenizer { return jsonFixture(t, "llama-spm.tokenizer.json.gz") }},
		{"llama-spm.tokenizer.model", "llama-spm", func(t testing.TB) *Tokenizer {
			tok, err := FromSentencePiece(readFixture(t, "llama-spm.tokenizer.model"))
			if err != nil {
				t.Fatal(err)
			}
			return tok
		}},
	} {
		t.Run(tc.source, func(t *testing.T) {
			tok := tc.load(t)
			t.Logf("%d tokens, pre %q, warnings %q", tok.Len(), tok.Pre(), tok.Warnings())
			check := func(t *testing.T, tok *Tokenizer) {
				for _, v := range readVectors(t, tc.vectors) {
					if got := tok.Encode(v.Text, AddSpecial(false)); !slices.Equal(got, v.IDs) {
						t.Errorf("Encode(%q)\n got %v\nwant %v", v.Text, got, v.IDs)
					}
					if got := tok.Decode(v.IDs, CleanSpaces(false)); got != v.Text {
						t.Errorf("Decode(%v) = %q, want %q", v.IDs, got, v.Text)
					}
				}
			}
			check(t, tok)
			t.Run("through GGUF", func(t *testing.T) { check(t, throughGGUF(t, tok)) })
		})
	}
}
