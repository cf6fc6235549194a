package chat

import (
	"iter"
	"regexp"
	"slices"
	"strings"
)

// Texts that no template contains.
const probeAsked, probeThought, probeSaid = "qZ7asked", "qZ7thought", "qZ7said"

// learnReasoning finds marks that are not among the known ones, by what the template makes of an
// answer with reasoning, and of prompts for which it is switched on and off.
func (t *Template) learnReasoning() ReasoningFormat {
	user := Message{Role: "user", Content: probeAsked}
	show := func(in Input) string {
		in.BOS, in.EOS = "<s>", "</s>"
		out, err := t.render(&in, inputForm{}, probeLimits)
		if err != nil {
			return ""
		}
		// What a system message says of thinking stands before that.
		return out[strings.LastIndex(out, probeAsked)+1:]
	}
	prompt := func(extra map[string]any) string {
		return show(Input{Messages: []Message{user}, AddGenerationPrompt: true, Extra: extra})
	}
	usual, on, off := prompt(nil), prompt(t.ThinkingVariables(true)), prompt(t.ThinkingVariables(false))
	f := t.marksOfAnswer(show(Input{Messages: []Message{user, {Role: "assistant", Content: probeSaid, Reasoning: probeThought}}}), usual, on, off)
	if f.Open == "" {
		f = marksOfSwitch(on, off)
	}
	if f.Open == "" {
		return ReasoningFormat{}
	}
	plain := show(Input{Messages: []Message{user, {Role: "assistant", Content: probeSaid}}})
	head, tail, _ := strings.Cut(plain, probeSaid)
	for _, p := range []string{usual, on} {
		// What an answer begins with where there was no reasoning.
		if mark, found := strings.CutPrefix(head, p); found && p != "" {
			if mark = strings.TrimSpace(mark); mark != f.Answer[1] && !strings.Contains(mark, f.Close) {
				f.Answer[0] = mark
			}
			break
		}
	}
	if f.Answer != [2]string{} {
		if end := firstMark(tail); marks.MatchString(end) {
			f.AnswerEnd = end
		}
	}
	return f
}

// marksOfAnswer finds the marks around reasoning in an answer that the template shows, with the help of
// prompts for one.
func (t *Template) marksOfAnswer(shown string, prompts ...string) (f ReasoningFormat) {
	before, rest, found := strings.Cut(shown, probeThought)
	between, _, answered := strings.Cut(rest, probeSaid)
	if !found || !answered || strings.TrimSpace(between) == "" {
		return f
	}
	common := 0 // of what comes before the reasoning and a prompt that does not begin it
	for _, p := range prompts {
		n := 0
		for n < min(len(p), len(before)) && p[n] == before[n] {
			n++
		}
		switch {
		case n == len(before) && strings.TrimSpace(p[n:]) != "" && !strings.Contains(p[n:], firstMark(between)):
			f.Open = strings.TrimSpace(p[n:]) // begun in words of the prompt that history does not repeat
		case n < len(strings.TrimSpace(before)):
			common = max(common, n)
		}
	}
	if f.Open == "" && common > 0 {
		if at := strings.LastIndexByte(before[:common], '<'); at > strings.LastIndexByte(before[:common], '>') {
			common = at // within a mark
		}
		f.Open = strings.TrimSpace(before[common:])
	}
	if f.Open == "" {
		f.Open = lastMark(before)
	}
	f.Close, f.End = firstMark(between), between
	f.Answer[1] = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(between), f.Close))
	return f
}

// marksOfSwitch finds the marks in a prompt for which reasoning is switched off: an empty block, which
// the other prompt has not.
func marksOfSwitch(on, off string) (f ReasoningFormat) {
	block, found := strings.CutPrefix(off, on)
	mark := lastMark(block)
	at := strings.LastIndex(block, mark)
	if !found || on == "" || mark == "" || strings.TrimSpace(block[:at]) == "" {
		return f
	}
	f.Open, f.Close = strings.TrimSpace(block[:at]), mark
	f.End = strings.TrimLeft(block[at:], "\n")
	return f
}

