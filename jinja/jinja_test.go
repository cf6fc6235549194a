package jinja

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// testVars are the variables of the templates in testdata/expressions.json (e2e/templates/make.py).
func testVars(t testing.TB) map[string]Value {
	t.Helper()
	msgs, err := DecodeJSON([]byte(`[{"role":"system","content":"be <b>"},{"role":"user","content":"hé'llo"},{"role":"assistant","content":"ok"}]`))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]Value{"messages": msgs, "n": nil}
}

var testConfig = Config{Now: func() time.Time { return time.Date(2024, 7, 26, 14, 5, 9, 0, time.UTC) }}

// TestExpressions compares every template of expressions.json with what Python's jinja2 made of it.
func TestExpressions(t *testing.T) {
	b, err := os.ReadFile("testdata/expressions.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct{ Template, Want, Error string }
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	vars := testVars(t)
	for _, c := range cases {
		tpl, err := Parse(c.Template)
		got := ""
		if err == nil {
			got, err = tpl.Render(vars, testConfig)
		}
		switch {
		case c.Error != "" && err == nil:
			t.Errorf("%q\n got %q\nwant error %s", c.Template, got, c.Error)
		case c.Error == "" && err != nil:
			t.Errorf("%q\n got error %v\nwant %q", c.Template, err, c.Want)
		case c.Error == "" && got != c.Want:
			t.Errorf("%q\n got %q\nwant %q", c.Template, got, c.Want)
		case err != nil:
			var e *Error
			if !errors.As(err, &e) || e.Line == 0 || e.Kind == nil || strings.Contains(e.Msg, "internal error") {
				t.Errorf("%q: error %v has no line or kind", c.Template, err)
			}
		}
	}
}

// endingContext ends when its error has been asked for a number of times.
type endingContext struct {
	context.Context
	left int
}

func (c *endingContext) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestUntil: rendering stops when the context is first seen to have ended, within strings, loops and macros too.
func TestUntil(t *testing.T) {
	for _, src := range []string{
		"{% for a in range(999) %}{% for b in range(99) %}{% set c = a * b %}{% endfor %}{% endfor %}",
		"{% for a in range(99) %}{{ ('x' * 9999).replace('x', 'yy')[:9] }}{% endfor %}",
		"{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(14) }}",
	} {
		tpl, err := Parse(src)
		if err != nil {
			t.Fatal(err)
		}
		whole := &endingContext{t.Context(), 1 << 30}
		if _, err := tpl.RenderContext(whole, nil, Config{}); err != nil {
			t.Errorf("%q: %v", src, err)
		}
		looks := 1<<30 - whole.left
		if looks < 4 {
			t.Errorf("%q: looks at its context %d times", src, looks)
		}
		for _, n := range []int{0, looks / 2, looks - 1} {
			ctx := &endingContext{t.Context(), n}
			if _, err := tpl.RenderContext(ctx, nil, Config{}); !errors.Is(err, context.Canceled) || ctx.left != -1 {
				t.Errorf("%q: %v after %d looks, want the error of the context after %d", src, err, n-ctx.left, n+1)
			}
		}
	}
}

// TestLimits: nothing a template can say hangs, overflows the stack, or takes much memory.
func TestLimits(t *testing.T) {
	for _, src := range []string{
		"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
		"{% for a in range(99999) %}{{ 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' }}{% endfor %}",
		"{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
		"{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
		"{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
		"{{ 'a' * 1000000000000 }}",
		"{{ [0] * 1000000000000 }}",
		"{{ 'a' | center(1000000000000) }}",
		"{{ 'a'.rjust(999999999) }}{{ '%999999999d' % 1 }}",
		"{{ '%9999d' % 1 * 9999 }}",
		"{{ range(1000000000) }}",
		"{{ [1] | batch(1000000000, 1) }}",
		"{{ 'a' | indent(1000000000, true) }}",
		"{{ 9 ** 9 ** 9 ** 9 }}",
		"{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
		"{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(99) %}{% set ns.x = ns.x | replace('a', ns.x) %}{% endfor %}",
		"{% set ns = namespace(x=[]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
		"{% set ns = namespace(x=[]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}",
		"{% set ns = namespace(x=[], y=[]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
		"{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x < ns.y }}",
		"{% set ns = namespace(x=1) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
		"{% set ns = namespace() %}{% set ns.self = ns %}{{ ns }}",
		"{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = ns.l + ['x' * 900000] %}{% endfor %}",
		"{% set ns = namespace(l=range(1000)) %}{% for i in range(99) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
		strings.Repeat("(", 5000) + "1" + strings.Repeat(")", 5000),
		"{{ " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + " }}",
		"{{ " + strings.Repeat("(", 5000) + "1" + strings.Repeat(")", 5000) + " }}",
		"{{ 1" + strings.Repeat(" + 1", 50000) + " }}",
		"{{ x" + strings.Repeat(".x", 50000) + " }}",
		"{{ 'x'" + strings.Repeat("|trim", 50000) + " }}",
		"{{ " + strings.Repeat("not ", 50000) + "1 }}",
		"{{ " + strings.Repeat("-", 50000) + "1 }}",
		strings.Repeat("{% if 1 %}", 5000) + strings.Repeat("{% endif %}", 5000),
		"{{ 1" + strings.Repeat(" if 1 else 1", 50000) + " }}",
		"{% set " + strings.Repeat("(", 5000) + "x" + strings.Repeat(")", 5000) + " = 1 %}",
		"{{ '" + strings.Repeat("{}", 5000) + "'.format(*(['x' * 1000] * 5000)) }}",
	} {
		name := src[:min(len(src), 60)]
		start := time.Now()
		tpl, err := Parse(src)
		if err == nil {
			_, err = tpl.Render(nil, Config{Limits: Limits{Steps: 2_000_000}})
		}
		if src[0] == '(' {
			continue // plain text
		}
		if !errors.Is(err, ErrLimit) && !errors.Is(err, ErrType) {
			t.Errorf("%s: error %v", name, err)
		}
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("%s: took %v", name, d)
		}
	}
}

