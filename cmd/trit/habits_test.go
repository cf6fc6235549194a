package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"trit/internal/fakehub"
)

// TestRun: a model that is here is run; what is nowhere is an error, with no attempt to download it.
func TestRun(t *testing.T) {
	r := runTrit(t, "run", "demo", "What is the", "capital of France?", "--greedy")
	r.expect(t, exitOK, "Paris")
	if strings.Contains(r.out, "> ") {
		t.Errorf("a prompt is shown: %q", r.out)
	}
	runTrit(t, "run", "demo", "What is\nthe capital of Italy?", "--greedy", "--json").expect(t, exitOK, `"message":"What is\nthe capital of Italy?"`, "Rome")
	for _, question := range []string{"/help", "quit", `"""`, "//"} { // no commands
		runTrit(t, "run", "demo", question, "--json", "-n", "3", "--greedy").expect(t, exitOK, `"message":`+strconv.Quote(question), `"generated_tokens":3`)
	}
	runTrit(t, "run", "demo", "read @nothing.txt of "+strings.Repeat("word ", 3000)).expect(t, exitFailed, "context")
	runTrit(t, "run").expect(t, exitUsage, "name a model")
	runTrit(t, "run", "no-such-model", "x").expect(t, exitFailed, "no-such-model", "trit models --catalogue")
	runTrit(t, "run", "bonsai-8", "x").expect(t, exitFailed, "is bonsai-8b or ")
	runTrit(t, "run", "demo:latest", "What is the capital of France?", "--greedy").expect(t, exitOK, "Paris")
}

// TestRunPulls: what is not here is downloaded first.
func TestRunPulls(t *testing.T) {
	model := demoFile(t)
	requests := 0
	hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		http.ServeContent(w, r, "story.gguf", time.Unix(1e9, 0), strings.NewReader(string(model)))
	}))
	defer hub.Close()
	newStore(t)
	runStore(t, "run", hub.URL+"/story.gguf", "What is the capital of France?", "--greedy").
		expect(t, exitOK, "Paris", "downloading 2.3 MB; it needs about 7.8 MB of memory with a text of ")
	if requests == 0 {
		t.Error("nothing was downloaded")
	}
	before := requests
	runStore(t, "run", "story", "What is the capital of Italy?", "--greedy").expect(t, exitOK, "Rome")
	if requests != before {
		t.Error("what is here is downloaded again")
	}
}

// TestTooLittleMemory: what cannot run here is not downloaded in order to run it, and is downloaded with a warning.
func TestTooLittleMemory(t *testing.T) {
	newStore(t)
	fakehub.Serve(t, map[string][]byte{"model.gguf": demoFile(t)})
	var out, errOut strings.Builder
	trit := func(memory int64, args ...string) error {
		out.Reset()
		errOut.Reset()
		a := &app{in: strings.NewReader(""), out: &out, err: &errOut, memory: func() (int64, string) { return memory, "a test" }}
		root := a.rootCommand()
		root.SetArgs(args)
		return root.ExecuteContext(t.Context())
	}
	err := trit(7e6, "run", "hf:org/repo", "Hello")
	if err == nil || !strings.Contains(err.Error(), "repo needs about ") || !strings.Contains(err.Error(), "7 MB here (a test); nothing was downloaded") {
		t.Errorf("error: %v", err)
	}
	if err := trit(2e9, "show", "repo"); err == nil {
		t.Error("it was downloaded")
	}
	if err := trit(7e6, "run", "hf:org/repo", "Hello", "--greedy", "-n", "3", "--ctx-size", "64"); err != nil || out.Len() == 0 {
		t.Errorf("with a short context: %v, %q", err, out.String())
	}
	if err := trit(7e6, "pull", "hf:org/repo", "--name", "other"); err != nil || !strings.Contains(errOut.String(), "other needs about ") {
		t.Errorf("%v, %s", err, errOut.String())
	}
	if text := smaller(1_500_000_000); text != "; bonsai-4b would fit, with 1.25 GB" {
		t.Errorf("for 1.5 GB: %q", text)
	}
}

