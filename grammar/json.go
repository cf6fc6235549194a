package grammar

import (
	"fmt"
	"strings"
)

// Whitespace says where JSON may have whitespace. More is never needed to parse it; what
// matters is that models write better what they have seen more often.
type Whitespace uint8

const (
	// WhitespaceLimited allows nothing, one space, or a line end and up to 20
	// spaces and tabs wherever JSON allows any after { [ , and before } ], and one
	// space after a colon.
	WhitespaceLimited Whitespace = iota
	// WhitespaceCompact allows none.
	WhitespaceCompact
)

// JSON returns the grammar of all JSON values. Numbers have at most 18 digits before
// the point, as an int64 may, 20 after it, as a float64 between 0.001 and 1000 may when it
// is written out, and two in the exponent. A surrogate in an escape has its partner.
func JSON(ws Whitespace) *Grammar { return mustJSON(ws, (*jsonRules).value) }

// JSONObject returns the grammar of the JSON objects (see [JSON]): what APIs call
// JSON mode.
func JSONObject(ws Whitespace) *Grammar { return mustJSON(ws, (*jsonRules).object) }

func mustJSON(ws Whitespace, root func(*jsonRules) *expr) *Grammar {
	j := newJSONRules(ws)
	j.rules[0] = production{"JSON", root(j)}
	g, err := newGrammar(nil, j.rules)
	if err != nil {
		panic(err) // the rules are constant
	}
	return g
}

// jsonRules collects rules for JSON texts. Rule 0 is the whole text.
type jsonRules struct {
	ws    Whitespace
	rules []production
	index map[string]int32
}

func newJSONRules(ws Whitespace) *jsonRules {
	return &jsonRules{ws: ws, rules: make([]production, 1), index: map[string]int32{}}
}

// rule returns a reference to the rule with a key, which is made if need be. It
// may refer to itself.
func (j *jsonRules) rule(key string, body func() *expr) *expr { return j.named(key, key, body) }

// named is rule with another name for messages.
func (j *jsonRules) named(key, name string, body func() *expr) *expr {
	i, ok := j.index[key]
	if !ok {
		i = int32(len(j.rules))
		j.index[key] = i
		j.rules = append(j.rules, production{name, never})
		j.rules[i].body = body()
	}
	return ruleRef(i)
}

// space is the whitespace between two tokens.
func (j *jsonRules) space() *expr {
	if j.ws == WhitespaceCompact {
		return empty
	}
	return j.rule("whitespace", func() *expr {
		return alt(empty, lit(" "), seq(lit("\n"), repeat(charsExpr(newSet(runeRange{' ', ' '}, runeRange{'\t', '\t'})), 0, 20)))
	})
}

func (j *jsonRules) comma() *expr { return seq(lit(","), j.space()) }

func (j *jsonRules) colon() *expr {
	if j.ws == WhitespaceCompact {
		return lit(":")
	}
	return seq(lit(":"), opt(lit(" ")))
}

// value is any JSON value.
func (j *jsonRules) value() *expr {
	return j.rule("value", func() *expr {
		return alt(lit("null"), lit("true"), lit("false"), j.number(), j.string(), j.array(), j.object())
	})
}

func (j *jsonRules) array() *expr {
	return j.rule("array", func() *expr { return j.list(j.value(), 0, unbounded) })
}

// list is an array of lo to hi items.
func (j *jsonRules) list(item *expr, lo, hi int32) *expr {
	if hi == 0 {
		return seq(lit("["), j.space(), lit("]"))
	}
	more := hi
	if hi != unbounded {
		more--
	}
	items := seq(item, repeat(seq(j.comma(), item), max(lo-1, 0), more), j.space())
	if lo == 0 {
		items = opt(items)
	}
	return seq(lit("["), j.space(), items, lit("]"))
}

func (j *jsonRules) object() *expr {
	return j.rule("object", func() *expr {
		pair := seq(j.string(), j.colon(), j.value())
		return seq(lit("{"), j.space(), opt(seq(pair, star(seq(j.comma(), pair)), j.space())), lit("}"))
	})
}

// number is any number, with the limits that [JSON] documents.
func (j *jsonRules) number() *expr {
	return j.rule("number", func() *expr { return seq(opt(lit("-")), j.magnitude()) })
}

// magnitude is any number that is not negative.
func (j *jsonRules) magnitude() *expr {
	return j.rule("number from 0", func() *expr {
		return seq(j.whole(integerDigits-1), opt(seq(lit("."), repeat(charsExpr(setDigit), 1, fractionDigits))), j.exponent())
	})
}

