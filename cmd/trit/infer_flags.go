package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"trit/chat"
	"trit/grammar"
	"trit/internal/textfile"
)

// inferFlags are the flags of infer.
type inferFlags struct {
	model      modelFlags
	sampling   samplingFlags
	constraint constraintFlags

	prompt, promptFile string
	raw, ask           bool
	system             string
	think              thinkFlags
	special, escape    bool

	maxTokens, minTokens int
	stop, stopTokens     []string
	ignoreEOS            bool
	answers              int

	draft            string
	lookup           bool
	draftMax         int
	beams, groups    int
	diversity        float64
	lengthPenalty    float64
	contrastiveK     int
	contrastiveAlpha float64

	logprobs      int // −1: none
	promptCache   string
	promptCacheRO bool
}

// constrainedTokens bounds a text with a constraint when --max-tokens does not:
// what is cut in the middle is of no use.
const constrainedTokens = 512

// plainTokens bounds a text that has no end of its own, unlike an answer.
const plainTokens = 50

// limit returns the largest number of tokens, 0 for as many as fit.
func (f *inferFlags) limit(given func(flag string) bool) int {
	switch {
	case given("max-tokens"):
		return f.maxTokens
	case f.constraint.given():
		return constrainedTokens
	case f.ask:
		return 0
	}
	return plainTokens
}

// maxPromptBytes bounds a prompt that is read from a file or a pipe.
const maxPromptBytes = 64 << 20

func (f *inferFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	f.model.add(cmd)
	flags.StringVarP(&f.prompt, "prompt", "p", "", "the text to continue")
	flags.StringVarP(&f.promptFile, "prompt-file", "f", "", "read the prompt from a `file` (-: standard input), without its last line end")
	flags.BoolVar(&f.raw, "raw", false, "continue the prompt as it is (the default)")
	flags.BoolVar(&f.ask, "chat", false, "put the prompt into the model's chat template")
	flags.StringVar(&f.system, "system-prompt", "", "with --chat: what the model is told before the question")
	f.think.add(cmd)
	f.model.template.add(cmd)
	flags.BoolVar(&f.special, "special", false, "recognise control tokens in the prompt and show them in the text")
	flags.BoolVar(&f.escape, "escape", false, `understand \n, \t, \\ and the like in --prompt, --stop, --choice and --must-contain`)
	groupFlags(cmd, "Prompt", "prompt", "prompt-file", "raw", "chat", "system-prompt", "think", "think-budget", "special", "escape")

	flags.IntVarP(&f.maxTokens, "max-tokens", "n", plainTokens, fmt.Sprintf("generate at most this many tokens; 0: up to the end of the context, "+
		"as with --chat if it is not given (with a constraint: %d)", constrainedTokens))
	flags.IntVar(&f.minTokens, "min-tokens", 0, "do not end before this many tokens")
	flags.StringArrayVar(&f.stop, "stop", nil, "end at this `text`, which is left out (repeatable)")
	flags.StringArrayVar(&f.stopTokens, "stop-token", nil, "end at this token, an `ID` or a text such as <|eot_id|> (repeatable)")
	flags.BoolVar(&f.ignoreEOS, "ignore-eos", false, "go on after the model's end tokens")
	flags.IntVar(&f.answers, "n", 1, "this many answers, generated together; with --beams the number of texts")
	groupFlags(cmd, "Length and number", "max-tokens", "min-tokens", "stop", "stop-token", "ignore-eos", "n")

	f.sampling.add(cmd)
	f.constraint.add(cmd)

	flags.StringVar(&f.draft, "draft", "", "let a smaller `model` with the same tokens guess ahead; faster, with the same text if greedy")
	flags.BoolVar(&f.lookup, "lookup", false, "guess ahead from repetitions in the text; faster where there are some, with the same text")
	flags.IntVar(&f.draftMax, "draft-max", 0, "guess at most this many tokens at once (default: 8 with --draft, 16 with --lookup, 4 with --mtp)")
	flags.IntVar(&f.beams, "beams", 0, "search for the most likely text with this many beams instead of sampling")
	flags.IntVar(&f.groups, "beam-groups", 1, "divide the beams into groups that keep apart")
	flags.Float64Var(&f.diversity, "diversity", 0, "how far groups keep apart: taken off a token's score for each earlier beam that chose it")
	flags.Float64Var(&f.lengthPenalty, "length-penalty", 0, "how much beam search favours longer texts; 0 compares probabilities")
	flags.IntVar(&f.contrastiveK, "contrastive-k", 0, "choose among this many tokens by contrastive search instead of sampling")
	flags.Float64Var(&f.contrastiveAlpha, "contrastive-alpha", 0.6, "weight of contrastive search's penalty on repetition, 0 to 1")
	groupFlags(cmd, "Methods", "draft", "lookup", "draft-max", "beams", "beam-groups", "diversity", "length-penalty", "contrastive-k", "contrastive-alpha")

	flags.IntVar(&f.logprobs, "logprobs", -1, "tell each token's log-probability and this many alternatives, 0 to 1000 (default: none)")
	flags.Lookup("logprobs").DefValue = "0" // which the help leaves out
	flags.StringVar(&f.promptCache, "prompt-cache", "", "keep what was computed for prompts in this `file`, and use what is there")
	flags.BoolVar(&f.promptCacheRO, "prompt-cache-ro", false, "do not write the --prompt-cache file")
	addTraceFlag(cmd)
	groupFlags(cmd, "Output and cache", "logprobs", "prompt-cache", "prompt-cache-ro", "trace")

	groupedHelp(cmd, "Prompt", "Length and number", "Sampling", "Constraints", "Methods", "Output and cache", "Model")
}

