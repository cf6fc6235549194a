package trit_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"trit"
	"trit/internal/engine"
	"trit/internal/fixtures"
	"trit/internal/inside"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/validate"
)

// demoLogits describes the reference logits of the demo model.
type demoLogits struct {
	Tokens     []int32 `json:"tokens"`
	Vocabulary int     `json:"vocabulary"`
	// D is how far int8 rounding moves the logits: the distance of the
	// reference from the same computation without rounding.
	D float64 `json:"d"`
}

func readJSON(t testing.TB, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

// logitsOf runs tokens and returns the logits after each.
func logitsOf(t testing.TB, m *trit.Model, tokens []int32) []float32 {
	t.Helper()
	s, err := inside.Of(m).Scheduler.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Run(context.Background(), tokens, engine.All, 0); err != nil {
		t.Fatal(err)
	}
	var out []float32
	for i := range tokens {
		out = append(out, s.Logits(i)...)
	}
	return out
}

// TestDemoLogits compares the converted demo model with the logits that the
// checkpoint's own evaluation gave.
func TestDemoLogits(t *testing.T) {
	var ref demoLogits
	readJSON(t, filepath.Join("testdata", "demo-logits.json"), &ref)
	for _, test := range []struct {
		file        string
		activations model.Activations
		kv          kernel.KVType
		bound       float64
	}{
		{"float.f32", model.Float, kernel.KVF32, 1e-5},
		{"float.f32", model.Float, kernel.KVF16, 2e-3},
		{"reference.f32", model.Int8, kernel.KVF32, 1.5 * ref.D},
	} {
		t.Run(test.file+"/"+test.kv.String(), func(t *testing.T) {
			want, err := validate.ReadRows(fixtures.Path(t, "demo-model", test.file), len(ref.Tokens), ref.Vocabulary)
			if err != nil {
				t.Fatal(err)
			}
			m := openDemo(t, trit.Activations(test.activations), trit.KVType(test.kv))
			report, err := validate.CompareLogits(ref.Tokens, logitsOf(t, m, ref.Tokens), want, ref.Vocabulary)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("median %.3g, maximum %.3g, bound %.3g", report.Median, report.Max, test.bound)
			if !(float64(report.Max) <= test.bound) {
				t.Errorf("maximum distance %.3g exceeds %.3g", report.Max, test.bound)
			}
		})
	}
}

// TestDemoGreedy compares greedy continuations with those of the program that
// trained the model. After a choice between two tokens that int8 rounding can
// swap, texts may differ.
func TestDemoGreedy(t *testing.T) {
	var ref demoLogits
	readJSON(t, filepath.Join("testdata", "demo-logits.json"), &ref)
	var texts map[string]struct {
		Prompt []int32 `json:"prompt_ids"`
		Greedy []int32 `json:"greedy_ids"`
		Text   string  `json:"text"`
	}
	readJSON(t, filepath.Join("testdata", "greedy.json"), &texts)
	m := openDemo(t, trit.KVType(kernel.KVF32))
	compared := 0
	for prompt, want := range texts {
		var got []int32
		for token, err := range m.GenerateFrom(context.Background(), want.Prompt, trit.Greedy(), trit.MaxTokens(len(want.Greedy))) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, token.ID)
		}
		for i, id := range want.Greedy {
			if i < len(got) && got[i] == id {
				compared++
				continue
			}
			logits := logitsOf(t, m, append(append([]int32(nil), want.Prompt...), want.Greedy[:i]...))
			last := logits[len(logits)-ref.Vocabulary:]
			if gap := marginOf(last, id); gap > ref.D*norm(last) {
				t.Errorf("%q: token %d is %d, want %d, although the best two are %.3g apart", prompt, i, at(got, i), id, gap)
			} else {
				t.Logf("%q: token %d differs at a near tie (%.3g)", prompt, i, gap)
			}
			break
		}
	}
	if compared < 100 {
		t.Errorf("only %d tokens could be compared", compared)
	}
}

func at(ids []int32, i int) int32 {
	if i < len(ids) {
		return ids[i]
	}
	return -1
}

// marginOf returns how far a token's logit is below the largest.
func marginOf(logits []float32, id int32) float64 {
	return float64(kernel.Max(logits)) - float64(logits[id])
}

func norm(x []float32) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum)
}

// demoHashes are the SHA-256 sums of the demo's logits, little-endian float32.
// They must be the same with every kernel on every processor.
var demoHashes = map[kernel.KVType]string{
	kernel.KVF32: "a44b9f11bca358c334b9fbccc5e8e0848439357cd3725fc5277a55ecd528f2ed",
	kernel.KVF16: "8497b170293d632b213e2fd2d75031f5e2ce1a1f2f7e0e24198d5da416f5acf3",
	kernel.KVI8:  "8675d70097e901cad404dfa178372e47dec8fa4e2975ac597f2d32d4744ac207",
	kernel.KVQ4:  "87beb1b58e8690ee45613cb957a08cfcc1407a1944baadfae4d4c896516243cc",
}

// TestSameBitsEverywhere compares the demo's logits with a committed hash.
// The project's CI runs it with every instruction set and on other processors.
func TestSameBitsEverywhere(t *testing.T) {
	var ref demoLogits
	readJSON(t, filepath.Join("testdata", "demo-logits.json"), &ref)
	// Long enough for two chunks of attention.
	tokens := append([]int32(nil), ref.Tokens...)
	for len(tokens) < 300 {
		tokens = append(tokens, ref.Tokens[1:]...)
	}
	for kv, want := range demoHashes {
		m := openDemo(t, trit.KVType(kv))
		h := sha256.New()
		if err := binary.Write(h, binary.LittleEndian, logitsOf(t, m, tokens)); err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != want {
			t.Errorf("%s KV: the hash of the logits is %s, want %s (kernels: %s)", kv, got, want, kernel.Active())
		}
	}
}