// TestExactLimits: what a limit allows is allowed, and nothing beyond.
func TestExactLimits(t *testing.T) {
	for _, c := range []struct {
		src string
		of  func(n int64) Limits
		n   int64 // the least that is enough, lists in the template included
	}{
		{"{% set x = 'abcde' + 'fgh' %}", func(n int64) Limits { return Limits{Output: int(n)} }, 8},
		{"{% set x = 'abcde' + 'fgh' %}", func(n int64) Limits { return Limits{Alloc: n} }, 8},
		{"{% set x = [1, 2] + [3] %}", func(n int64) Limits { return Limits{Output: 9, Alloc: n} }, (2 + 1 + 3) * 16},
		{"{% set x = [1, 2, 3] | slice(2) %}", func(n int64) Limits { return Limits{Output: 9, Alloc: n} }, (3 + 3 + 2*2) * 16},
		{"abcdefgh", func(n int64) Limits { return Limits{Output: int(n)} }, 8},
	} {
		tpl, err := Parse(c.src)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int64{c.n, c.n - 1} {
			_, err := tpl.Render(nil, Config{Limits: c.of(n)})
			if n == c.n && err != nil || n < c.n && !errors.Is(err, ErrLimit) {
				t.Errorf("%s, limits %+v: %v", c.src, c.of(n), err)
			}
		}
	}
	for _, c := range []struct {
		src  string
		fits bool
	}{
		{"{% for i in range(100000) %}{% endfor %}", true}, {"{% for i in range(100001) %}{% endfor %}", false},
		{"{% for i in range(100000, 0, -1) %}{% endfor %}", true}, {"{% set x = '' + '' %}", true},
	} {
		tpl, err := Parse(c.src)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tpl.Render(nil, Config{}); c.fits && err != nil || !c.fits && !errors.Is(err, ErrLimit) {
			t.Errorf("%s: %v", c.src, err)
		}
	}
}

