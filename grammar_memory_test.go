package trit_test

import (
	"fmt"
	"testing"

	"trit"
	"trit/grammar"
)

// TestGrammars: the grammars of all models that share a memory keep within it, and texts are the same with little as
// with much.
func TestGrammars(t *testing.T) {
	if _, err := trit.Open("demo", trit.Grammars(nil)); err == nil {
		t.Error("a memory that is nil is taken")
	}
	shared := grammar.NewMemory(1 << 20)
	models := []*trit.Model{openDemo(t, trit.Grammars(shared)), openDemo(t, trit.Grammars(shared))}
	roomy := openDemo(t)
	for i := range 12 {
		format := trit.Regexp(fmt.Sprintf("([^x]{1,%d}[a-z]{1,9}){2,9}", 10+i))
		options := []trit.GenerateOption{trit.Seed(1), trit.MaxTokens(12), format}
		want, _ := roomy.Text(t.Context(), "Once", options...)
		got, err := models[i%2].Text(t.Context(), "Once", options...)
		if got != want || want == "" {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
		if used := shared.Used(); used == 0 || used > shared.Limit() {
			t.Errorf("%d bytes of %d are kept", used, shared.Limit())
		}
	}
}
