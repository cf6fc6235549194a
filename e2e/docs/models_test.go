package docs

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trit"
	"trit/gguf"
	"trit/hub"
	"trit/internal/engine"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
	"trit/internal/ternary"
)

// shapes names the shapes of models of the catalogue, and the type of their weights
// where it is not that of the shape.
var shapes = map[string]struct {
	shape string
	typ   gguf.Type
}{
	"bitnet-2b-4t":           {"bitnet-2b", 0},
	"bitnet-2b-4t-packed":    {"bitnet-2b", 0},
	"bitnet-2b-4t-bf16":      {"bitnet-2b", 0},
	"bitnet-large":           {"bitnet-large", 0},
	"bitnet-3b":              {"bitnet-3b", 0},
	"llama3-8b-1.58":         {"llama3-8b", 0},
	"falcon3-1b-instruct":    {"falcon3-1b", 0},
	"falcon3-3b":             {"falcon3-3b", 0},
	"falcon3-3b-instruct":    {"falcon3-3b", 0},
	"falcon3-7b":             {"falcon3-7b", 0},
	"falcon3-7b-instruct":    {"falcon3-7b", 0},
	"falcon3-10b":            {"falcon3-10b", 0},
	"falcon3-10b-instruct":   {"falcon3-10b", 0},
	"falcon-e-3b":            {"falcon-e-3b", 0},
	"falcon-e-3b-instruct":   {"falcon-e-3b", 0},
	"bonsai-1.7b":            {"bonsai-1.7b", gguf.TypeQ1_0},
	"bonsai-4b":              {"bonsai-4b", gguf.TypeQ1_0},
	"bonsai-8b":              {"bonsai-8b", gguf.TypeQ1_0},
	"bonsai-27b":             {"bonsai2-27b", gguf.TypeQ1_0},
	"ternary-bonsai-1.7b":    {"bonsai-1.7b", 0},
	"ternary-bonsai-4b":      {"bonsai-4b", 0},
	"ternary-bonsai-8b":      {"bonsai-8b", 0},
	"ternary-bonsai-27b":     {"bonsai2-27b", gguf.TypePQ2_0},
	"ternary-bonsai-2-9b":    {"bonsai2-9b", 0},
	"ternary-bonsai-2-27b":   {"bonsai2-27b", 0},
	"maple-20b":              {"maple-20b", 0},
	"bitcpm-8b":              {"bitcpm-8b", 0},
	"hy-mt2-1.8b":            {"hy-mt-1.8b", 0},
	"hy-mt1.5-1.8b":          {"hy-mt-1.8b", 0},
	"bitnet-embeddings-0.6b": {"bitnet-embeddings-0.6b", 0},
	"bitnet-embeddings-270m": {"bitnet-embeddings-270m", 0},

	"ternary-bonsai-2-27b-pq2_0": {"bonsai2-27b", gguf.TypePQ2_0},
}

// TestCatalogueShapes compares what the catalogue says with what the shapes of its
// models come to.
func TestCatalogueShapes(t *testing.T) {
	if kernel.Active() == kernel.Generic {
		t.Skip("plain Go makes no coarse copies of heads, which the catalogue's memory has")
	}
	for _, e := range hub.Catalogue() {
		s, known := shapes[e.Name]
		if !known {
			if e.Memory != 0 {
				t.Errorf("%s: %d bytes of memory, and no shape that tells", e.Name, e.Memory)
			}
			continue
		}
		g, err := synth.New(synthtest.Shape(t, s.shape), synth.Options{Type: s.typ})
		if err != nil {
			t.Fatal(err)
		}
		c := g.Config()
		_, head := g.Types()
		o := model.OutlineOptions{Embedding: head, Head: head, Tied: synthtest.Shape(t, s.shape).Tied}
		if s.typ == gguf.TypeQ1_0 {
			o.Layout = func(_, _ int) ternary.Layout { return ternary.G1 }
		}
		m, err := model.Outline(c, o)
		if err != nil {
			t.Fatal(err)
		}
		context := min(hub.MemoryTokens, c.Context)
		memory := engine.EstimateMemory(m, engine.Options{KVType: kernel.KVF16, Context: context, Threads: 8})
		want := m.TernaryBytes + m.TableBytes + memory.Head + memory.Scratch + int64(memory.ContextPages+memory.StatePages)*memory.PageBytes
		if math.Abs(float64(e.Memory-want)) > 0.03*float64(want) {
			t.Errorf("%s takes %d bytes of memory, the catalogue says %d", e.Name, want, e.Memory)
		}
		// What embedding models round follows from norms that only a file tells of.
		if c.HiddenAct.String() != e.HiddenAct || c.Activations.String() != e.Activations && !e.Embedding || c.Architecture != e.Architecture {
			t.Errorf("%s: %v, %v, %v; the catalogue says %s, %s, %s", e.Name, c.HiddenAct, c.Activations, c.Architecture, e.HiddenAct, e.Activations, e.Architecture)
		}
		if e.Context != 0 && e.Context != c.Context && e.Name != "maple-20b" && !strings.HasPrefix(e.Name, "falcon3-3b") {
			t.Errorf("%s: context %d; the catalogue says %d", e.Name, c.Context, e.Context)
		}
		// The first generation of 27B has no rotation, which takes no memory either.
		if size := g.TensorBytes(); e.Size != 0 && e.Form == hub.FormGGUF && math.Abs(float64(e.Size-size)) > 0.03*float64(size) {
			t.Errorf("%s: %d bytes of tensors; the catalogue says %d", e.Name, size, e.Size)
		}
	}
}

// TestModelsTable checks that docs/models.md shows the catalogue as it is.
func TestModelsTable(t *testing.T) {
	const first = "| model | parameters |"
	var b strings.Builder
	b.WriteString(first + " form | download | memory | context | architecture | activation | chat template | licence |\n" +
		"|---|---:|---|---:|---:|---:|---|---|---|---|\n")
	for _, e := range hub.Catalogue() {
		number := func(n int64, text string) string {
			if n == 0 {
				return "–"
			}
			return text
		}
		act := map[string]string{"silu": "SiLU", "relu2": "ReLU²", "gelu_pytorch_tanh": "GELU"}[e.HiddenAct]
		fmt.Fprintf(&b, "| `%s` | %.3g B | %s | %s | %s | %s | `%s` | %s, %s | %s | %s |\n", e.Name, float64(e.Parameters)/1e9, e.Form,
			number(e.Size, trit.Bytes(e.Size).String()), number(e.Memory, trit.Bytes(e.Memory).String()), number(int64(e.Context), fmt.Sprint(e.Context)),
			e.Architecture, act, e.Activations, cmp.Or(e.Chat, "–"), cmp.Or(e.License, "?"))
	}
	page := filepath.Join(root, "docs", "models.md")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), first)
	_, after, ends := strings.Cut(rest, "\n\n")
	switch want := before + b.String() + "\n" + after; {
	case !found || !ends:
		t.Fatalf("docs/models.md has no table that begins with %s", first)
	case want == string(text):
	case *update:
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Error("docs/models.md shows another catalogue; go test ./e2e/docs -run ModelsTable -update writes the page anew")
	}
}
