package generate_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"trit/grammar"
	"trit/internal/engine"
	"trit/internal/generate"
	"trit/internal/head"
	"trit/internal/model"
)

// constraint returns a constraint to a regular expression over the demo's
// tokens.
func (d *demo) constraint(expr string) generate.Constraint {
	d.t.Helper()
	g, err := grammar.CompileRegexp(expr)
	if err != nil {
		d.t.Fatal(err)
	}
	v, err := grammar.NewVocabulary(d.tokenizer)
	if err != nil {
		d.t.Fatal(err)
	}
	m, err := grammar.NewMatcher(g, v)
	if err != nil {
		d.t.Fatal(err)
	}
	return generate.Grammar(m.Start())
}

// TestConstraint: whatever the sampling, the text keeps to the grammar; with a
// limit that leaves room it is complete, and with one that does not it is
// reported as cut. Guessing and a head that selects change nothing.
func TestConstraint(t *testing.T) {
	d := openDemo(t)
	coarse := open(t, engine.Options{Head: head.Coarse}, model.LoadOptions{})
	const expr = `\{"name": "[A-Z][a-z]{2,40}", "list": \[([0-9]+, )*[0-9]+\]\}`
	whole := regexp.MustCompile("^" + expr + "$")
	c := d.constraint(expr)
	prompt := "User: Tell me a story about a fox.<|eot_id|>Assistant:"
	limits, seeds := []int{60, 8, 200, 45, 40}, uint64(4)
	if testing.Short() {
		limits, seeds = limits[:2], 2
	}
	for _, limit := range limits {
		for seed := range seeds {
			o := seeded(limit, seed)
			o.Sampling.Temperature = float64(seed) / 2
			o.Constraint = c
			got, stats := d.one(prompt, o)
			switch {
			case got.cut:
				if limit > 8 || got.finish != generate.FinishLength {
					t.Errorf("limit %d: %q is cut (%s)", limit, got.text, got.finish)
				}
			case !whole.MatchString(got.text):
				t.Errorf("limit %d: %q does not keep to the grammar", limit, got.text)
			case limit == 8:
				t.Errorf("%q in 8 tokens is not cut", got.text)
			case got.finish != generate.FinishStop:
				t.Errorf("limit %d: %q ends with %q", limit, got.text, got.finish)
			}
			if stats.GeneratedTokens > limit {
				t.Errorf("%d tokens, limit %d", stats.GeneratedTokens, limit)
			}
			other, _ := coarse.one(prompt, o)
			o.Speculation = generate.Speculation{Lookup: true, MinMatch: 1, Cost: 0.01}
			guessed, _ := d.one(prompt, o)
			if other.text != got.text || guessed.text != got.text || guessed.cut != got.cut {
				t.Errorf("limit %d, seed %d: %q, with selection %q, with guessing %q", limit, seed, got.text, other.text, guessed.text)
			}
		}
	}
}

// TestConstraintChoices: several choices each keep to the grammar.
func TestConstraintChoices(t *testing.T) {
	d := openDemo(t)
	o := seeded(60, 3)
	o.Choices = 4
	o.Constraint = d.constraint(`\[[0-9]{1,5}(,[0-9]{1,5}){2,8}\]`)
	choices, _ := d.generate(story, o)
	for i, a := range choices {
		var list []json.Number
		if err := json.Unmarshal([]byte(a.text), &list); err != nil && !strings.Contains(err.Error(), "number") {
			t.Errorf("choice %d: %q: %v", i, a.text, err)
		}
	}
	if choices[0].text == choices[1].text {
		t.Errorf("two choices are %q", choices[0].text)
	}
}

// TestConstraintMinTokens: a least number of tokens gives way to a grammar that
// allows nothing but the end.
func TestConstraintMinTokens(t *testing.T) {
	d := openDemo(t)
	o := greedy(30)
	o.MinTokens = 20
	o.Constraint = d.constraint(`yes|no`)
	if got, _ := d.one(story, o); got.text != "yes" && got.text != "no" || got.finish != generate.FinishStop {
		t.Errorf("%q, finish %q", got.text, got.finish)
	}
	o.Constraint = &only{allowed: d.encode(" cat"), needs: 100}
	got, _ := d.one(story, o)
	if got.finish != generate.FinishLength || !got.cut {
		t.Errorf("%q, finish %q, cut %v", got.text, got.finish, got.cut)
	}
	if o.Constraint.(*only).accepted != nil {
		t.Error("the caller's constraint was changed")
	}
}

// TestConstraintCut: a text that a stop string or a stop token ends before the
// constraint is satisfied is reported as cut.
func TestConstraintCut(t *testing.T) {
	d := openDemo(t)
	prompt := "User: Tell me a story about a fox.<|eot_id|>Assistant:"
	o := greedy(60)
	o.Constraint = d.constraint(`\{"name": "[A-Z][a-z]{2,9}"\}`)
	o.Stop = []string{`": "`}
	if got, _ := d.one(prompt, o); !got.cut || got.finish != generate.FinishStopString || got.text != `{"name` {
		t.Errorf("stop string: %+v", got)
	}
	o.Stop = []string{`"}`}
	if got, _ := d.one(prompt, o); got.cut {
		t.Errorf("a stop string at the end: %+v", got)
	}
	o.Stop = nil
	whole, _ := d.one(prompt, o)
	o.StopTokens = []int32{whole.ids[2]}
	if got, _ := d.one(prompt, o); !got.cut || got.finish != generate.FinishStop {
		t.Errorf("stop token: %+v", got)
	}
}
