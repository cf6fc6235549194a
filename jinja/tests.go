package jinja

import (
	"unicode"
)

type testFunc func(s *state, in Value, a *args) (bool, error)

// tests is filled by init, since two tests look other tests up by name.
var tests map[string]testFunc

func init() {
	tests = map[string]testFunc{
		"defined":   func(s *state, in Value, a *args) (bool, error) { return !isUndefined(in), nil },
		"undefined": func(s *state, in Value, a *args) (bool, error) { return isUndefined(in), nil },
		"none":      func(s *state, in Value, a *args) (bool, error) { return in == nil, nil },
		"true":      func(s *state, in Value, a *args) (bool, error) { return in == true, nil },
		"false":     func(s *state, in Value, a *args) (bool, error) { return in == false, nil },
		"boolean":   kindTest("bool"),
		"integer":   kindTest("int"),
		"float":     kindTest("float"),
		"string":    kindTest("str"),
		"mapping":   kindTest("dict"),
		"number":    kindTest("int", "float", "bool"),
		"sequence":  kindTest("str", "list", "tuple", "dict", "Undefined"),
		"iterable":  kindTest("str", "list", "tuple", "dict", "Undefined"),
		"callable": func(s *state, in Value, a *args) (bool, error) {
			switch in.(type) {
			case *callable, *loopVar, *undefined: // calling an undefined value fails only when tried
				return true, nil
			}
			return false, nil
		},
		"escaped": func(s *state, in Value, a *args) (bool, error) { return false, nil },
		"lower":   caseTest(unicode.IsLower, unicode.IsUpper),
		"upper":   caseTest(unicode.IsUpper, unicode.IsLower),
		"odd":     remainderTest(1),
		"even":    remainderTest(0),
		"divisibleby": func(s *state, in Value, a *args) (bool, error) {
			p, err := a.bind("num")
			if err != nil {
				return false, err
			}
			v, err := s.binary('%', in, p[0])
			return err == nil && !truth(v), err
		},
		"in": func(s *state, in Value, a *args) (bool, error) {
			p, err := a.bind("seq")
			if err != nil {
				return false, err
			}
			return s.contains(p[0], in)
		},
		"sameas": func(s *state, in Value, a *args) (bool, error) {
			p, err := a.bind("other")
			return err == nil && typeName(in) == typeName(p[0]) && in == p[0], err
		},
		"filter": func(s *state, in Value, a *args) (bool, error) {
			name, _ := in.(string)
			return filters[name] != nil, nil
		},
		"test": func(s *state, in Value, a *args) (bool, error) {
			name, _ := in.(string)
			return tests[name] != nil, nil
		},
	}
	for op, names := range map[string][]string{
		"==": {"==", "eq", "equalto"},
		"!=": {"!=", "ne"},
		"<":  {"<", "lt", "lessthan"},
		"<=": {"<=", "le"},
		">":  {">", "gt", "greaterthan"},
		">=": {">=", "ge"},
	} {
		for _, name := range names {
			tests[name] = func(s *state, in Value, a *args) (bool, error) {
				p, err := a.bind("other")
				if err != nil {
					return false, err
				}
				if p[0] == absent {
					return false, argType("other", "given", absent)
				}
				return s.compare(op, in, p[0])
			}
		}
	}
}

func kindTest(kinds ...string) testFunc {
	return func(s *state, in Value, a *args) (bool, error) {
		t := typeName(in)
		for _, k := range kinds {
			if t == k {
				return true, nil
			}
		}
		return false, nil
	}
}

func caseTest(want, other func(rune) bool) testFunc {
	return func(s *state, in Value, a *args) (bool, error) {
		text, err := s.str(in)
		if err != nil {
			return false, err
		}
		return cased(text, want, other), s.step(int64(len(text)) / 16)
	}
}

func remainderTest(want int64) testFunc {
	return func(s *state, in Value, a *args) (bool, error) {
		v, err := s.binary('%', in, int64(2))
		if err != nil {
			return false, err
		}
		return s.equal(v, want, 0)
	}
}
