package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"trit/internal/layers"
)

const tracePrompt = "Once upon a time there was a fox"

// TestTraceNamesTheStage: the comparison with the sound demo names the stage where
// each mistake begins, and why.
func TestTraceNamesTheStage(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.json")
	runTrit(t, "trace", "--model", "demo", "--prompt", tracePrompt, "--out", good).expect(t, exitOK, "ok")
	for _, m := range brokenModels {
		t.Run(m.file, func(t *testing.T) {
			bad := filepath.Join(dir, m.file+".json")
			runTrit(t, "trace", "--model", m.write(t, dir), "--prompt", tracePrompt, "--out", bad).expect(t, exitOK)
			r := runTrit(t, "trace", "--compare", good, bad)
			r.expect(t, exitFailed, append(m.says, "The runs part at "+m.stage)...)
			r = runTrit(t, "trace", "--compare", good, bad, "--json")
			r.expect(t, exitFailed)
			var c layers.Comparison
			if err := json.Unmarshal([]byte(r.out), &c); err != nil {
				t.Fatal(err)
			}
			if c.Agree || c.Parting == nil || c.Parting.Stage != m.stage {
				t.Errorf("parts at %+v, want %s", c.Parting, m.stage)
			}
			// The other way round it is the same stage.
			runTrit(t, "trace", "--compare", bad, good).expect(t, exitFailed, "The runs part at "+m.stage)
		})
	}
}

// TestTraceAgrees: other threads, batches of tokens and KV types do not make runs
// part, and the remedy for a file in another layout is right.
func TestTraceAgrees(t *testing.T) {
	dir := t.TempDir()
	record := func(name string, args ...string) string {
		path := filepath.Join(dir, name)
		runTrit(t, append([]string{"trace", "--prompt", tracePrompt, "--tokens", "all", "--out", path}, args...)...).expect(t, exitOK)
		return path
	}
	good := record("good.json", "--model", "demo")
	runTrit(t, "trace", "--compare", good, record("threads.json", "--model", "demo", "--threads", "1")).expect(t, exitOK, "The runs agree", "equal to the bit")
	runTrit(t, "trace", "--compare", good, record("kv.json", "--model", "demo", "--kv-type", "f32")).expect(t, exitOK, "KV cache f16 (A), f32 (B)", "The largest distance")
	runTrit(t, "trace", "--compare", good, record("kv8.json", "--model", "demo", "--kv-type", "int8")).expect(t, exitOK, "The runs agree")
	runTrit(t, "trace", "--compare", good, record("float.json", "--model", "demo", "--activations", "float")).expect(t, exitOK, "activations int8 (A), float (B)")
	runTrit(t, "trace", "--compare", good, record("strict.json", "--model", "demo", "--kv-type", "f32"), "--tolerance", "1e-6").expect(t, exitFailed, "part at 0.attention")
	b := brokenModels[0].write(t, dir)
	r := runTrit(t, "trace", "--compare", good, record("b.json", "--model", b, "--i2s-layout", "b"))
	r.expect(t, exitOK, "The runs agree", "--i2s-layout default (A), b (B)")
}

// TestTraceJSON reads what trace prints, and what it writes.
func TestTraceJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace.json")
	r := runTrit(t, "trace", "--model", "demo", "--prompt", "Once upon a time", "--json", "--out", path, "--layers", "in,0-1", "--stages", "embedding,q_rope,down",
		"--tokens", "1,-1", "--samples", "5", "--lens=2")
	r.expect(t, exitOK)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if r.out != string(data) {
		t.Error("--json and --out differ")
	}
	var trace struct {
		Header layers.Header
		Stages []layers.Record
		Lens   []layers.LensRecord
	}
	if err := json.Unmarshal(data, &trace); err != nil {
		t.Fatal(err)
	}
	h := trace.Header
	if h.Model != "demo" || h.Config.Activations != "int8" || h.Numerics < 1 || len(h.Identity) != 64 || len(h.Tokens) != 5 || h.Prompt != "Once upon a time" || h.Texts[4] != " time" {
		t.Errorf("header %+v", h)
	}
	if len(trace.Stages) != 2*5 || len(trace.Lens) != 2*3 { // (embedding, two layers with two stages) for two tokens
		t.Errorf("%d records, %d of the lens", len(trace.Stages), len(trace.Lens))
	}
	if s := trace.Stages[3]; s.Stage != "0.q_rope" || s.Token != 4 || s.Shape[0] != 256 || len(s.First) != 5 || len(s.Spread) != 5 {
		t.Errorf("record %+v", s)
	}
}

