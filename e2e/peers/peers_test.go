package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestParsePeer(t *testing.T) {
	p, err := parsePeer("llama.cpp bench=/a/b server=/c model=m.gguf")
	if want := (peer{name: "llama.cpp", bench: "/a/b", server: "/c", model: "m.gguf"}); err != nil || p != want {
		t.Errorf("%+v, %v", p, err)
	}
	for _, bad := range []string{"", "bench=/a", "x bench", "x speed=3", "x bench="} {
		if _, err := parsePeer(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestQuantile(t *testing.T) {
	v := []float64{5, 1, 4, 2, 3}
	for q, want := range map[float64]float64{0: 1, .5: 3, .99: 5, 1: 5} {
		if got := quantile(v, q); got != want {
			t.Errorf("%v: %v, want %v", q, got, want)
		}
	}
	if !math.IsNaN(quantile(nil, .5)) {
		t.Error("no samples have a median")
	}
}

// script writes a program that prints text.
func script(t *testing.T, name, text string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("shell scripts stand for the programs")
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte("#!/bin/sh\ncat <<'END'\n"+text+"\nEND\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestTable runs programs that print what Trit and a peer would, and compares the table.
func TestTable(t *testing.T) {
	c := config{shape: "tiny", typ: "q2_0", prompt: 256, generate: 32, rounds: 2, threads: 2}
	c.trit = script(t, "trit", `{"read_bandwidth_bytes_per_second": 3e10, "int8_macs_per_second": 4.6e11,
"prefill_tokens_per_second": 200, "depth": [{"n": 0, "decode_tokens_per_second": 48}]}`)
	other := peer{name: "other", model: "m", bench: script(t, "bench", `[{"n_prompt": 256, "n_gen": 0, "avg_ts": 50.5},
{"n_prompt": 0, "n_gen": 32, "avg_ts": 24}]`)}
	all := []peer{{name: "Trit", model: "m"}, other}
	r := newResults(c, all)
	for range c.rounds {
		for _, p := range all {
			if err := p.measure(context.Background(), c, r); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := r.table()
	for _, want := range []string{
		"| measured | Trit | other | Trit ÷ the best other |",
		"| prompt, tokens/s | 200 (200–200) | 50.5 (50.5–50.5) | 3.96 |",
		"| generating, tokens/s | 48.0 (48.0–48.0) | 24.0 (24.0–24.0) | 2.00 |",
		"reads 30.0 (30.0–30.0) GB/s",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "server") {
		t.Errorf("lines without samples in\n%s", got)
	}
	if svg := r.svg(); strings.Count(svg, "<rect") != 1+4 {
		t.Errorf("not a bar for each of four speeds: %s", svg)
	}
	if _, err := output(context.Background(), "false"); err == nil {
		t.Error("a program that fails gives no error")
	}
}

func TestRatioOfTimes(t *testing.T) {
	r := newResults(config{}, []peer{{name: "Trit"}, {name: "a"}, {name: "b"}})
	r.add("Trit", firstToken, 100)
	r.add("a", firstToken, 300)
	r.add("b", firstToken, 250)
	if x, ok := r.ratio(firstToken); !ok || x != 2.5 {
		t.Errorf("%v, %v; want 2.5, of the faster one", x, ok)
	}
}

func TestAsk(t *testing.T) {
	var asked map[string]any
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || asked["prompt"] == "bad" {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		for range 3 {
			fmt.Fprint(w, "data: {\"content\": \"\", \"stop\": false}\n\n")
		}
		fmt.Fprint(w, "data: {\"content\": \"\", \"stop\": true, \"tokens_predicted\": 7}\n\n")
	}))
	defer server.Close()
	a, err := ask(context.Background(), server.URL, "Once", 7)
	if err != nil || a.tokens != 7 || len(a.gaps) != 2 || a.first <= 0 || asked["n_predict"] != 7.0 {
		t.Errorf("%+v, %v after %v", a, err, asked)
	}
	if _, err := ask(context.Background(), server.URL, "bad", 7); err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("refused: %v", err)
	}
}
