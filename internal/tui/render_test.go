package tui

import (
	"regexp"
	"strings"
	"testing"

	xansi "github.com/charmbracelet/x/ansi"
	"pgregory.net/rapid"

	"trit/internal/markdown"
)

const sampleMarkdown = "# Heading\n\nSome **bold** text, `code` and [a link](https://example.com/" + "long/long/long/long/long/long/long/long/long/long" + `).

- first
- second 你好世界你好世界你好世界你好世界你好世界你好世界你好世界你好世界

> a quote

` + "```go\nfunc main() { println(\"a line of code that is wider than the screen, whatever its width may be in this test\") }\n```" + `

| a | b |
|---|---|
| 1 | a longer cell with many words in it |

日本語の長い文章は空白がないので、行の折り返しがとても難しいです。👩‍👩‍👧
`

var (
	colour = regexp.MustCompile(`\x1b\[[0-9;]*(3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]`)
	blank  = regexp.MustCompile(`\s+`)
)

func paint(l look, b block) []string {
	return newPainter(l).paint(b)
}

// TestPaintWidth: no line is wider than the screen, whatever is written.
func TestPaintWidth(t *testing.T) {
	for _, kind := range []Kind{Answer, Thought, Question, Output, Notice, Problem} {
		for _, width := range []int{minWidth, 17, 40, 80, 133} {
			for _, line := range paint(look{width: width, colours: true, dark: true}, block{kind, sampleMarkdown}) {
				if w := xansi.StringWidth(line); w > width {
					t.Errorf("kind %d, width %d: a line has %d cells: %q", kind, width, w, line)
				}
				if strings.ContainsRune(line, '\n') {
					t.Errorf("kind %d: %q has a line end inside", kind, line)
				}
			}
		}
	}
	// A table in a quote, whose rule wraps at the hyphen after the last cell.
	for _, line := range paint(look{width: minWidth}, block{Answer, ">_\n--"}) {
		if w := xansi.StringWidth(line); w > minWidth {
			t.Errorf("a table in a quote: a line has %d cells: %q", w, line)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(minWidth, 60).Draw(t, "width")
		text := rapid.StringMatching("[a-c你*_`#> \n|-]{0,120}").Draw(t, "text")
		p := newPainter(look{width: width})
		for _, line := range p.paint(block{Answer, text}) {
			if w := xansi.StringWidth(line); w > width {
				t.Fatalf("width %d: a line has %d cells: %q", width, w, line)
			}
		}
	})
}

func TestPaintMarkdown(t *testing.T) {
	lines := paint(look{width: 60}, block{Answer, "**bold** text\nsecond `word` line\n\n- item\n\n```\ncode\n```"})
	text := strings.Join(lines, "\n")
	for _, want := range []string{"text", "\nsecond `word` line", "• item", "  code"} {
		if !strings.Contains(xansi.Strip(text), want) {
			t.Errorf("%q does not contain %q", text, want)
		}
	}
	if lines[0] == "" || lines[len(lines)-1] != "" {
		t.Errorf("an answer begins at once and ends with an empty line: %q", lines)
	}
}

// TestPaintKeepsWords: wrapping and styling lose nothing that was said.
func TestPaintKeepsWords(t *testing.T) {
	said := "plain words of an answer 你好世界 and some more of them, so that there are several lines\n\n    code with   blanks"
	got := xansi.Strip(strings.Join(paint(look{width: 20, colours: true}, block{Answer, said}), "\n"))
	if squeeze(got) != squeeze(said) {
		t.Errorf("painted %q, said %q", got, said)
	}
}

func squeeze(s string) string { return blank.ReplaceAllString(s, "") }

func TestNoColours(t *testing.T) {
	for _, kind := range []Kind{Answer, Thought, Question, Output, Notice, Problem} {
		text := strings.Join(paint(look{width: 60}, block{kind, sampleMarkdown}), "\n")
		if found := colour.FindString(text); found != "" {
			t.Errorf("kind %d: the colour %q without colours", kind, found)
		}
	}
	if !colour.MatchString(strings.Join(paint(look{width: 60, colours: true}, block{Answer, sampleMarkdown}), "\n")) {
		t.Error("no colour with colours: the test cannot fail")
	}
}

