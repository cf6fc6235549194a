package jinja

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// str is Python's str(v), which is also how values print.
func (s *state) str(v Value) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case nil:
		return "None", nil
	case *undefined:
		return "", nil
	}
	b, err := s.appendRepr(nil, v, 0)
	if err != nil {
		return "", err
	}
	return string(b), s.alloc(len(b))
}

// appendRepr appends Python's repr(v).
func (s *state) appendRepr(b []byte, v Value, depth int) ([]byte, error) {
	if err := s.grown(len(b), depth); err != nil {
		return b, err
	}
	switch v := v.(type) {
	case nil:
		return append(b, "None"...), nil
	case bool:
		if v {
			return append(b, "True"...), nil
		}
		return append(b, "False"...), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case BigInt:
		return append(b, v...), nil
	case float64:
		return appendFloat(b, v, "inf", "nan"), nil
	case string:
		return appendReprString(b, v), s.step(int64(len(v)) / 16)
	case *undefined:
		return append(b, "Undefined"...), nil
	case *List:
		open, end := byte('['), byte(']')
		if v.Tuple {
			open, end = '(', ')'
		}
		b = append(b, open)
		var err error
		for i, e := range v.Items {
			if i > 0 {
				b = append(b, ", "...)
			}
			if b, err = s.appendRepr(b, e, depth+1); err != nil {
				return b, err
			}
		}
		if v.Tuple && len(v.Items) == 1 {
			b = append(b, ',')
		}
		return append(b, end), nil
	case *Dict:
		b = append(b, '{')
		var err error
		for i, k := range v.keys {
			if i > 0 {
				b = append(b, ", "...)
			}
			if b, err = s.appendRepr(b, k, depth+1); err != nil {
				return b, err
			}
			b = append(b, ": "...)
			if b, err = s.appendRepr(b, v.vals[i], depth+1); err != nil {
				return b, err
			}
		}
		return append(b, '}'), nil
	case *namespace:
		b, err := s.appendRepr(append(b, "<Namespace "...), v.vars, depth+1)
		return append(b, '>'), err
	case *callable:
		return append(b, "<function "+v.name+">"...), nil
	case *loopVar:
		return fmt.Appendf(b, "<LoopContext %d/%d>", v.index0+1, len(v.items)), nil
	}
	return b, fail(ErrType, "cannot print a %T", v)
}

// grown checks a value under construction: n bytes so far, depth levels deep.
func (s *state) grown(n, depth int) error {
	if depth > maxNesting {
		return fail(ErrLimit, "value nests more than %d deep", maxNesting)
	}
	if n > s.limits.Output {
		return s.tooLarge()
	}
	return s.step(1)
}

func appendReprString(b []byte, v string) []byte {
	quote := byte('\'')
	if strings.Contains(v, "'") && !strings.Contains(v, `"`) {
		quote = '"'
	}
	b = append(b, quote)
	for i := 0; i < len(v); {
		r, n := utf8.DecodeRuneInString(v[i:])
		switch {
		case r == '\\' || r == rune(quote):
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r < 0x20 || r == 0x7f || r >= 0x80 && r < 0x100 && !unicode.IsPrint(r):
			b = fmt.Appendf(b, `\x%02x`, r)
		case r >= 0x100 && !unicode.IsPrint(r) && !(r == utf8.RuneError && n == 1):
			if r > 0xffff {
				b = fmt.Appendf(b, `\U%08x`, r)
			} else {
				b = fmt.Appendf(b, `\u%04x`, r)
			}
		default:
			b = append(b, v[i:i+n]...)
		}
		i += n
	}
	return append(b, quote)
}

// appendFloat appends Python's repr of a float.
func appendFloat(b []byte, f float64, inf, nan string) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, nan...)
	case math.IsInf(f, 1):
		return append(b, inf...)
	case math.IsInf(f, -1):
		return append(append(b, '-'), inf...)
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.AppendFloat(b, f, 'e', -1, 64)
	}
	start := len(b)
	b = strconv.AppendFloat(b, f, 'f', -1, 64)
	if bytes.IndexByte(b[start:], '.') < 0 {
		b = append(b, ".0"...)
	}
	return b
}

// jsonStyle is how Python's json.dumps lays out its output.
type jsonStyle struct {
	itemSep, keySep string
	indent          string // one level; "" with multiline false means one line
	multiline       bool
	sortKeys        bool
	ascii           bool
}

var defaultJSON = jsonStyle{itemSep: ", ", keySep: ": "}

