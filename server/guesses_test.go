package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"trit"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
	"trit/server/core"
)

// TestGuesses: where tokens are guessed ahead, timings, the log and spans say how many, and how
// many were right; where none are, nothing says so.
func TestGuesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guesses.gguf")
	if err := os.WriteFile(path, synthtest.Bytes(t, synthtest.Shape(t, "tiny-qwen35"), synth.Options{MTP: true}), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string][]trit.Option{"with": {trit.MTP()}, "without": nil} {
		infos := make(chan core.RequestInfo, 10)
		s := serve(t, Options{Models: []string{path}, Open: open, OnRequest: func(_ context.Context, r core.RequestInfo) {
			if !r.Probe() {
				infos <- r
			}
		}})
		for _, test := range []struct{ path, body string }{
			{"/completion", `{"prompt":"one two","n_predict":40,"ignore_eos":true}`},
			{"/v1/completions", `{"prompt":"one two","max_tokens":40,"ignore_eos":true}`},
		} {
			var answer struct{ Timings map[string]float64 }
			r := s.do("POST", test.path, test.body)
			r.expect(t, 200)
			if err := json.Unmarshal([]byte(r.body), &answer); err != nil {
				t.Fatal(err)
			}
			guessed, said := answer.Timings["draft_n"]
			accepted, both := answer.Timings["draft_n_accepted"]
			if said != (open != nil) || both != said || said && (guessed < 1 || accepted > guessed) {
				t.Errorf("%s the layer %s says %v", name, test.path, answer.Timings)
			}
			info := <-infos
			if info.GuessedTokens != int64(guessed) || info.AcceptedTokens != int64(accepted) {
				t.Errorf("%s the layer the request guessed %d and %d, the timings %v", name, info.GuessedTokens, info.AcceptedTokens, answer.Timings)
			}
			if said != slices.ContainsFunc(info.SpanAttributes(), func(a slog.Attr) bool { return a.Key == "trit.guessed_tokens" }) {
				t.Errorf("%s the layer the span has %v", name, info.SpanAttributes())
			}
		}
		s.until("both requests are in the log", func() bool { return strings.Count(s.log.String(), "msg=request") >= 2 })
		line := regexp.MustCompile(`msg=request .*path=/completion .* tokens=40 guessed_tokens=[1-9]\d* accepted_tokens=\d`)
		if line.MatchString(s.log.String()) != (open != nil) {
			t.Errorf("%s the layer the log is\n%s", name, s.log.String())
		}
	}
}