// TestForeignModel: a model that nothing here can run is not downloaded in order to run it.
func TestForeignModel(t *testing.T) {
	newStore(t)
	foreign := bytes.ReplaceAll(demoFile(t), []byte("bitnet-b1.58"), []byte("mambaformer9"))
	fakehub.Serve(t, map[string][]byte{"model.gguf": foreign})
	runStore(t, "run", "hf:org/repo", "Hello").expect(t, exitFailed, "repo cannot be run here", "mambaformer9", "nothing was downloaded")
	runStore(t, "show", "repo").expect(t, exitFailed)
	runStore(t, "pull", "hf:org/repo").expect(t, exitOK, "repo cannot be run here", "mambaformer9")
}

// TestModelArgument: a model is an argument or a flag, not both.
func TestModelArgument(t *testing.T) {
	for _, args := range [][]string{
		{"infer", "demo", "-p", "Once", "-n", "3"}, {"info", "demo"}, {"inspect", "demo"}, {"show", "demo"},
		{"test-tokenizer", "demo", "--text", "Once"},
	} {
		runTrit(t, args...).expect(t, exitOK)
	}
	runTrit(t, "info", "demo", "--model", "demo").expect(t, exitUsage, `unexpected argument "demo"`)
	runTrit(t, "infer", "demo", "Once upon a time").expect(t, exitUsage, `unexpected argument "Once upon a time"`)
	runTrit(t, "info", "nowhere.gguf").expect(t, exitFailed, "nowhere.gguf")
}

// TestServerCommands: what is in a server's memory is listed, loaded and unloaded.
func TestServerCommands(t *testing.T) {
	t.Setenv("TRIT_API_KEY", "secret")
	address, _, stop := startServe(t)
	defer stop()
	runStore(t, "cp", "demo", "second").expect(t, exitOK) // in the server's home
	t.Setenv(hostVariable, address)
	runStore(t, "load", "demo").expect(t, exitOK) // or wait until the server has
	runStore(t, "load", "second", "--keep-alive", "1h").expect(t, exitOK, "loaded second")
	runStore(t, "ps").expect(t, exitOK, "NAME", "demo ", "for ever", "second ", "in ")
	runStore(t, "unload", "second").expect(t, exitOK, "unloaded second")
	if r := runStore(t, "ps"); strings.Contains(r.out, "second") {
		t.Errorf("an unloaded model is in memory:\n%s", r.out)
	}
	runStore(t, "load", "second").expect(t, exitOK)
	runStore(t, "stop", "second:latest").expect(t, exitOK, "unloaded second")
	runStore(t, "unload", "demo").expect(t, exitFailed, "demo stays in memory")
	runStore(t, "load", "nothing").expect(t, exitFailed, "nothing")
	runStore(t, "load", "demo", "--keep-alive", "soon").expect(t, exitUsage, "--keep-alive")
	t.Setenv("TRIT_API_KEY", "wrong")
	runStore(t, "ps").expect(t, exitFailed, "TRIT_API_KEY")
	runStore(t, "ps", "--url", "127.0.0.1:1").expect(t, exitFailed, "trit serve")
}

// TestSuggestions: a mistyped command is answered with those that are like it, but for the one that deletes.
func TestSuggestions(t *testing.T) {
	runTrit(t, "chta").expect(t, exitUsage, "is 'trit chat' meant?")
	for _, name := range []string{"rn", "r", "em", "rmm"} {
		if r := runTrit(t, name); r.code != exitUsage || strings.Contains(r.err, "trit rm") {
			t.Errorf("%s: exit code %d, %s", name, r.code, r.err)
		}
	}
	for _, name := range []string{"ls", "list"} {
		runTrit(t, name).expect(t, exitOK, "demo")
	}
}

