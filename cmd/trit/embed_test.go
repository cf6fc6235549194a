package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trit"
	"trit/hub"
	"trit/internal/fixtures"
)

// vectorsOf reads lines of JSON.
func vectorsOf(t *testing.T, lines string) []embedded {
	t.Helper()
	var all []embedded
	for line := range strings.Lines(lines) {
		var e embedded
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		all = append(all, e)
	}
	return all
}

// embedInput runs trit embed with something on standard input.
func embedInput(t *testing.T, input string, args ...string) result {
	t.Helper()
	t.Setenv(hub.HomeEnv, t.TempDir())
	var out, errOut bytes.Buffer
	code := run(context.Background(), append([]string{"embed", "-m", "demo"}, args...), strings.NewReader(input), &out, &errOut)
	return result{code, out.String(), errOut.String()}
}

func TestEmbedCommand(t *testing.T) {
	m, err := trit.Open("demo")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	vector := func(text string, opts ...trit.EmbedOption) []float32 {
		v, err := m.Embed(t.Context(), text, opts...)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "text.txt")
	if err := os.WriteFile(file, []byte("\uFEFFA dog barks."), 0o600); err != nil {
		t.Fatal(err)
	}
	got := vectorsOf(t, embedInput(t, "", "--json", "A cat.", "--file", file).out)
	if len(got) != 2 || got[0].Text != "A cat." || got[1].File != file || got[1].Index != 1 || got[0].Tokens != len(m.Tokenize("A cat.")) ||
		!slices.Equal(got[0].Embedding, vector("A cat.")) || !slices.Equal(got[1].Embedding, vector("A dog barks.")) {
		t.Errorf("texts and files: %+v", got)
	}
	for _, test := range []struct {
		args []string
		opts []trit.EmbedOption
		text string
	}{
		{[]string{"--pooling", "last"}, []trit.EmbedOption{trit.Pool(trit.PoolLast)}, "A cat."},
		{[]string{"--pooling", "cls", "--dimensions", "9"}, []trit.EmbedOption{trit.Pool(trit.PoolCLS), trit.Dimensions(9)}, "A cat."},
		{[]string{"--unscaled"}, []trit.EmbedOption{trit.Unscaled()}, "A cat."},
		{[]string{"--prefix", "Once: "}, nil, "Once: A cat."},
	} {
		got := vectorsOf(t, embedInput(t, "", append([]string{"--json", "A cat."}, test.args...)...).out)
		if len(got) != 1 || !slices.Equal(got[0].Embedding, vector(test.text, test.opts...)) {
			t.Errorf("%v: another vector", test.args)
		}
	}
	if got := vectorsOf(t, embedInput(t, "A cat.\n", "--json").out); len(got) != 1 || got[0].Text != "A cat." {
		t.Errorf("standard input: %+v", got)
	}

	r := embedInput(t, "", "A cat sleeps.", "A dog barks.", "Three plus four.")
	r.expect(t, exitOK, `"A cat sleeps."`, "tokens", "and 250 more", "similarity", "1.0000")
	cosine := trit.Cosine(vector("A cat sleeps."), vector("A dog barks."))
	if want := fmt.Sprintf("%.4f\n", cosine); embedInput(t, "", "--similarity", "A cat sleeps.", "A dog barks.").out != want {
		t.Errorf("the similarity is not %s", want)
	}
	var alike struct{ Similarity float64 }
	if err := json.Unmarshal([]byte(embedInput(t, "", "--json", "--similarity", "A cat sleeps.", "A dog barks.").out), &alike); err != nil ||
		alike.Similarity != cosine {
		t.Errorf("the similarity as JSON is %v, %v", alike, err)
	}
}

