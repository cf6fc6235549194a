package jinja

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

func operandError(op string, a, b Value) error {
	for _, v := range []Value{a, b} {
		if u, ok := v.(*undefined); ok {
			return fail(ErrUndefined, "operator %s: %s", op, u.message())
		}
	}
	return fail(ErrType, "unsupported operand types for %s: '%s' and '%s'", op, typeName(a), typeName(b))
}

// binary applies an arithmetic operator as Python does.
func (s *state) binary(op byte, a, b Value) (Value, error) {
	if err := s.step(1); err != nil {
		return nil, err
	}
	switch x := a.(type) {
	case string:
		switch y := b.(type) {
		case string:
			if op == '+' {
				if err := s.alloc(len(x) + len(y)); err != nil {
					return nil, err
				}
				return x + y, nil
			}
		case int64:
			if op == '*' {
				return s.repeat(x, y)
			}
		}
		if op == '%' {
			return s.printf(x, b)
		}
	case *List:
		switch y := b.(type) {
		case *List:
			if op == '+' && x.Tuple == y.Tuple {
				if err := s.allocItems(len(x.Items) + len(y.Items)); err != nil {
					return nil, err
				}
				return &List{append(append(make([]Value, 0, len(x.Items)+len(y.Items)), x.Items...), y.Items...), x.Tuple}, nil
			}
		case int64:
			if op == '*' {
				n := int64(len(x.Items)) * max(0, min(y, math.MaxInt32))
				if n > int64(s.limits.Output) {
					return nil, s.tooLarge()
				}
				if err := s.allocItems(int(n)); err != nil {
					return nil, err
				}
				out := &List{Items: make([]Value, 0, n), Tuple: x.Tuple}
				for len(out.Items) < int(n) {
					out.Items = append(out.Items, x.Items...)
				}
				return out, nil
			}
		}
	case int64:
		switch y := b.(type) {
		case string, *List:
			if op == '*' {
				return s.binary(op, y, x)
			}
		}
	}
	ai, af, aFloat, aok := number(a)
	bi, bf, bFloat, bok := number(b)
	if !aok || !bok {
		if op == '+' && typeName(a) == "str" && !isUndefined(b) {
			return nil, fail(ErrType, "can only concatenate str (not \"%s\") to str: use ~ or the string filter", typeName(b))
		}
		return nil, operandError(opText(op), a, b)
	}
	if op == '/' || aFloat || bFloat {
		if !aFloat {
			af = float64(ai)
		}
		if !bFloat {
			bf = float64(bi)
		}
		return floatOp(op, af, bf)
	}
	return intOp(op, ai, bi)
}

func opText(op byte) string {
	switch op {
	case opFloorDiv:
		return "//"
	case opPow:
		return "**"
	}
	return string(op)
}

func floatOp(op byte, a, b float64) (Value, error) {
	switch op {
	case '+':
		return a + b, nil
	case '-':
		return a - b, nil
	case '*':
		return a * b, nil
	case opPow:
		v := math.Pow(a, b)
		if math.IsNaN(v) && !math.IsNaN(a) && !math.IsNaN(b) || a == 0 && b < 0 {
			return nil, fail(ErrType, "%v ** %v has no real value", a, b)
		}
		return v, nil
	}
	if b == 0 {
		return nil, fail(ErrType, "division by zero")
	}
	if op == '/' {
		return a / b, nil
	}
	r := math.Mod(a, b)
	if r != 0 && (r < 0) != (b < 0) {
		r += b
	}
	if op == '%' {
		return r, nil
	}
	return math.Floor((a - r) / b), nil
}

func intOp(op byte, a, b int64) (Value, error) {
	switch op {
	case '+':
		if c := a + b; (c > a) == (b > 0) {
			return c, nil
		}
	case '-':
		if c := a - b; (c < a) == (b > 0) {
			return c, nil
		}
	case '*':
		if a == 0 || b == 0 {
			return int64(0), nil
		}
		if c := a * b; c/b == a && !(a == -1 && b == math.MinInt64) && !(b == -1 && a == math.MinInt64) {
			return c, nil
		}
	case opFloorDiv, '%':
		if b == 0 {
			return nil, fail(ErrType, "division by zero")
		}
		if a == math.MinInt64 && b == -1 {
			break
		}
		q, r := a/b, a%b
		if r != 0 && (r < 0) != (b < 0) {
			q--
			r += b
		}
		if op == '%' {
			return r, nil
		}
		return q, nil
	case opPow:
		if b < 0 {
			return floatOp(op, float64(a), float64(b))
		}
		v := int64(1)
		for base := a; ; {
			if b&1 == 1 {
				m, err := intOp('*', v, base)
				if err != nil {
					return nil, err
				}
				v = m.(int64)
			}
			if b >>= 1; b == 0 {
				return v, nil
			}
			m, err := intOp('*', base, base)
			if err != nil {
				return nil, err
			}
			base = m.(int64)
		}
	}
	return nil, fail(ErrType, "integer overflow in %d %s %d", a, opText(op), b)
}