// appendJSON appends v as Python's json.dumps writes it.
func (s *state) appendJSON(b []byte, v Value, st *jsonStyle, depth int) ([]byte, error) {
	if err := s.grown(len(b), depth); err != nil {
		return b, err
	}
	newline := func(b []byte, level int) []byte {
		if st.multiline {
			b = append(b, '\n')
			for range level {
				b = append(b, st.indent...)
			}
		}
		return b
	}
	var err error
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case BigInt:
		return append(b, v...), nil
	case float64:
		return appendFloat(b, v, "Infinity", "NaN"), nil
	case string:
		return appendJSONString(b, v, st.ascii), s.step(int64(len(v)) / 16)
	case *List:
		if len(v.Items) == 0 {
			return append(b, "[]"...), nil
		}
		b = append(b, '[')
		for i, e := range v.Items {
			if i > 0 {
				b = append(b, st.itemSep...)
			}
			if b, err = s.appendJSON(newline(b, depth+1), e, st, depth+1); err != nil {
				return b, err
			}
		}
		return append(newline(b, depth), ']'), nil
	case *Dict:
		if len(v.keys) == 0 {
			return append(b, "{}"...), nil
		}
		if st.sortKeys {
			if v, err = s.sortedDict(v); err != nil {
				return b, err
			}
		}
		b = append(b, '{')
		for i, k := range v.keys {
			if i > 0 {
				b = append(b, st.itemSep...)
			}
			b = newline(b, depth+1)
			if ks, ok := k.(string); ok {
				b = appendJSONString(b, ks, st.ascii)
			} else {
				b = append(b, '"')
				if b, err = s.appendJSON(b, k, st, depth+1); err != nil {
					return b, err
				}
				b = append(b, '"')
			}
			b = append(b, st.keySep...)
			if b, err = s.appendJSON(b, v.vals[i], st, depth+1); err != nil {
				return b, err
			}
		}
		return append(newline(b, depth), '}'), nil
	}
	return b, fail(ErrType, "object of type %s is not JSON serializable", typeName(v))
}

func (s *state) sortedDict(d *Dict) (*Dict, error) {
	keys, err := s.sorted(d.keys, false, nil)
	if err != nil {
		return nil, err
	}
	out := NewDict(len(keys))
	for _, k := range keys {
		v, _ := d.get(k)
		out.set(k, v)
	}
	return out, nil
}

func appendJSONString(b []byte, v string, ascii bool) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(v); {
		c := v[i]
		if c >= utf8.RuneSelf && ascii {
			r, n := utf8.DecodeRuneInString(v[i:])
			b = append(b, v[start:i]...)
			if r > 0xffff {
				r -= 0x10000
				b = fmt.Appendf(b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
			} else {
				b = fmt.Appendf(b, `\u%04x`, r)
			}
			i += n
			start = i
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, v[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		default:
			b = fmt.Appendf(b, `\u%04x`, c)
		}
		i++
		start = i
	}
	return append(append(b, v[start:]...), '"')
}

// DecodeJSON decodes one JSON value: objects keep their key order, integers stay integers.
func DecodeJSON(data []byte) (Value, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	v, err := decodeValue(dec, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fail(ErrType, "JSON text goes on after its value at byte %d", dec.InputOffset())
	}
	return v, nil
}

func decodeValue(dec *json.Decoder, depth int) (Value, error) {
	if depth > maxNesting {
		return nil, fail(ErrLimit, "JSON nests more than %d deep", maxNesting)
	}
	tok, err := dec.Token()
	if err != nil {
		return nil, fail(ErrType, "invalid JSON at byte %d: %v", dec.InputOffset(), err)
	}
	switch t := tok.(type) {
	case json.Number:
		if n, err := t.Int64(); err == nil {
			return n, nil
		}
		if !strings.ContainsAny(t.String(), ".eE") {
			return BigInt(t), nil
		}
		f, err := t.Float64()
		if err != nil {
			return nil, fail(ErrType, "JSON number %s is out of range", clip(t.String()))
		}
		return f, nil
	case json.Delim:
		if t == '[' {
			l := &List{}
			for dec.More() {
				e, err := decodeValue(dec, depth+1)
				if err != nil {
					return nil, err
				}
				l.Items = append(l.Items, e)
			}
			_, err := dec.Token()
			return l, closing(dec, err)
		}
		d := NewDict(4)
		for dec.More() {
			k, err := dec.Token()
			if err != nil {
				return nil, closing(dec, err)
			}
			e, err := decodeValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			d.set(k, e)
		}
		_, err := dec.Token()
		return d, closing(dec, err)
	}
	return tok, nil // nil, bool, string
}

func closing(dec *json.Decoder, err error) error {
	if err != nil {
		return fail(ErrType, "invalid JSON at byte %d: %v", dec.InputOffset(), err)
	}
	return nil
}
