package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"trit"
	"trit/hub"
	"trit/sample"
)

// inferDemo runs infer on the demo model with a standard input.
func inferDemo(t testing.TB, stdin string, args ...string) result {
	t.Helper()
	t.Setenv(hub.HomeEnv, t.TempDir())
	var out, errOut bytes.Buffer
	code := run(context.Background(), append([]string{"infer", "--model", "demo"}, args...), strings.NewReader(stdin), &out, &errOut)
	return result{code, out.String(), errOut.String()}
}

// inferJSON is inferDemo with --json, which must succeed.
func inferJSON(t testing.TB, args ...string) inferResult {
	t.Helper()
	r := inferDemo(t, "Once upon a time", append(args, "--json")...)
	r.expect(t, exitOK)
	var got inferResult
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatalf("%v in %s", err, r.out)
	}
	return got
}

// write puts a file into a temporary folder.
func write(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestInferLimit: a text ends at a default length, an answer where the model ends
// it, and a constraint gets more room.
func TestInferLimit(t *testing.T) {
	for _, test := range []struct {
		args     []string
		finish   trit.Finish
		min, max int // tokens
	}{
		{nil, trit.FinishLength, plainTokens, plainTokens},
		{[]string{"--chat", "-p", "Tell me a story about a fox."}, trit.FinishStop, plainTokens + 1, 400},
		{[]string{"--chat", "-p", "Tell me a story about a fox.", "-n", "7"}, trit.FinishLength, 7, 7},
		{[]string{"--regex", "( [a-z]+){60}"}, trit.FinishStop, 60, constrainedTokens},
	} {
		a := inferJSON(t, append(test.args, "--greedy")...).Answers[0]
		if n := len(a.Tokens); a.Finish != test.finish || n < test.min || n > test.max {
			t.Errorf("%v: %d tokens, %s; want %s after %d to %d", test.args, n, a.Finish, test.finish, test.min, test.max)
		}
	}
}

// TestInferPrompt: the prompt's sources.
func TestInferPrompt(t *testing.T) {
	want := inferDemo(t, "", "--prompt", "Once upon a time", "--greedy", "-n", "8").out
	if want == "" {
		t.Fatal("no text")
	}
	for name, r := range map[string]result{
		"pipe":             inferDemo(t, "Once upon a time\n", "--greedy", "-n", "8"),
		"file":             inferDemo(t, "ignored", "--prompt-file", write(t, "p", "Once upon a time\r\n"), "--greedy", "-n", "8"),
		"file with a mark": inferDemo(t, "ignored", "--prompt-file", write(t, "p", "\uFEFFOnce upon a time\n"), "--greedy", "-n", "8"),
		"pipe with a mark": inferDemo(t, "\uFEFFOnce upon a time", "--greedy", "-n", "8"),
		"-":                inferDemo(t, "Once upon a time", "--prompt-file", "-", "--greedy", "-n", "8"),
		"prompt and pipe":  inferDemo(t, "ignored", "--prompt", "Once upon a time", "--temperature", "0", "-n", "8"),
		"other flag names": inferDemo(t, "Once upon a time", "--temp", "0", "--n_predict", "8", "--repeat-penalty", "1"),
	} {
		if r.code != exitOK || r.out != want {
			t.Errorf("%s: %+v, want %q", name, r, want)
		}
	}
	got := inferJSON(t, "--prompt", `one\ttwo\\`, "--escape", "-n", "1")
	if got.Prompt != "one\ttwo\\" {
		t.Errorf("--escape: %q", got.Prompt)
	}
	inferDemo(t, "What is the capital of France?", "--chat", "--system", "Be kind.", "--greedy").expect(t, exitOK, "Paris")
}

// TestInferSampling: every flag is accepted and reaches the sampler: a value
// that must change the text does, or one that must not does not.
func TestInferSampling(t *testing.T) {
	const prompt = "Once upon a time, there was a dog. Once upon a time, there was a cat. Once upon"
	base := []string{"--prompt", prompt, "--max-tokens", "30", "--seed", "11", "--temperature", "1.4", "--top-p", "1", "--top-k", "0", "--min-p", "0"}
	text := func(args ...string) string {
		r := inferDemo(t, "", append(append([]string(nil), base...), args...)...)
		r.expect(t, exitOK)
		return r.out
	}
	plain := text()
	greedy := inferDemo(t, "", "--prompt", prompt, "--max-tokens", "30", "--greedy").out
	tried := strings.Join(base, " ")
	for _, test := range []struct {
		args string
		want string // same, other or greedy
	}{
		{"--samplers temperature", "same"},
		{"--top-n-sigma 0", "same"},
		{"--dynatemp-range 1.4 --dynatemp-exponent 2", "other"},
		{"--top-k 1", "greedy"},
		{"--top-k 1 --min-keep 2", "other"},
		{"--top-p 0", "greedy"},
		{"--min-p 1", "greedy"},
		{"--typical 0.2", "other"},
		{"--top-n-sigma 0.0001", "greedy"},
		{"--xtc-probability 1 --xtc-threshold 0.01", "other"},
		{"--mirostat 1 --mirostat-ent 0.1 --mirostat-lr 0.5", "other"},
		{"--mirostat 2 --mirostat-ent 0.1", "other"},
		{"--repetition-penalty 3 --repeat-last-n -1", "other"},
		{"--repetition-penalty 3 --repeat-last-n 0", "same"},
		{"--frequency-penalty 20", "other"},
		{"--presence-penalty 20", "other"},
		{"--dry-multiplier 50 --dry-allowed-length 1 --dry-base 2 --dry-sequence-breaker none", "other"},
		{"--dry-multiplier 50 --dry-allowed-length 1 --dry-penalty-last-n 0", "same"},
		{"--logit-bias 258-inf", "other"},
		{"--logit-bias 258=-100", "other"},
		{"--bad-words a", "other"},
		{"--allowed-tokens 11,377,600", "other"},
		{"--forced-tokens 600", "other"},
		{"--samplers top_k;temperature --top-p 0", "same"},
		{"--seed 12", "other"},
	} {
		got := text(strings.Fields(test.args)...)
		tried += " " + test.args
		switch test.want {
		case "same":
			if got != plain {
				t.Errorf("%s: %q, want %q", test.args, got, plain)
			}
		case "greedy":
			if got != greedy {
				t.Errorf("%s: %q, want %q", test.args, got, greedy)
			}
		default:
			if got == plain {
				t.Errorf("%s changes nothing", test.args)
			}
		}
	}
	for _, p := range sample.Params() {
		if !strings.Contains(tried, "--"+p.Flag+" ") {
			t.Errorf("--%s has not been tried", p.Flag)
		}
	}
}

// TestInferConstraints: the text is what each flag says, whatever the seed.
func TestInferConstraints(t *testing.T) {
	methods := [][]string{{"--n", "3", "--seed", "2"}, {"--lookup", "--seed", "3"}, {"--beams", "2"}, {"--contrastive-k", "3"}}
	if testing.Short() {
		methods = methods[1:2] // the others take long on processors without assembly
	}
	schema := `{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}`
	hasN := func(s string) bool {
		var v struct{ N *int64 }
		return json.Unmarshal([]byte(s), &v) == nil && v.N != nil
	}
	for _, test := range []struct {
		args  []string
		holds func(string) bool
	}{
		{[]string{"--json-mode"}, func(s string) bool { return json.Valid([]byte(s)) && s[0] == '{' }},
		{[]string{"--json-schema", schema}, hasN},
		{[]string{"--json-schema", write(t, "s.json", "\uFEFF"+schema)}, hasN},
		{[]string{"--grammar", `root ::= "a"+ "b"`}, regexp.MustCompile(`^a+b$`).MatchString},
		{[]string{"--grammar", write(t, "g.gbnf", "root ::= x x\nx ::= [0-9]\n")}, regexp.MustCompile(`^\d\d$`).MatchString},
		{[]string{"--grammar", write(t, "bom.gbnf", "\uFEFFroot ::= [0-9]\n")}, regexp.MustCompile(`^\d$`).MatchString},
		{[]string{"--regex", `[A-Z][a-z]{2,5}!`}, regexp.MustCompile(`^[A-Z][a-z]{2,5}!$`).MatchString},
		{[]string{"--must-contain", "zebra", "--must-contain", "the sea", "--max-tokens", "60"}, func(s string) bool {
			return strings.Contains(s, "zebra") && strings.Contains(s, "the sea")
		}},
		{[]string{"--choice", "red", "--choice", "blue"}, func(s string) bool { return s == "red" || s == "blue" }},
		{[]string{"--choice", `a\nb`, "--escape"}, func(s string) bool { return s == "a\nb" }},
	} {
		for _, method := range methods {
			got := inferJSON(t, append(method, test.args...)...)
			for _, a := range got.Answers {
				if !test.holds(a.Text) || a.Cut {
					t.Errorf("%q with %q: %+v", test.args, method, a)
				}
			}
		}
	}
	r := inferDemo(t, "A fox: ", "--json-schema", schema, "--max-tokens", "2")
	r.expect(t, exitFailed, "--json-schema", "2 tokens", "--max-tokens")
	if r.out == "" {
		t.Error("a text that is cut is not printed")
	}
	inferDemo(t, "A fox: ", "--json-schema", schema, "--max-tokens", "2", "--n", "2", "--json").expect(t, exitFailed, `"cut": true`, "2 of 2 texts")
	inferDemo(t, "A fox: ", "--regex", "x{9}yy", "--stop", "xy").expect(t, exitFailed, "stop_string", "--regex")
}

// TestInferAnswers: several answers are those that their seeds give alone.
func TestInferAnswers(t *testing.T) {
	args := []string{"--temperature", "1.5", "--max-tokens", "20"}
	got := inferJSON(t, append(args, "--n", "3", "--seed", "4")...)
	if len(got.Answers) != 3 || got.Stats.GeneratedTokens != 60 || *got.Seed != 4 {
		t.Fatalf("%+v", got)
	}
	for i, a := range got.Answers {
		data, err := json.Marshal(a.Seed)
		if err != nil {
			t.Fatal(err)
		}
		alone := inferJSON(t, append(args, "--seed", string(data))...)
		if alone.Answers[0].Text != a.Text || a.Index != i {
			t.Errorf("answer %d is %q, alone %q", i, a.Text, alone.Answers[0].Text)
		}
	}
	r := inferDemo(t, "Once upon a time", append(args, "--n", "3", "--seed", "4")...)
	var want strings.Builder
	for i, a := range got.Answers {
		want.WriteString([]string{"[1/3]\n", "[2/3]\n", "[3/3]\n"}[i] + a.Text + "\n")
	}
	if r.out != want.String() {
		t.Errorf("printed %q, want %q", r.out, want.String())
	}
}

// TestInferMethods: what guesses ahead does not change a greedy text; beams find
// one that is at least as likely; each method reports what it did.
func TestInferMethods(t *testing.T) {
	greedy := inferJSON(t, "--greedy", "--max-tokens", "40")
	if greedy.Seed != nil {
		t.Errorf("a greedy text has the seed %d", *greedy.Seed)
	}
	for _, args := range [][]string{{"--lookup"}, {"--lookup", "--draft-max", "2"}, {"--draft", "demo"}} {
		got := inferJSON(t, append(args, "--greedy", "--max-tokens", "40")...)
		if got.Answers[0].Text != greedy.Answers[0].Text {
			t.Errorf("%q: %q, want %q", args, got.Answers[0].Text, greedy.Answers[0].Text)
		}
	}
	repetitive := strings.Repeat("The little dog ran to the park. The little cat ran to the pond. ", 4)
	one := inferJSON(t, "--prompt", repetitive, "--greedy", "--ignore-eos", "--max-tokens", "60")
	two := inferJSON(t, "--prompt", repetitive, "--greedy", "--ignore-eos", "--max-tokens", "60", "--lookup")
	if two.Stats.Steps >= one.Stats.Steps || two.Stats.AcceptedTokens == 0 {
		t.Errorf("--lookup on repetitive text: %+v, without %+v", two.Stats, one.Stats)
	}
	beams := inferJSON(t, "--beams", "4", "--n", "3", "--max-tokens", "12")
	if len(beams.Answers) != 3 || *beams.Answers[0].Score < *beams.Answers[1].Score || beams.Stats != nil {
		t.Errorf("%+v", beams)
	}
	likely := inferJSON(t, "--greedy", "--max-tokens", "12", "--logprobs", "0")
	sum := 0.0
	for _, l := range likely.Answers[0].LogProbs {
		sum += *l.LogProb
	}
	if *beams.Answers[0].LogProb < sum-1e-3 {
		t.Errorf("beam search finds %v, the greedy text has %v", *beams.Answers[0].LogProb, sum)
	}
	inferDemo(t, "Once upon a time", "--beams", "4", "--n", "2", "--max-tokens", "6").expect(t, exitOK, "[1/2] score", "[2/2] score", "4 beams")
	inferDemo(t, "Once upon a time", "--beams", "4", "--beam-groups", "2", "--diversity", "0.5", "--length-penalty", "1", "--max-tokens", "6").expect(t, exitOK, "there was")
	inferDemo(t, "What does a cow say?", "--chat", "--beams", "2").expect(t, exitOK, "moo")
	inferDemo(t, "Once upon a time", "--contrastive-k", "4", "--contrastive-alpha", "0.5", "--max-tokens", "6").expect(t, exitOK, "6 tokens")
}

// TestInferOutput: log-probabilities, and what ends a text.
func TestInferOutput(t *testing.T) {
	got := inferJSON(t, "--greedy", "--max-tokens", "5", "--logprobs", "3").Answers[0]
	if len(got.LogProbs) != 5 || got.Finish != trit.FinishLength {
		t.Fatalf("%+v", got)
	}
	for _, l := range got.LogProbs {
		if l.LogProb == nil || len(l.Top) != 3 || l.Top[0].ID != l.ID || math.Abs(*l.Top[0].LogProb-*l.LogProb) > 0 || l.Text == "" {
			t.Errorf("%+v", l)
		}
	}
	inferDemo(t, "Once upon a time", "--greedy", "-n", "2", "--logprobs", "1").expect(t, exitOK, "logprob", `" there"`)
	for _, test := range []struct {
		args   []string
		text   string
		finish trit.Finish
	}{
		{[]string{"--stop", "zzz", "--stop", " brave"}, ", there was a", trit.FinishStopString},
		{[]string{"--stop-token", "11"}, "", trit.FinishStop},
		{[]string{"--stop-token", ","}, "", trit.FinishStop},
		{[]string{"--stop-token", "11", "--min-tokens", "2", "--forced-tokens", "377", "--max-tokens", "2"}, "", trit.FinishLength},
	} {
		got := inferJSON(t, append([]string{"--greedy", "--max-tokens", "20"}, test.args...)...).Answers[0]
		if got.Finish != test.finish || test.text != "" && got.Text != test.text {
			t.Errorf("%q: %+v", test.args, got)
		}
	}
	if got := inferJSON(t, "--prompt", "User: Who are you?<|eot_id|>Assistant:", "--special", "--greedy", "--ignore-eos", "--max-tokens", "60").Answers[0]; !strings.Contains(got.Text, "<|eot_id|>") {
		t.Errorf("--special --ignore-eos: %q", got.Text)
	}
}

// TestInferPromptCache: a prompt is computed once; what does not fit is refused
// and left as it is.
func TestInferPromptCache(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prompts.cache")
	prompt := strings.Repeat("The little dog ran to the park. ", 12)
	args := []string{"--prompt", prompt, "--greedy", "--max-tokens", "5", "--prompt-cache", path}
	inferDemo(t, "", append(args, "--prompt-cache-ro")...).expect(t, exitFailed, path, "--prompt-cache-ro")
	nowhere := filepath.Join(t.TempDir(), "missing", "prompts.cache")
	if r := inferDemo(t, "", "--prompt", prompt, "--prompt-cache", nowhere); r.out != "" {
		t.Errorf("a text is generated although the cache cannot be written: %q", r.out)
	} else {
		r.expect(t, exitFailed, nowhere, "cannot be created")
	}
	first := inferJSON(t, args...)
	second := inferJSON(t, args...)
	if first.Stats.CachedTokens != 0 || second.Stats.CachedTokens == 0 || first.Answers[0].Text != second.Answers[0].Text {
		t.Errorf("%+v, then %+v", first.Stats, second.Stats)
	}
	inferDemo(t, "", args...).expect(t, exitOK, "from the cache")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	inferDemo(t, "Another text", "--prompt-cache", path, "--prompt-cache-ro").expect(t, exitOK)
	inferDemo(t, "", append(args, "--kv-type", "f32")...).expect(t, exitFailed, path, "f16", "name another one")
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file has changed (%v)", err)
	}
	inferDemo(t, "", "--prompt", "x", "--prompt-cache", write(t, "other", "something else")).expect(t, exitFailed, "other", "name another one")
}

