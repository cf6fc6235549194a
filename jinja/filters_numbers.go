package jinja

import (
	"math"
	"strconv"
	"strings"
)

func floatFilter(s *state, in Value, a *args) (Value, error) {
	p, err := a.bind("default")
	if err != nil {
		return nil, err
	}
	if f, ok := toFloat(in); ok {
		return f, nil
	}
	if u, ok := in.(*undefined); ok {
		return nil, fail(ErrUndefined, "%s", u.message())
	}
	if p[0] == absent {
		return 0.0, nil
	}
	return p[0], nil
}

func toFloat(v Value) (float64, bool) {
	if text, ok := v.(string); ok {
		text = strings.TrimSpace(text)
		if strings.ContainsAny(text, "xXpP") { // hexadecimal floats are Go's, not Python's
			return 0, false
		}
		f, err := strconv.ParseFloat(text, 64)
		return f, err == nil
	}
	i, f, isFloat, ok := number(v)
	if !isFloat {
		f = float64(i)
	}
	return f, ok
}

func intFilter(s *state, in Value, a *args) (Value, error) {
	p, err := a.bind("default", "base")
	if err != nil {
		return nil, err
	}
	base, err := intArg("base", p[1], 10)
	if err != nil {
		return nil, err
	}
	switch v := in.(type) {
	case *undefined:
		return nil, fail(ErrUndefined, "%s", v.message())
	case int64, BigInt:
		return v, nil
	case string:
		text := strings.ToLower(strings.TrimSpace(v))
		if prefix := map[int64]string{16: "0x", 8: "0o", 2: "0b"}[base]; prefix != "" {
			text = strings.TrimPrefix(text, prefix)
		}
		if base >= 2 && base <= 36 {
			if i, err := strconv.ParseInt(text, int(base), 64); err == nil {
				return i, nil
			}
		}
	}
	if f, ok := toFloat(in); ok && math.Abs(f) < 1<<63 {
		return int64(f), nil
	}
	if p[0] == absent {
		return int64(0), nil
	}
	return p[0], nil
}
