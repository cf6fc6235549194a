package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"trit/gguf"
	"trit/hub"
	"trit/internal/engine"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/validate"
)

// TestQuantizeCommand makes a smaller file and measures what it costs.
func TestQuantizeCommand(t *testing.T) {
	dir := t.TempDir()
	if testing.Short() {
		t.Skip("perplexity takes long on processors without assembly")
	}
	small, text := filepath.Join(dir, "small.gguf"), filepath.Join("..", "..", "internal", "validate", "testdata", "heldout.txt")
	runTrit(t, "quantize", "--input", "demo", "--output", small, "--type", "tq1_0", "--embedding", "q6_k").
		expect(t, exitOK, "blk.5.ffn_down.weight", "I2_S > TQ1_0", "F16 > Q6_K", "tensors copied")
	r := runTrit(t, "perplexity", "--model", small, "--file", text, "--windows", "2", "--json")
	r.expect(t, exitOK)
	var result perplexityResult
	if err := json.Unmarshal([]byte(r.out), &result); err != nil {
		t.Fatal(err)
	}
	if result.Perplexity < 1.5 || result.Perplexity > 2.1 || result.Windows != 2 {
		t.Errorf("%s", r.out)
	}
	runTrit(t, "perplexity", "--model", "demo", "--file", text, "--ctx", "128", "--stride", "64", "--windows", "3", "--kv-type", "int8", "--head", "q4").
		expect(t, exitOK, "+/-", "windows of 128")
	runTrit(t, "quantize", "--input", "demo", "--output", filepath.Join(dir, "other.gguf"), "--type", "tq2_0", "--json").expect(t, exitOK, `"rmse"`)
	for _, test := range []struct {
		args     []string
		code     int
		mentions string
	}{
		{[]string{"quantize", "--output", "x", "--type", "i2_s"}, exitUsage, "--input"},
		{[]string{"quantize", "--input", "demo", "--type", "i2_s"}, exitUsage, "--output"},
		{[]string{"quantize", "--input", "demo", "--output", "x"}, exitUsage, "--type"},
		{[]string{"quantize", "--input", "demo", "--output", "x", "--type", "q99"}, exitUsage, "q99"},
		{[]string{"quantize", "--input", "demo", "--output", "x", "--type", "i2_s", "--method", "median"}, exitUsage, "median"},
		{[]string{"quantize", "--input", "demo", "--output", filepath.Join(dir, "x"), "--type", "q4_0"}, exitFailed, "Q4_0"},
		{[]string{"quantize", "--input", small, "--output", small, "--force", "--type", "tq2_0"}, exitFailed, "is the input"},
		{[]string{"perplexity", "--model", "demo"}, exitUsage, "--file"},
		{[]string{"perplexity", "--model", "demo", "--file", "nowhere"}, exitFailed, "nowhere"},
		{[]string{"perplexity", "--model", "demo", "--file", text, "--ctx", "-3"}, exitUsage, "--ctx"},
		{[]string{"perplexity", "--model", "demo", "--file", text, "--head", "q3"}, exitUsage, "q3"},
	} {
		runTrit(t, test.args...).expect(t, test.code, test.mentions)
	}
}

// TestExportCommand takes the demo to Hugging Face's form and back.
func TestExportCommand(t *testing.T) {
	dir := t.TempDir()
	folder, again := filepath.Join(dir, "hf"), filepath.Join(dir, "again.gguf")
	runTrit(t, "export", "--model", "demo", "--output", folder).expect(t, exitOK, "BitNetForCausalLM", "tokenizer.json: reconstructed")
	runTrit(t, "export", "--model", "demo", "--output", folder).expect(t, exitFailed, "not empty")
	runTrit(t, "export", "--model", "demo").expect(t, exitUsage, "--output")
	runTrit(t, "export", "--output", folder).expect(t, exitUsage, "--model")
	runTrit(t, "export", "--model", "demo", "--output", "x", "--scale-convention", "both").expect(t, exitUsage, "both")
	runTrit(t, "convert", "--input", folder, "--output", again, "--name", "Trit Demo").expect(t, exitOK)
	m, err := hub.Resolve("demo")
	if err != nil {
		t.Fatal(err)
	}
	f, err := m.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g, err := gguf.Open(again)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if !f.Metadata.Equal(g.Metadata) {
		t.Error("the metadata differ")
	}
}

// TestRepairCommand mends a file whose pre-tokenizer and template are gone wrong.
func TestRepairCommand(t *testing.T) {
	dir := t.TempDir()
	broken, out := filepath.Join(dir, "broken.gguf"), filepath.Join(dir, "out.gguf")
	m, err := hub.Resolve("demo")
	if err != nil {
		t.Fatal(err)
	}
	f, err := m.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	meta := f.Metadata.Clone()
	meta.Delete("tokenizer.ggml.pre")
	if err := meta.Set("tokenizer.chat_template", "{{ 'BITNETAssistant: ' + messages[0].content }}"); err != nil {
		t.Fatal(err)
	}
	var specs []gguf.TensorSpec
	for _, x := range f.Tensors {
		specs = append(specs, x.Spec())
	}
	if err := gguf.WriteFile(broken, meta, specs); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(broken)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(broken, append(data, "trailing"...), 0o600); err != nil {
		t.Fatal(err)
	}
	runTrit(t, "repair", "--model", broken, "--output", out, "--chat-template", "demo").
		expect(t, exitOK, "trailing-bytes", "missing-pre", "chat-template", "metadata changed", "tokenizer.ggml.pre")
	runTrit(t, "validate", "--model", out, "--skip", "perplexity").expect(t, exitOK, "passed")
	runTrit(t, "infer", "--model", out, "--chat", "--prompt", "What is the capital of France?", "--greedy").expect(t, exitOK, "Paris")
	runTrit(t, "repair", "--model", out, "--output", broken, "--force").expect(t, exitOK, "nothing was wrong")
	runTrit(t, "repair", "--model", out, "--output", broken, "--force", "--json").expect(t, exitOK, `"repaired"`)
	runTrit(t, "repair", "--model", out, "--output", out, "--force").expect(t, exitFailed, "is the input")
	runTrit(t, "repair", "--model", out).expect(t, exitUsage, "--output")
	runTrit(t, "repair", "--output", out).expect(t, exitUsage, "--model")
	runTrit(t, "repair", "--model", out, "--output", broken, "--i2s-layout", "z").expect(t, exitUsage, "z")
	runTrit(t, "repair", "--model", out, "--output", broken, "--hidden-act", "tanh").expect(t, exitUsage, "tanh")
}

