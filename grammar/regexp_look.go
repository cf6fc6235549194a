package grammar

import "fmt"

// maxLookCopies bounds the repetitions around look-ahead that are written out.
const maxLookCopies = 8

// withoutLooks returns an expression without look-ahead that texts contain a match of exactly if they contain one
// of e: where look-ahead stands, the rest of the text is what e has for it and what look-ahead says as well.
func withoutLooks(m *meter, e *re) (*re, error) {
	if !e.has(reLook) {
		return e, nil
	}
	out, err := (&looker{m}).resolve(e, reAny, lookUnknown)
	if err != nil {
		return nil, err
	}
	return reCat(out, &re{op: reEnd}), nil // it goes on to the end of the text
}

// lookPlace is what is known of where something stands in a text.
type lookPlace uint8

const (
	lookUnknown lookPlace = iota
	lookBegin             // at the beginning
	lookLater             // after a character
)

type looker struct{ meter *meter }

// resolve returns e and then tail, which has no look-ahead and goes on to the end of the text.
func (l *looker) resolve(e, tail *re, at lookPlace) (*re, error) {
	if !e.has(reLook) {
		return reCat(e, tail), nil
	}
	switch e.op {
	case reConcat:
		places := make([]lookPlace, len(e.sub))
		for i, s := range e.sub {
			places[i] = at
			switch {
			case s.op == reBegin:
				at = lookBegin
			case s.consumes():
				at = lookLater
			case s.op != reLook && s.op != reEnd && s.op != reBoundary && at == lookBegin:
				at = lookUnknown
			}
		}
		for i := len(e.sub) - 1; i >= 0; i-- {
			var err error
			if tail, err = l.resolve(e.sub[i], tail, places[i]); err != nil {
				return nil, err
			}
		}
		return tail, nil
	case reAlt:
		out := &re{op: reAlt}
		for _, s := range e.sub {
			x, err := l.resolve(s, tail, at)
			if err != nil {
				return nil, err
			}
			out.sub = append(out.sub, x)
		}
		return out, nil
	case reRepeat:
		if e.max > maxLookCopies {
			return nil, fmt.Errorf("%w: look-ahead within a repetition without a small end", ErrUnsupported)
		}
		out := tail
		for i := e.max; i > 0; i-- {
			place := at
			if i > 1 {
				place = lookUnknown
			}
			x, err := l.resolve(e.sub[0], out, place)
			if err != nil {
				return nil, err
			}
			if out = x; i > e.min {
				out = &re{op: reAlt, sub: []*re{tail, x}}
			}
		}
		return out, nil
	}
	return l.look(e, tail, at)
}

// look returns the texts of tail of which look-ahead e holds.
func (l *looker) look(e, tail *re, at lookPlace) (*re, error) {
	ahead, err := l.resolve(e.sub[0], reAny, at)
	if err != nil {
		return nil, err
	}
	if at == lookUnknown && (ahead.has(reBegin) || tail.has(reBegin)) {
		return nil, fmt.Errorf("%w: look-ahead beside ^, where that may or may not hold", ErrUnsupported)
	}
	if at != lookBegin && (ahead.opensWithBoundary() || tail.opensWithBoundary()) {
		return nil, fmt.Errorf("%w: look-ahead beside a word boundary", ErrUnsupported)
	}
	start := place{begin: at == lookBegin}
	a, err := determinizeAt(l.meter, ahead, start)
	if err != nil {
		return nil, err
	}
	if e.negate {
		a = a.complement()
	}
	b, err := determinizeAt(l.meter, tail, start)
	if err != nil {
		return nil, err
	}
	if a, err = intersectDFA(a.minimize(), b.minimize(), maxProductDFA); err != nil {
		return nil, err
	}
	return &re{op: reDFA, dfa: a.minimize()}, nil
}

// consumes reports whether e certainly consumes a character.
func (e *re) consumes() bool {
	switch e.op {
	case reSet:
		return true
	case reConcat:
		for _, s := range e.sub {
			if s.consumes() {
				return true
			}
		}
	case reAlt:
		for _, s := range e.sub {
			if !s.consumes() {
				return false
			}
		}
		return len(e.sub) > 0
	case reRepeat:
		return e.min > 0 && e.sub[0].consumes()
	}
	return false
}

// opensWithBoundary reports whether a word boundary may be asked about before a character of e is consumed.
func (e *re) opensWithBoundary() bool {
	switch e.op {
	case reBoundary:
		return true
	case reConcat:
		for _, s := range e.sub {
			if s.opensWithBoundary() {
				return true
			}
			if s.consumes() {
				return false
			}
		}
	case reAlt, reRepeat:
		for _, s := range e.sub {
			if s.opensWithBoundary() {
				return true
			}
		}
	}
	return false
}
