package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"trit/gguf"
	"trit/hub"
)

// thinkingModel is the demo with a template that opens reasoning in every prompt. What the demo then
// writes is no sense, but it is never at a loss.
func thinkingModel(t testing.TB) string {
	t.Helper()
	found, err := hub.Resolve("demo")
	if err != nil {
		t.Fatal(err)
	}
	f, err := found.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	template, err := os.ReadFile(filepath.Join("..", "..", "chat", "testdata", "templates", "opening.jinja"))
	if err != nil {
		t.Fatal(err)
	}
	meta := f.Metadata.Clone()
	if err := meta.Set("tokenizer.chat_template", string(template)); err != nil {
		t.Fatal(err)
	}
	var specs []gguf.TensorSpec
	for _, tensor := range f.Tensors {
		specs = append(specs, tensor.Spec())
	}
	path := filepath.Join(t.TempDir(), "thinking.gguf")
	if err := gguf.WriteFile(path, meta, specs); err != nil {
		t.Fatal(err)
	}
	return path
}

// think runs a command on such a model.
func think(t testing.TB, model, stdin, command string, args ...string) result {
	t.Helper()
	return thinkWith(t, model, stdin, command, append(args, endless...)...)
}

// endless keeps the demo from ending its text, which it would do soon under a foreign template.
var endless = []string{"--greedy", "--logit-bias", "2046-inf", "--logit-bias", "2047-inf"}

func thinkWith(t testing.TB, model, stdin, command string, args ...string) result {
	t.Helper()
	t.Setenv(hub.HomeEnv, t.TempDir())
	var out, errOut bytes.Buffer
	args = append([]string{command, "--model", model}, args...)
	return result{run(context.Background(), args, strings.NewReader(stdin), &out, &errOut), out.String(), errOut.String()}
}

func TestInferThinks(t *testing.T) {
	model := thinkingModel(t)
	ask := func(args ...string) result {
		return think(t, model, "", "infer", append([]string{"--chat", "-p", "Tell me a story about a fox.", "-n", "60"}, args...)...)
	}
	answer := func(args ...string) inferAnswer {
		t.Helper()
		r := ask(append(args, "--json")...)
		r.expect(t, exitOK)
		var got inferResult
		if err := json.Unmarshal([]byte(r.out), &got); err != nil {
			t.Fatal(err)
		}
		return got.Answers[0]
	}
	bounded := answer("--think-budget", "8")
	if bounded.Reasoning == "" || bounded.Text == "" || bounded.ReasoningTokens < 8 || bounded.ReasoningTokens > 20 {
		t.Errorf("with a budget: %+v", bounded)
	}
	if off := answer("--think", "off"); off.Reasoning != "" || off.ReasoningTokens != 0 || off.Text == "" {
		t.Errorf("without thinking: %+v", off)
	}
	// A pipe gets the answer alone; the summary says how much was thought.
	r := ask("--think-budget", "8")
	r.expect(t, exitOK, "of reasoning)")
	if r.out != strings.TrimSuffix(bounded.Text, "\n")+"\n" {
		t.Errorf("the pipe has %q, want %q", r.out, bounded.Text)
	}
	if a := answer("--think-budget", "8", "--regex", "[0-9]{3}"); !regexp.MustCompile("^[0-9]{3}$").MatchString(a.Text) || a.Reasoning == "" {
		t.Errorf("with a form of the answer: %+v", a)
	}
	// Beams keep to the budget too.
	var beams inferResult
	r = thinkWith(t, model, "", "infer", "--chat", "-p", "Tell me a story about a fox.", "-n", "40", "--beams", "2", "--ignore-eos", "--think-budget", "8", "--json")
	r.expect(t, exitOK)
	if err := json.Unmarshal([]byte(r.out), &beams); err != nil {
		t.Fatal(err)
	}
	if a := beams.Answers[0]; a.Reasoning == "" || a.Text == "" || strings.Contains(a.Text, "think>") {
		t.Errorf("with beams: %+v", a)
	}
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-p", "x", "--think", "on"}, exitUsage, "--think needs --chat"},
		{[]string{"-p", "x", "--think-budget", "5"}, exitUsage, "--think-budget needs --chat"},
		{[]string{"--chat", "-p", "x", "--think-budget", "-5"}, exitUsage, "--think-budget -5: want 0 or a positive number"},
		{[]string{"--chat", "-p", "x", "--think", "maybe"}, exitUsage, `--think: "maybe": want on, off or auto`},
		{[]string{"--chat", "-p", "x", "--think", "on"}, exitFailed, "--think: the model's chat template knows no thinking"},
	} {
		inferDemo(t, "", test.args...).expect(t, test.code, test.says)
	}
}

func TestChatThinks(t *testing.T) {
	model := thinkingModel(t)
	r := think(t, model, "Tell me a story about a fox.\n/think off\nTell me a story about a fox.\n/think\n/think 9\n/think maybe\n/set think-budget\n/set think\n", "chat", "--max-tokens", "60",
		"--think-budget", "7", "--json")
	r.expect(t, exitOK, "Thinking is off, for at most 7 tokens.", "Thinking is off, for at most 9 tokens.", `/think: "maybe": want on, off, auto`,
		"think-budget is 9", "think is off")
	var results []chatResult
	for dec := json.NewDecoder(strings.NewReader(r.out)); dec.More(); {
		var one chatResult
		if err := dec.Decode(&one); err != nil {
			t.Fatal(err)
		}
		results = append(results, one)
	}
	if len(results) != 2 || results[0].Reasoning == "" || results[0].Text == "" || results[1].Reasoning != "" || results[1].Text == "" {
		t.Fatalf("the answers are %+v", results)
	}
	// A pipe gets the answers alone.
	r = think(t, model, "Tell me a story about a fox.\n", "chat", "--max-tokens", "60", "--think-budget", "7")
	if r.out != strings.TrimRight(results[0].Text, "\n")+"\n" {
		t.Errorf("the pipe has %q, want %q", r.out, results[0].Text)
	}
	think(t, model, "/set max-tokens\n", "chat").expect(t, exitOK, "max-tokens is 8192")
	chatTrit(t, "/think on\n/set think on\n").expect(t, exitOK, "/think: the model's chat template knows no thinking",
		"/set: the model's chat template knows no thinking")
	chatTrit(t, "", "--think", "on").expect(t, exitFailed, "--think: the model's chat template knows no thinking")
}