// TestForeignFlags: a flag of another program is answered with what it is here. The page for those who come from
// there has all of them.
func TestForeignFlags(t *testing.T) {
	runTrit(t, "infer", "-m", "demo", "-p", "x", "-ngl", "99").expect(t, exitUsage, "-ngl of other programs: there is no GPU here")
	runTrit(t, "run", "demo", "--verbose").expect(t, exitUsage, "unknown flag: --verbose; --verbose of other programs")
	if r := runTrit(t, "infer", "--bogus", "--", "-ngl"); strings.Contains(r.err, "other programs") {
		t.Errorf("a text is taken for a flag: %s", r.err)
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "install.md"))
	if err != nil {
		t.Fatal(err)
	}
	for flag := range foreignFlags {
		if !strings.Contains(string(page), "`"+flag+"`") {
			t.Errorf("docs/install.md does not know %s", flag)
		}
	}
}

// TestCompletion: names of models and values of flags are completed.
func TestCompletion(t *testing.T) {
	newStore(t)
	runStore(t, "cp", "demo", "second").expect(t, exitOK)
	for args, want := range map[string][]string{
		"infer --model ": {"demo", "second"}, "infer ": {"demo", "second"}, "serve --model ": {"demo", "second"}, "chat ": {"demo", "second"},
		"rm ": {"second"}, "unload ": {"second"}, "show ": {"demo"}, "cp ": {"demo"}, "pull ": {"bitnet-2b-4t"}, "run ": {"demo", "bitnet-2b-4t"},
		"infer --kv-type ": {"f32", "f16", "int8", "q4"}, "serve --log-format ": {"text", "json"}, "quantize --type ": {"i2_s", "tq2_0"},
		"chat --log-level ": {"debug"}, "chat --activations ": {"int8", "float"}, "chat --i2s-layout ": {"a", "b", "c"},
		"export --scale-convention ": {"auto", "multiplier"}, "chat --kernel ": {"lut", "blocked"},
	} {
		r := runStore(t, append([]string{"__complete"}, strings.Split(args, " ")...)...)
		lines := strings.Split(r.out, "\n")
		for _, w := range want {
			if !slices.Contains(lines, w) {
				t.Errorf("%q is completed with %q, want %s among them", args, lines, w)
			}
		}
	}
}

// TestQuestions: on a terminal, deleting asks, and a chat without a model offers what there is.
func TestQuestions(t *testing.T) {
	newStore(t)
	terminal := func(typed string, args ...string) (int, string) {
		t.Helper()
		master, slave, err := pty.Open()
		if err != nil {
			t.Skip(err)
		}
		defer master.Close()
		defer slave.Close()
		if _, err := master.WriteString(typed); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		code := run(t.Context(), args, slave, &out, slave)
		return code, out.String()
	}
	runStore(t, "cp", "demo", "second").expect(t, exitOK)
	if code, out := terminal("y\n", "rm", "second", "nothing"); code != exitFailed {
		t.Errorf("with a name that is none: exit code %d, %s", code, out)
	}
	if code, out := terminal("n\n", "rm", "second"); code != exitFailed {
		t.Errorf("no: exit code %d, %s", code, out)
	}
	if code, out := terminal("y\n", "rm", "second"); code != exitOK || !strings.Contains(out, "removed second") {
		t.Errorf("yes: exit code %d, %s", code, out)
	}
	runStore(t, "cp", "demo", "second").expect(t, exitOK)
	if code, out := terminal("\nWhat is the capital of France?\n\x04", "chat", "--greedy"); code != exitOK || !strings.Contains(out, "Paris") {
		t.Errorf("chat: exit code %d, %q", code, out)
	}
	if code, out := terminal("", "rm", "--force", "second"); code != exitOK || !strings.Contains(out, "removed second") {
		t.Errorf("without a question: exit code %d, %s", code, out)
	}
	runStore(t, "chat").expect(t, exitUsage, "--model")
}
