package grammar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits on JSON input.
const (
	maxJSONDepth  = 256
	maxJSONDigits = 400 // of a number, and of its exponent's value

	maxValueDepth  = 10000   // of a value that is checked
	maxValueDigits = 1 << 14 // as written; the exponent's value makes a number larger than its text
)

// jsonKind is the type of a JSON value.
type jsonKind uint8

const (
	jsonNull jsonKind = iota
	jsonBool
	jsonNumber
	jsonString
	jsonArray
	jsonObject
)

// jsonValue is a JSON value that keeps the order of keys and the digits of numbers.
type jsonValue struct {
	kind   jsonKind
	truth  bool
	text   string   // of a string, or of a number as written
	number *big.Rat // of a number
	items  []*jsonValue
	keys   []string // of an object, in order
	fields map[string]*jsonValue
}

// jsonReader reads a document. Names in objects should be unique (RFC 8259); where one is not, repeats says whether the
// last value counts, as parsers have it, or whether that is an error.
type jsonReader struct {
	*json.Decoder
	repeats       bool
	depth, digits int // the most that there may be
}

// beyondError says which limit JSON is beyond.
type beyondError string

func (e beyondError) Error() string { return string(e) }

// parseJSON parses a document in which names are unique. what names it in errors.
func parseJSON(what string, data []byte) (*jsonValue, error) {
	return jsonReader{depth: maxJSONDepth, digits: maxJSONDigits}.read(what, data)
}

func (d jsonReader) read(what string, data []byte) (*jsonValue, error) {
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%w: the %s is not valid UTF-8", ErrSyntax, what)
	}
	d.Decoder = json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	fail := func(err error) error {
		offset := d.InputOffset()
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			offset = syntax.Offset - 1
		}
		var at *PositionError
		if errors.As(err, &at) {
			return err
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			offset, err = int64(len(data)), errors.New("it ends too early")
		}
		line, column := position(string(data), int(max(offset, 0)))
		kind := ErrSyntax
		if _, ok := errors.AsType[beyondError](err); ok && d.repeats {
			kind = ErrUndecided // it is JSON
		}
		return &PositionError{what, line, column, err.Error(), kind}
	}
	v, err := d.value(0)
	if err != nil {
		return nil, fail(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fail(errors.New("something follows the value"))
	}
	return v, nil
}

func (d jsonReader) value(depth int) (*jsonValue, error) {
	if depth > d.depth {
		return nil, beyondError(fmt.Sprintf("values are nested more than %d deep", d.depth))
	}
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case nil:
		return &jsonValue{kind: jsonNull}, nil
	case bool:
		return &jsonValue{kind: jsonBool, truth: t}, nil
	case string:
		return &jsonValue{kind: jsonString, text: t}, nil
	case json.Number:
		return newNumber(string(t), d.digits)
	case json.Delim:
		if t == '[' {
			v := &jsonValue{kind: jsonArray}
			for d.More() {
				item, err := d.value(depth + 1)
				if err != nil {
					return nil, err
				}
				v.items = append(v.items, item)
			}
			_, err := d.Token()
			return v, err
		}
		v := &jsonValue{kind: jsonObject, fields: map[string]*jsonValue{}}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			name, _ := key.(string) // the decoder takes nothing else here
			again := v.fields[name] != nil
			if again && !d.repeats {
				return nil, fmt.Errorf("the key %q occurs twice", name)
			}
			field, err := d.value(depth + 1)
			if err != nil {
				return nil, err
			}
			if !again {
				v.keys = append(v.keys, name)
			}
			v.fields[name] = field
		}
		_, err := d.Token()
		return v, err
	}
	return nil, fmt.Errorf("unexpected %v", token)
}

// newNumber makes a number of its text, which is valid JSON.
func newNumber(text string, most int) (*jsonValue, error) {
	digits, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	e := 0
	if exponent != "" {
		var err error
		if e, err = strconv.Atoi(exponent); err != nil {
			e = maxJSONDigits + 1
		}
	}
	if e > maxJSONDigits || e < -maxJSONDigits {
		return nil, beyondError(fmt.Sprintf("the exponent of the number %s is beyond %d", clip([]byte(text)), maxJSONDigits))
	}
	if len(digits) > most {
		return nil, beyondError(fmt.Sprintf("the number %s has more than %d digits", clip([]byte(text)), most))
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil, fmt.Errorf("%s is not a number", clip([]byte(text)))
	}
	return &jsonValue{kind: jsonNumber, text: text, number: r}, nil
}

// appendKey appends what two values have in common exactly if they are equal as JSON Schema understands it: numbers by
// value, objects regardless of order.
func (v *jsonValue) appendKey(key []byte) []byte {
	key = append(key, byte(v.kind))
	switch v.kind {
	case jsonBool:
		return strconv.AppendBool(key, v.truth)
	case jsonNumber:
		return append(append(key, v.number.RatString()...), 0)
	case jsonString:
		return append(key64(key, int64(len(v.text))), v.text...)
	case jsonArray:
		key = key64(key, int64(len(v.items)))
		for _, x := range v.items {
			key = x.appendKey(key)
		}
	case jsonObject:
		key = key64(key, int64(len(v.keys)))
		for _, k := range slices.Sorted(slices.Values(v.keys)) {
			key = append(key64(key, int64(len(k))), k...)
			key = v.fields[k].appendKey(key)
		}
	}
	return key
}

// valueSet is a set of values.
type valueSet map[string]struct{}

func newValueSet(list []*jsonValue) valueSet {
	s := valueSet{}
	for _, v := range list {
		s.add(v)
	}
	return s
}

func (s valueSet) has(v *jsonValue) bool {
	_, ok := s[string(v.appendKey(nil))]
	return ok
}

// add adds a value and reports whether it is new.
func (s valueSet) add(v *jsonValue) bool {
	n := len(s)
	s[string(v.appendKey(nil))] = struct{}{}
	return len(s) > n
}

// distinctValues returns a list without the values that were there before. It is not nil.
func distinctValues(list []*jsonValue) []*jsonValue {
	seen, out := valueSet{}, []*jsonValue{}
	for _, v := range list {
		if seen.add(v) {
			out = append(out, v)
		}
	}
	return out
}

// literal returns the texts of a value: its own form, and the whitespace that j allows.
func (j *jsonRules) literal(v *jsonValue) *expr {
	switch v.kind {
	case jsonNull:
		return lit("null")
	case jsonBool:
		return lit(strconv.FormatBool(v.truth))
	case jsonNumber:
		if whole := v.number.Num().String(); v.number.IsInt() && whole != v.text && len(whole) <= integerDigits {
			return alt(lit(v.text), lit(whole)) // 2.0 is 2
		}
		return lit(v.text)
	case jsonString:
		return lit(quote(v.text))
	}
	open, end := "[", "]"
	sub := []*expr{j.space()}
	item := func(first bool, e ...*expr) {
		if !first {
			sub = append(sub, j.comma())
		}
		sub = append(sub, e...)
	}
	for i, x := range v.items {
		item(i == 0, j.literal(x))
	}
	if v.kind == jsonObject {
		open, end = "{", "}"
		for i, k := range v.keys {
			item(i == 0, lit(quote(k)), j.colon(), j.literal(v.fields[k]))
		}
	}
	if len(v.items)+len(v.keys) > 0 {
		sub = append(sub, j.space())
	}
	return seq(lit(open), seq(sub...), lit(end))
}