func (s *state) repeat(x string, n int64) (Value, error) {
	if n <= 0 || x == "" {
		return "", nil
	}
	if n > int64(s.limits.Output/len(x)) {
		return nil, s.tooLarge()
	}
	if err := s.alloc(len(x) * int(n)); err != nil {
		return nil, err
	}
	return strings.Repeat(x, int(n)), nil
}

// printf is Python's "format" % values.
func (s *state) printf(format string, v Value) (Value, error) {
	var vals []Value
	dict, isDict := v.(*Dict)
	if l, ok := v.(*List); ok && l.Tuple {
		vals = l.Items
	} else {
		vals = []Value{v}
	}
	var b strings.Builder
	used := 0
	for i := 0; i < len(format); {
		j := strings.IndexByte(format[i:], '%')
		if j < 0 {
			b.WriteString(format[i:])
			break
		}
		b.WriteString(format[i : i+j])
		i += j + 1
		var val Value = absent
		if i < len(format) && format[i] == '(' {
			end := strings.IndexByte(format[i:], ')')
			if end < 0 || !isDict {
				return nil, fail(ErrType, "format requires a mapping")
			}
			var ok bool
			if val, ok = dict.Get(format[i+1 : i+end]); !ok {
				return nil, fail(ErrType, "format misses key '%s'", format[i+1:i+end])
			}
			i += end + 1
		}
		start := i
		for i < len(format) && strings.IndexByte("-+ #0123456789.", format[i]) >= 0 {
			i++
		}
		flags := format[start:i]
		if i == len(format) {
			return nil, fail(ErrType, "incomplete format")
		}
		verb := format[i]
		i++
		if verb == '%' {
			b.WriteByte('%')
			continue
		}
		if val == absent {
			if used >= len(vals) {
				return nil, fail(ErrType, "not enough arguments for format string")
			}
			val = vals[used]
			used++
		}
		text, err := s.printfOne(flags, verb, val)
		if err != nil {
			return nil, err
		}
		b.WriteString(text)
		if b.Len() > s.limits.Output {
			return nil, s.tooLarge()
		}
	}
	if used < len(vals) && !isDict {
		return nil, fail(ErrType, "not all arguments converted during string formatting")
	}
	return b.String(), s.alloc(b.Len())
}

func (s *state) printfOne(flags string, verb byte, v Value) (string, error) {
	width, precision, _ := strings.Cut(strings.TrimLeft(flags, "-+ #0"), ".")
	for _, part := range []string{width, precision} {
		if n, ok := digits(part); part != "" && (!ok || n > 10_000) {
			return "", fail(ErrType, "invalid or too wide format %%%s", clip(flags))
		}
	}
	switch verb {
	case 's', 'r':
		text, err := s.str(v)
		if verb == 'r' {
			var raw []byte
			raw, err = s.appendRepr(nil, v, 0)
			text = string(raw)
		}
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%"+strings.TrimLeft(flags, "0+ #")+"s", text), nil
	case 'd', 'i', 'u', 'x', 'X', 'o':
		i, f, isFloat, ok := number(v)
		if !ok || isFloat && (verb|0x20 == 'x' || verb == 'o') {
			return "", fail(ErrType, "%%%c format: a number is required, not %s", verb, typeName(v))
		}
		if isFloat {
			if math.Abs(f) >= 1<<63 || math.IsNaN(f) {
				return "", fail(ErrType, "%%%c format: number is out of range", verb)
			}
			i = int64(f)
		}
		if verb == 'i' || verb == 'u' {
			verb = 'd'
		}
		return fmt.Sprintf("%"+flags+string(verb), i), nil
	case 'f', 'F', 'e', 'E', 'g', 'G':
		i, f, isFloat, ok := number(v)
		if !ok {
			return "", fail(ErrType, "%%%c format: a number is required, not %s", verb, typeName(v))
		}
		if !isFloat {
			f = float64(i)
		}
		if (verb == 'g' || verb == 'G') && !strings.Contains(flags, ".") {
			flags += ".6" // Go's default is the shortest form, Python's six digits
		}
		return fmt.Sprintf("%"+flags+string(verb), f), nil
	case 'c':
		switch c := v.(type) {
		case string:
			if utf8.RuneCountInString(c) == 1 {
				return c, nil
			}
		case int64:
			if c >= 0 && c <= utf8.MaxRune {
				return string(rune(c)), nil
			}
		}
	}
	return "", fail(ErrType, "unsupported format %%%s%c for %s", flags, verb, typeName(v))
}
