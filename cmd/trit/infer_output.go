package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"

	"trit"
	"trit/chat"
	"trit/grammar"
	"trit/internal/generate"
	"trit/internal/termtext"
	"trit/sample"
)

// inferResult is what infer prints with --json.
type inferResult struct {
	Model        string        `json:"model"`
	Prompt       string        `json:"prompt"`
	PromptTokens []int32       `json:"prompt_tokens"`
	Seed         *uint64       `json:"seed,omitempty"` // absent where nothing is left to chance
	Answers      []inferAnswer `json:"answers"`
	Stats        *trit.Stats   `json:"stats,omitempty"` // of all answers together; absent for beam search
	PromptRate   float64       `json:"prompt_tokens_per_second,omitempty"`
	GenerateRate float64       `json:"generated_tokens_per_second,omitempty"`
	Seconds      float64       `json:"seconds"`
}

// inferAnswer is one of the texts.
type inferAnswer struct {
	Index int    `json:"index"`
	Text  string `json:"text"`
	// Reasoning is what the model thought before the text, with --chat.
	Reasoning       string      `json:"reasoning,omitempty"`
	ReasoningTokens int         `json:"reasoning_tokens,omitempty"`
	Tokens          []int32     `json:"tokens"`
	Finish          trit.Finish `json:"finish_reason"`
	// Cut: the text ended before it satisfied its constraint.
	Cut bool `json:"cut"`
	// Seed repeats this answer alone.
	Seed *uint64 `json:"seed,omitempty"`
	// LogProbs has an entry for each token with --logprobs.
	LogProbs []inferLogProb `json:"logprobs,omitempty"`
	// LogProb and Score are of texts that beam search has found.
	LogProb *float64 `json:"logprob,omitempty"`
	Score   *float64 `json:"score,omitempty"`
}

// inferLogProb is how likely a token was in the model's own distribution, and
// after the samplers.
type inferLogProb struct {
	ID      int32            `json:"id"`
	Text    string           `json:"text"`
	LogProb *float64         `json:"logprob"`
	Prob    float64          `json:"prob"`
	Top     []inferCandidate `json:"top"`
}

type inferCandidate struct {
	ID      int32    `json:"id"`
	Text    string   `json:"text"`
	LogProb *float64 `json:"logprob"`
}

// cutError reports texts that end before they satisfy their constraint. They
// have been printed.
type cutError struct {
	flag   string
	tokens int
	cut, n int
	finish trit.Finish
}

func (e *cutError) Error() string {
	which := "the text"
	if e.n > 1 {
		which = fmt.Sprintf("%d of %d texts", e.cut, e.n)
	}
	if e.finish != trit.FinishLength {
		return fmt.Sprintf("%s ended (%s) before %s was satisfied", which, e.finish, e.flag)
	}
	return fmt.Sprintf("%s reached the limit after %d tokens, before %s was satisfied; allow more with --max-tokens or --ctx-size", which, e.tokens, e.flag)
}

