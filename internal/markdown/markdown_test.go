package markdown

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// dump writes blocks in one line: p paragraph, h2 heading, code, q quote, ul and ol lists, li items, table, hr; spans
// as their text with the letters of their styles before it.
func dump(blocks []Block) string {
	var parts []string
	for _, b := range blocks {
		name, inside := "", ""
		switch b.Kind {
		case Paragraph:
			name, inside = "p", dumpSpans(b.Spans)
		case Heading:
			name, inside = fmt.Sprint("h", b.Level), dumpSpans(b.Spans)
		case Code:
			name, inside = strings.TrimRight("code "+b.Info, " "), fmt.Sprintf("%q", b.Text)
		case Quote:
			name, inside = "q", dump(b.Blocks)
		case List:
			name = "ul"
			if b.Ordered {
				name = fmt.Sprint("ol", b.Start)
			}
			if b.Loose {
				name += " loose"
			}
			inside = dump(b.Blocks)
		case Item:
			name, inside = "li"+[]string{"", " open", " done"}[b.Task], dump(b.Blocks)
		case Table:
			name = "table "
			for _, a := range b.Align {
				name += string("lcr"[a])
			}
			var rows []string
			for _, row := range b.Rows {
				var cells []string
				for _, cell := range row {
					cells = append(cells, dumpSpans(cell))
				}
				rows = append(rows, strings.Join(cells, "|"))
			}
			inside = strings.Join(rows, "/")
		case Rule:
			name = "hr"
		}
		parts = append(parts, name+"("+inside+")")
	}
	return strings.Join(parts, " ")
}

func dumpSpans(spans []Span) string {
	var b strings.Builder
	for _, s := range spans {
		var style string
		for i, letter := range "bisclai" {
			if i == 6 {
				letter = 'I'
			}
			if s.Style&(1<<i) != 0 {
				style += string(letter)
			}
		}
		text := strings.ReplaceAll(s.Text, "\n", "¶")
		if style == "" {
			b.WriteString(text)
		} else {
			fmt.Fprintf(&b, "{%s %s}", style, text)
		}
	}
	return b.String()
}

