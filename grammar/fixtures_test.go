package grammar

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"trit/gguf"
	"trit/internal/fixtures"
	"trit/tokenizer"
)

// tokens is a vocabulary for tests: byte strings, an empty one for a control token.
// Its last token ends the text.
type tokens []string

func (t tokens) Len() int            { return len(t) + 1 }
func (t tokens) IsEOG(id int32) bool { return int(id) == len(t) }
func (t tokens) TokenBytes(id int32) []byte {
	if int(id) >= len(t) || strings.HasPrefix(t[id], "<|") {
		return nil
	}
	return []byte(t[id])
}
func (t tokens) ID(text string) (int32, bool) {
	for i, s := range t {
		if s == text {
			return int32(i), true
		}
	}
	return -1, false
}

// byteTokens is a vocabulary of all bytes and some longer tokens.
func byteTokens(more ...string) tokens {
	var t tokens
	for b := range 256 {
		t = append(t, string([]byte{byte(b)}))
	}
	return append(t, more...)
}

func vocabulary(t testing.TB, tok Tokens) *Vocabulary {
	t.Helper()
	v, err := NewVocabulary(tok)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func matcher(t testing.TB, g *Grammar, v *Vocabulary) *Matcher {
	t.Helper()
	m, err := NewMatcher(g, v)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// llamaBPE is Llama 3's byte-level vocabulary of 128,256 tokens.
func llamaBPE(t testing.TB) *Vocabulary {
	t.Helper()
	path := fixtures.Path(t, "tokenizers", "llama-bpe.tokenizer.json.gz")
	config := fixtures.Path(t, "tokenizers", "llama-bpe.tokenizer_config.json")
	bpeOnce.Do(func() {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if data, err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		configData, err := os.ReadFile(config)
		if err != nil {
			t.Fatal(err)
		}
		tok, err := tokenizer.FromJSON(data, configData)
		if err != nil {
			t.Fatal(err)
		}
		bpe = vocabulary(t, tok)
	})
	return bpe
}

var (
	bpeOnce sync.Once
	bpe     *Vocabulary
)

// llamaSPM is Llama 2's SentencePiece vocabulary of 32,000 tokens.
func llamaSPM(t testing.TB) *Vocabulary {
	t.Helper()
	f, err := gguf.Open(fixtures.Path(t, "tokenizers", "llama-spm.vocab.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tok, err := tokenizer.FromGGUF(f.Metadata)
	if err != nil {
		t.Fatal(err)
	}
	return vocabulary(t, tok)
}