// TestEmbedLines: lines of JSON in and out, more of them than are computed at once.
func TestEmbedLines(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.jsonl"), filepath.Join(dir, "out.jsonl")
	var lines strings.Builder
	lines.WriteString("\uFEFF\"the first one\"\n\n")
	n := linesAtOnce + 3
	if testing.Short() {
		n = 40
	}
	for i := 1; i < n; i++ {
		fmt.Fprintf(&lines, "{\"id\": {\"n\": %d}, \"text\": \"dog %d\", \"more\": 1}\n", i, i)
	}
	if err := os.WriteFile(in, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	embedInput(t, "", "--lines", in, "--output", out, "--dimensions", "4").expect(t, exitOK)
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	got := vectorsOf(t, string(data))
	if len(got) != n || got[0].Text != "the first one" || got[0].ID != nil {
		t.Fatalf("%d lines for %d", len(got), n)
	}
	for i, e := range got[1:] {
		if e.Index != i+1 || string(e.ID) != fmt.Sprintf(`{"n":%d}`, i+1) || e.Text != fmt.Sprintf("dog %d", i+1) || len(e.Embedding) != 4 {
			t.Fatalf("line %d: %+v", i+1, e)
		}
	}
	if got := vectorsOf(t, embedInput(t, "\"a\"\n\"b\"", "--lines", "-", "--json").out); len(got) != 2 || got[1].Text != "b" {
		t.Errorf("standard input: %+v", got)
	}
	for input, says := range map[string]string{
		"\"a\"\n{\"text\": 3}\n": "standard input, line 2: want a string",
		"{\"id\": 3}\n":          "line 1: want a string",
		"\"a\"\n\nwhat\n":        "line 3: this is no JSON",
		"\"a\"\n\"\"\n":          "line 2, is empty",
		"null\n":                 "line 1: want a string",
	} {
		embedInput(t, input, "--lines", "-", "--json").expect(t, exitFailed, says)
	}
}

func TestEmbedErrors(t *testing.T) {
	long := strings.Repeat("Once upon a time ", 300)
	for _, test := range []struct {
		code int
		says string
		args []string
	}{
		{exitUsage, "exclude each other", []string{"x", "--query", "--prefix", "y"}},
		{exitUsage, "--lines excludes", []string{"x", "--lines", "-"}},
		{exitUsage, "two texts", []string{"--similarity", "x"}},
		{exitUsage, "--similarity and --output", []string{"--similarity", "x", "y", "--output", "z"}},
		{exitUsage, "--dimensions -1", []string{"--dimensions", "-1", "x"}},
		{exitUsage, "want mean, cls or last", []string{"--pooling", "max", "x"}},
		{exitFailed, "--dimensions: 100000; the vectors of this model have 256", []string{"--dimensions", "100000", "x"}},
		{exitFailed, "--prefix: the file of demo does not say how queries begin", []string{"--query", "x"}},
		{exitFailed, "text 2: the text has", []string{"x", long}},
		{exitFailed, "--truncate", []string{long}},
		{exitFailed, "text 1 is empty", []string{""}},
		{exitFailed, "nowhere", []string{"--file", "nowhere"}},
		{exitFailed, "nowhere", []string{"--lines", "nowhere"}},
	} {
		embedInput(t, "", test.args...).expect(t, test.code, test.says)
	}
	embedInput(t, "", "--truncate", "--json", long).expect(t, exitOK, `"tokens":512`)
}

// TestValidateVectors compares the vectors of golden models, and sees what is wrong.
func TestValidateVectors(t *testing.T) {
	const tokens = "1,17,300,45,45,9,222,511,3,120,77,64,401,5,17,300;5,9,222,17,401;300"
	for model, d := range map[string]string{"eq1": "0.0344", "eg1": "0.026"} {
		path := fixtures.Path(t, "golden-2026b", model+".gguf")
		vectors := func(kind string) string { return fixtures.Path(t, "golden-2026b", model+"."+kind+".f32") }
		runTrit(t, "validate", "--model", path, "--vectors", vectors("float"), "--tokens", tokens, "--activations", "float", "--kv-type", "f32").
			expect(t, exitOK, "mean of the tokens", "passed: the tolerance is 1e-05")
		runTrit(t, "validate", "--model", path, "--vectors", vectors("int8"), "--tokens", tokens, "--tolerance", d).expect(t, exitOK, "passed")
		runTrit(t, "validate", "--model", path, "--vectors", vectors("float"), "--tokens", "1,2;3;4", "--activations", "float").
			expect(t, exitFailed, "FAILED")
	}
	path := filepath.Join(t.TempDir(), "v.f32")
	var data []byte
	m, err := trit.Open("demo")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	vs, err := m.EmbedTokens(t.Context(), [][]int32{{1, 2}, {3}})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range vs {
		for _, x := range v {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		}
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"validate", "--model", "demo", "--vectors", path, "--tokens"}
	runTrit(t, append(args, "1,2;3", "--json")...).expect(t, exitOK, `"max_distance": 0`, `"pooling": "mean"`)
	runTrit(t, append(args, "1,2;3;4")...).expect(t, exitFailed, "3 rows of 256 values")
	runTrit(t, append(args, "1,2;")...).expect(t, exitUsage, "--tokens")
	runTrit(t, append(args, "1", "--logits", path)...).expect(t, exitUsage, "exclude each other")
	runTrit(t, append(args, "1", "--skip", "weights")...).expect(t, exitUsage, "--skip")
	runTrit(t, "validate", "--model", "demo", "--logits", path, "--tokens", "1;2").expect(t, exitUsage, "one text")
}
