package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trit"
	"trit/hub"
	"trit/internal/engine"
	"trit/internal/inside"
)

// result is what a command line did.
type result struct {
	code     int
	out, err string
}

// trit runs a command line in this process.
func runTrit(t testing.TB, args ...string) result {
	t.Helper()
	t.Setenv(hub.HomeEnv, t.TempDir())
	var out, errOut bytes.Buffer
	code := run(context.Background(), args, strings.NewReader(""), &out, &errOut)
	return result{code, out.String(), errOut.String()}
}

// expect checks the exit code and what the output mentions.
func (r result) expect(t testing.TB, code int, mentions ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", r.code, code, r.out, r.err)
	}
	for _, m := range mentions {
		if !strings.Contains(r.out+r.err, m) {
			t.Errorf("the output does not mention %q\nstdout: %s\nstderr: %s", m, r.out, r.err)
		}
	}
}

func TestDemo(t *testing.T) {
	r := runTrit(t, "demo")
	r.expect(t, exitOK, "Tell me a story", "fox", "The capital of France is Paris.", "Next: trit infer", "trit --help")
	if again := runTrit(t, "demo"); again.out != r.out {
		t.Error("the demo is different the second time")
	}
	if other := runTrit(t, "demo", "--seed", "7"); other.out == r.out {
		t.Error("another seed tells the same story")
	}
}

func TestInfer(t *testing.T) {
	r := runTrit(t, "infer", "--model", "demo", "--prompt", "Once upon a time", "--greedy", "--max-tokens", "10")
	r.expect(t, exitOK, "there was a brave girl")
	if !strings.Contains(r.err, "10 tokens") || !strings.Contains(r.err, "tokens/s") {
		t.Errorf("the summary is %q", r.err)
	}
	runTrit(t, "infer", "-m", "demo", "--chat", "-p", "What is 3 plus 4?", "--greedy").expect(t, exitOK, "3 plus 4 is 7.")
	runTrit(t, "infer", "-m", "demo", "-p", "Once", "--temperature", "0.5", "--top-k", "5", "--top-p", "0.9", "--min-p", "0.01", "--seed", "1",
		"--kv-type", "int8", "--threads", "1", "--ctx-size", "64", "--stop", "zzz").expect(t, exitOK)

	var answer inferResult
	r = runTrit(t, "infer", "-m", "demo", "-p", "Once upon a time", "--greedy", "-n", "7", "--json")
	r.expect(t, exitOK)
	if err := json.Unmarshal([]byte(r.out), &answer); err != nil {
		t.Fatalf("%v in %s", err, r.out)
	}
	if a := answer.Answers[0]; len(answer.Answers) != 1 || len(a.Tokens) != 7 || a.Finish != trit.FinishLength || !strings.HasPrefix(a.Text, ", there was") {
		t.Errorf("JSON result: %+v", answer)
	}
}

func TestInfoAndInspect(t *testing.T) {
	runTrit(t, "info", "--model", "demo").expect(t, exitOK, "bitnet-b1.58", "6 layers", "relu2", "[2046 2047]")
	runTrit(t, "inspect", "--model", "demo").expect(t, exitOK, "no misalignment", "token_embd.weight", "I2_S", "general.license")
	runTrit(t, "inspect", "--model", "demo", "--verbose").expect(t, exitOK, "524288 elements")
	for _, command := range []string{"info", "inspect", "models"} {
		args := []string{command, "--json"}
		if command != "models" {
			args = append(args, "--model", "demo")
		}
		r := runTrit(t, args...)
		r.expect(t, exitOK)
		if !json.Valid([]byte(r.out)) {
			t.Errorf("%s --json is not JSON: %.200s", command, r.out)
		}
	}
}

// TestValidateFlag: --validate lets a sound model pass and stops a broken one.
func TestValidateFlag(t *testing.T) {
	if testing.Short() {
		t.Skip("perplexity takes long on processors without assembly")
	}
	runTrit(t, "demo", "--validate").expect(t, exitOK, "Paris")
	runTrit(t, "infer", "--validate", "--model", "demo", "--prompt", "Once", "--greedy", "-n", "3").expect(t, exitOK)
	runTrit(t, "models", "--validate").expect(t, exitUsage, "runs no model")
	r := runTrit(t, "infer", "--validate", "--model", "demo", "--prompt", "Once", "--hidden-act", "silu")
	r.expect(t, exitFailed, "perplexity")
	if r.out != "" {
		t.Errorf("a model that fails its checks still writes %q", r.out)
	}
}

