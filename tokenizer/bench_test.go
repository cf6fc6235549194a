package tokenizer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/fixtures"
)

// benchTexts returns about 1 MB of each kind of text.
func benchTexts(b *testing.B) map[string]string {
	b.Helper()
	fill := func(s string) string { return strings.Repeat(s, 1<<20/len(s)+1) }
	prose, err := os.ReadFile(fixtures.Path(b, "demo-model", "heldout.txt"))
	if err != nil {
		b.Fatal(err)
	}
	spec, err := os.ReadFile(fixtures.Path(b, "formats.md"))
	if err != nil {
		b.Fatal(err)
	}
	var code, mixed strings.Builder
	files, err := filepath.Glob("*.go")
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			b.Fatal(err)
		}
		code.Write(data)
	}
	for _, v := range readVectors(b, "llama-bpe") {
		mixed.WriteString(v.Text)
	}
	return map[string]string{
		"prose":    fill(string(prose)),
		"markdown": fill(string(spec)),
		"code":     fill(code.String()),
		"scripts":  fill(mixed.String()), // many scripts and emoji
		"onepiece": fill("abcdefghijklmnopqrstuvwxyz"),
	}
}

func benchEncode(b *testing.B, tok *Tokenizer) {
	var ids []int32
	for name, text := range benchTexts(b) {
		b.Run(name, func(b *testing.B) {
			ids = tok.AppendEncode(ids[:0], text)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				ids = tok.AppendEncode(ids[:0], text)
			}
			b.ReportMetric(float64(len(text))/float64(len(ids)), "B/token")
		})
	}
}

func BenchmarkEncodeLlama3(b *testing.B) { benchEncode(b, llamaBPE(b)) }
func BenchmarkEncodeDefault(b *testing.B) {
	benchEncode(b, fromGGUFFixture(b, "falcon.vocab.gguf", WithPre("default")))
}
func BenchmarkEncodeSPM(b *testing.B) { benchEncode(b, fromGGUFFixture(b, "llama-spm.vocab.gguf")) }

func BenchmarkEncodeChat(b *testing.B) {
	tok := llamaBPE(b)
	text := "<|start_header_id|>user<|end_header_id|>\n\nWhat is the capital of France?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
	ids := tok.Encode(text, ParseSpecial(true))
	b.ReportAllocs()
	for b.Loop() {
		ids = tok.AppendEncode(ids[:0], text, ParseSpecial(true))
	}
}

func BenchmarkDecode(b *testing.B) {
	tok := llamaBPE(b)
	text := benchTexts(b)["markdown"]
	ids := tok.Encode(text)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		tok.Decode(ids)
	}
}

func BenchmarkStream(b *testing.B) {
	tok := llamaBPE(b)
	ids := tok.Encode(benchTexts(b)["markdown"])
	s := tok.NewStream()
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		s.Push(ids[i%len(ids)])
		i++
	}
}

// BenchmarkLoad measures the way from the parsed metadata of a GGUF file with
// 128k tokens and 280k merges to a tokenizer, and to its first token.
func BenchmarkLoad(b *testing.B) {
	var m gguf.Metadata
	if err := llamaBPE(b).AppendMetadata(&m, 0); err != nil {
		b.Fatal(err)
	}
	b.Run("llama-bpe.gguf", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			tok, err := FromGGUF(&m)
			if err != nil {
				b.Fatal(err)
			}
			tok.Encode("Hello")
		}
	})
	data := readFixture(b, "llama-bpe.tokenizer.json.gz")
	b.Run("llama-bpe.json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			tok, err := FromJSON(data, nil)
			if err != nil {
				b.Fatal(err)
			}
			tok.Encode("Hello")
		}
	})
	model := readFixture(b, "llama-spm.tokenizer.model")
	b.Run("llama-spm.model", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			tok, err := FromSentencePiece(model)
			if err != nil {
				b.Fatal(err)
			}
			tok.Encode("Hello")
		}
	})
}