// TestErrors: an error names the line of the innermost construct and what failed there.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		src  string
		line int
		kind error
		text string
	}{
		{"a\n{{ x.y }}", 2, ErrUndefined, "'x' is undefined"},
		{"{% for i in [1] %}\n{{ i.a.b }}\n{% endfor %}", 2, ErrUndefined, "'int object' has no attribute 'a'"},
		{"{% macro f() %}\n{{ 1 + 'a' }}{% endmacro %}\n\n{{ f() }}", 2, ErrType, "unsupported operand types for +: 'int' and 'str'"},
		{"{% set a, b = x %}", 1, ErrUndefined, "'x' is undefined"},
		{"{% set a, b = [1] %}", 1, ErrType, "cannot unpack 1 values into 2 variables"},
		{"{% set a, b = 1 %}", 1, ErrType, "not iterable"},
		{"\n{{ 'a' | round }}", 2, ErrType, "filter round"},
		{"\n{{ 'a' | indent(first=1, nope=2) }}", 2, ErrType, "takes no keyword argument 'nope'"},
		{"\n{{ 'a'.split('') }}", 2, ErrType, "method split: empty separator"},
		{"\n{{ 1 is nope }}", 2, ErrUnsupported, "there is no test 'nope'"},
		{"\n\n{% nope %}", 3, ErrUnsupported, "unknown tag 'nope'"},
		{"\n{% endif %}", 2, ErrSyntax, "closes nothing"},
		{"\n{% if 1 %}\n", 2, ErrSyntax, "never closed"},
		{"\n{{ 'a }}", 2, ErrSyntax, "string is never closed"},
		{"\n{{ 'a\\", 2, ErrSyntax, "string is never closed"},
		{"\n{{ 'a\\x", 2, ErrSyntax, `truncated escape "\\x"`},
		{"\n{{ a ? b }}", 2, ErrSyntax, "unexpected character '?'"},
		{"x\n{{ 1", 2, ErrSyntax, "never closed with '}}'"},
		{"x\n{# 1", 2, ErrSyntax, "never closed"},
		{"{{ raise_exception('no') }}", 1, ErrRaised, "no"},
		{"{{ strftime_now('%Q') }}", 1, ErrUnsupported, "%Q"},
		{"{% set x.y = 1 %}", 1, ErrType, "only namespace()"},
		{"{{ 9223372036854775807 + 1 }}", 1, ErrType, "overflow"},
		{"{{ [].append(1) }}", 1, ErrUndefined, "unsafe"},
	} {
		tpl, err := Parse(c.src)
		if err == nil {
			_, err = tpl.Render(nil, Config{})
		}
		var e *Error
		if !errors.As(err, &e) || e.Line != c.line || !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%q: got %v; want line %d, %v, %q", c.src, err, c.line, c.kind, c.text)
		}
	}
}

func TestStrftime(t *testing.T) {
	at := time.Date(2024, 7, 6, 4, 5, 9, 123456789, time.UTC)
	for format, want := range map[string]string{
		"%d %b %Y": "06 Jul 2024", "%-d %B %y": "6 July 24", "%A %a %H:%M:%S": "Saturday Sat 04:05:09", "%I %p %j %f": "04 AM 188 123456",
		"%Y-%m-%d": "2024-07-06", "%F %T": "2024-07-06 04:05:09", "%e|%k|%l": " 6| 4| 4", "%U %W %V %u %w": "26 27 27 6 6", "%z%Z%%": "%", "%D %R %C": "07/06/24 04:05 20",
	} {
		got, err := strftime(at, format)
		if got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", format, got, err, want)
		}
	}
}

