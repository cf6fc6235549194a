package generate_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"trit/internal/generate"
)

// thoughts is a block whose marks and their surroundings the demo model can write.
var thoughts = generate.Reasoning{Open: "<think>", Close: "</think>", End: "\n</think>\n\n", Opened: true, Budget: -1}

// TestReasoningIsFree leaves texts alone up to a mark, wherever tokens cut it, and keeps what follows
// to a constraint.
func TestReasoningIsFree(t *testing.T) {
	d := openDemo(t)
	r := generate.Reasoning{Open: "(", Close: "the", End: " the", Opened: true, Budget: -1}
	whole := regexp.MustCompile(`^\s*[a-z]{3}X$`)
	for seed := range uint64(8) {
		o := seeded(60, seed)
		o.Sampling.Temperature = 1
		o.Constraint = r.Before(d.tokenizer, d.constraint("[a-z]{3}X"))
		got, _ := d.one("Once upon a time", o)
		_, rest, found := strings.Cut(got.text, r.Close)
		if !found || got.cut || !whole.MatchString(rest) {
			t.Errorf("%q (cut %v) is not a text with the mark and an answer behind it", got.text, got.cut)
		}
	}
	c := r.Before(d.tokenizer, d.constraint("abc"))
	other := c.Clone()
	for _, id := range d.encode("of the")[1:] {
		if err := c.Accept(id); err != nil {
			t.Fatal(err)
		}
	}
	behind, before := len(d.allowed(c, 20)), len(d.allowed(other, 20))
	if behind > 10 || before < d.tokenizer.Len()-100 || other.CanEnd() {
		t.Errorf("%d tokens behind the mark, %d before it", behind, before)
	}
}

// TestReasoningBudget closes blocks after exactly as many tokens, in the form that was asked for.
func TestReasoningBudget(t *testing.T) {
	d := openDemo(t)
	for _, answer := range []string{"", "[a-z]{3}X"} {
		for _, budget := range []int{0, 1, 7, 20} {
			t.Run(fmt.Sprintf("%d%s", budget, answer), func(t *testing.T) {
				o := seeded(budget+30, uint64(budget))
				r := thoughts
				r.Budget = budget
				var then generate.Constraint
				if answer != "" {
					then = d.constraint(answer)
				}
				o.Constraint = r.Before(d.tokenizer, then)
				got, _ := d.one(story, o)
				thought, said, found := strings.Cut(got.text, r.Close)
				if !found || !strings.HasSuffix("\n"+thought, "\n") || !strings.HasPrefix(said, "\n\n") || got.cut {
					t.Fatalf("%q (cut %v) does not close the block", got.text, got.cut)
				}
				if free := d.text(got.ids[:budget]); !strings.HasPrefix(thought, free) ||
					strings.TrimPrefix(thought, free) != strings.Repeat("\n", len(thought)-len(free)) {
					t.Errorf("%q is not the %d tokens %q and what closes the block", thought, budget, free)
				}
				if answer != "" && !regexp.MustCompile("^"+answer+"$").MatchString(said[2:]) {
					t.Errorf("the answer %q is not of the form %s", said, answer)
				}
				if answer == "" && len(said) < 3 {
					t.Errorf("no answer follows: %q", said)
				}
			})
		}
	}
}

// TestReasoningBudgetWithGuesses gives the same text whether it is guessed ahead or not, and in several
// choices.
func TestReasoningBudgetWithGuesses(t *testing.T) {
	d := openDemo(t)
	r := thoughts
	r.Budget = 9
	o := greedy(90)
	o.Constraint = r.Before(d.tokenizer, d.constraint("(a small cat sat. ){6}"))
	want, _ := d.one(manyPrompts[3], o)
	if !strings.Contains(want.text, r.End) || want.cut {
		t.Fatalf("the text is %q", want.text)
	}
	o.Speculation.Lookup = true
	got, stats := d.one(manyPrompts[3], o)
	if !slices.Equal(got.ids, want.ids) || stats.GuessedTokens == 0 {
		t.Errorf("with %d guesses: %q, want %q", stats.GuessedTokens, got.text, want.text)
	}
	o.Speculation.Lookup, o.Choices = false, 3
	choices, _ := d.generate(manyPrompts[3], o)
	for i, c := range choices {
		if !slices.Equal(c.ids, want.ids) {
			t.Errorf("choice %d: %q, want %q", i, c.text, want.text)
		}
	}
}

// TestReasoningEndsInTime closes the block when no more than the answer would fit.
func TestReasoningEndsInTime(t *testing.T) {
	d := openDemo(t)
	for limit := 18; limit < 30; limit++ {
		o := seeded(limit, uint64(limit))
		o.Constraint = thoughts.Before(d.tokenizer, d.constraint("[a-z]{3}X"))
		got, _ := d.one(story, o)
		_, said, found := strings.Cut(got.text, thoughts.End)
		if !found || got.cut || !strings.HasSuffix(said, "X") {
			t.Errorf("%d tokens: %q (cut %v)", limit, got.text, got.cut)
		}
	}
	o := seeded(20, 1) // too few for the answer, whatever is done
	o.Constraint = thoughts.Before(d.tokenizer, d.constraint("[a-z]{300}X"))
	if got, _ := d.one(story, o); !got.cut || strings.Contains(got.text, thoughts.Close) {
		t.Errorf("%q (cut %v) should be reasoning only", got.text, got.cut)
	}
}

// text returns what tokens stand for.
func (d *demo) text(ids []int32) string {
	var b strings.Builder
	for _, id := range ids {
		b.Write(d.tokenizer.TokenBytes(id))
	}
	return b.String()
}

