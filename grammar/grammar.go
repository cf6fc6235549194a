package grammar

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Grammar is a language of texts. It is immutable and safe for concurrent use.
type Grammar struct {
	net *network
	// Of one that is made of JSON Schemas:
	relaxed []Relaxation
	roots   map[string]*schema // by tool; "" for the schema of the whole text
}

// newGrammar compiles rules, the first of which is the whole text.
func newGrammar(m *meter, rules []production) (*Grammar, error) {
	net, err := compile(m, rules)
	if err != nil {
		return nil, err
	}
	return &Grammar{net: net}, nil
}

// Text returns the grammar of all UTF-8 text. With [Vocabulary.Restrict]
// it leaves a set of allowed tokens.
func Text() *Grammar {
	g, err := newGrammar(nil, []production{{"text", star(charsExpr(allChars))}})
	if err != nil {
		panic(err) // the rule is constant
	}
	return g
}

// Choice returns the grammar of the given texts. The error is [ErrEmpty] if there are
// none, [ErrSyntax] if one is not UTF-8, or [ErrTooLarge].
func Choice(texts ...string) (*Grammar, error) { return Compiler{}.Choice(texts...) }

// Choice is [Choice] until the context ends.
func (c Compiler) Choice(texts ...string) (g *Grammar, err error) {
	m := c.meter()
	defer stop(&err)
	var sub []*expr
	for i, t := range texts {
		if !utf8.ValidString(t) {
			return nil, fmt.Errorf("%w: choice %d is not valid UTF-8: %q", ErrSyntax, i, clip([]byte(t)))
		}
		sub = append(sub, lit(t))
	}
	return newGrammar(m, []production{{"choice", alt(sub...)}})
}

// maxPhraseStates bounds the automaton of [Lexical].
const maxPhraseStates = 1 << 16

// Lexical returns the grammar of the UTF-8 texts that contain every one of the
// phrases, in any order; they may overlap. The error is [ErrTooLarge] if there are
// too many phrases: their automaton has about as many states as they have
// bytes, times two to their number.
func Lexical(phrases ...string) (*Grammar, error) { return Compiler{}.Lexical(phrases...) }

// Lexical is [Lexical] until the context ends.
func (c Compiler) Lexical(phrases ...string) (g *Grammar, err error) {
	m := c.meter()
	defer stop(&err)
	d := anyText()
	for i, p := range phrases {
		if !utf8.ValidString(p) {
			return nil, fmt.Errorf("%w: phrase %d is not valid UTF-8: %q", ErrSyntax, i, clip([]byte(p)))
		}
		contains, err := determinize(m, reCat(reAny, reLiteral(p), reAny))
		if err != nil {
			return nil, err
		}
		if d, err = intersectDFA(d, contains, maxPhraseStates); err != nil {
			return nil, fmt.Errorf("phrases %q: %w", strings.Join(phrases[:i+1], ", "), err)
		}
		d = d.minimize()
	}
	return newGrammar(m, []production{{"text", d.expr(charsExpr)}})
}
