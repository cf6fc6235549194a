package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"trit/internal/eval"
)

// TestEval: the demo knows its facts, and a server says the same, to the last bit, as the model itself.
func TestEval(t *testing.T) {
	newStore(t)
	facts, stories := filepath.Join("..", "..", "internal", "eval", "testdata", "facts.jsonl"), filepath.Join("..", "..", "internal", "eval", "testdata", "stories.jsonl")
	ask := func(args ...string) (r evalResult) {
		t.Helper()
		got := runStore(t, append([]string{"eval", "demo", "--json", "--shots", "0", "--together", "8", "--task"}, args...)...)
		got.expect(t, exitOK)
		if err := json.Unmarshal([]byte(got.out), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	both := []string{facts, "--task", stories}
	if testing.Short() {
		both = append(both, "--limit", "2")
	}
	direct := ask(both...)
	if r := direct.Results[0]; r.Task != "facts" || r.Acc.Value < 0.9 || r.AccNorm.Value < 0.9 || r.Acc.Stderr == nil {
		t.Errorf("%+v", r)
	}
	if r := direct.Results[1]; r.TokenPerplexity.Value > 2 || r.BytePerplexity.Value >= r.TokenPerplexity.Value ||
		r.WordPerplexity.Value <= r.TokenPerplexity.Value || r.BitsPerByte.Value <= 0 {
		t.Errorf("%+v", r)
	}
	if !testing.Short() {
		if a, b := direct.Results[0].Items, direct.Results[1].Items; a != 28 || b != 6 {
			t.Errorf("%d and %d items", a, b)
		}
		// lm-evaluation-harness 0.4.13 gives these of the same task.
		r := ask(filepath.Join(filepath.Dir(facts), "close.jsonl")).Results[0]
		if r.Acc.String() != "0.9000 ± 0.0557" || r.AccNorm.String() != "0.6333 ± 0.0895" {
			t.Errorf("acc %v, acc_norm %v", r.Acc, r.AccNorm)
		}
	}
	url, _, stop := startServe(t, "--threads", "2")
	defer stop()
	served := ask(append(both, "--url", url)...)
	if !reflect.DeepEqual(served.Results, direct.Results) || served.URL == "" || served.Model != "demo" {
		t.Errorf("a server gives\n%+v, the model\n%+v", served.Results[0], direct.Results[0])
	}
	runStore(t, "eval", "nobody", "--task", facts, "--url", url).expect(t, exitFailed, "404")

	runStore(t, "eval", "demo", "--task", facts, "--limit", "2", "--shots", "1").expect(t, exitOK, "facts, 2 items, 1 shots", "acc_norm")
	runStore(t, "eval", "demo", "--task", facts, "--shots", "27").expect(t, exitFailed, "fewer shots")
	runStore(t, "eval", "demo", "--task", facts, "--shots", "2", "--shots-from", stories).expect(t, exitFailed, "choices")
	runStore(t, "eval", "demo").expect(t, exitUsage, "--task is missing")
	runStore(t, "eval", "demo", "--task", facts, "--limit", "-1").expect(t, exitUsage, "--limit")
	runStore(t, "eval", "demo", "--task", facts, "--together", "0").expect(t, exitUsage, "--together")
	bad := filepath.Join(t.TempDir(), "bad.jsonl")
	if err := os.WriteFile(bad, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	runStore(t, "eval", "demo", "--task", bad).expect(t, exitFailed, eval.ErrTask.Error(), "line 1")
}
