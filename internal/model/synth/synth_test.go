package synth_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/model"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
	"trit/quant"
	"trit/tokenizer"
)

// TestEveryType makes the tiny models in all combinations of types and checks
// that each is a clean file with a loadable model of that shape in it.
func TestEveryType(t *testing.T) {
	for _, name := range []string{"tiny", "tiny-llama", "tiny-qwen3"} {
		s := synthtest.Shape(t, name)
		for _, typ := range synth.Types() {
			for _, head := range synth.HeadTypes() {
				t.Run(name+"/"+typ.String()+"/"+head.String(), func(t *testing.T) {
					f, err := gguf.Parse(synthtest.Bytes(t, s, synth.Options{Type: typ, Head: head, Seed: 7}))
					if err != nil {
						t.Fatal(err)
					}
					if p := f.Problems(); len(p) > 0 {
						t.Errorf("problems in the file: %v", p)
					}
					m, err := model.Load(f, model.LoadOptions{})
					if err != nil {
						t.Fatal(err)
					}
					c := m.Config
					if c.Layers != s.Layers || c.Hidden != s.Hidden || c.FFN != s.FFN || c.Heads != s.Heads || c.KVHeads != s.KVHeads ||
						c.HeadDim != s.HeadDim || c.Vocab != s.Vocab || c.Context != s.Context || c.RopeBase != s.RopeBase || c.NormEps != s.NormEps {
						t.Errorf("configuration %+v, want %+v", c, s)
					}
					if got := m.Graph.Head().Type; got != head {
						t.Errorf("the head is %v, want %v", got, head)
					}
					var weights int64
					for _, p := range s.Projections() {
						weights += int64(p.Rows) * int64(p.Cols) * int64(p.Count)
					}
					if m.TernaryWeights != weights {
						t.Errorf("%d ternary weights, want %d", m.TernaryWeights, weights)
					}
				})
			}
		}
	}
}

