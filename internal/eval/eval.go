// Package eval measures how well a model chooses among given answers and predicts given texts, with tasks in JSON
// lines and by the definitions of EleutherAI's lm-evaluation-harness, so that results can be compared with published
// ones.
//
// An item of a multiple-choice task has a context and several choices. A choice's likelihood is the sum of ln p of its
// tokens behind the context; a space stands between both. acc is the share of items whose right choice has the largest,
// acc_norm that of those where it is the largest when divided by the number of characters of the choice. A perplexity
// task has texts; their likelihoods are divided by the numbers of words and bytes of all texts together.
//
// Standard errors of accuracies are the sample standard deviation by the root of the number of items; those of
// perplexities follow from the spread over the texts, to first order.
package eval

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"
)

// Score is how likely a model finds a text.
type Score struct {
	LogProb float64 // sum of ln p over its tokens
	Tokens  int     // that have a probability: all behind a context, all but the first without one
}

// Scorer asks a model. It is used by several goroutines at once.
type Scorer interface {
	// Score returns the scores of texts that follow a context, which may be empty if there is one text.
	Score(ctx context.Context, context string, texts []string) ([]Score, error)
}

// Options say how a task is run.
type Options struct {
	Limit int // items, from the beginning; 0: all
	// Shots is how many solved items stand before each: the first ones of Examples, or of the task itself, other
	// than the item.
	Shots    int
	Examples *Task
	// Together is how many items are asked for at a time; 0 is one.
	Together int
	// Progress, if not nil, is called after every item, by one goroutine at a time.
	Progress func(done, total int, so *Result)
}

// Value is a result with its standard error, which is nil where one item says nothing of it.
type Value struct {
	Value  float64  `json:"value"`
	Stderr *float64 `json:"stderr,omitempty"`
}

// String writes value ± standard error.
func (v *Value) String() string {
	if v.Stderr == nil {
		return fmt.Sprintf("%.4f", v.Value)
	}
	return fmt.Sprintf("%.4f ± %.4f", v.Value, *v.Stderr)
}

// Result is what a task gives. Which values it has depends on the kind of task.
type Result struct {
	Task  string `json:"task"`
	Items int    `json:"items"`
	Shots int    `json:"shots,omitempty"`
	// Of multiple choice.
	Acc     *Value `json:"acc,omitempty"`
	AccNorm *Value `json:"acc_norm,omitempty"`
	// Of texts: exp of the mean -ln p of a token, a word and a byte, and -log2 p of a byte.
	TokenPerplexity *Value `json:"token_perplexity,omitempty"`
	WordPerplexity  *Value `json:"word_perplexity,omitempty"`
	BytePerplexity  *Value `json:"byte_perplexity,omitempty"`
	BitsPerByte     *Value `json:"bits_per_byte,omitempty"`
	Tokens          int    `json:"tokens,omitempty"`
}

// Values returns the names of the values that a result has, and the values.
func (r *Result) Values() (names []string, values []*Value) {
	for _, v := range []struct {
		name  string
		value *Value
	}{
		{"acc", r.Acc}, {"acc_norm", r.AccNorm}, {"token_perplexity", r.TokenPerplexity}, {"word_perplexity", r.WordPerplexity},
		{"byte_perplexity", r.BytePerplexity}, {"bits_per_byte", r.BitsPerByte},
	} {
		if v.value != nil {
			names, values = append(names, v.name), append(values, v.value)
		}
	}
	return names, values
}