func TestFromGo(t *testing.T) {
	n := 3
	type point struct {
		Y int `json:"y"`
		X int `json:"x"`
	}
	for _, c := range []struct {
		in   any
		want string
	}{
		{map[string]any{"b": 1, "a": []int{1, 2}}, `{"a": [1, 2], "b": 1}`},
		{json.RawMessage(`{"b": 1.0, "a": 12345678901234567890, "c": [1e2, -0.5, true, null]}`), `{"b": 1.0, "a": 12345678901234567890, "c": [100.0, -0.5, true, null]}`},
		{&n, "3"}, {uint64(1 << 63), "9223372036854775808"}, {point{2, 1}, `{"y": 2, "x": 1}`}, {&point{2, 1}, `{"y": 2, "x": 1}`},
		{[]string{"a<b"}, `["a<b"]`}, {(*int)(nil), "null"}, {float32(0.5), "0.5"}, {[2]bool{true, false}, "[true, false]"},
		{NewDict(0), "{}"}, {NewList("x", nil), `["x", null]`},
	} {
		v, err := FromGo(c.in)
		if err != nil {
			t.Errorf("%v: %v", c.in, err)
			continue
		}
		tpl, err := Parse("{{ v | tojson }}")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tpl.Render(map[string]Value{"v": v}, Config{}); got != c.want || err != nil {
			t.Errorf("%v: %s, %v; want %s", c.in, got, err, c.want)
		}
	}
	if tpl, err := Parse("{{ n + 1 }}{{ l[1] }}"); err != nil {
		t.Fatal(err)
	} else if got, err := tpl.Render(map[string]any{"n": int8(2), "l": []string{"a", "b"}}, Config{}); got != "3b" || err != nil {
		t.Errorf("variables of Go's types: %q, %v", got, err)
	}
	var cyclic []any
	cyclic = append(cyclic, nil)
	cyclic[0] = cyclic
	for _, bad := range []any{func() {}, make(chan int), map[int]int{1: 1}, cyclic, json.RawMessage("{"), json.RawMessage("1 2"), json.RawMessage("1e999"), json.RawMessage(strings.Repeat("[", 5000))} {
		if v, err := FromGo(bad); err == nil {
			t.Errorf("%T became %v", bad, v)
		}
	}
}

// TestVariables: what no template can work with is refused before it renders, and lists that share
// their items or hold themselves are measured in no time.
func TestVariables(t *testing.T) {
	tpl, err := Parse("ok")
	if err != nil {
		t.Fatal(err)
	}
	dict := NewDict(1)
	dict.Set("k", []string{"x"})
	for _, bad := range []any{NewList(1), NewList("a", NewList(float32(1))), dict, func() {}, NewList(nil, struct{}{})} {
		_, err := tpl.Render(map[string]any{"name": bad}, Config{})
		if !errors.Is(err, ErrType) || !strings.Contains(err.Error(), "variable name: ") {
			t.Errorf("%T: %v", bad, err)
		}
	}
	shared := NewList("x")
	for range 100 {
		shared = NewList(shared, shared)
	}
	start := time.Now()
	if got, err := tpl.Render(map[string]any{"v": shared}, Config{}); got != "ok" || err != nil {
		t.Errorf("shared items: %q, %v", got, err)
	}
	itself := NewList(nil)
	itself.Items[0] = itself
	if _, err := tpl.Render(map[string]any{"v": itself}, Config{}); !errors.Is(err, ErrLimit) {
		t.Errorf("a list that holds itself: %v", err)
	}
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("took %v", d)
	}
	// The default limit of the output grows with the variables.
	long := strings.Repeat("x", 1<<17)
	double, err := Parse("{% for i in range(20) %}{{ v }}{% endfor %}")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{long, NewList(long), map[string]string{"k": long}} {
		if _, err := double.Render(map[string]any{"v": v}, Config{}); err != nil {
			t.Errorf("%T of %d bytes: %v", v, len(long), err)
		}
	}
}

// TestSetAgain: the last value of a variable counts, of the first one of a scope as of later ones, also of so many
// that they have an index.
func TestSetAgain(t *testing.T) {
	for _, n := range []int{1, 2 * scopeIndexAt} {
		var src, want strings.Builder
		for _, value := range []string{"old", "new"} {
			for i := range n {
				fmt.Fprintf(&src, "{%% set v%d = '%s%[1]d' %%}", i, value)
			}
		}
		for i := range n {
			fmt.Fprintf(&src, "{{ v%d }} ", i)
			fmt.Fprintf(&want, "new%d ", i)
		}
		tpl, err := Parse(src.String())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tpl.Render(nil, Config{}); got != want.String() || err != nil {
			t.Errorf("%d variables: %q, %v", n, got, err)
		}
	}
}