// TestDistribution checks the promises about the weights themselves.
func TestDistribution(t *testing.T) {
	f, err := gguf.Parse(synthtest.Bytes(t, synthtest.Shape(t, "tiny"), synth.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	tensor := func(name string) (*gguf.Tensor, []byte) {
		x, ok := f.Tensor(name)
		if !ok {
			t.Fatalf("no tensor %s", name)
		}
		data, err := x.Data()
		if err != nil {
			t.Fatal(err)
		}
		return x, data
	}

	x, data := tensor("blk.0.ffn_up.weight")
	view, err := quant.NewTernary(x.Type, quant.LayoutA, data, int(x.Rows()), int(x.Cols()))
	if err != nil {
		t.Fatal(err)
	}
	if scales, _ := view.Scales(); len(scales) != 1 || math.Abs(float64(scales[0])-math.Sqrt(1.5/256)) > 1e-6 {
		t.Errorf("scales %v, want √(1.5/256)", scales)
	}
	var count [3]int
	codes := make([]byte, x.Cols())
	for r := range view.Rows() {
		if err := view.Codes(codes, r); err != nil {
			t.Fatal(err)
		}
		for _, c := range codes {
			count[c]++
		}
	}
	for c, n := range count {
		if share := float64(n) / float64(x.Elements()); math.Abs(share-1.0/3) > 0.01 {
			t.Errorf("code %d has a share of %.3f", c, share)
		}
	}

	x, data = tensor("token_embd.weight")
	values := make([]float32, x.Elements())
	if err := quant.Decode(x.Type, values, data); err != nil {
		t.Fatal(err)
	}
	var sum, square, beyond float64
	for _, v := range values {
		sum += float64(v)
		square += float64(v) * float64(v)
		if math.Abs(float64(v)) > 2*2/math.Sqrt(256) {
			beyond++
		}
	}
	n := float64(len(values))
	if mean := sum / n; math.Abs(mean) > 0.002 {
		t.Errorf("the mean of the embedding is %v", mean)
	}
	if deviation := math.Sqrt(square / n); math.Abs(deviation-2/math.Sqrt(256)) > 0.002 {
		t.Errorf("the deviation of the embedding is %v, want 0.125", deviation)
	}
	// 4.55 % of a Gaussian lies beyond two deviations.
	if share := beyond / n; math.Abs(share-0.0455) > 0.005 {
		t.Errorf("%.4f of the embedding lies beyond two deviations", share)
	}
}

// TestSameBytes checks that bytes depend on shape, options and seed alone. The
// hash holds for every architecture and number of workers.
func TestSameBytes(t *testing.T) {
	for _, test := range []struct {
		shape      string
		typ, head  gguf.Type
		wantPrefix string
	}{
		{"tiny", gguf.TypeI2S, gguf.TypeF16, "acdc569be84d43d4"},
		{"tiny-llama", gguf.TypeTQ1_0, gguf.TypeQ6_K, "c761848e9a50edd9"},
		{"tiny", gguf.TypeF16, gguf.TypeQ8_0, "d1d43cd9f7d4add0"},
	} {
		s := synthtest.Shape(t, test.shape)
		first := synthtest.Bytes(t, s, synth.Options{Type: test.typ, Head: test.head, Seed: 1, Workers: 1})
		if again := synthtest.Bytes(t, s, synth.Options{Type: test.typ, Head: test.head, Seed: 1, Workers: 5}); !bytes.Equal(first, again) {
			t.Errorf("%s: the number of workers changes the file", test.shape)
		}
		if other := synthtest.Bytes(t, s, synth.Options{Type: test.typ, Head: test.head, Seed: 2}); bytes.Equal(first[len(first)/2:], other[len(other)/2:]) {
			t.Errorf("%s: the seed does not change the weights", test.shape)
		}
		sum := sha256.Sum256(first)
		if got := hex.EncodeToString(sum[:8]); got != test.wantPrefix {
			t.Errorf("%s %v %v: hash %s, want %s", test.shape, test.typ, test.head, got, test.wantPrefix)
		}
	}
}

// TestChunks makes a tensor of many chunks, so that several workers and the
// borders between chunks take part.
func TestChunks(t *testing.T) {
	s := synthtest.Shape(t, "tiny")
	s.Vocab, s.Layers = 9001, 1
	one := synthtest.Bytes(t, s, synth.Options{Workers: 1, Head: gguf.TypeQ6_K})
	three := synthtest.Bytes(t, s, synth.Options{Workers: 3, Head: gguf.TypeQ6_K})
	if !bytes.Equal(one, three) {
		t.Error("the number of workers changes the file")
	}
}

func TestShapes(t *testing.T) {
	// Ternary weights per token as published, in units of 10⁹.
	want := map[string]float64{"bitnet-2b": 2.084, "bitnet-large": 0.680, "bitnet-3b": 3.222, "llama3-8b": 6.979,
		"falcon3-1b": 1.132, "falcon3-3b": 2.422, "falcon3-7b": 6.650, "falcon3-10b": 9.500, "falcon-e-3b": 2.919}
	for _, s := range synth.Shapes() {
		if want[s.Name] == 0 {
			continue
		}
		var n float64
		for _, p := range s.Projections() {
			n += float64(p.Count) * float64(p.Rows) * float64(p.Cols)
		}
		if math.Abs(n/1e9-want[s.Name]) > 0.001 {
			t.Errorf("%s has %.3f G ternary weights, want %.3f", s.Name, n/1e9, want[s.Name])
		}
	}
	if _, err := synth.LookupShape("BitNet-2B"); err != nil {
		t.Error(err)
	}
	if _, err := synth.LookupShape("huge"); !errors.Is(err, synth.ErrShape) || !strings.Contains(err.Error(), "bitnet-2b") {
		t.Errorf("unknown shape: %v", err)
	}
}

// TestPublishedSize checks that the shape of BitNet-b1.58-2B-4T gives exactly the
// tensor bytes of the published file.
func TestPublishedSize(t *testing.T) {
	g, err := synth.New(synthtest.Shape(t, "bitnet-2b"), synth.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := g.TensorBytes(); got != 1179449920 {
		t.Errorf("%d bytes of tensors, want 1179449920", got)
	}
	tok, err := tokenizer.FromGGUF(g.Metadata())
	if err != nil {
		t.Fatal(err)
	}
	if tok.Len() != 128256 {
		t.Errorf("%d tokens, want 128256", tok.Len())
	}
}

func TestTokenizers(t *testing.T) {
	for _, name := range []string{"tiny", "tiny-llama", "tiny-qwen3", "bitnet-large", "falcon3-1b", "falcon-e-3b"} {
		g, err := synth.New(synthtest.Shape(t, name), synth.Options{})
		if err != nil {
			t.Fatal(err)
		}
		tok, err := tokenizer.FromGGUF(g.Metadata())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if w := tok.Warnings(); len(w) > 0 {
			t.Errorf("%s: warnings %v", name, w)
		}
		if tok.Len() != g.Config().Vocab {
			t.Errorf("%s: %d tokens, want %d", name, tok.Len(), g.Config().Vocab)
		}
		const text = "Hello, wörld!\n\x00\xa0 \u00ad"
		valid := strings.ToValidUTF8(text, "\uFFFD")
		// SentencePiece puts a space in front.
		if got := strings.TrimPrefix(tok.Decode(tok.Encode(text)), " "); got != text && got != valid {
			t.Errorf("%s: %q becomes %q", name, text, got)
		}
	}
}

func TestShapesThatDoNotFit(t *testing.T) {
	for _, test := range []struct {
		shape     string
		typ, head gguf.Type
		want      error
		text      string
	}{
		{"bitnet-3b", gguf.TypeTQ2_0, gguf.TypeF16, synth.ErrShape, "256"},
		{"bitnet-3b", gguf.TypeF16, gguf.TypeQ6_K, synth.ErrShape, "3200"},
		{"tiny", gguf.TypeQ4_0, gguf.TypeF16, synth.ErrType, "Q4_0"},
		{"tiny", gguf.TypeI2S, gguf.TypeTQ1_0, synth.ErrType, "TQ1_0"},
	} {
		_, err := synth.New(synthtest.Shape(t, test.shape), synth.Options{Type: test.typ, Head: test.head})
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%+v: error %v", test, err)
		}
	}
	for _, o := range []synth.Options{{}, {Type: gguf.TypeF16}, {Type: gguf.TypeF16, Head: gguf.TypeQ8_0}} {
		if _, err := synth.New(synthtest.Shape(t, "bitnet-3b"), o); err != nil {
			t.Errorf("bitnet-3b with %+v: %v", o, err)
		}
	}
	s := synthtest.Shape(t, "tiny")
	s.Architecture = "none"
	if _, err := synth.New(s, synth.Options{}); !errors.Is(err, synth.ErrShape) || !errors.Is(err, model.ErrArchitecture) {
		t.Errorf("unknown architecture: %v", err)
	}
}

// TestStraddlingRows makes a model whose I2_S rows are no multiple of 128, as those
// of bitnet-3b: the codes are one stream, whatever the rows.
func TestStraddlingRows(t *testing.T) {
	s := synthtest.Shape(t, "tiny")
	s.FFN = 544
	f, err := gguf.Parse(synthtest.Bytes(t, s, synth.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if p := f.Problems(); len(p) > 0 {
		t.Errorf("problems in the file: %v", p)
	}
	if m, err := model.Load(f, model.LoadOptions{}); err != nil || m.Config.FFN != 544 {
		t.Errorf("loading it: %v", err)
	}
	s.Vocab, s.Hidden, s.FFN = 512, 72, 120 // 8,640 elements are no whole blocks, of which I2_S is made
	if _, err := synth.New(s, synth.Options{}); !errors.Is(err, synth.ErrShape) {
		t.Errorf("a tensor of 8,640 elements: %v", err)
	}
}

func TestWriteFileAndOpen(t *testing.T) {
	s := synthtest.Shape(t, "tiny")
	var last, total int64
	g, err := synth.New(s, synth.Options{Progress: func(done, all int64) { last, total = done, all }})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := g.WriteFile(context.Background(), path); err != nil {
		t.Fatal(err)
	}
	if last != g.TensorBytes() || total != last {
		t.Errorf("progress ended at %d of %d, want %d", last, total, g.TensorBytes())
	}
	written, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(written, synthtest.Bytes(t, s, synth.Options{})) {
		t.Error("WriteFile and Bytes differ")
	}

	dir := t.TempDir()
	temp, err := g.WriteTemp(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(temp); err != nil || !bytes.Equal(again, written) {
		t.Errorf("WriteTemp and WriteFile differ (%v)", err)
	}
}

func TestInterrupted(t *testing.T) {
	g, err := synth.New(synthtest.Shape(t, "tiny"), synth.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dir := t.TempDir()
	if err := g.WriteFile(ctx, filepath.Join(dir, "x.gguf")); !errors.Is(err, context.Canceled) {
		t.Errorf("WriteFile: %v", err)
	}
	if _, err := g.WriteTemp(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("WriteTemp: %v", err)
	}
	if err := g.Write(ctx, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("Write: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
	if _, err := g.WriteTemp(context.Background(), filepath.Join(dir, "missing")); err == nil {
		t.Error("WriteTemp in a missing folder succeeds")
	}
}