// TestTracePrompts: the ways to say what is run.
func TestTracePrompts(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "prompt.txt")
	if err := os.WriteFile(file, []byte("Once upon a time"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := runTrit(t, "trace", "--model", "demo", "--prompt", "Once upon a time")
	want.expect(t, exitOK, "5 tokens", `4 " time"`, "after token 4")
	for _, args := range [][]string{
		{"--prompt-file", file},
		{"--ids", "2045, 447,600,260,499"},
	} {
		got := runTrit(t, append([]string{"trace", "--model", "demo"}, args...)...)
		got.expect(t, exitOK)
		if args[0] == "--prompt-file" && got.out != want.out {
			t.Errorf("%v prints\n%s\nwant\n%s", args, got.out, want.out)
		}
	}
	var out, errOut bytes.Buffer
	if code := run(context.Background(), []string{"trace", "--model", "demo", "--prompt-file", "-"}, strings.NewReader("Once upon a time"), &out, &errOut); code != exitOK || out.String() != want.out {
		t.Errorf("exit code %d, %s%s", code, out.String(), errOut.String())
	}
	runTrit(t, "trace", "--model", "demo", "--chat", "--prompt", "What is the capital of France?").expect(t, exitOK, "13 tokens")
	runTrit(t, "trace", "--model", "demo", "--prompt", "Once upon a time", "--lens", "--tokens", "-1").expect(t, exitOK, "  in ", "  5 ", "  out", `","`)
}

// TestTraceShowsNaN: a NaN among the weights is seen where it comes from.
func TestTraceShowsNaN(t *testing.T) {
	dir := t.TempDir()
	for _, m := range brokenModels {
		if m.file != "nan.gguf" {
			continue
		}
		path := m.write(t, dir)
		runTrit(t, "trace", "--model", path, "--prompt", "Once").expect(t, exitOK, "!! 1 NaN, first in embedding")
		runTrit(t, "trace", "--model", path, "--prompt", "Once", "--stages", "embedding").expect(t, exitOK, "!! 1 NaN, 0 Inf")
		runTrit(t, "trace", "--model", path, "--prompt", "Once", "--json").expect(t, exitOK, `"nan":1`, `"NaN"`)
	}
}

func TestTraceErrors(t *testing.T) {
	dir := t.TempDir()
	good, short, text, cut := filepath.Join(dir, "good.json"), filepath.Join(dir, "short.json"), filepath.Join(dir, "text.txt"), filepath.Join(dir, "cut.json")
	runTrit(t, "trace", "--model", "demo", "--prompt", "Once upon a time", "--out", good).expect(t, exitOK)
	runTrit(t, "trace", "--model", "demo", "--prompt", "Once upon", "--out", short).expect(t, exitOK)
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{text: []byte("hello"), cut: data[:len(data)/2]} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	record := func(name string, args ...string) string {
		path := filepath.Join(dir, name)
		runTrit(t, append([]string{"trace", "--model", "demo", "--prompt", "Once upon a time", "--out", path}, args...)...).expect(t, exitOK)
		return path
	}
	prompt := []string{"--model", "demo", "--prompt", "Once"}
	for _, test := range []struct {
		args     []string
		code     int
		mentions []string
	}{
		{[]string{"--prompt", "x"}, exitUsage, []string{"--model"}},
		{[]string{"--model", "demo"}, exitUsage, []string{"--prompt"}},
		{[]string{"--model", "demo", "--prompt", "x", "--ids", "1"}, exitUsage, []string{"exclude"}},
		{[]string{"--model", "demo", "--ids", "1,x"}, exitUsage, []string{`"x"`}},
		{[]string{"--model", "demo", "--ids", "1", "--chat"}, exitUsage, []string{"--chat"}},
		{[]string{"--model", "demo", "--ids", "99999"}, exitFailed, []string{"99999", "2048"}},
		{[]string{"--model", "demo", "--prompt-file", filepath.Join(dir, "nowhere")}, exitFailed, []string{"nowhere"}},
		{append(prompt, "--stages", "q_rope,qrope"), exitUsage, []string{`"qrope"`, "attn_sub_norm", "logits"}},
		{append(prompt, "--layers", "0,6"), exitUsage, []string{"layer 6", "0 to 5"}},
		{append(prompt, "--layers", "3-1"), exitUsage, []string{"3-1"}},
		{append(prompt, "--layers", "x"), exitUsage, []string{`"x"`}},
		{append(prompt, "--tokens", "7"), exitUsage, []string{"token 7", "2 tokens"}},
		{append(prompt, "--tokens", "a-b"), exitUsage, []string{"a-b"}},
		{append(prompt, "--samples", "0"), exitUsage, []string{"--samples"}},
		{append(prompt, "--lens=x"), exitUsage, []string{`"x"`}},
		{append(prompt, "--lens=5000"), exitUsage, []string{"2048"}},
		{append(prompt, "--lens", "3"), exitUsage, []string{"--lens=3"}},
		{append(prompt, "--tolerance", "1"), exitUsage, []string{"--compare"}},
		{append(prompt, "--out", filepath.Join(dir, "no", "folder")), exitFailed, []string{"folder"}},
		{[]string{good, short}, exitUsage, []string{"--compare"}},
		{[]string{"--compare", good}, exitUsage, []string{"two files"}},
		{[]string{"--compare", good, good, "--model", "demo"}, exitUsage, []string{"--model"}},
		{[]string{"--compare", good, good, "--tolerance", "-1"}, exitUsage, []string{"-1"}},
		{[]string{"--compare", good, filepath.Join(dir, "nowhere")}, exitUsage, []string{"nowhere"}},
		{[]string{"--compare", good, text}, exitUsage, []string{"text.txt", "not JSON", "trit trace"}},
		{[]string{"--compare", good, dir}, exitUsage, []string{"folder"}},
		{[]string{"--compare", good, cut}, exitUsage, []string{"cut.json", "in the middle"}},
		{[]string{"--compare", good, short}, exitUsage, []string{"5 tokens, B has 3", "prompts are different", "--ids"}},
		{[]string{"--compare", good, record("tokens.json", "--tokens", "1")}, exitUsage, []string{"--tokens"}},
		{[]string{"--compare", good, record("stages.json", "--stages", "v")}, exitUsage, []string{"--stages"}},
		{[]string{"--compare", good, record("layers.json", "--layers", "1-2")}, exitUsage, []string{"--layers"}},
		{[]string{"--compare", good, record("samples.json", "--samples", "3")}, exitUsage, []string{"--samples"}},
		{[]string{"--compare", good, good}, exitOK, []string{"The runs agree"}},
	} {
		runTrit(t, append([]string{"trace"}, test.args...)...).expect(t, test.code, test.mentions...)
	}
	b := brokenModels[1].write(t, dir)
	runTrit(t, "trace", "--model", b, "--prompt", "Once", "--out", b).expect(t, exitFailed, "is the model")
	left := filepath.Join(dir, "left.json")
	runTrit(t, append([]string{"trace", "--out", left, "--stages", "nonsense"}, prompt...)...).expect(t, exitUsage, "nonsense")
	if _, err := os.Stat(left); err == nil {
		t.Error("a trace that failed left a file")
	}
}