// Run runs a task. Errors name the line of the item.
func Run(ctx context.Context, s Scorer, t *Task, o Options) (*Result, error) {
	items := t.Items
	if o.Limit > 0 {
		items = items[:min(o.Limit, len(items))]
	}
	examples := t
	if o.Examples != nil {
		examples = o.Examples
	}
	if o.Shots > 0 && (t.texts() || examples.texts()) {
		return nil, errors.New("shots are questions with choices before others; texts have none")
	}
	scores := make([][]Score, len(items))
	done := make([]bool, len(items))
	group, running := errgroup.WithContext(ctx)
	group.SetLimit(max(o.Together, 1))
	var mu sync.Mutex
	count := 0
	for i := range items {
		group.Go(func() error {
			before, err := examples.shots(&items[i], o.Shots)
			if err != nil {
				return err
			}
			found, err := items[i].score(running, s, before)
			if err != nil {
				return fmt.Errorf("%s, line %d: %w", t.Name, items[i].line, err)
			}
			mu.Lock()
			defer mu.Unlock()
			scores[i], done[i] = found, true
			if count++; o.Progress != nil {
				o.Progress(count, len(items), summarize(t.Name, items, scores, done, o.Shots))
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return summarize(t.Name, items, scores, done, o.Shots), nil
}

// delimiter stands between a context and a choice, shotDelimiter behind a solved item.
const (
	delimiter     = " "
	shotDelimiter = "\n\n"
)

// shots returns what stands before an item.
func (t *Task) shots(item *Item, n int) (string, error) {
	var b strings.Builder
	for i := 0; i < len(t.Items) && n > 0; i++ {
		if e := &t.Items[i]; e.Context != item.Context {
			b.WriteString(e.Context + delimiter + e.Choices[e.Answer] + shotDelimiter)
			n--
		}
	}
	if n > 0 {
		return "", fmt.Errorf("%s has %d examples too few to put so many before an item", t.Name, n)
	}
	return b.String(), nil
}

// score asks for one item.
func (item *Item) score(ctx context.Context, s Scorer, before string) ([]Score, error) {
	if item.Choices == nil {
		return s.Score(ctx, "", []string{item.Context})
	}
	context := before + item.Context
	bare := strings.TrimRightFunc(context, unicode.IsSpace)
	texts := make([]string, len(item.Choices))
	for i, choice := range item.Choices {
		texts[i] = context[len(bare):] + delimiter + choice // tokens seldom end with spaces
	}
	return s.Score(ctx, bare, texts)
}

// summarize computes the values of the items that are done.
func summarize(name string, items []Item, scores [][]Score, done []bool, shots int) *Result {
	r := &Result{Task: name, Shots: shots}
	var plain, norm []float64
	var texts, tokens, words, bytes []float64
	for i := range items {
		if !done[i] {
			continue
		}
		item := &items[i]
		r.Items++
		if item.Choices == nil {
			r.Tokens += scores[i][0].Tokens
			texts = append(texts, -scores[i][0].LogProb)
			tokens = append(tokens, float64(scores[i][0].Tokens))
			words = append(words, float64(countWords(item.Context)))
			bytes = append(bytes, float64(len(item.Context)))
			continue
		}
		plain = append(plain, right(item, scores[i], func(string) float64 { return 1 }))
		norm = append(norm, right(item, scores[i], func(c string) float64 { return float64(utf8.RuneCountInString(c)) }))
	}
	if plain != nil {
		r.Acc, r.AccNorm = mean(plain), mean(norm)
	}
	if texts != nil {
		r.TokenPerplexity, r.WordPerplexity, r.BytePerplexity = perplexity(texts, tokens), perplexity(texts, words), perplexity(texts, bytes)
		value, stderr := ratio(texts, bytes)
		r.BitsPerByte = newValue(value/math.Ln2, stderr/math.Ln2)
	}
	return r
}

// right is 1 if the largest likelihood, divided by a weight of its choice, is that of the answer; of equal ones the
// first counts.
func right(item *Item, scores []Score, weight func(choice string) float64) float64 {
	best := 0
	for i := range scores {
		if scores[i].LogProb/weight(item.Choices[i]) > scores[best].LogProb/weight(item.Choices[best]) {
			best = i
		}
	}
	if best == item.Answer {
		return 1
	}
	return 0
}

// newValue leaves out a standard error that is none.
func newValue(value, stderr float64) *Value {
	v := &Value{Value: value}
	if !math.IsNaN(stderr) && !math.IsInf(stderr, 0) { // of one item it is 0 ÷ 0, or what rounding makes of that
		v.Stderr = &stderr
	}
	return v
}

func mean(x []float64) *Value {
	ones := make([]float64, len(x))
	for i := range ones {
		ones[i] = 1
	}
	return newValue(ratio(x, ones))
}

// ratio returns sum(x)/sum(n) and its standard error over the pairs: that of the mean where all n are 1. One pair has
// none.
func ratio(x, n []float64) (value, stderr float64) {
	var sumX, sumN, squares float64
	for i := range x {
		sumX, sumN = sumX+x[i], sumN+n[i]
	}
	value = sumX / sumN
	for i := range x {
		d := x[i] - value*n[i]
		squares += d * d
	}
	k := float64(len(x))
	return value, math.Sqrt(squares*k/(k-1)) / sumN
}

func perplexity(nll, n []float64) *Value {
	value, stderr := ratio(nll, n)
	return newValue(math.Exp(value), math.Exp(value)*stderr)
}

// countWords counts as the harness does: one more than there are stretches of white space.
func countWords(text string) int {
	n, space := 1, false
	for _, r := range text {
		if is := unicode.IsSpace(r); is != space {
			if space = is; is {
				n++
			}
		}
	}
	return n
}
