package jinja

import (
	"math"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type filterFunc func(s *state, in Value, a *args) (Value, error)

// filters is filled by init, since some filters call others by name.
var filters map[string]filterFunc

func init() {
	filters = map[string]filterFunc{
		"abs":        absFilter,
		"attr":       attrFilter,
		"batch":      batchFilter,
		"capitalize": textFilter(capitalize),
		"center":     centerFilter,
		"count":      lengthFilter,
		"d":          defaultFilter,
		"default":    defaultFilter,
		"dictsort":   dictsortFilter,
		"e":          textFilter(escapeHTML.Replace),
		"escape":     textFilter(escapeHTML.Replace),
		"first":      endFilter(false),
		"float":      floatFilter,
		"format":     formatFilter,
		"groupby":    groupbyFilter,
		"indent":     indentFilter,
		"int":        intFilter,
		"items":      itemsFilter,
		"join":       joinFilter,
		"last":       endFilter(true),
		"length":     lengthFilter,
		"list":       listFilter,
		"lower":      textFilter(strings.ToLower),
		"map":        mapFilter,
		"max":        extremeFilter(1),
		"min":        extremeFilter(-1),
		"reject":     selectFilter(false, false),
		"rejectattr": selectFilter(false, true),
		"replace":    replaceFilter,
		"reverse":    reverseFilter,
		"round":      roundFilter,
		"safe":       func(s *state, in Value, a *args) (Value, error) { return s.str(in) },
		"select":     selectFilter(true, false),
		"selectattr": selectFilter(true, true),
		"slice":      sliceFilter,
		"sort":       sortFilter,
		"string":     func(s *state, in Value, a *args) (Value, error) { return s.str(in) },
		"sum":        sumFilter,
		"title":      textFilter(filterTitle),
		"tojson":     tojsonFilter,
		"trim":       trimFilter,
		"truncate":   truncateFilter,
		"unique":     uniqueFilter,
		"upper":      textFilter(strings.ToUpper),
		"urlencode":  urlencodeFilter,
		"wordcount":  wordcountFilter,
	}
}

var escapeHTML = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&#39;", `"`, "&#34;")

// textFilter lifts a function of strings; other values are printed first.
func textFilter(f func(string) string) filterFunc {
	return func(s *state, in Value, a *args) (Value, error) {
		if _, err := a.bind(); err != nil {
			return nil, err
		}
		text, err := s.str(in)
		if err != nil {
			return nil, err
		}
		if err := s.alloc(len(text)); err != nil {
			return nil, err
		}
		return f(text), nil
	}
}

// filterTitle is the title filter, which, unlike str.title, starts words at separators only.
func filterTitle(v string) string {
	start := true
	return strings.Map(func(r rune) rune {
		upper := start
		start = isSpace(r) || strings.ContainsRune("-({[<", r)
		if upper {
			return unicode.ToTitle(r)
		}
		return unicode.ToLower(r)
	}, v)
}

func absFilter(s *state, in Value, a *args) (Value, error) {
	i, f, isFloat, ok := number(in)
	if !ok {
		return nil, operandError("abs", in, in)
	}
	if isFloat {
		return math.Abs(f), nil
	}
	if i == math.MinInt64 {
		return nil, fail(ErrType, "integer overflow")
	}
	return max(i, -i), nil
}

func attrFilter(s *state, in Value, a *args) (Value, error) {
	p, err := a.strings("name")
	if err != nil {
		return nil, err
	}
	if d, ok := in.(*Dict); ok { // attributes only, never items
		if m, ok := dictMethods[p[0]]; ok {
			return bound(p[0], d, m), nil
		}
		return &undefined{owner: d, key: p[0]}, nil
	}
	return getAttr(in, p[0])
}

func centerFilter(s *state, in Value, a *args) (Value, error) {
	p, err := a.bind("width")
	if err != nil {
		return nil, err
	}
	width, err := intArg("width", p[0], 80)
	if err != nil {
		return nil, err
	}
	text, err := s.str(in)
	if err != nil {
		return nil, err
	}
	return s.pad(text, "center", width, " ")
}

func defaultFilter(s *state, in Value, a *args) (Value, error) {
	p, err := a.bind("default_value", "boolean")
	if err != nil {
		return nil, err
	}
	if isUndefined(in) || p[1] != absent && truth(p[1]) && !truth(in) {
		if p[0] == absent {
			return "", nil
		}
		return p[0], nil
	}
	return in, nil
}

func formatFilter(s *state, in Value, a *args) (Value, error) {
	text, err := s.str(in)
	if err != nil {
		return nil, err
	}
	if len(a.kw) == 0 {
		return s.printf(text, &List{Items: a.pos, Tuple: true})
	}
	if len(a.pos) > 0 {
		return nil, fail(ErrType, "cannot take positional and keyword arguments at the same time")
	}
	d := NewDict(len(a.kw))
	for _, kw := range a.kw {
		d.set(kw.name, kw.val)
	}
	return s.printf(text, d)
}

func indentFilter(s *state, in Value, a *args) (Value, error) {
	p, err := a.bind("width", "first", "blank")
	if err != nil {
		return nil, err
	}
	pad, ok := p[0].(string)
	if !ok {
		n, err := intArg("width", p[0], 4)
		if err != nil {
			return nil, err
		}
		v, err := s.repeat(" ", n)
		if err != nil {
			return nil, err
		}
		pad = v.(string)
	}
	text, err := s.str(in)
	if err != nil {
		return nil, err
	}
	first, blank := p[1] != absent && truth(p[1]), p[2] != absent && truth(p[2])
	lines := splitLines(text+"\n", false)
	if size := int64(len(lines)) * int64(len(pad)+1); size+int64(len(text)) > int64(s.limits.Output) {
		return nil, s.tooLarge()
	}
	var b strings.Builder
	for i, line := range lines {
		if i > 0 {
			b.WriteByte('\n')
		}
		if i == 0 && first || i > 0 && (blank || line != "") {
			b.WriteString(pad)
		}
		b.WriteString(line)
	}
	return b.String(), s.alloc(b.Len())
}

func lengthFilter(s *state, in Value, a *args) (Value, error) {
	n, err := length(in)
	if text, ok := in.(string); ok {
		err = s.step(int64(len(text)) / 16)
	}
	return int64(n), err
}

func replaceFilter(s *state, in Value, a *args) (Value, error) {
	text, err := s.str(in)
	if err != nil {
		return nil, err
	}
	p, err := a.bind("old", "new", "count")
	if err != nil {
		return nil, err
	}
	for i, name := range []string{"old", "new"} {
		if p[i] == absent {
			return nil, argType(name, "str", absent)
		}
		if p[i], err = s.str(p[i]); err != nil {
			return nil, err
		}
	}
	if p[2] == nil {
		p[2] = absent
	}
	n, err := intArg("count", p[2], -1)
	if err != nil {
		return nil, err
	}
	return s.replaceAll(text, p[0].(string), p[1].(string), n)
}

func roundFilter(s *state, in Value, a *args) (Value, error) {
	p, err := a.bind("precision", "method")
	if err != nil {
		return nil, err
	}
	digits, err := intArg("precision", p[0], 0)
	if err != nil {
		return nil, err
	}
	i, f, isFloat, ok := number(in)
	if !ok {
		return nil, operandError("round", in, in)
	}
	scale := math.Pow(10, float64(digits))
	switch p[1] {
	case absent, "common":
		if !isFloat && digits >= 0 {
			return i, nil
		}
		if !isFloat {
			return int64(math.RoundToEven(float64(i)*scale) / scale), nil
		}
		if digits > 300 || math.IsInf(f, 0) || math.IsNaN(f) {
			return f, nil
		}
		if digits >= 0 { // correctly rounded decimal digits, as Python does
			r, err := strconv.ParseFloat(strconv.FormatFloat(f, 'f', int(digits), 64), 64)
			return r, err
		}
		return math.RoundToEven(f*scale) / scale, nil
	case "ceil":
		return math.Ceil(toF(i, f, isFloat)*scale) / scale, nil
	case "floor":
		return math.Floor(toF(i, f, isFloat)*scale) / scale, nil
	}
	return nil, fail(ErrType, "method must be common, ceil or floor")
}

func toF(i int64, f float64, isFloat bool) float64 {
	if isFloat {
		return f
	}
	return float64(i)
}

// tojsonFilter is transformers' tojson: json.dumps with ensure_ascii off by default.
func tojsonFilter(s *state, in Value, a *args) (Value, error) {
	st := &defaultJSON
	if a != noArgs {
		p, err := a.bind("ensure_ascii", "indent", "separators", "sort_keys")
		if err != nil {
			return nil, err
		}
		own := defaultJSON
		st = &own
		st.ascii = p[0] != absent && truth(p[0])
		st.sortKeys = p[3] != absent && truth(p[3])
		switch v := p[1].(type) {
		case absentValue, nil:
		case string:
			st.indent, st.multiline, st.itemSep = v, true, ","
		default:
			n, err := intArg("indent", v, 0)
			if err != nil {
				return nil, err
			}
			if n > 100 {
				return nil, fail(ErrLimit, "indent %d is too large", n)
			}
			st.indent, st.multiline, st.itemSep = strings.Repeat(" ", int(max(n, 0))), true, ","
		}
		if p[2] != absent && p[2] != nil {
			seps, ok := p[2].(*List)
			if !ok || len(seps.Items) != 2 {
				return nil, argType("separators", "a pair of strings", p[2])
			}
			var ok1, ok2 bool
			st.itemSep, ok1 = seps.Items[0].(string)
			st.keySep, ok2 = seps.Items[1].(string)
			if !ok1 || !ok2 {
				return nil, argType("separators", "a pair of strings", p[2])
			}
		}
	}
	b, err := s.appendJSON(nil, in, st, 0)
	if err != nil {
		return nil, err
	}
	return string(b), s.alloc(len(b))
}

func trimFilter(s *state, in Value, a *args) (Value, error) {
	var chars Value
	if a != noArgs {
		p, err := a.bind("chars")
		if err != nil {
			return nil, err
		}
		chars = p[0]
	}
	text, err := s.str(in)
	if err != nil {
		return nil, err
	}
	return trim(text, chars, true, true)
}

func truncateFilter(s *state, in Value, a *args) (Value, error) {
	p, err := a.bind("length", "killwords", "end", "leeway")
	if err != nil {
		return nil, err
	}
	n, err := intArg("length", p[0], 255)
	if err != nil {
		return nil, err
	}
	leeway, err := intArg("leeway", p[3], 5)
	if err != nil {
		return nil, err
	}
	end := "..."
	if p[2] != absent {
		if end, err = s.str(p[2]); err != nil {
			return nil, err
		}
	}
	text, err := s.str(in)
	if err != nil {
		return nil, err
	}
	tail := int64(utf8.RuneCountInString(end))
	if n < tail || leeway < 0 {
		return nil, fail(ErrType, "length %d is shorter than the end mark, or leeway %d is negative", n, leeway)
	}
	if size := int64(utf8.RuneCountInString(text)); size <= n || size-n <= leeway {
		return text, nil
	}
	head, err := s.slice(text, nil, n-tail, nil)
	if err != nil {
		return nil, err
	}
	kept := head.(string)
	if p[1] == absent || !truth(p[1]) {
		if i := strings.LastIndexByte(kept, ' '); i >= 0 {
			kept = kept[:i]
		}
	}
	return kept + end, s.alloc(len(kept) + len(end))
}

func urlencodeFilter(s *state, in Value, a *args) (Value, error) {
	quote := func(v Value, query bool) (string, error) {
		text, err := s.str(v)
		if err != nil {
			return "", err
		}
		if err := s.alloc(3 * len(text)); err != nil {
			return "", err
		}
		text = url.QueryEscape(text)
		if !query {
			text = strings.NewReplacer("+", "%20", "%2F", "/").Replace(text)
		}
		return text, nil
	}
	d, ok := in.(*Dict)
	if !ok {
		return quote(in, false)
	}
	var parts []Value
	for i, k := range d.keys {
		ks, err := quote(k, true)
		if err != nil {
			return nil, err
		}
		vs, err := quote(d.vals[i], true)
		if err != nil {
			return nil, err
		}
		parts = append(parts, ks+"="+vs)
	}
	return s.join("&", parts)
}

func wordcountFilter(s *state, in Value, a *args) (Value, error) {
	text, err := s.str(in)
	if err != nil {
		return nil, err
	}
	words := strings.FieldsFunc(text, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsNumber(r) })
	return int64(len(words)), s.allocItems(len(words))
}