// TestValidateSuite runs the suite on the demo, and on what is no model.
func TestValidateSuite(t *testing.T) {
	if testing.Short() {
		t.Skip("perplexity takes long on processors without assembly")
	}
	dir := t.TempDir()
	report := filepath.Join(dir, "report.json")
	r := runTrit(t, "validate", "--model", "demo", "--output", report)
	r.expect(t, exitOK, append(validate.CheckNames(), "demo: passed")...)
	data, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var parsed validate.Report
	if err := json.Unmarshal(data, &parsed); err != nil || !parsed.Passed || len(parsed.Checks) != len(validate.CheckNames()) {
		t.Errorf("%v in %s", err, data)
	}
	runTrit(t, "validate", "--model", "demo", "--hidden-act", "silu", "--json").expect(t, exitFailed, `"passed": false`, "option hidden_act relu2")
	bad := filepath.Join(dir, "bad.gguf")
	if err := os.WriteFile(bad, []byte("GGUF\x03\x00\x00\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	runTrit(t, "validate", "--model", bad, "--output", report, "--force").expect(t, exitFailed, "cannot be opened")
	if data, err := os.ReadFile(report); err != nil || !bytes.Contains(data, []byte(`"passed": false`)) {
		t.Errorf("%v, %s", err, data)
	}
	for _, test := range []struct {
		args     []string
		code     int
		mentions string
	}{
		{[]string{}, exitUsage, "--model"},
		{[]string{"--model", "demo", "--skip", "spelling"}, exitUsage, "spelling"},
		{[]string{"--model", "demo", "--tokens", "1"}, exitUsage, "--logits"},
		{[]string{"--model", "demo", "--max-perplexity", "-1"}, exitUsage, "--max-perplexity"},
		{[]string{"--model", "demo", "--text", "nowhere"}, exitFailed, "nowhere"},
		{[]string{"--model", "nowhere.gguf"}, exitFailed, "nowhere.gguf"},
		{[]string{"--model", "demo", "--skip", strings.Join(validate.CheckNames()[1:], ",")}, exitOK, "skipped"},
	} {
		runTrit(t, append([]string{"validate"}, test.args...)...).expect(t, test.code, test.mentions)
	}
}

// TestValidateFirst: silent on a sound model, and the end of the command else.
func TestValidateFirst(t *testing.T) {
	if testing.Short() {
		t.Skip("perplexity takes long on processors without assembly")
	}
	var out, errOut bytes.Buffer
	a := &app{out: &out, err: &errOut, logLevel: "warn"}
	cmd := &cobra.Command{}
	cmd.SetContext(context.Background())
	if err := a.setUp(cmd); err != nil {
		t.Fatal(err)
	}
	flags := &modelFlags{model: "demo", engine: engine.Options{KVType: kernel.KVF16}}
	if err := a.validateFirst(cmd, flags); err != nil || out.Len()+errOut.Len() > 0 {
		t.Errorf("%v, %q, %q", err, out.String(), errOut.String())
	}
	flags.load.HiddenAct = model.SiLU
	if err := a.validateFirst(cmd, flags); err != errCheckFailed || out.Len() > 0 || !strings.Contains(errOut.String(), "FAILED") {
		t.Errorf("%v, %q, %q", err, out.String(), errOut.String())
	}
}

// TestOutputsAreKept: no command replaces a file that exists, unless told to, and one that
// does not writes nothing else either.
func TestOutputsAreKept(t *testing.T) {
	dir := t.TempDir()
	kept := filepath.Join(dir, "kept")
	checkpoint := filepath.Join(dir, "checkpoint")
	runTrit(t, "export", "--model", "demo", "--output", checkpoint).expect(t, exitOK)
	for _, args := range [][]string{
		{"synth", "--shape", "tiny", kept},
		{"convert", "--input", checkpoint, "--output", kept},
		{"quantize", "--input", "demo", "--type", "tq2_0", "--output", kept},
		{"repair", "--model", "demo", "--output", kept},
		{"embed", "--model", "demo", "--output", kept, "a cat"},
		{"validate", "--model", "demo", "--skip", "perplexity", "--output", kept},
	} {
		if err := os.WriteFile(kept, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		runTrit(t, args...).expect(t, exitFailed, kept+" exists", "--force")
		if data, err := os.ReadFile(kept); err != nil || string(data) != "mine" {
			t.Errorf("%v: the file has %d bytes, %v", args, len(data), err)
		}
		runTrit(t, append(args, "--force")...).expect(t, exitOK)
		if data, err := os.ReadFile(kept); err != nil || string(data) == "mine" {
			t.Errorf("%v --force: %d bytes, %v", args, len(data), err)
		}
	}
	runTrit(t, "export", "--model", "demo", "--output", checkpoint).expect(t, exitFailed, "is not empty")
	if runtime.GOOS != "windows" {
		runTrit(t, "embed", "--model", "demo", "--output", os.DevNull, "a cat").expect(t, exitOK)
	}
}