// TestInferInterrupted: an interrupt ends the wait for a prompt that does not come.
func TestInferInterrupted(t *testing.T) {
	t.Setenv(hub.HomeEnv, t.TempDir())
	in, never := io.Pipe()
	defer never.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	var out, errOut bytes.Buffer
	if code := run(ctx, []string{"infer", "--model", "demo"}, in, &out, &errOut); code != exitInterrupted {
		t.Errorf("exit code %d: %s", code, errOut.String())
	}
}

// TestInferUsage: mistakes are found before anything is loaded, and named.
func TestInferUsage(t *testing.T) {
	for _, test := range []struct{ args, mentions string }{
		{"--temperature -1", "--temperature -1: want 0 to 1000"},
		{"--temperature warm", `--temperature "warm": want a number`},
		{"--top-k x", `--top-k "x": want a whole number`},
		{"--numa both", `--numa: unknown way "both"`},
		{"--top-p 7", "--top-p 7: want 0 to 1"},
		{"--min-p -0.1", "--min-p -0.1: want 0 to 1"},
		{"--typical 2", "--typical 2: want 0 to 1"},
		{"--xtc-probability 2", "--xtc-probability 2"},
		{"--xtc-threshold -1", "--xtc-threshold -1"},
		{"--mirostat 3", "--mirostat 3: want 0 to 2"},
		{"--mirostat-tau 1000", "--mirostat-ent 1000: want 0 to 100"},
		{"--repeat-penalty 0", "--repetition-penalty 0: want"},
		{"--penalty-last-n -2", "--repeat-last-n -2: want -1"},
		{"--dry-base 0.5", "--dry-base 0.5: want 1"},
		{"--dry-allowed-length 0", "--dry-allowed-length 0: want 1"},
		{"--dry-sequence-breaker=", "--dry-sequence-breaker is empty"},
		{"--bad-words=", "--bad-words is empty"},
		{"--samplers shake", `unknown stage "shake"`},
		{"--samplers top_k --mirostat 2", "does not list it"},
		{"--samplers mirostat", "mirostat is 0"},
		{"--seed x", `--seed "x": want a number`},
		{"--greedy --temperature 1", "exclude each other"},
		{"--logit-bias 5", "want ID+VALUE"},
		{"--logit-bias 5=x", "want ID+VALUE"},
		{"--logit-bias 5+inf", "-1e6 to 1e6"},
		{"--logit-bias 99999=1", "no token 99999; want 0 to 2047"},
		{"--allowed-tokens 1,nonsense", `"nonsense"`},
		{"--forced-tokens -4", "no token -4"},
		{"--stop-token nonsense", `"nonsense"`},
		{"--stop=", "--stop is empty"},
		{"--n 0", "--n 0: want 1 to 1024"},
		{"--logprobs 1001", "--logprobs 1001: want 0 to 1000"},
		{"--logprobs -1", "--logprobs -1: want 0 to 1000"},
		{"--min-tokens -1", "--min-tokens -1"},
		{"--min-tokens 51", "exceeds --max-tokens 50"},
		{"--prompt-file x", "--prompt and --prompt-file"},
		{"--system-prompt x", "needs --chat"},
		{"--prompt-cache-ro", "needs --prompt-cache"},
		{"--json-mode --regex x", "--json-mode and --regex exclude each other"},
		{"--json-schema {", "--json-schema"},
		{`--json-schema {"type":"nonsense"}`, "nonsense"},
		{"--grammar root::=x", `rule "x"`},
		{"--regex (", "--regex"},
		{"--must-contain=", "--must-contain is empty"},
		{"--choice=", "--choice is empty"},
		{"--beams 0", "--beams 0: want 1 to 1024"},
		{"--beams 4 --draft demo", "--beams and --draft exclude each other"},
		{"--beams 4 --temperature 1", "--beams and --temperature exclude each other"},
		{"--beams 4 --seed 1", "--beams and --seed exclude each other"},
		{"--beams 4 --logprobs 1", "--beams and --logprobs exclude each other"},
		{"--beams 4 --n 5", "--n 5"},
		{"--beams 4 --beam-groups 3", "divides --beams 4"},
		{"--beams 4 --diversity 1", "--beam-groups of 2"},
		{"--beams 4 --length-penalty -1", "--length-penalty -1: want 0 to 100"},
		{"--diversity 1", "--diversity needs --beams"},
		{"--contrastive-k 300", "--contrastive-k 300: want 1 to 256"},
		{"--contrastive-k 3 --contrastive-alpha 2", "--contrastive-alpha 2: want 0 to 1"},
		{"--contrastive-k 3 --n 2", "--n 2"},
		{"--contrastive-k 3 --top-p 0.5", "exclude each other"},
		{"--contrastive-alpha 0.5", "needs --contrastive-k"},
		{"--lookup --draft demo", "exclude each other"},
		{"--draft=", "--draft is empty"},
		{"--draft-max 4", "needs --draft, --lookup or --mtp"},
		{"--max-tokens 99999999999999999999", `--max-tokens "99999999999999999999": want a smaller number`},
		{"--max-tokens many", `--max-tokens "many": want a whole number`},
		{"--diversity x", `--diversity "x": want a number`},
		{"--ctx-size -1", "--ctx-size -1: want"},
		{"--bogus", "unknown flag: --bogus"},
		{"--lookup --draft-max 65", "--draft-max 65: want 1 to 64"},
	} {
		args := append([]string{"--prompt", "x"}, strings.Fields(test.args)...)
		inferDemo(t, "", args...).expect(t, exitUsage, test.mentions, "trit infer --help")
	}
	inferDemo(t, "caf\xe9", "--max-tokens", "1").expect(t, exitOK, "not valid UTF-8")
	inferDemo(t, "").expect(t, exitUsage, "standard input is empty", "--prompt")
	inferDemo(t, "", "--prompt", "x", "--draft", "nowhere.gguf").expect(t, exitFailed, "--draft", "nowhere.gguf")
	inferDemo(t, "", "--prompt-file", "nowhere.txt").expect(t, exitFailed, "nowhere.txt")
	inferDemo(t, "", "--help").expect(t, exitOK, "Sampling:", "Constraints:", "Methods:", "Output and cache:", "Global:", "--json-schema", "Examples:")
}
