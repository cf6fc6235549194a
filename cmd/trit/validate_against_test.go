package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

func TestValidateAgainst(t *testing.T) {
	story := filepath.Join(t.TempDir(), "story.txt")
	text, err := os.ReadFile("../../internal/validate/testdata/heldout.txt")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(story, text[:800], 0o600); err != nil {
		t.Fatal(err)
	}
	args := func(more ...string) []string {
		return append([]string{"validate", "--model", "demo", "--against", "demo", "--text", story}, more...)
	}
	runTrit(t, args()...).expect(t, exitOK, "demo (activations int8) against demo (float)", "KL divergence", "top-1 agreement", "+/-", "ln of the ratio")
	report := filepath.Join(t.TempDir(), "report.json")
	r := runTrit(t, args("--against-activations", "int8", "--kv-type", "f32", "--json", "--output", report)...)
	var got againstResult
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatalf("%v in %s", err, r.out)
	}
	if got.Max != 0 || got.Agreement.Mean != 1 || got.TwinActivations != "int8" || !got.Passed || got.Scored == 0 || got.Perplexity != got.TwinPerplexity {
		t.Errorf("the demo against itself: %s", r.out)
	}
	if written, err := os.ReadFile(report); err != nil || len(written) == 0 {
		t.Errorf("the report: %v", err)
	}
	runTrit(t, args("--tolerance", "1e-9")...).expect(t, exitFailed, "FAILED: the tolerance is 1e-09")
	runTrit(t, args("--tolerance", "0.01")...).expect(t, exitOK)
	runTrit(t, "validate", "--model", "demo", "--against", "nobody.gguf").expect(t, exitFailed, "nobody.gguf")
	for _, bad := range [][]string{{"--tolerance", "0"}, {"--tokens", "1"}, {"--logits", "x"}, {"--skip", "weights"}, {"--against-activations", "int3"}} {
		runTrit(t, args(bad...)...).expect(t, exitUsage, bad[0])
	}
	runTrit(t, "validate", "--model", "demo", "--against-activations", "int8").expect(t, exitUsage, "--against")
}