// TestMistakes: a mistake in the command line is named, with its exit code and
// help that exists.
func TestMistakes(t *testing.T) {
	runTrit(t, "infr").expect(t, exitUsage, `unknown command "infr"`, "infer", "Run 'trit --help'")
	runTrit(t, "--bogus").expect(t, exitUsage, "--bogus", "Run 'trit --help'")
	runTrit(t, "info", "model.gguf", "another.gguf").expect(t, exitUsage, `unexpected argument "another.gguf"`)
	runTrit(t, "infer", "-m", "demo", "tell", "me").expect(t, exitUsage, `unexpected argument "tell"`+"\n")
	runTrit(t, "perplexity", "-m", "demo", "--file", "x", "--ctx", "1").expect(t, exitUsage, "--ctx 1: want at least 4")
	runTrit(t, "health", "--url", "localhost:http").expect(t, exitUsage, `--url "localhost:http": want an address`)
	runTrit(t, "health", "--timeout", "-1s").expect(t, exitUsage, "--timeout -1s")
	runTrit(t, "serve", "--grace", "x").expect(t, exitUsage, `--grace "x": want a time such as 30s`, "Run 'trit serve --help'")
}

// TestExitCodes: 2 is for what no machine would take, 1 for what this one cannot do.
func TestExitCodes(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]int{
		"":                             exitOK,
		"help exit-codes":              exitOK,
		"demo --bogus":                 exitUsage,
		"infer -m demo -p x -t 9999":   exitUsage,
		"infer -m demo -p x -n -5":     exitUsage,
		"infer -m demo -p x --top-p 7": exitUsage,
		"infer -m demo -p x --json-schema " + broken:     exitUsage,
		"infer -m demo -p x --json-schema nofile":        exitFailed,
		"infer -m demo -p x --grammar nofile":            exitFailed,
		"infer -m demo -p x --chat-template-file nofile": exitFailed,
		"infer -m demo --prompt-file nofile":             exitFailed,
		"perplexity -m demo --file nofile":               exitFailed,
		"serve --port 0 --api-key-file nofile":           exitFailed,
		"infer -m nofile.gguf -p x":                      exitFailed,
		"convert --input nofile --output " + broken:      exitFailed,
		"rm demo": exitFailed,
		"convert": exitUsage,
	} {
		if r := runTrit(t, strings.Fields(args)...); r.code != want {
			t.Errorf("trit %s: exit code %d, want %d; %s", args, r.code, want, r.err)
		}
	}
}

// TestJSONFlag: a command without results refuses --json instead of ignoring it.
func TestJSONFlag(t *testing.T) {
	for _, cmd := range (&app{}).rootCommand().Commands() {
		if !cmd.IsAvailableCommand() {
			continue
		}
		name := cmd.Name()
		switch refuses := name == "demo" || name == "serve"; {
		case refuses:
			runTrit(t, name, "--json").expect(t, exitUsage, "--json: this command has no results", "Run 'trit "+name+" --help'")
		case cmd.Annotations[jsonNote] == "":
			t.Errorf("%s does not say that it heeds --json", name)
		}
	}
}

// TestParsedFlags: what is wrong with a flag's value is said with its name, and an
// empty value is the default.
func TestParsedFlags(t *testing.T) {
	for _, test := range []struct{ args, mentions string }{
		{"infer -m demo -p x --kv-type f64", `--kv-type: kernel: unknown element type "f64"`},
		{"infer -m demo -p x --kernel fast", "--kernel: "},
		{"infer -m demo -p x --head big", "--head: "},
		{"infer -m demo -p x --i2s-layout d", "--i2s-layout: "},
		{"info -m demo --activations int3", "--activations: "},
		{"repair --hidden-act gelu", "--hidden-act: "},
		{"quantize --type q9", "--type: "},
		{"quantize --method guess", "--method: "},
		{"convert --scale-convention times", "--scale-convention: "},
		{"pull x --embedding q9", "--embedding: "},
		{"synth --shape tiny --type f32 x", `--type: "f32": want one of i2_s`},
		{"synth --shape tiny --head i2_s x", `--head: "i2_s": want one of f16`},
		{"bench --model demo --layout t9", "--layout: "},
	} {
		args := strings.Fields(test.args)
		runTrit(t, args...).expect(t, exitUsage, test.mentions, "Run 'trit "+args[0]+" --help'")
	}
	want := runTrit(t, "infer", "-m", "demo", "-p", "Once", "--greedy", "-n", "3")
	got := runTrit(t, "infer", "-m", "demo", "-p", "Once", "--greedy", "-n", "3", "--kv-type", "", "--kernel", "", "--head", "", "--i2s-layout", "")
	if got.code != exitOK || got.out != want.out {
		t.Errorf("empty values: %+v, want %+v", got, want)
	}
}