// TestNoCommands: what a model says cannot command the terminal.
func TestNoCommands(t *testing.T) {
	for _, kind := range []Kind{Answer, Thought, Question, Output, Notice, Problem} {
		text := strings.Join(paint(look{width: 60}, block{kind, "a\x1b]0;title\x07b\x9b31mc\rd"}), "\n")
		if strings.ContainsAny(text, "\x07\u009b\r") || strings.Contains(text, "\x1b]") {
			t.Errorf("kind %d: %q", kind, text)
		}
	}
	if got := Printable("a\tb\nc\x7f"); got != "a\tb\nc" {
		t.Errorf("printable is %q", got)
	}
}

func TestStatusLine(t *testing.T) {
	p := newPainter(look{width: 80})
	parts := []string{"12.5 tokens/s", "context 1/512", "demo"}
	for width, want := range map[int]string{80: "12.5 tokens/s · context 1/512 · demo", 30: "12.5 tokens/s · context 1/512", 20: "12.5 tokens/s", 5: "12.5…", 0: ""} {
		if got := xansi.Strip(p.statusLine(parts, width)); got != want {
			t.Errorf("width %d: %q, want %q", width, got, want)
		}
	}
	if got := xansi.Strip(p.rule("3 lines below", 20)); got != "── 3 lines below ───" {
		t.Errorf("rule %q", got)
	}
}

func TestRecall(t *testing.T) {
	r := newRecall([]string{"one", "two"})
	step := func(text string, ok bool, want string, wantOK bool) {
		t.Helper()
		if text != want || ok != wantOK {
			t.Errorf("got %q %v, want %q %v", text, ok, want, wantOK)
		}
	}
	text, ok := r.forward()
	step(text, ok, "", false)
	text, ok = r.back("draft")
	step(text, ok, "two", true)
	text, ok = r.back("two")
	step(text, ok, "one", true)
	text, ok = r.back("one")
	step(text, ok, "", false)
	text, ok = r.forward()
	step(text, ok, "two", true)
	text, ok = r.forward()
	step(text, ok, "draft", true)
	if !r.add("three") || r.add("three") {
		t.Error("an input is fresh once")
	}
	text, ok = r.back("")
	step(text, ok, "three", true)
}