// finite returns nil for numbers that JSON does not have.
func finite(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

// print writes the answers as they come: the first one at once, the others,
// which are generated beside it, when those before them are complete.
func (r *inference) print(pieces iter.Seq2[trit.Piece, error], stats *trit.Stats, certain bool) error {
	f, out := r.flags, r.app.out
	if r.app.json {
		out = io.Discard
	}
	p := &answerPrinter{out: termtext.Raw(out), answers: make([]inferAnswer, f.answers), texts: make([]answerText, f.answers)}
	for i := range p.texts {
		p.texts[i].terminal = isTerminal(out)
	}
	start := time.Now()
	for piece, err := range pieces {
		token := piece.Token
		if err != nil {
			p.lineEnd()
			return err
		}
		a := &p.answers[token.Index]
		a.Index, a.Tokens = token.Index, append(a.Tokens, token.ID)
		a.Finish, a.Cut = token.Finish, token.Cut
		if f.logprobs >= 0 {
			a.LogProbs = append(a.LogProbs, r.logProb(&token))
		}
		a.ReasoningTokens = piece.ReasoningTokens
		if err := p.add(token.Index, piece.Reasoning, piece.Content); err != nil {
			return err
		}
	}
	result := inferResult{
		Model: r.model.Name(), Prompt: r.prompt, PromptTokens: r.tokens, Answers: p.answers, Stats: stats,
		PromptRate: stats.PromptRate(), GenerateRate: stats.GenerateRate(), Seconds: time.Since(start).Seconds(),
	}
	for i := range result.Answers {
		a := &result.Answers[i]
		a.Text, a.Reasoning = p.texts[i].content.String(), p.texts[i].reasoning.String()
		r.checkSchema(a.Text, a.Cut)
		if !certain {
			seed := r.seed
			if i > 0 {
				seed = sample.ForkSeed(r.seed, uint64(i))
			}
			a.Seed, result.Seed = &seed, &r.seed
		}
	}
	if r.app.json {
		if err := r.app.printJSON(result); err != nil {
			return err
		}
	} else {
		r.printLogProbs(&result)
		r.printStats(&result)
	}
	return r.cut(&result)
}

// checkSchema says if a text does not satisfy its schema, where it could not be held to all of it.
func (r *inference) checkSchema(text string, cut bool) {
	if r.relaxed == nil || cut {
		return
	}
	if err := r.relaxed.Check("", []byte(text)); err != nil {
		r.app.log.Warn("the text and its JSON Schema", "error", err)
	} else {
		r.app.log.Info("the text satisfies its JSON Schema")
	}
}

// cut returns an error if answers are cut.
func (r *inference) cut(result *inferResult) error {
	var e *cutError
	for _, a := range result.Answers {
		if a.Cut && e == nil {
			e = &cutError{flag: r.flags.constraint.names()[0], tokens: len(a.Tokens), n: len(result.Answers), finish: a.Finish}
		}
		if a.Cut {
			e.cut++
		}
	}
	if e == nil {
		return nil
	}
	return e
}

// answerPrinter writes answers one after the other.
type answerPrinter struct {
	out     io.Writer
	answers []inferAnswer
	texts   []answerText
	current int // the answer that is being written
	written int // bytes of it
	headed  bool
}

// answerText is the text of an answer so far.
type answerText struct {
	speaker
	content, reasoning, shown strings.Builder
}

// add notes more text of an answer and writes what can be written.
func (p *answerPrinter) add(index int, reasoning, content string) error {
	t := &p.texts[index]
	t.reasoning.WriteString(reasoning)
	t.content.WriteString(content)
	t.shown.WriteString(t.say(reasoning, content))
	for p.current < len(p.answers) {
		if err := p.head(); err != nil {
			return err
		}
		all := p.texts[p.current].shown.String()
		if _, err := io.WriteString(p.out, all[p.written:]); err != nil {
			return fmt.Errorf("writing the text: %w", err)
		}
		p.written = len(all)
		if p.answers[p.current].Finish == "" {
			return nil
		}
		if err := p.next(); err != nil {
			return err
		}
	}
	return nil
}

// head writes the line before an answer, where there are several.
func (p *answerPrinter) head() error {
	if p.headed || len(p.answers) < 2 {
		return nil
	}
	p.headed = true
	if _, err := fmt.Fprintf(p.out, "[%d/%d]\n", p.current+1, len(p.answers)); err != nil {
		return fmt.Errorf("writing the text: %w", err)
	}
	return nil
}

// next ends an answer.
func (p *answerPrinter) next() error {
	if !strings.HasSuffix(p.texts[p.current].shown.String(), "\n") {
		if _, err := fmt.Fprintln(p.out); err != nil {
			return fmt.Errorf("writing the text: %w", err)
		}
	}
	p.current, p.written, p.headed = p.current+1, 0, false
	return nil
}

// lineEnd ends a line that an error has interrupted.
func (p *answerPrinter) lineEnd() {
	if p.current < len(p.texts) && p.written > 0 {
		fmt.Fprintln(p.out)
	}
}

func (r *inference) logProb(t *trit.Token) inferLogProb {
	piece := func(id int32) string { return r.model.Tokenizer().Piece(id, true) }
	l := inferLogProb{ID: t.ID, Text: piece(t.ID), LogProb: finite(t.LogProb), Prob: t.Prob, Top: []inferCandidate{}}
	for _, c := range t.Top {
		l.Top = append(l.Top, inferCandidate{c.ID, piece(c.ID), finite(c.LogProb)})
	}
	return l
}

// printLogProbs writes a table of the tokens to the error stream.
func (r *inference) printLogProbs(result *inferResult) {
	for _, a := range result.Answers {
		for i, l := range a.LogProbs {
			if i == 0 {
				title := "logprob"
				if len(result.Answers) > 1 {
					title = fmt.Sprintf("[%d/%d]", a.Index+1, len(result.Answers))
				}
				fmt.Fprintf(r.app.err, "\n%8s  token, and the most likely ones in its place\n", title)
			}
			fmt.Fprintf(r.app.err, "%8s  %-16q", logProbText(l.LogProb), l.Text)
			for _, c := range l.Top {
				fmt.Fprintf(r.app.err, " %q %s", c.Text, logProbText(c.LogProb))
			}
			fmt.Fprintln(r.app.err)
		}
	}
}

func logProbText(x *float64) string {
	if x == nil {
		return "-inf"
	}
	return strconv.FormatFloat(*x, 'f', 3, 64)
}

// printStats writes the summary of a generation to the error stream.
func (r *inference) printStats(result *inferResult) {
	s := result.Stats
	cached, thought, guessed, seed := "", "", "", ""
	reasoning := 0
	for _, a := range result.Answers {
		reasoning += a.ReasoningTokens
	}
	if reasoning > 0 {
		thought = fmt.Sprintf(" (%d of reasoning)", reasoning)
	}
	if s.CachedTokens > 0 {
		cached = fmt.Sprintf(" (%d from the cache)", s.CachedTokens)
	}
	if r.flags.lookup || r.flags.draft != "" || r.flags.model.load.MTP {
		guessed = fmt.Sprintf(" in %d steps, %d of %d guesses right", s.Steps, s.AcceptedTokens, s.GuessedTokens)
	}
	if result.Seed != nil && r.flags.sampling.random() {
		seed = fmt.Sprintf("; seed: %d", *result.Seed)
	}
	var finish []string
	for _, a := range result.Answers {
		if len(finish) == 0 || finish[len(finish)-1] != string(a.Finish) {
			finish = append(finish, string(a.Finish))
		}
	}
	fmt.Fprintf(r.app.err, "\nprompt: %d tokens%s, %s; generated: %d tokens%s%s, %s; finish: %s%s\n",
		s.PromptTokens, cached, speed(s.PromptRate()), s.GeneratedTokens, thought, guessed, speed(s.GenerateRate()), strings.Join(finish, ", "), seed)
}

// speed writes a rate, if there is one.
func speed(rate float64) string {
	if rate <= 0 {
		return "- tokens/s"
	}
	return fmt.Sprintf("%.1f tokens/s", rate)
}

// beams runs beam search and prints the texts.
func (r *inference) beams(ctx context.Context, constraint *grammar.Grammar) error {
	f := r.flags
	o := generate.BeamOptions{
		Beams: f.beams, Groups: f.groups, Diversity: f.diversity, LengthPenalty: f.lengthPenalty, Results: f.answers,
		MaxTokens: r.maxTokens, MinTokens: f.minTokens, Stop: f.stop, StopTokens: r.stops, IgnoreEnd: f.ignoreEOS, Special: f.special,
	}
	if f.ask {
		o.Stop = append(o.Stop, r.prepared.Stops...)
		o.Constraint = r.prepared.Constraint
	} else if constraint != nil {
		var err error
		if o.Constraint, err = r.model.Constraint(constraint); err != nil {
			return err
		}
	}
	start := time.Now()
	found, err := r.model.BeamsFrom(ctx, r.tokens, o)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return fmt.Errorf("no beam found a text: the constraint leaves none for this model's tokens")
	}
	result := inferResult{Model: r.model.Name(), Prompt: r.prompt, PromptTokens: r.tokens, Seconds: time.Since(start).Seconds()}
	for i, b := range found {
		reasoning := ""
		if f.ask {
			parser := chat.NewReasoningParser(r.prepared.Reasoning, r.prepared.Opened)
			thought, said := parser.Write(b.Text)
			restThought, restSaid := parser.Close()
			reasoning, b.Text = thought+restThought, strings.TrimSpace(said+restSaid)
		}
		result.Answers = append(result.Answers, inferAnswer{
			Index: i, Text: b.Text, Reasoning: reasoning, Tokens: b.Tokens, Finish: b.Finish, Cut: b.Cut, LogProb: finite(b.LogProb), Score: finite(b.Score),
		})
	}
	if r.app.json {
		if err := r.app.printJSON(result); err != nil {
			return err
		}
		return r.cut(&result)
	}
	for i, a := range result.Answers {
		head := ""
		if len(found) > 1 {
			head = fmt.Sprintf("[%d/%d] score %.3f, log-probability %.3f, finish: %s\n", i+1, len(found), *a.Score, *a.LogProb, a.Finish)
		}
		shown := (&speaker{terminal: isTerminal(r.app.out)}).say(a.Reasoning, strings.TrimSuffix(a.Text, "\n"))
		if _, err := fmt.Fprintf(termtext.Raw(r.app.out), "%s%s\n", head, shown); err != nil {
			return fmt.Errorf("writing the text: %w", err)
		}
	}
	best := result.Answers[0]
	fmt.Fprintf(r.app.err, "\nprompt: %d tokens; %d beams, %d tokens in %.2f s; log-probability %.3f; finish: %s\n",
		len(r.tokens), f.beams, len(best.Tokens), result.Seconds, *best.LogProb, best.Finish)
	return r.cut(&result)
}