// positive is any number above 0.
func (j *jsonRules) positive() *expr {
	return j.rule("number above 0", func() *expr {
		digit, nonzero := charsExpr(setDigit), charsExpr(newSet(runeRange{'1', '9'}))
		return seq(alt(
			seq(nonzero, repeat(digit, 0, integerDigits-1), opt(seq(lit("."), repeat(digit, 1, fractionDigits)))),
			seq(lit("0."), repeat(lit("0"), 0, 14), nonzero, repeat(digit, 0, fractionDigits-1)),
		), j.exponent())
	})
}

func (j *jsonRules) exponent() *expr {
	return opt(seq(charsExpr(oneChar('e').union(oneChar('E'))), opt(charsExpr(oneChar('+').union(oneChar('-')))),
		repeat(charsExpr(setDigit), 1, 2)))
}

// integer is any integer of up to 18 digits, so that it fits an int64.
func (j *jsonRules) integer() *expr {
	return j.rule("integer", func() *expr { return seq(opt(lit("-")), j.whole(integerDigits-1)) })
}

// whole is a number without sign of up to more+1 digits.
func (j *jsonRules) whole(more int32) *expr {
	return alt(lit("0"), seq(charsExpr(newSet(runeRange{'1', '9'})), repeat(charsExpr(setDigit), 0, more)))
}

// string is any string.
func (j *jsonRules) string() *expr {
	return j.rule("string", func() *expr { return seq(lit(`"`), star(j.character()), lit(`"`)) })
}

// stringOf is a string of lo to hi characters.
func (j *jsonRules) stringOf(lo, hi int32) *expr {
	if lo == 0 && hi == unbounded {
		return j.string()
	}
	return j.rule(fmt.Sprintf("string{%d,%d}", lo, hi), func() *expr {
		char := j.rule("character", j.character)
		return seq(lit(`"`), repeat(char, lo, hi), lit(`"`))
	})
}

// charactersOf is one character of a set, as a rule.
func (j *jsonRules) charactersOf(set charSet) *expr {
	return j.named("characters "+set.key(), "characters", func() *expr { return jsonChars(set) })
}

// setPlain is the characters that JSON strings hold unescaped.
var setPlain = newSet(runeRange{0, 0x1F}, runeRange{'"', '"'}, runeRange{'\\', '\\'}).negate()

// character is any character of a string, as itself or in any escaped form.
func (j *jsonRules) character() *expr {
	hex := newSet(runeRange{'0', '9'}, runeRange{'a', 'f'}, runeRange{'A', 'F'})
	digits := func(n int32) *expr { return repeat(charsExpr(hex), n, n) }
	d := oneChar('d').union(oneChar('D'))
	high := newSet(runeRange{'8', '9'}, runeRange{'a', 'b'}, runeRange{'A', 'B'})
	low := newSet(runeRange{'c', 'f'}, runeRange{'C', 'F'})
	escapes := newSet(runeRange{'"', '"'}, runeRange{'\\', '\\'}, runeRange{'/', '/'}, runeRange{'b', 'b'},
		runeRange{'f', 'f'}, runeRange{'n', 'n'}, runeRange{'r', 'r'}, runeRange{'t', 't'})
	return alt(charsExpr(setPlain), seq(lit(`\`), alt(charsExpr(escapes), seq(lit("u"), alt(
		seq(charsExpr(hex.minus(d)), digits(3)),
		seq(charsExpr(d), charsExpr(newSet(runeRange{'0', '7'})), digits(2)),
		seq(charsExpr(d), charsExpr(high), digits(2), lit(`\u`), charsExpr(d), charsExpr(low), digits(2)),
	)))))
}

// shortEscapes are the characters with an escape of one letter that must be escaped.
var shortEscapes = map[rune]string{'"': `\"`, '\\': `\\`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`}

// jsonChars is one character of s within a JSON string in its usual form: as itself if
// possible, otherwise with the shortest escape.
func jsonChars(s charSet) *expr {
	sub := []*expr{charsExpr(s.intersect(setPlain))}
	for _, r := range s.intersect(setPlain.negate()) {
		for c := r.lo; c <= r.hi; c++ {
			sub = append(sub, lit(jsonEscape(c)))
		}
	}
	return alt(sub...)
}

// jsonEscape returns the escaped form of a character that needs one.
func jsonEscape(c rune) string {
	if e, ok := shortEscapes[c]; ok {
		return e
	}
	return fmt.Sprintf(`\u%04x`, c)
}

// quote returns a JSON string in its usual form.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if setPlain.contains(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(jsonEscape(r))
		}
	}
	b.WriteByte('"')
	return b.String()
}
