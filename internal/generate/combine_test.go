package generate_test

import (
	"slices"
	"testing"

	"trit/internal/generate"
)

// TestEither follows two languages at once until the text decides between them.
func TestEither(t *testing.T) {
	d := openDemo(t)
	mask := make([]uint64, (d.tokenizer.Len()+63)/64)
	id := d.id
	allows := func(c generate.Constraint, text string, left int) bool {
		return slices.Contains(d.allowed(c, left), id(text))
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

// id returns the token with exactly this text.
func (d *demo) id(text string) int32 {
	d.t.Helper()
	for id := range int32(d.tokenizer.Len()) {
		if string(d.tokenizer.TokenBytes(id)) == text {
			return id
		}
	}
	d.t.Fatalf("no token %q", text)
	return 0
}

// allowed returns the tokens that a constraint allows.
func (d *demo) allowed(c generate.Constraint, left int) []int32 {
	d.t.Helper()
	mask := make([]uint64, (d.tokenizer.Len()+63)/64)
	if _, err := c.MaskWithin(mask, left); err != nil {
		d.t.Fatal(err)
	}
	var ids []int32
	for id := range int32(d.tokenizer.Len()) {
		if mask[id/64]>>(id%64)&1 != 0 {
			ids = append(ids, id)
		}
	}
	return ids
}