// check finds what is wrong with the flags before anything is opened.
func (f *inferFlags) check(cmd *cobra.Command) error {
	given := cmd.Flags().Changed
	switch {
	case f.raw && f.ask:
		return errors.New("--raw and --chat exclude each other")
	case given("prompt") && given("prompt-file"):
		return errors.New("--prompt and --prompt-file exclude each other")
	case given("prompt") && f.prompt == "":
		return errors.New("--prompt is empty")
	case given("system-prompt") && !f.ask:
		return errors.New("--system-prompt needs --chat")
	case given("think") && !f.ask:
		return errors.New("--think needs --chat")
	case given("think-budget") && !f.ask:
		return errors.New("--think-budget needs --chat")
	case f.maxTokens < 0:
		return fmt.Errorf("--max-tokens %d: want 0 or a positive number", f.maxTokens)
	case f.minTokens < 0:
		return fmt.Errorf("--min-tokens %d: want 0 or a positive number", f.minTokens)
	case f.limit(given) > 0 && f.minTokens > f.limit(given):
		return fmt.Errorf("--min-tokens %d exceeds --max-tokens %d", f.minTokens, f.limit(given))
	case f.answers < 1 || f.answers > 1024:
		return fmt.Errorf("--n %d: want 1 to 1024", f.answers)
	case given("logprobs") && (f.logprobs < 0 || f.logprobs > 1000):
		return fmt.Errorf("--logprobs %d: want 0 to 1000", f.logprobs)
	case f.promptCacheRO && f.promptCache == "":
		return errors.New("--prompt-cache-ro needs --prompt-cache")
	}
	if slices.Contains(f.stop, "") {
		return errors.New("--stop is empty")
	}
	if f.escape {
		f.prompt, f.stop = unescape(f.prompt), unescapeAll(f.stop)
		f.constraint.phrases, f.constraint.choices = unescapeAll(f.constraint.phrases), unescapeAll(f.constraint.choices)
	}
	if err := f.sampling.check(cmd); err != nil {
		return err
	}
	if err := f.think.check(); err != nil {
		return err
	}
	if err := f.constraint.check(); err != nil {
		return err
	}
	return f.checkMethods(cmd)
}