func TestModels(t *testing.T) {
	t.Setenv("BITNET_MODEL_MY_MODEL", "some.gguf")
	runTrit(t, "models").expect(t, exitOK, "demo", "my-model", "some.gguf")
}

func TestTokenizer(t *testing.T) {
	runTrit(t, "test-tokenizer", "--model", "demo", "--text", "Tell me a story.").expect(t, exitOK, "Tell", "comes back unchanged")
	runTrit(t, "test-tokenizer", "--tokenizer", filepath.Join("..", "..", "tokenizer", "testdata", "demo", "tokenizer.json"),
		"--text", "naïve 你好", "--json").expect(t, exitOK, `"round_trip": true`)
	runTrit(t, "test-tokenizer", "--text", "x").expect(t, exitUsage, "--model or --tokenizer")
	runTrit(t, "test-tokenizer", "--model", "demo").expect(t, exitUsage, "--text")
	runTrit(t, "test-tokenizer", "--tokenizer", "nowhere.json", "--text", "x").expect(t, exitFailed, "nowhere.json")
}

// TestValidate writes the demo's own logits as reference, and then spoils one.
func TestValidate(t *testing.T) {
	m, err := trit.Open("demo")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s, err := inside.Of(m).Scheduler.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tokens := []int32{2045, 447, 600}
	if err := s.Run(context.Background(), tokens, engine.All, 0); err != nil {
		t.Fatal(err)
	}
	var data []byte
	for i := range tokens {
		for _, x := range s.Logits(i) {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		}
	}
	path := filepath.Join(t.TempDir(), "logits.f32")
	args := []string{"validate", "--model", "demo", "--logits", path, "--tokens", "2045,447,600"}
	save := func() {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	save()
	runTrit(t, append(args, "--tolerance", "1e-9")...).expect(t, exitOK, "passed", "median 0", "agreement 100.0 %")
	runTrit(t, append(args, "--json")...).expect(t, exitOK, `"passed": true`)

	binary.LittleEndian.PutUint32(data[2*4*2048:], math.Float32bits(1000))
	save()
	runTrit(t, args...).expect(t, exitFailed, "FAILED")
	runTrit(t, append(args, "--tolerance", "-1")...).expect(t, exitUsage, "--tolerance")
	runTrit(t, "validate", "--model", "demo", "--logits", path, "--tokens", "1,2").expect(t, exitFailed, "bytes")
	runTrit(t, "validate", "--model", "demo", "--logits", path, "--tokens", "1,x").expect(t, exitUsage, `"x"`)
	runTrit(t, "validate", "--model", "demo", "--logits", path, "--tokens", "1,2,9999").expect(t, exitFailed, "9999")
	runTrit(t, "validate", "--model", "demo", "--logits", "nowhere", "--tokens", "1").expect(t, exitFailed, "nowhere")
}

func TestConvertErrors(t *testing.T) {
	dir := t.TempDir()
	runTrit(t, "convert", "--input", dir, "--output", filepath.Join(dir, "x.gguf")).expect(t, exitFailed, "config.json")
	runTrit(t, "convert", "--output", "x.gguf").expect(t, exitUsage, "--input")
	runTrit(t, "convert", "--input", dir).expect(t, exitUsage, "--output")
	runTrit(t, "convert", "--input", dir, "--output", "x", "--type", "q99").expect(t, exitUsage, "q99")
	if _, err := os.Stat(filepath.Join(dir, "x.gguf")); err == nil {
		t.Error("a failed conversion left a file")
	}
}

func TestUsageErrors(t *testing.T) {
	for _, test := range []struct {
		args     []string
		mentions string
	}{
		{[]string{"infer", "--prompt", "x"}, "--model"},
		{[]string{"infer", "--model", "demo"}, "--prompt"},
		{[]string{"infer", "--model", "demo", "--prompt", "x", "--raw", "--chat"}, "exclude"},
		{[]string{"infer", "--model", "demo", "--prompt", "x", "--kv-type", "f64"}, "f64"},
		{[]string{"infer", "--model", "demo", "--prompt", "x", "--activations", "int4"}, "int4"},
		{[]string{"infer", "--model", "demo", "--prompt", "x", "--hidden-act", "tanh"}, "tanh"},
		{[]string{"infer", "--model", "demo", "--prompt", "x", "--kernel", "cuda"}, "cuda"},
		{[]string{"infer", "--model", "demo", "--prompt", "x", "--i2s-layout", "z"}, "z"},
		{[]string{"infer", "--model", "demo", "--prompt", "x", "--max-tokens", "-3"}, "--max-tokens"},
		{[]string{"infer", "--no-such-flag"}, "no-such-flag"},
		{[]string{"infer", "demo", "extra"}, "extra"},
		{[]string{"info", "--model", "demo", "--threads", "-1"}, "--threads"},
		{[]string{"info", "--model", "demo", "--log-level", "loud"}, "loud"},
		{[]string{"inspect"}, "--model"},
	} {
		r := runTrit(t, test.args...)
		r.expect(t, exitUsage, test.mentions, "--help")
	}
	runTrit(t, "no-such-command").expect(t, exitUsage, "no-such-command")
	runTrit(t, "infer", "--model", "nowhere.gguf", "--prompt", "x").expect(t, exitFailed, "nowhere.gguf")
	runTrit(t, "infer", "--model", "demo", "--prompt", strings.Repeat("word ", 600)).expect(t, exitFailed, "512")
	runTrit(t, "infer", "--model", "demo", "--prompt", "x", "--pre", "klingon").expect(t, exitFailed, "klingon")
}

// TestHelp: every command has help with an example.
func TestHelp(t *testing.T) {
	a := &app{out: io.Discard, err: io.Discard}
	for _, c := range a.rootCommand().Commands() {
		if !c.Runnable() { // a text of its own
			continue
		}
		r := runTrit(t, c.Name(), "--help")
		r.expect(t, exitOK, "Examples:", "trit "+c.Name())
	}
	runTrit(t, "--help").expect(t, exitOK, "demo", "infer", "convert", "Examples:")
}

// TestInterrupt ends a command in the middle.
func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var errOut bytes.Buffer
	out := writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })
	code := run(ctx, []string{"infer", "--model", "demo", "--prompt", "Once", "--max-tokens", "400"}, strings.NewReader(""), out, &errOut)
	if code != exitInterrupted || !strings.Contains(errOut.String(), "interrupted") {
		t.Errorf("exit code %d, stderr %q", code, errOut.String())
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestFullOutput: an output that cannot be written is an error.
func TestFullOutput(t *testing.T) {
	out := writerFunc(func(p []byte) (int, error) { return 0, io.ErrClosedPipe })
	var errOut bytes.Buffer
	if code := run(context.Background(), []string{"demo"}, strings.NewReader(""), out, &errOut); code != exitFailed {
		t.Errorf("exit code %d, stderr %q", code, errOut.String())
	}
}

// TestInfoOfStates: what a hybrid model keeps for each sequence.
func TestInfoOfStates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hybrid.gguf")
	runTrit(t, "synth", "--shape", "tiny-qwen35", path).expect(t, exitOK)
	// Three layers of two heads of 128×128, and the last three inputs of the convolutions.
	const state = 3 * 4 * (2*128*128 + 3*(2*128+2*128))
	r := runTrit(t, "info", path, "--ctx-size", "256", "--json")
	var info modelInfo
	if err := json.Unmarshal([]byte(r.out), &info); err != nil || info.States == nil {
		t.Fatalf("%v in %s", err, r.out)
	}
	s := info.States
	if s.Layers != 3 || s.Bytes < state || s.Bytes > state+64 || s.Snapshots != 2 || s.SequenceBytes != 3*s.Bytes ||
		s.Sequences != 4 || s.Short != 4 {
		t.Errorf("%+v of %+v", *s, *info.Memory)
	}
	runTrit(t, "info", path).expect(t, exitOK, "3 recurrent layers keep "+trit.Bytes(s.Bytes).String()+" for each sequence", "2 snapshots",
		"4 sequences of the whole context fit")
	if r := runTrit(t, "info", "demo", "--json"); strings.Contains(r.out, `"states"`) {
		t.Error("states of a model that has none")
	}
}
