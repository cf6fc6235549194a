package sample

import (
	"fmt"
	"slices"
	"strings"
)

// A Context is what stages may know of the sequence besides its logits. The
// pipeline only reads it.
type Context struct {
	// History holds the prompt's tokens and the generated ones, oldest first.
	// Ids outside the vocabulary (as some front ends use for images) match no
	// token.
	History []int32
	// Generated is how many tokens at the end of History were generated.
	Generated int
	// Mask, if not nil, has bit id%64 of word id/64 set for every token that a
	// grammar allows next. It must cover the vocabulary.
	Mask []uint64
}

// A Stage edits or thins out the candidates for the next token.
//
// A Stage that keeps memory between calls implements [Stateful]; the others
// are shared by a pipeline and its clones.
type Stage interface {
	// Name returns the stage's name as used in an [Order].
	Name() string
	// Apply changes c. It returns [ErrNoCandidate] when nothing is left and
	// [ErrNeedAll] when c is partial and the stage cannot be sure of its
	// result.
	Apply(c *Candidates, ctx *Context) error
}

// Stateful is a stage that remembers.
type Stateful interface {
	Stage
	// Accept tells the stage which token followed the last Apply.
	Accept(token int32)
	// Reset forgets everything, as for a new sequence.
	Reset()
	// Clone returns an independent copy with the same state.
	Clone() Stage
}

// Seeded is a stage that draws random numbers of its own.
type Seeded interface {
	Stage
	// Seed starts the stage's generator anew.
	Seed(seed uint64)
}

// The names of the stages that [Options] knows.
const (
	NamePenalties   = "penalties"
	NameDRY         = "dry"
	NameTopNSigma   = "top_n_sigma"
	NameTopK        = "top_k"
	NameTypicalP    = "typical_p"
	NameTopP        = "top_p"
	NameMinP        = "min_p"
	NameXTC         = "xtc"
	NameTemperature = "temperature"
	NameMirostat    = "mirostat"
)

// An Order lists stages by name, in the order they are applied. A stage that
// it leaves out is not applied, whatever its options say.
type Order []string

// DefaultOrder returns the order of llama.cpp's default chain.
func DefaultOrder() Order {
	return Order{NamePenalties, NameDRY, NameTopNSigma, NameTopK, NameTypicalP, NameTopP, NameMinP, NameXTC, NameTemperature}
}

// MirostatOrder returns the order used when Mirostat is on and no other order
// is given: as in llama.cpp, Mirostat takes the place of the truncating
// stages.
func MirostatOrder() Order {
	return Order{NamePenalties, NameDRY, NameTemperature, NameMirostat}
}

// orderAliases maps other spellings, mostly llama.cpp's, to stage names.
var orderAliases = map[string]string{
	"typ_p":   NameTypicalP,
	"typical": NameTypicalP,
	"nucleus": NameTopP,
	"temp":    NameTemperature,
}

// ParseOrder reads a list of stage names separated by ";" or ",", such as
// "top_k;top_p;temperature". Case, spaces around names and the difference
// between "-" and "_" do not matter; llama.cpp's "typ_p" and "temp" are
// understood. A string without names is the default order. Its errors wrap
// [ErrOrder].
func ParseOrder(s string) (Order, error) {
	var o Order
	for name := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ';' || r == ',' }) {
		name = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(name)), "-", "_")
		if name == "" {
			continue
		}
		if full, ok := orderAliases[name]; ok {
			name = full
		}
		o = append(o, name)
	}
	if len(o) == 0 {
		return DefaultOrder(), nil
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	return o, nil
}

// String returns the names separated by ";", as ParseOrder reads them.
func (o Order) String() string { return strings.Join(o, ";") }

// validate checks the order. It may name stages of the caller's own.
func (o Order) validate(own ...Stage) error {
	known := append(DefaultOrder(), NameMirostat)
	for _, s := range own {
		known = append(known, s.Name())
	}
	for i, name := range o {
		switch {
		case !slices.Contains(known, name):
			return fmt.Errorf("%w: unknown stage %q, the stages are %v", ErrOrder, name, known)
		case slices.Contains(o[:i], name):
			return fmt.Errorf("%w: stage %q is listed twice", ErrOrder, name)
		case name == NameMirostat && i != len(o)-1:
			return fmt.Errorf("%w: stage %q must be the last", ErrOrder, name)
		}
	}
	return nil
}
