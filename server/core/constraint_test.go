package core

import (
	"testing"

	_ "trit/demo"
	"trit/internal/generate"
)

// TestEither follows two languages at once until the text decides between them.
func TestEither(t *testing.T) {
	l := acquireDemo(t)
	tok := l.Model.Tokenizer()
	words := (l.Model.Config().Vocab + 63) / 64
	of := func(texts ...string) generate.Constraint {
		c, err := l.Constraint(Format{Choice: texts})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
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
	var c generate.Constraint = &either{open: []generate.Constraint{of("ab"), of("acccccccccccccccc", "b")}}
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

// acquireDemo returns the demo model of a server of the test.
func acquireDemo(t testing.TB) *Lease {
	t.Helper()
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Models.Acquire(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Release()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}
