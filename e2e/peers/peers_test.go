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
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParsePeer(t *testing.T) {
	p, err := parsePeer("llama.cpp bench=/a/b,-fa,1 cli=/d server=/c model=m.gguf")
	if want := (peer{name: "llama.cpp", bench: "/a/b,-fa,1", cli: "/d", server: "/c", model: "m.gguf"}); err != nil || p != want {
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

// script writes a program in the language of the shell.
func script(t *testing.T, name, text string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("shell scripts stand for the programs")
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestTable runs programs that print what Trit and a peer would, and compares the table.
func TestTable(t *testing.T) {
	model := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(model, make([]byte, 2_500_000), 0o666); err != nil {
		t.Fatal(err)
	}
	c := config{shape: "tiny", typ: "q2_0", prompt: 256, generate: 32, rounds: 2, threads: 2, clients: 8,
		parts: []string{"speed", "depth", "batch", "start"}, depths: []int{2048, 8192}, kvTypes: []string{"f16", "int8"}}
	c.trit = script(t, "trit", `limits='"read_bandwidth_bytes_per_second": 3e10, "int8_macs_per_second": 4.6e11'
case "$*" in
*"-p 256 -n 32 --depth 0 --batch 8")
	echo "{$limits, \"prefill_tokens_per_second\": 200, \"depth\": [{\"n\": 0, \"decode_tokens_per_second\": 48}],
		\"batch\": [{\"n\": 8, \"decode_tokens_per_second\": 150}]}" ;;
*"--kv-type f16 --depth 2048,8192")
	echo "{$limits, \"depth\": [{\"n\": 2048, \"decode_tokens_per_second\": 40}, {\"n\": 8192, \"decode_tokens_per_second\": 30}]}" ;;
*"--kv-type int8 --depth 2048,8192")
	echo "{$limits, \"depth\": [{\"n\": 2048, \"decode_tokens_per_second\": 44}, {\"n\": 8192, \"decode_tokens_per_second\": 36}]}" ;;
infer*"-n 1" | infer*"-n 1 -c 256") exec head -c 20000000 /dev/zero | tail -c 20000000 >/dev/null ;;
*) exit 3 ;;
esac`)
	other := peer{name: "other", model: model, cli: c.trit + ",infer", bench: script(t, "bench", `[ "$1" = -fa ] || exit 3
echo '[
WARNING: a message
{"n_prompt": 256, "n_gen": 0, "avg_ts": 50.5}, {"n_prompt": 0, "n_gen": 32, "avg_ts": 24}]'`) + ",-fa,1",
		batched: script(t, "batched", `echo 'main: n_kv_max = 2000'
echo '|    PP |     TG |    B |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |      T s |    S t/s |'
echo '|-------|--------|------|--------|----------|----------|----------|----------|----------|----------|'
case "$*" in
*"-npp 8 -ntg 32 -npl 8") echo '|     8 |     32 |    8 |    320 |    1.000 |    64.00 |    4.000 |    60.00 |    5.000 |    64.00 |' ;;
*"-npp 2048,8192 -ntg 32 -npl 1 -ctk f16 -ctv f16")
	echo '|  2048 |     32 |    1 |   2080 |   20.000 |   102.40 |    2.000 |    16.00 |   22.000 |    94.00 |'
	echo '|  8192 |     32 |    1 |   8224 |   90.000 |    91.00 |    4.000 |     8.00 |   94.000 |    87.00 |' ;;
*"-ctk q8_0 -ctv q8_0")
	exec >&2
	echo '|  2048 |     32 |    1 |   2080 |   20.000 |   102.40 |    2.000 |    22.00 |   22.000 |    94.00 |'
	echo '|  8192 |     32 |    1 |   8224 |   90.000 |    91.00 |    4.000 |    12.00 |   94.000 |    87.00 |' ;;
*) exit 3 ;;
esac`)}
	all := []peer{{name: "Trit", model: model}, other}
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
		"| generating after 2048 tokens, KV in f16, tokens/s | 40.0 (40.0–40.0) | 16.0 (16.0–16.0) | 2.50 |",
		"| generating after 8192 tokens, KV in int8, tokens/s | 36.0 (36.0–36.0) | 12.0 (12.0–12.0) | 3.00 |",
		"| several sequences at once, tokens/s | 150 (150–150) | 60.0 (60.0–60.0) | 2.50 |",
		"| file, MB | 2.50 (2.50–2.50) | 2.50 (2.50–2.50) | 1.00 |",
		"| one token, from start to end, s | ",
		"reads 30.0 (30.0–30.0) GB/s",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "server") {
		t.Errorf("lines without samples in\n%s", got)
	}
	if mb := r.samples["other"][oneMemory]; runtime.GOOS == "linux" && (len(mb) != 2 || mb[0] < 20) {
		t.Errorf("a process that held 20 MB had %v", mb)
	}
	svg := r.svg()
	if lines := strings.Count(got, "\n| ") - 1; strings.Count(svg, "<rect") != 1+2*lines {
		t.Errorf("not a bar for each of %d pairs: %s", lines, svg)
	}
	if !strings.Contains(svg, "file, MB (less is better): 1.00 ×") {
		t.Errorf("the drawing does not say what is better, and the ratio: %s", svg)
	}
	other.batched = script(t, "batched", "echo no table")
	if err := other.measure(context.Background(), c, r); err == nil || !strings.Contains(err.Error(), "no table") {
		t.Errorf("a program without results: %v", err)
	}
	if _, err := output(context.Background(), "false"); err == nil {
		t.Error("a program that fails gives no error")
	}
}

func TestList(t *testing.T) {
	v := []int{5}
	if err := list(&v, depth)("2048,8192"); err != nil || !slices.Equal(v, []int{2048, 8192}) {
		t.Errorf("%v, %v", v, err)
	}
	for _, bad := range []string{"1,x", "0", "2048,", ""} {
		if list(&v, depth)(bad) == nil {
			t.Errorf("%q is a list of depths", bad)
		}
	}
}

// TestServerEnds expects the words of a server that ends before it is ready.
func TestServerEnds(t *testing.T) {
	p := peer{name: "other", model: "m", server: script(t, "server", "echo no such model >&2; exit 1")}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c := config{clients: 1, answer: 1}
	err := p.measureServer(ctx, c, newResults(c, []peer{{name: "Trit"}, p}))
	if err == nil || !strings.Contains(err.Error(), "no such model") {
		t.Errorf("got %v", err)
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