// accept appends a text to one that a constraint knows.
func (d *demo) accept(c generate.Constraint, ids ...int32) {
	d.t.Helper()
	for _, id := range ids {
		if !slices.Contains(d.allowed(c, 200), id) {
			d.t.Fatalf("the token %q is not allowed", d.tokenizer.TokenBytes(id))
		}
		if err := c.Accept(id); err != nil {
			d.t.Fatal(err)
		}
	}
}

// bytes returns the tokens of a text that has one for each byte.
func (d *demo) bytes(text string) (ids []int32) {
	d.t.Helper()
	for i := range len(text) {
		ids = append(ids, d.id(text[i:i+1]))
	}
	return ids
}

// forced returns the text that must follow.
func (d *demo) forced(c generate.Constraint) string {
	d.t.Helper()
	var ids []int32
	for {
		next := d.allowed(c, 200)
		if len(next) != 1 {
			return d.text(ids)
		}
		d.accept(c, next[0])
		ids = append(ids, next[0])
	}
}

// TestReasoningCloses completes what the reasoning has begun of its end: a character, a line, the mark.
func TestReasoningCloses(t *testing.T) {
	d := openDemo(t)
	for _, c := range []struct {
		end, thought, want string
		budget             int
	}{
		{"\n</think>\n\n", "", "\n</think>\n\n", 0},
		{"\n</think>\n\n", "ab", "\n</think>\n\n", 2},
		{"\n</think>\n\n", "a\n", "</think>\n\n", 2},
		{"\n\n</think>\n", "a\n", "\n</think>\n", 2},
		{" </think> ", "a ", "</think> ", 2},
		{"</think>", "ab", "</think>", 2},
		{"\n</think>\n\n", "a</", "think>\n\n", 3},
		{"\n</think>\n\n", "a\n<", "/think>\n\n", 3},
		{"\n</think>\n\n", "aä", "\n</think>\n\n", 2}, // the character has another byte
		{"\n</think>\n\n", "a\xc3\xc3\xc3\xc3", "\n</think>\n\n", 2},
	} {
		r := thoughts
		r.End, r.Budget = c.end, c.budget
		k := r.Before(d.tokenizer, nil)
		d.accept(k, d.bytes(c.thought)...)
		if got := d.forced(k); got != c.want {
			t.Errorf("behind %q follows %q, want %q", c.thought, got, c.want)
		}
		if n := len(d.allowed(k, 200)); n != d.tokenizer.Len() || k.Done() || !k.CanEnd() {
			t.Errorf("behind %q the answer is not free: %d tokens", c.thought, n)
		}
	}
	// Where the model closes the block, the white space behind it is that of the form, before an answer
	// that is not free.
	for _, rest := range []string{"", "\n"} {
		k := thoughts.Before(d.tokenizer, d.constraint("abc"))
		d.accept(k, d.bytes("so</think>"+rest)...)
		if got := d.forced(k); got != "\n\n"[len(rest):]+"abc" {
			t.Errorf("behind %q follows %q", rest, got)
		}
		if !k.Done() || !k.CanEnd() {
			t.Error("the answer is not complete")
		}
	}
}

// TestReasoningMayBeOpened lets a text that must keep to a form begin with reasoning, or not.
func TestReasoningMayBeOpened(t *testing.T) {
	d := openDemo(t)
	r := thoughts
	r.Opened = false
	open := d.encode("<think>")[1:] // behind BOS
	begin := func(budget int, then generate.Constraint) generate.Constraint {
		r.Budget = budget
		return r.Before(d.tokenizer, then)
	}
	k := begin(-1, d.constraint("abc|<b"))
	other := k.Clone()
	d.accept(k, d.bytes("ab")...)
	if got := d.forced(k); got != "c" || !k.Done() {
		t.Errorf("the answer goes on with %q", got)
	}
	d.accept(other, open...)
	if other.CanEnd() || other.Done() || slices.Contains(d.allowed(other, 200), d.tokenizer.EOG()[0]) {
		t.Error("the text can end in the reasoning")
	}
	d.accept(other, d.bytes("hm</think>\n\n<b")...)
	if !other.Done() {
		t.Error("the answer behind the reasoning is not complete")
	}
	// A mark that the answer may begin with too.
	k = begin(-1, d.constraint("<b"))
	d.accept(k, open[0])
	d.accept(k, d.id("b"))
	if !k.Done() {
		t.Error("the answer that begins as the mark does is not complete")
	}
	if err := begin(-1, d.constraint("abc")).Accept(d.id("x")); err == nil {
		t.Error("what neither the answer nor the mark begins with was accepted")
	}
	k = begin(-1, d.constraint("abc"))
	d.accept(k, open[0])
	if err := k.Accept(d.id("x")); err == nil {
		t.Error("what neither goes on with was accepted")
	}
	k = begin(0, nil)
	d.accept(k, open...)
	if err := k.Accept(d.id("x")); err == nil {
		t.Error("what does not end the reasoning was accepted behind its budget")
	}
	// No room is left for both.
	if allowed := d.allowed(begin(-1, d.constraint("abc")), 8); slices.Contains(allowed, open[0]) {
		t.Error("the block may be opened where it could not be closed")
	}
	// A free answer: the budget counts if the block is opened.
	k = begin(1, nil)
	d.accept(k, d.bytes("\n <think>a")...)
	if got := d.forced(k); got != thoughts.End {
		t.Errorf("behind the budget follows %q", got)
	}
	k = begin(1, nil)
	d.accept(k, d.bytes("I <think>ab")...)
	if got := d.forced(k); got != "" {
		t.Errorf("within the answer %q is forced", got)
	}
}
