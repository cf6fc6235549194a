package jinja

import (
	"strings"
	"unicode"
)

type stringMethod func(s *state, self string, a *args) (Value, error)

var stringMethods map[string]stringMethod

var dictMethods map[string]func(s *state, self *Dict, a *args) (Value, error)

type listMethod struct {
	fn       func(s *state, self *List, a *args) (Value, error)
	listOnly bool // tuples do not have it
}

var listMethods map[string]listMethod

func init() {
	stringMethods = map[string]stringMethod{
		"capitalize": mapString(capitalize),
		"casefold":   mapString(strings.ToLower),
		"lower":      mapString(strings.ToLower),
		"upper":      mapString(strings.ToUpper),
		"title":      mapString(pyTitle),
		"swapcase":   mapString(swapCase),
		"strip":      stripMethod(true, true),
		"lstrip":     stripMethod(true, false),
		"rstrip":     stripMethod(false, true),
		"split":      splitMethod(false),
		"rsplit":     splitMethod(true),
		"splitlines": splitLinesMethod,
		"partition":  partitionMethod(strings.Index),
		"rpartition": partitionMethod(strings.LastIndex),
		"startswith": affixMethod(strings.HasPrefix),
		"endswith":   affixMethod(strings.HasSuffix),
		"removeprefix": func(s *state, self string, a *args) (Value, error) {
			p, err := a.strings("prefix")
			if err != nil {
				return nil, err
			}
			return strings.TrimPrefix(self, p[0]), nil
		},
		"removesuffix": func(s *state, self string, a *args) (Value, error) {
			p, err := a.strings("suffix")
			if err != nil {
				return nil, err
			}
			return strings.TrimSuffix(self, p[0]), nil
		},
		"find":    findMethod(strings.Index, true),
		"rfind":   findMethod(strings.LastIndex, true),
		"index":   findMethod(strings.Index, false),
		"rindex":  findMethod(strings.LastIndex, false),
		"replace": replaceMethod,
		"join": func(s *state, self string, a *args) (Value, error) {
			v, err := a.bind("iterable")
			if err != nil {
				return nil, err
			}
			items, err := s.items(v[0])
			if err != nil {
				return nil, err
			}
			for i, e := range items {
				if _, ok := e.(string); !ok {
					return nil, fail(ErrType, "sequence item %d: expected str, %s found", i, typeName(e))
				}
			}
			return s.join(self, items)
		},
		"count": func(s *state, self string, a *args) (Value, error) {
			p, err := a.strings("sub")
			if err != nil {
				return nil, err
			}
			return int64(strings.Count(self, p[0])), s.step(int64(len(self)) / 16)
		},
		"format":    formatMethod,
		"zfill":     padMethod("zfill"),
		"ljust":     padMethod("ljust"),
		"rjust":     padMethod("rjust"),
		"center":    padMethod("center"),
		"isalpha":   allRunes(unicode.IsLetter),
		"isdigit":   allRunes(unicode.IsDigit),
		"isdecimal": allRunes(unicode.IsDigit),
		"isnumeric": allRunes(unicode.IsNumber),
		"isalnum":   allRunes(func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }),
		"isspace":   allRunes(isSpace),
		"islower":   casedMethod(unicode.IsLower, unicode.IsUpper),
		"isupper":   casedMethod(unicode.IsUpper, unicode.IsLower),
		"isascii": func(s *state, self string, a *args) (Value, error) {
			return isASCII(self), s.step(int64(len(self)) / 16)
		},
		"isidentifier": isIdentifier,
		"expandtabs": func(s *state, self string, a *args) (Value, error) {
			return s.replaceAll(self, "\t", "        ", -1)
		},
	}
	dictMethods = map[string]func(*state, *Dict, *args) (Value, error){
		"get": func(s *state, d *Dict, a *args) (Value, error) {
			if len(a.pos) == 1 && len(a.kw) == 0 {
				v, _ := d.get(a.pos[0])
				return v, nil
			}
			p, err := a.bind("key", "default")
			if err != nil {
				return nil, err
			}
			if v, ok := d.get(p[0]); ok || p[1] == absent {
				return v, nil
			}
			return p[1], nil
		},
		"keys": func(s *state, d *Dict, a *args) (Value, error) {
			return &List{Items: d.keys[:len(d.keys):len(d.keys)]}, nil
		},
		"values": func(s *state, d *Dict, a *args) (Value, error) {
			return &List{Items: d.vals[:len(d.vals):len(d.vals)]}, nil
		},
		"items": func(s *state, d *Dict, a *args) (Value, error) { return s.dictItems(d) },
		"copy": func(s *state, d *Dict, a *args) (Value, error) {
			c := NewDict(len(d.keys))
			for i, k := range d.keys {
				c.set(k, d.vals[i])
			}
			return c, s.allocItems(2 * len(d.keys))
		},
	}
	listMethods = map[string]listMethod{
		"index": {fn: func(s *state, l *List, a *args) (Value, error) {
			p, err := a.bind("value")
			if err != nil {
				return nil, err
			}
			for i, e := range l.Items {
				if err := s.step(1); err != nil {
					return nil, err
				}
				if eq, err := s.equal(e, p[0], 0); err != nil || eq {
					return int64(i), err
				}
			}
			return nil, fail(ErrType, "value is not in the list")
		}},
		"count": {fn: func(s *state, l *List, a *args) (Value, error) {
			p, err := a.bind("value")
			if err != nil {
				return nil, err
			}
			n := int64(0)
			for _, e := range l.Items {
				if err := s.step(1); err != nil {
					return nil, err
				}
				eq, err := s.equal(e, p[0], 0)
				if err != nil {
					return nil, err
				}
				if eq {
					n++
				}
			}
			return n, nil
		}},
		"copy": {fn: func(s *state, l *List, a *args) (Value, error) {
			return &List{Items: append([]Value{}, l.Items...)}, s.allocItems(len(l.Items))
		}, listOnly: true},
	}
}

// mutators are the methods that jinja2's immutable sandbox hides.
var mutators = map[string][]string{
	"dict": {"clear", "pop", "popitem", "setdefault", "update"},
	"list": {"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"},
}

func (s *state) dictItems(d *Dict) (Value, error) {
	if err := s.allocItems(3 * len(d.keys)); err != nil {
		return nil, err
	}
	out := &List{Items: make([]Value, len(d.keys))}
	for i, k := range d.keys {
		out.Items[i] = &List{Items: []Value{k, d.vals[i]}, Tuple: true}
	}
	return out, nil
}

// strings binds required string parameters.
func (a *args) strings(names ...string) ([]string, error) {
	v, err := a.bind(names...)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(v))
	for i, e := range v {
		text, ok := e.(string)
		if !ok {
			return nil, argType(names[i], "str", e)
		}
		out[i] = text
	}
	return out, nil
}

func argType(name, want string, v Value) error {
	if v == absent {
		return fail(ErrType, "argument '%s' is missing", name)
	}
	if u, ok := v.(*undefined); ok {
		return fail(ErrUndefined, "argument '%s': %s", name, u.message())
	}
	return fail(ErrType, "argument '%s' must be %s, not %s", name, want, typeName(v))
}

// intArg reads an optional integer parameter.
func intArg(name string, v Value, def int64) (int64, error) {
	if v == absent {
		return def, nil
	}
	i, _, isFloat, ok := number(v)
	if !ok || isFloat {
		return 0, argType(name, "int", v)
	}
	return i, nil
}
