package generate_test

import (
	"math/bits"
	"regexp"
	"strings"
	"testing"

	"trit/internal/generate"
)

// TestEither follows two languages at once until the text decides between them.
func TestEither(t *testing.T) {
	d := openDemo(t)
	tok := d.tokenizer
	words := (tok.Len() + 63) / 64
	id := func(text string) int32 {
		for id := range int32(tok.Len()) {
			if string(tok.TokenBytes(id)) == text {
				return id
			}
		}
		t.Fatalf("no token %q", text)
		return 0
	}
	mask := make([]uint64, words)
	allows := func(c generate.Constraint, text string, left int) bool {
		if _, err := c.MaskWithin(mask, left); err != nil {
			t.Fatal(err)
		}
		n := id(text)
		return mask[n/64]&(1<<(n%64)) != 0
	}
	c := generate.Either(d.constraint("ab"), d.constraint("ac{16}|b"))
	if !allows(c, "a", 100) || !allows(c, "b", 100) || allows(c, "c", 100) || c.CanEnd() || c.Done() {
		t.Error("the beginning is wrong")
	}
	other := c.Clone()
	if err := c.Accept(id("a")); err != nil {
		t.Fatal(err)
	}
	if !allows(c, "b", 100) || !allows(c, "c", 100) {
		t.Error("after a: b and c should both be allowed")
	}
	// Only the short one still fits.
	if fits, err := c.MaskWithin(mask, 1); err != nil || !fits {
		t.Errorf("fits %v, %v", fits, err)
	}
	if !allows(c, "b", 1) || allows(c, "c", 1) {
		t.Error("with one token left: only b should be allowed")
	}
	if err := c.Accept(id("b")); err != nil {
		t.Fatal(err)
	}
	if !c.CanEnd() || !c.Done() {
		t.Error("ab is complete")
	}
	if err := c.Accept(id("c")); err == nil {
		t.Error("abc was accepted")
	}
	if err := other.Accept(id("b")); err != nil || !other.Done() {
		t.Errorf("the clone: %v, done %v", err, other.Done())
	}
}

// TestAfter leaves texts alone up to a mark, wherever tokens cut it, and keeps
// what follows to a constraint.
func TestAfter(t *testing.T) {
	d := openDemo(t)
	const mark = "the"
	whole := regexp.MustCompile(`^\s*[a-z]{3}X$`)
	marked := 0
	for seed := range uint64(8) {
		o := seeded(60, seed)
		o.Sampling.Temperature = 1
		o.Constraint = generate.After(d.tokenizer, mark, d.constraint("[a-z]{3}X"))
		got, _ := d.one("Once upon a time", o)
		_, rest, found := strings.Cut(got.text, mark)
		switch {
		case !found && (!got.cut || got.finish != generate.FinishLength):
			t.Errorf("%q ends (%s) before the mark", got.text, got.finish)
		case found && got.cut:
			if len(rest) > 10 {
				t.Errorf("%q goes on freely behind the mark", got.text)
			}
		case found && !whole.MatchString(rest):
			t.Errorf("%q does not keep to the constraint behind the mark", got.text)
		}
		if found {
			marked++
		}
	}
	if marked == 0 {
		t.Error("no text has the mark")
	}
	c := generate.After(d.tokenizer, mark, d.constraint("abc"))
	other := c.Clone()
	for _, id := range d.encode("of the")[1:] {
		if err := c.Accept(id); err != nil {
			t.Fatal(err)
		}
	}
	mask := make([]uint64, (d.tokenizer.Len()+63)/64)
	free := func(c generate.Constraint) (n int) {
		if _, err := c.MaskWithin(mask, 20); err != nil {
			t.Fatal(err)
		}
		for _, word := range mask {
			n += bits.OnesCount64(word)
		}
		return n
	}
	if behind, before := free(c), free(other); behind > 10 || before < d.tokenizer.Len()-100 || other.CanEnd() {
		t.Errorf("%d tokens behind the mark, %d before it", behind, before)
	}
}