var marks = regexp.MustCompile(`<[^<>\s][^<>]*>|\[[^\[\]\s][^\[\]]*\]`)

// firstMark returns the mark that a text begins with, or all of it if that is none.
func firstMark(text string) string {
	text = strings.TrimSpace(text)
	if at := marks.FindStringIndex(text); at != nil && at[0] == 0 {
		return text[:at[1]]
	}
	return text
}

// lastMark returns the mark that a text ends with, or "".
func lastMark(text string) string {
	text = strings.TrimSpace(text)
	if all := marks.FindAllStringIndex(text, -1); len(all) > 0 && all[len(all)-1][1] == len(text) {
		return text[all[len(all)-1][0]:]
	}
	return ""
}

// thinkingVariables are the template variables that switch reasoning on and off, the usual one first.
var thinkingVariables = []string{ThinkingVariable, "thinking"}

// AllThinkingVariables yields what templates call the variables that switch reasoning, the usual one first.
func AllThinkingVariables() iter.Seq[string] { return slices.Values(thinkingVariables) }

// ThinkingVariables returns the template variables that switch reasoning, as this template calls them.
func (t *Template) ThinkingVariables(on bool) map[string]any {
	vars := map[string]any{}
	for _, name := range thinkingVariables {
		if t.mentions(name) {
			vars[name] = on
		}
	}
	if len(vars) == 0 {
		vars[ThinkingVariable] = on
	}
	return vars
}

var (
	code    = regexp.MustCompile(`\{[{%][\s\S]*?[%}]\}`)
	strung  = regexp.MustCompile(`'[^']*'|"[^"]*"`)
	varName = regexp.MustCompile(`\.?[A-Za-z_][A-Za-z_0-9]*`)
)

// mentions reports whether the template's code has a variable of that name.
func (t *Template) mentions(name string) bool {
	for _, c := range code.FindAllString(t.source, -1) {
		if slices.Contains(varName.FindAllString(strung.ReplaceAllString(c, "''"), -1), name) {
			return true
		}
	}
	return false
}

// reasoningFields are the names that templates have for the reasoning of a message.
var reasoningFields = []string{"reasoning_content", "reasoning", "thinking"}

var fieldPattern = regexp.MustCompile(`(?:\.|\[?['"])(reasoning_content|reasoning|thinking)\b`)

// reasoningField returns the field of a message in which the template looks for reasoning.
func (t *Template) findReasoningField() string {
	found := map[string]bool{}
	for _, m := range fieldPattern.FindAllStringSubmatch(t.source, -1) {
		found[m[1]] = true
	}
	for _, name := range reasoningFields {
		if found[name] {
			return name
		}
	}
	return reasoningFields[0]
}

// answerMarks takes the marks away that a model puts around an answer. However it is cut into pieces,
// the sum is the same.
type answerMarks struct {
	begins [2]string
	end    string
	state  uint8 // 0: it may begin with a mark, 1: within the answer, 2: behind its end
	held   string
}

func (a *answerMarks) write(piece string) string {
	if a.state == 0 && a.begins == [2]string{} {
		a.state = 1
	}
	if a.state == 0 {
		a.held += piece
		text := TrimAnswer(a.held)
		piece = a.held
		for _, mark := range a.begins {
			switch {
			case mark == "":
			case strings.HasPrefix(text, mark):
				piece = text[len(mark):]
			case strings.HasPrefix(mark, text):
				return ""
			default:
				continue
			}
		}
		a.state, a.held = 1, ""
	}
	switch {
	case a.state == 2:
		return ""
	case a.end == "":
		return piece
	}
	text := a.held + piece
	if before, _, found := strings.Cut(text, a.end); found {
		a.state, a.held = 2, ""
		return before
	}
	kept := len(text) - partial(text, a.end)
	a.held = text[kept:]
	return text[:kept]
}

// close returns what was withheld.
func (a *answerMarks) close() string {
	held := a.held
	a.held = ""
	return held
}