// checkMethods finds what is wrong with the flags of beam search, contrastive
// search and guessing, which exclude each other and some other flags.
func (f *inferFlags) checkMethods(cmd *cobra.Command) error {
	given := cmd.Flags().Changed
	var methods []string
	for _, name := range []string{"beams", "contrastive-k", "draft", "lookup", "mtp"} {
		if given(name) && !(name == "lookup" && !f.lookup) && !(name == "mtp" && !f.model.load.MTP) {
			methods = append(methods, "--"+name)
		}
	}
	if len(methods) > 1 {
		return fmt.Errorf("%s exclude each other", strings.Join(methods, " and "))
	}
	needs := func(method string, on bool, names ...string) error {
		for _, name := range names {
			if given(name) && !on {
				return fmt.Errorf("--%s needs %s", name, method)
			}
		}
		return nil
	}
	excludes := func(method string, names ...string) error {
		for _, name := range names {
			if given(name) {
				return fmt.Errorf("%s and --%s exclude each other", method, name)
			}
		}
		return nil
	}
	err := errors.Join(
		needs("--beams", given("beams"), "beam-groups", "diversity", "length-penalty"),
		needs("--contrastive-k", given("contrastive-k"), "contrastive-alpha"),
		needs("--draft, --lookup or --mtp", given("draft") || f.lookup || f.model.load.MTP, "draft-max"))
	if err != nil {
		return err
	}
	chooses := "the tokens are not sampled"
	switch {
	case given("draft-max") && (f.draftMax < 1 || f.draftMax > 64):
		return fmt.Errorf("--draft-max %d: want 1 to 64", f.draftMax)
	case given("draft") && f.draft == "":
		return errors.New("--draft is empty; name a model")
	case given("beams"):
		switch {
		case f.beams < 1 || f.beams > 1024:
			return fmt.Errorf("--beams %d: want 1 to 1024", f.beams)
		case f.groups < 1 || f.beams%f.groups != 0:
			return fmt.Errorf("--beam-groups %d: want a number that divides --beams %d", f.groups, f.beams)
		case !(f.diversity >= 0 && f.diversity <= 1e6):
			return fmt.Errorf("--diversity %g: want 0 to 1e6", f.diversity)
		case f.diversity > 0 && f.groups == 1:
			return errors.New("--diversity needs --beam-groups of 2 or more")
		case !(f.lengthPenalty >= 0 && f.lengthPenalty <= 100):
			return fmt.Errorf("--length-penalty %g: want 0 to 100", f.lengthPenalty)
		case f.answers > f.beams:
			return fmt.Errorf("--n %d: %d beams find at most %d texts", f.answers, f.beams, f.beams)
		}
		if used := f.sampling.used(cmd); len(used) > 0 {
			return fmt.Errorf("--beams and %s exclude each other: %s", used[0], chooses)
		}
		return excludes("--beams", "logprobs")
	case given("contrastive-k"):
		switch {
		case f.contrastiveK < 1 || f.contrastiveK > 256:
			return fmt.Errorf("--contrastive-k %d: want 1 to 256", f.contrastiveK)
		case !(f.contrastiveAlpha >= 0 && f.contrastiveAlpha <= 1):
			return fmt.Errorf("--contrastive-alpha %g: want 0 to 1", f.contrastiveAlpha)
		case f.answers > 1:
			return fmt.Errorf("--contrastive-k and --n %d exclude each other: it uses no chance, so all answers would be the same", f.answers)
		}
		if used := f.sampling.used(cmd); len(used) > 0 {
			return fmt.Errorf("--contrastive-k and %s exclude each other: %s", used[0], chooses)
		}
	}
	return nil
}

// readPrompt returns the prompt from wherever it comes.
func (f *inferFlags) readPrompt(a *app, cmd *cobra.Command) (string, error) {
	if cmd.Flags().Changed("prompt") {
		return f.prompt, nil
	}
	from, source := a.in, "standard input"
	switch {
	case f.promptFile != "" && f.promptFile != "-":
		file, err := os.Open(f.promptFile)
		if err != nil {
			return "", fmt.Errorf("--prompt-file: %w", err)
		}
		defer file.Close()
		from, source = file, f.promptFile
	case f.promptFile == "" && isTerminal(a.in):
		return "", usage(cmd, errors.New("there is no prompt: give --prompt or --prompt-file, or pipe a text in"))
	}
	data, err := readText(cmd.Context(), from, source, maxPromptBytes)
	if err != nil {
		return "", fmt.Errorf("reading the prompt: %w", err)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" {
		return "", usage(cmd, fmt.Errorf("the prompt from %s is empty: give --prompt or --prompt-file, or pipe a text in", source))
	}
	return text, nil
}

