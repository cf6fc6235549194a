package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"trit/hub"
	"trit/internal/fakehub"
	"trit/internal/fixtures"
)

// runStore runs a command line like runTrit, in the store of the test.
func runStore(t testing.TB, args ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	code := run(context.Background(), args, strings.NewReader(""), &out, &errOut)
	return result{code, out.String(), errOut.String()}
}

// newStore makes an empty store, and keeps commands from the network.
func newStore(t testing.TB) {
	t.Helper()
	fakehub.Isolate(t, hub.HomeEnv, hub.RegistryEnv)
}

func demoFile(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "demo", "demo.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestPullShowCopyRemove leads a model through its life in the store.
func TestPullShowCopyRemove(t *testing.T) {
	newStore(t)
	fakehub.Serve(t, map[string][]byte{"small-i2_s.gguf": demoFile(t)})
	runStore(t, "pull", "hf:org/repo").expect(t, exitOK, "repo: 2.3 MB", "checksum verified", "licence mit", "trit run repo")
	runStore(t, "pull", "hf:org/repo").expect(t, exitOK, "up to date")
	runStore(t, "pull", "http://127.0.0.1:1/repo.gguf", "--name", "repo", "--if-missing").expect(t, exitOK, "repo is here")
	runStore(t, "infer", "--model", "repo", "--prompt", "Once upon a time", "--greedy", "-n", "5").expect(t, exitOK, "there was")
	runStore(t, "show", "repo").expect(t, exitOK, "bitnet-b1.58", "I2_S", "hf:org/repo:small-i2_s.gguf", "verified by", "sha256")
	runStore(t, "show", "repo", "--template").expect(t, exitOK, "messages")
	runStore(t, "models").expect(t, exitOK, "repo", "store", "I2_S", "MB", "demo", "--catalogue")
	runStore(t, "cp", "repo", "twin").expect(t, exitOK, "twin")
	runStore(t, "cp", "demo", "twin").expect(t, exitFailed, "taken")
	runStore(t, "cp", "demo", "twin", "--force", "--json").expect(t, exitOK, `"source": "store"`)

	var pulled hub.Pulled
	r := runStore(t, "pull", "hf:org/repo:i2_s", "--name", "named", "--json")
	if err := json.Unmarshal([]byte(r.out), &pulled); err != nil || pulled.Manifest == nil || pulled.Manifest.Verified != hub.VerifiedChecksum || pulled.Name != "named" {
		t.Errorf("%v in %s%s", err, r.out, r.err)
	}
	var lines []modelInfoLine
	r = runStore(t, "models", "--json")
	if err := json.Unmarshal([]byte(r.out), &lines); err != nil || len(lines) != 4 || lines[1].Name != "named" || lines[1].Architecture != "bitnet-b1.58" {
		t.Errorf("%v in %s", err, r.out)
	}
	r = runStore(t, "show", "named", "--json")
	var d hub.Details
	if err := json.Unmarshal([]byte(r.out), &d); err != nil || d.Origin == nil || d.Origin.Repository != "org/repo" {
		t.Errorf("%v in %s", err, r.out)
	}

	runStore(t, "rm", "repo", "twin").expect(t, exitOK, "removed repo", "removed twin")
	runStore(t, "rm", "named", "demo").expect(t, exitFailed, "removed named", "built into")
	runStore(t, "rm", "nobody", "--json").expect(t, exitFailed, "nobody", "[]")
	runStore(t, "show", "repo").expect(t, exitFailed, "neither a file")
}

func TestCatalogueCommands(t *testing.T) {
	newStore(t)
	runStore(t, "models", "--catalogue").expect(t, exitOK, "bitnet-2b-4t", "falcon-llm-license", "trilm-3.9b", "trit pull NAME")
	r := runStore(t, "models", "--catalogue", "--json")
	var lines []entryLine
	if err := json.Unmarshal([]byte(r.out), &lines); err != nil || len(lines) < 20 || lines[0].Installed {
		t.Errorf("%v in %.300s", err, r.out)
	}
	runStore(t, "show", "bitnet-2b-4t").expect(t, exitOK, "not installed", "4096", "hf:microsoft/bitnet-b1.58-2B-4T-gguf:ggml-model-i2_s.gguf",
		"memory         about 1.90 GB with a text of 4096 tokens", "relu2, inputs of projections int8\n", "trit pull bitnet-2b-4t")
	runStore(t, "show", "Ternary-Bonsai-2-27B").expect(t, exitOK, "qwen35", "hf:prism-ml/Ternary-Bonsai-2-27B-gguf:Ternary-Bonsai-2-27B-PTQ1_0.gguf",
		"silu, inputs of projections int8g128", "apache-2.0")
	runStore(t, "show", "bitnet-2b-4t", "--json").expect(t, exitOK, `"installed": false`)
	runStore(t, "infer", "--model", "bitnet-2b-4t", "--prompt", "x").expect(t, exitFailed, "trit pull bitnet-2b-4t")
}

// TestPullConverts pulls a checkpoint and runs what it becomes.
func TestPullConverts(t *testing.T) {
	files := map[string][]byte{}
	for _, name := range []string{"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"} {
		data, err := os.ReadFile(fixtures.Path(t, "demo-model", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = data
	}
	newStore(t)
	fakehub.Serve(t, files)
	runStore(t, "pull", "hf:org/repo", "--name", "story").expect(t, exitOK, "converted", "checksum verified")
	runStore(t, "infer", "--model", "story", "--prompt", "Once upon a time", "--greedy", "-n", "7").expect(t, exitOK, "there was")
	runStore(t, "show", "story").expect(t, exitOK, "i2_s/f16", "story")
	runStore(t, "pull", "hf:org/repo", "--name", "story").expect(t, exitOK, "up to date")
	runStore(t, "pull", "hf:org/repo", "--name", "story", "--type", "tq2_0", "--embedding", "q8_0").expect(t, exitOK, "converted")
	runStore(t, "models").expect(t, exitOK, "TQ2_0")
}

func TestHubUsageErrors(t *testing.T) {
	newStore(t)
	for _, test := range []struct {
		args     []string
		mentions string
	}{
		{[]string{"pull"}, "--catalogue"},
		{[]string{"pull", "a", "b"}, `"b"`},
		{[]string{"pull", "x", "--type", "q99"}, "q99"},
		{[]string{"pull", "x", "--embedding", "q99"}, "q99"},
		{[]string{"pull", "x", "--connections", "0"}, "--connections"},
		{[]string{"rm"}, "store"},
		{[]string{"cp", "a"}, "two names"},
		{[]string{"show"}, "demo"},
		{[]string{"models", "x"}, `"x"`},
	} {
		runStore(t, test.args...).expect(t, exitUsage, test.mentions, "--help")
	}
	runStore(t, "pull", "no/such").expect(t, exitFailed, "hf:no/such")
	runStore(t, "pull", "nobody").expect(t, exitFailed, "--catalogue")
	runStore(t, "pull", "hf:org/repo").expect(t, exitFailed, "online")
	fakehub.Serve(t, nil)
	runStore(t, "pull", "hf:org/other").expect(t, exitFailed, "spelling")
	runStore(t, "show", "demo", "extra").expect(t, exitUsage, "extra")
}

// TestPullInterrupted says how to go on.
func TestPullInterrupted(t *testing.T) {
	newStore(t)
	fakehub.Serve(t, map[string][]byte{"model.gguf": demoFile(t)})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var errOut bytes.Buffer
	if code := run(ctx, []string{"pull", "hf:org/repo"}, strings.NewReader(""), &bytes.Buffer{}, &errOut); code != exitInterrupted || !strings.Contains(errOut.String(), "same command") {
		t.Errorf("exit code %d, stderr %q", code, errOut.String())
	}
}

// TestHubCommandsHaveExamples: the help of each begins an example with its name.
func TestHubCommandsHaveExamples(t *testing.T) {
	a := &app{}
	for _, c := range []*cobra.Command{a.pullCommand(), a.rmCommand(), a.cpCommand(), a.showCommand(), a.modelsCommand()} {
		if !strings.Contains(c.Example, "trit "+c.Name()) || c.Short == "" || c.GroupID == "" {
			t.Errorf("%s: example %q", c.Name(), c.Example)
		}
	}
}