// TestPaintLayout: what the parts of Markdown look like without colours and attributes.
func TestPaintLayout(t *testing.T) {
	for _, c := range []struct {
		name  string
		width int
		text  string
		want  string
	}{
		{"headings", 20, "# One\n## Two\ntext", "One\n\nTwo\n\ntext"},
		{"kept line ends", 20, "a\nb  \nc<br>d", "a\nb\nc\nd"},
		{"nested lists", 20, "- one\n  - two\n    - three\n      - four\n- five is long enough to wrap", "• one\n  ◦ two\n    ▪ three\n      ▪ four\n• five is long\n  enough to wrap"},
		{"numbers", 20, "9. nine\n10. ten\n    - in it", " 9. nine\n10. ten\n    • in it"},
		{"loose list", 20, "- a\n\n  b\n- c", "• a\n\n  b\n\n• c"},
		{"tasks", 20, "- [x] done\n- [ ] open\n- ", "[✓] done\n[ ] open\n•"},
		{"quote", 14, "> a quote of some words\n>\n> > deeper", "│ a quote of\n│ some words\n│\n│ │ deeper"},
		{"code", 12, "```\na  b c d e f g h\n```", "  a  b c d e\n   f g h"},
		{"rule", 12, "a\n\n---", "a\n\n────────────"},
		{"link", 60, "[a](http://b) http://c [d](#e) ![f](g.png)", "a (http://b) http://c d Image: f (g.png)"},
		{"inline code", 20, "`a` **b**", "`a` b"},
		{"table", 20, "|a|b|c|\n|-|-:|:-:|\n|one|2|x|\n|`two`|333|yyy|", "a     │   b │  c\n──────┼─────┼────\none   │   2 │  x\n`two` │ 333 │ yyy"},
		{"table that wraps", 15, "|a|b|\n|-|-|\n|x|some long words|", "a │ b\n──┼────────────\nx │ some long\n  │ words"},
		{"table without room", 10, "|a|b|c|\n|-|-|-|\n|1|2|3|\n|4|5 is long|", "a: 1\nb: 2\nc: 3\n\na: 4\nb: 5 is\nlong\nc:"},
		{"table without rows", 10, "|a|b|c|\n|-|-|-|", "a\nb\nc"},
		{"no room to indent", 10, "- a\n  - b\n    - c\n      - d is long", "• a\n  ◦ b\n    ▪ c\n      ▪\n      d is\n      long"},
	} {
		lines := paint(look{width: c.width}, block{Answer, c.text})
		for i, line := range lines {
			lines[i] = strings.TrimRight(xansi.Strip(line), " ")
		}
		if got := strings.Join(lines[:len(lines)-1], "\n"); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

// TestPaintStreaming: while an answer arrives, what has been complete stays as it is.
func TestPaintStreaming(t *testing.T) {
	p := newPainter(look{width: 40, colours: true})
	whole := p.paint(block{Answer, sampleMarkdown})
	for end := range sampleMarkdown {
		lines := p.paint(block{Answer, sampleMarkdown[:end]})
		if len(lines) > 4 && lines[0] != whole[0] {
			t.Fatalf("after %d bytes the first line is %q, in the end %q", end, lines[0], whole[0])
		}
		for _, line := range lines {
			if w := xansi.StringWidth(line); w > 40 {
				t.Fatalf("after %d bytes a line has %d cells: %q", end, w, line)
			}
		}
	}
}

func TestLinks(t *testing.T) {
	text := strings.Join(paint(look{width: 60}, block{Answer, "[a **b**](https://c.d/e) <ftp://f> [g](https://h\u200bi) http://j"}), "\n")
	for want, times := range map[string]int{"\x1b]8;;https://c.d/e\x07": 3, "\x1b]8;;http://j\x07": 1, "\x1b]8;;ftp": 0, "\x1b]8;;https://h": 0} {
		if got := strings.Count(text, want); got != times {
			t.Errorf("%q is there %d times, want %d: %q", want, got, times, text)
		}
	}
}

func TestHighlight(t *testing.T) {
	kinds := map[tokenKind]string{tokenComment: "c", tokenString: "s", tokenNumber: "n", tokenWord: "w", tokenCall: "f"}
	for _, c := range []struct{ language, code, want string }{
		{"go", "func f(x int) { // a \"b\"\n\treturn `c\n//d` + \"e\\\"\" + 0x1f }", "{w func} {f f}(x {w int}) { {c // a \"b\"}\n\t{w return} {s `c\n//d`} + {s \"e\\\"\"} + {n 0x1f} }"},
		{"py", "def f(): # x\n  return 'it''s' + \"\"\"a\nb\"\"\" + x1.y", "{w def} {f f}(): {c # x}\n  {w return} {s 'it'}{s 's'} + {s \"\"\"a\nb\"\"\"} + x1.y"},
		{"C++", "/* a\nb */ int x = 1.5e3; 'c'", "{c /* a\nb */} {w int} x = {n 1.5e3}; {s 'c'}"},
		{"rust", "fn f<'a>(x: &'a str)", "{w fn} f<'a>(x: &'a str)"},
		{"bash", "echo $# a#b # c", "{w echo} $# a#b {c # c}"},
		{"SQL", "SELECT a FROM b -- c", "{w SELECT} a {w FROM} b {c -- c}"},
		{"json", `{"a": [1, true]}`, `{{s "a"}: [{n 1}, {w true}]}`},
		{"html", `<p class="a">it's</p><!-- b -->`, `<{w p} class={s "a"}>it's</{w p}>{c <!-- b -->}`},
		{"text", "don't\n\"open", "don't\n\"open"},
	} {
		l, _, ok := findLanguage(c.language)
		if ok == (c.language == "text") {
			t.Errorf("%s: known: %v", c.language, ok)
		}
		var got strings.Builder
		l.scan(c.code, func(kind tokenKind, text string) {
			if kind == tokenText {
				got.WriteString(text)
				return
			}
			got.WriteString("{" + kinds[kind] + " " + text + "}")
		})
		if got.String() != c.want {
			t.Errorf("%s: %s\nwant %s", c.language, got.String(), c.want)
		}
	}
	for alias, name := range aliases {
		if _, ok := languages[name]; !ok {
			t.Errorf("%s is an alias of %s, which is no language", alias, name)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		info := rapid.SampledFrom([]string{"go", "python", "rust", "html", "diff", "lua", "sql", "none"}).Draw(t, "language")
		code := rapid.StringMatching("[ab0\"'`#/*<>\\[\\]\\\\你\n -]{0,60}").Draw(t, "code")
		p := newPainter(look{colours: true})
		lines := p.paintCode(markdown.Block{Info: info, Text: code}, 20)
		for _, line := range lines {
			if w := xansi.StringWidth(line); w > 20 {
				t.Fatalf("a line has %d cells: %q", w, line)
			}
		}
		if got := xansi.Strip(strings.Join(lines, "\n")); strings.ReplaceAll(got, "\n", "") != strings.ReplaceAll(code, "\n", "") {
			t.Fatalf("%q is painted as %q", code, got)
		}
	})
}
