package grammar

import (
	"strings"
	"unicode"
)

// What Python and Perl write otherwise than ECMA-262.

// flags parses (?i) and the like at the beginning.
func (p *regexpParser) flags() {
	if !p.take("(?") {
		return
	}
	end := strings.IndexByte(p.src[p.pos:], ')')
	if end <= 0 || strings.Trim(p.src[p.pos:p.pos+end], "imsux") != "" {
		p.pos -= len("(?")
		return
	}
	for _, f := range p.src[p.pos : p.pos+end] {
		switch f {
		case 'i':
			p.fold = true
		case 's':
			p.all = true
		case 'u': // as always here
		default:
			p.fail(0, ErrUnsupported, "the flag %c cannot be turned into a grammar", f)
		}
	}
	p.pos += end + 1
}

// assertion parses \b, \B, \A, \Z and \z; nil if none is next.
func (p *regexpParser) assertion() *re {
	switch {
	case p.take(`\b`):
		return &re{op: reBoundary}
	case p.take(`\B`):
		return &re{op: reBoundary, negate: true}
	case p.take(`\A`):
		return &re{op: reBegin}
	case p.take(`\Z`), p.take(`\z`):
		return &re{op: reEnd}
	}
	return nil
}

// chars returns one character of a set, in any case if that does not matter.
func (p *regexpParser) chars(s charSet) *re {
	if p.fold {
		for _, r := range s {
			p.folded += int(min(r.hi, lastWithCase)-r.lo) + 1
		}
		if p.folded > maxFolded {
			p.fail(p.pos, ErrTooLarge, "the sets have too many characters for the flag i")
		}
		s = s.folded()
	}
	return &re{op: reSet, set: s}
}

const (
	lastWithCase = 0x1ffff // no character beyond it has cases
	maxFolded    = 1 << 21 // characters of all sets under the flag i
)

// folded returns s with the other cases of its characters.
func (s charSet) folded() charSet {
	out := append([]runeRange{}, s...)
	for _, r := range s {
		for c := r.lo; c <= min(r.hi, lastWithCase); c++ {
			for f := unicode.SimpleFold(c); f != c; f = unicode.SimpleFold(f) {
				out = append(out, runeRange{f, f})
			}
		}
	}
	return newSet(out...)
}

// posixClasses are the classes of POSIX, for ASCII.
var posixClasses = map[string]string{
	"alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z", "space": " \t\n\v\f\r",
	"blank": " \t", "punct": "!-/:-@[-`{-~", "xdigit": "0-9a-fA-F", "word": "a-zA-Z0-9_",
}

// posixClass parses a class such as [:alpha:] within a set.
func (p *regexpParser) posixClass() (charSet, bool) {
	for name, text := range posixClasses {
		if !p.take("[:" + name + ":]") {
			continue
		}
		var s []runeRange
		for i := 0; i < len(text); i++ {
			r := runeRange{rune(text[i]), rune(text[i])}
			if i+2 < len(text) && text[i+1] == '-' {
				r.hi = rune(text[i+2])
				i += 2
			}
			s = append(s, r)
		}
		return newSet(s...), true
	}
	return nil, false
}