// messages is the conversation that --chat answers.
func (r *inference) messages() []chat.Message {
	var list []chat.Message
	if r.flags.system != "" {
		list = append(list, chat.Message{Role: "system", Content: r.flags.system})
	}
	return append(list, chat.Message{Role: "user", Content: r.prompt})
}

func unescapeAll(list []string) []string {
	var all []string
	for _, s := range list {
		all = append(all, unescape(s))
	}
	return all
}

// constraintFlags are the flags that keep a text to a form, at most one of
// them.
type constraintFlags struct {
	json    bool
	schema  string
	gbnf    string
	regex   string
	phrases []string
	choices []string
}

func (f *constraintFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.json, "json-mode", false, "the text is a JSON object")
	flags.StringVar(&f.schema, "json-schema", "", "the text is JSON that this schema describes: a `file`, or the schema itself")
	flags.StringVar(&f.gbnf, "grammar", "", "the text keeps to this GBNF grammar: a `file`, or the grammar itself")
	flags.StringVar(&f.regex, "regex", "", "this regular `expression` (ECMA-262) matches the whole text")
	flags.StringArrayVar(&f.phrases, "must-contain", nil, "the text contains this `phrase` (repeatable)")
	flags.StringArrayVar(&f.choices, "choice", nil, "the text is this one, or another `text` given so (repeatable)")
	groupFlags(cmd, "Constraints", "json-mode", "json-schema", "grammar", "regex", "must-contain", "choice")
}

// names returns the flags that were given.
func (f *constraintFlags) names() []string {
	var names []string
	for _, flag := range []struct {
		name  string
		given bool
	}{
		{"--json-mode", f.json},
		{"--json-schema", f.schema != ""},
		{"--grammar", f.gbnf != ""},
		{"--regex", f.regex != ""},
		{"--must-contain", len(f.phrases) > 0},
		{"--choice", len(f.choices) > 0},
	} {
		if flag.given {
			names = append(names, flag.name)
		}
	}
	return names
}

func (f *constraintFlags) given() bool { return len(f.names()) > 0 }

func (f *constraintFlags) check() error {
	if names := f.names(); len(names) > 1 {
		return fmt.Errorf("%s exclude each other: a text can have one constraint", strings.Join(names, " and "))
	}
	if slices.Contains(f.phrases, "") {
		return errors.New("--must-contain is empty")
	}
	if slices.Contains(f.choices, "") {
		return errors.New("--choice is empty")
	}
	return nil
}

// compile returns the grammar that the flags ask for, nil without one.
func (f *constraintFlags) compile() (*grammar.Grammar, error) {
	var g *grammar.Grammar
	var text []byte
	var err error
	names := f.names()
	if len(names) == 0 {
		return nil, nil
	}
	switch names[0] {
	case "--json-mode":
		return grammar.JSONObject(grammar.WhitespaceLimited), nil
	case "--json-schema":
		inline := strings.HasPrefix(strings.TrimSpace(f.schema), "{") || f.schema == "true" || f.schema == "false"
		if text, err = inlineOrFile(f.schema, inline); err == nil {
			g, err = grammar.FromJSONSchema(text, grammar.SchemaOptions{})
		}
	case "--grammar":
		if text, err = inlineOrFile(f.gbnf, strings.Contains(f.gbnf, "::=")); err == nil {
			g, err = grammar.ParseGBNF(string(text))
		}
	case "--regex":
		g, err = grammar.CompileRegexp(f.regex)
	case "--must-contain":
		g, err = grammar.Lexical(f.phrases...)
	case "--choice":
		g, err = grammar.Choice(f.choices...)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", names[0], err)
	}
	return g, nil
}

// maxConstraintBytes bounds the files with schemas and grammars.
const maxConstraintBytes = 16 << 20

// inlineOrFile returns what a flag says, or what is in the file that it names.
func inlineOrFile(value string, inline bool) ([]byte, error) {
	if inline {
		return []byte(value), nil
	}
	return textfile.Read(value, maxConstraintBytes)
}