func TestBlocks(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "",
		"a\nb\n\nc":                            "p(a¶b) p(c)",
		"a  \nb\\\nc":                          "p(a¶b¶c)",
		"a\r\nb":                               "p(a¶b)",
		"# a\n## b ##\n### c#\n#d\n#":          "h1(a) h2(b) h3(c#) p(#d) h1()",
		"####### a":                            "p(####### a)",
		"a\nb\n===\nc\n---\n---":               "h1(a¶b) h2(c) hr()",
		"***\n* * *\n_ _ _\n--":                "hr() hr() hr() p(--)",
		"    a\n\n      b\n\nc":                `code("a\n\n  b") p(c)`,
		"\ta":                                  `code("a")`,
		"a\n    b":                             "p(a¶b)",
		"```go x\na\n\n  b\n```\nc":            `code go x("a\n\n  b") p(c)`,
		"~~~\n```\n~~~~":                       "code(\"```\")",
		"```\nunfinished":                      `code("unfinished")`,
		"  ```\n   a\n b\n  ```":               `code(" a\nb")`,
		"```a`b":                               "p(```a`b)",
		"> a\n> b\nlazy\n\nc":                  "q(p(a¶b¶lazy)) p(c)",
		">a\n>> b\n> c":                        "q(p(a) q(p(b¶c)))",
		"> ```\n> a\nb":                        `q(code("a")) p(b)`,
		"> # a\nb":                             "q(h1(a)) p(b)",
		"- a\n- b\n+ c":                        "ul(li(p(a)) li(p(b))) ul(li(p(c)))",
		"- a\n\n- b":                           "ul loose(li(p(a)) li(p(b)))",
		"- a\n\n  b\n- c":                      "ul loose(li(p(a) p(b)) li(p(c)))",
		"- a\n  - b\n    - c\n- d":             "ul(li(p(a) ul(li(p(b) ul(li(p(c)))))) li(p(d)))",
		"- a\n  - b\n\n  - c\n- d":             "ul(li(p(a) ul loose(li(p(b)) li(p(c)))) li(p(d)))",
		"- a\n\n  ```\n  b\n\n  c\n  ```\n- d": "ul loose(li(p(a) code(\"b\\n\\nc\")) li(p(d)))",
		"- ```\n  b\n\n  c\n  ```\n- d":        "ul(li(code(\"b\\n\\nc\")) li(p(d)))",
		"3. a\n4. b\n\ntext":                   "ol3(li(p(a)) li(p(b))) p(text)",
		"1) a\n2. b":                           "ol1(li(p(a))) ol2(li(p(b)))",
		"1. a\n  - b\n  - c\n2. d":             "ol1(li(p(a) ul(li(p(b)) li(p(c)))) li(p(d)))",
		"In\n1986. was\n- a":                   "p(In¶1986. was) ul(li(p(a)))",
		"- a\nlazy\n\nb":                       "ul(li(p(a¶lazy))) p(b)",
		"- a\n```\nb\n```":                     `ul(li(p(a))) code("b")`,
		"-\n- a\n-b":                           "ul(li() li(p(a¶-b)))",
		"1234567890. a":                        "p(1234567890. a)",
		"-     a":                              `ul(li(code("a")))`,
		"- > a\n  > b":                         "ul(li(q(p(a¶b))))",
		"- [ ] a\n- [x] b\n- [y] c":            "ul(li open(p(a)) li done(p(b)) li(p([y] c)))",
		"a | b\n--|:-:\n1 | 2 | 3\n4\n\nc":     "table lc(a|b/1|2/4|) p(c)",
		"| a |\n|--:|\n| `x\\|y` |":            "table r(a/{c x|y})",
		"text\n| a | b |\n|---|---|\n- c":      "p(text) table ll(a|b) ul(li(p(c)))",
		"| a | b |\n|---|":                     "p(| a | b |¶|---|)",
		"| a | b |\n":                          "p(| a | b |)",
		"<div>\n*a*\n</div>":                   "p(<div>¶{i a}¶</div>)",
		strings.Repeat(">", 20) + "a":          strings.Repeat("q(", maxDepth) + "p(>>>>>>>>a)" + strings.Repeat(")", maxDepth),
	} {
		if diff := cmp.Diff(want, dump(Parse(text))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestInline(t *testing.T) {
	for text, want := range map[string]string{
		"*a* _b_ **c** __d__ ~~e~~ ~f~ ***g***": "{i a} {i b} {b c} {b d} {s e} {s f} {bi g}",
		"**a *b* c** *d **e***":                 "{b a }{bi b}{b  c} {i d }{bi e}",
		"*a **b* c**":                           "{i a b c}",
		"**a*":                                  "*{i a}",
		"*a**":                                  "{i a}*",
		"a*b*c a_b_c 2*3*4":                     "a{i b}c a_b_c 2{i 3}4",
		"* a * 2 * 3":                           "* a * 2 * 3",
		`\*a\* \a \\`:                           `*a* \a \`,
		"~~~a~~~ ~a~~":                          "~~~a~~~ ~a~~",
		"**你好。**世界 「**a**」":                     "{b 你好。}世界 「{b a}」",
		"**a。**b":                               "**a。**b",
		"`a` ``b`c`` ` d ` `` ` ``":             "{c a} {c b`c} {c d} {c `}",
		"`a ``b":                                "`a ``b",
		"*a `*` b*":                             "{i a }{ic *}{i  b}",
		"[a *b*](http://c \"title\") d":         "{l a }{il b}{a http://c} d",
		"[a](<b c>) [a]( b\n) [a](b(c)d)":       "{l a}{a b c} {l a}{a b} {l a}{a b(c)d}",
		"[a] [b](c d) [e](f [g](h)":             "[a] [b](c d) [e](f {l g}{a h}",
		"[a [b](c) d](e)":                       "[a {l b}{a c} d](e)",
		"*[a*](b)":                              "*{l a*}{a b}",
		"![alt](a.png) [![b](c)](d)":            "{lI alt}{aI a.png} {lI b}{aI c}{a d}",
		"[a](#b) [http://c](http://c)":          "{l a} {l http://c}",
		"<http://a.b?c=d> <me@a.b> <a> a<b":     "{l http://a.b?c=d} {l me@a.b} <a> a<b",
		"see https://a.b/c_d_(e). (www.f.g), xhttp://h": "see {l https://a.b/c_d_(e)}. ({l www.f.g}), xhttp://h",
		"**https://a.b** 见https://a.b/c。":               "{bl https://a.b} 见{l https://a.b/c}。",
		"http:// www.":                                  "http:// www.",
		"a<br>b<br/>c<BR />d<brx>":                      "a¶b¶c¶d<brx>",
		"&lt;&amp;&#65;&#x42;&hellip;&nope;&;":          "<&AB…&nope;&;",
		"&#27;[31m &#x9b;1m &#10; &#0;":                 "&#27;[31m &#x9b;1m &#10; &#0;",
		"a ] b [ c":                                     "a ] b [ c",
	} {
		if diff := cmp.Diff(want, dumpSpans(parseInline(text))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

// TestNothingIsLost: every letter of a text is in its blocks, in order, whatever marks stand between.
func TestNothingIsLost(t *testing.T) {
	letters := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'c' || r == '你' {
				return r
			}
			return -1
		}, s)
	}
	var text func([]Block) string
	text = func(blocks []Block) string {
		var b strings.Builder
		spans := func(spans []Span) {
			for _, s := range spans {
				b.WriteString(s.Text)
			}
		}
		for _, block := range blocks {
			b.WriteString(block.Info + block.Text)
			spans(block.Spans)
			for _, row := range block.Rows {
				for _, cell := range row {
					spans(cell)
				}
			}
			b.WriteString(text(block.Blocks))
		}
		return b.String()
	}
	rapid.Check(t, func(t *rapid.T) {
		// No bars: a row may have more cells than the head. No closed links: their titles are lost.
		marks := []string{"a", "b", "c", "你", "*", "**", "_", "~~", "`",
			"```", "#", "> ", "-", "- ", "+", "1. ", ":", "=", "&", "<", "[", "](", "!", " ", "    ", "\n", "\n\n"}
		source := strings.Join(rapid.SliceOfN(rapid.SampledFrom(marks), 0, 60).Draw(t, "text"), "")
		if got, want := letters(text(Parse(source))), letters(source); got != want {
			t.Fatalf("%q has the letters %q, want %q: %s", source, got, want, dump(Parse(source)))
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("# a\n- b\n  1. c\n> d\n```go\ne\n```\n|a|b|\n|-|-|\n*[x](y \"z\")*")
	f.Fuzz(func(t *testing.T, text string) { Parse(text) })
}

// TestTime: no text takes more than its length.
func TestTime(t *testing.T) {
	for _, unit := range []string{"*a ", "*a**b", "_a", "~", "[", "![", "[a](", "[a](b", "`", "``` `", "<", "<a",
		"&", "> ", ">", "- ", "1. ", "  - a\n", "a|", "|\n", "http://)", "\\", "a\n-", "    a\n",
		"- a\n\n", "**a *b c** d*"} {
		text := strings.Repeat(unit, 200000/len(unit))
		start := time.Now()
		Parse(text)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%d times %q take %v", 200000/len(unit), unit, took)
		} else {
			t.Logf("%q: %v", unit, took)
		}
	}
}
