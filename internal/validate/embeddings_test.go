package validate

import (
	"context"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/model"
	"trit/internal/model/synth"
)

// TestEmbeddingsCheck: a pooling that cannot tell texts apart fails, and the one that
// can is named; models that were not made for vectors are not judged by them.
func TestEmbeddingsCheck(t *testing.T) {
	shape, err := synth.LookupShape("tiny-gemma3")
	if err != nil {
		t.Fatal(err)
	}
	for pooling, want := range map[model.Pooling]Status{0: Skipped, model.PoolMean: Passed, model.PoolCLS: Failed} {
		g, err := synth.New(shape, synth.Options{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		data, err := g.Bytes(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		f, err := gguf.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Metadata.Set("gemma3.pooling_type", uint32(pooling)); err != nil {
			t.Fatal(err)
		}
		r, err := Run(context.Background(), "x", f, Options{Skip: []string{CheckAttention, CheckDecode, CheckForward, CheckWeights}})
		if err != nil {
			t.Fatal(err)
		}
		c := r.Checks[len(r.Checks)-1]
		if c.Name != CheckEmbeddings || c.Status != want {
			t.Errorf("pooling %v: %+v", pooling, c)
		}
		if said := strings.Join(c.Errors, "\n"); want == Failed && !strings.Contains(said, "with option pooling mean they are in") {
			t.Errorf("pooling %v: %s", pooling, said)
		}
		if p := r.Checks[len(r.Checks)-2]; pooling != 0 && p.Status != Skipped {
			t.Errorf("the perplexity of an embedding model is judged: %+v", p)
		}
	}
}
