package tui

import (
	"regexp"
	"strings"
	"testing"

	xansi "github.com/charmbracelet/x/ansi"
	"pgregory.net/rapid"
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

func mustPaint(t testing.TB, l look, b block) []string {
	t.Helper()
	p, err := newPainter(l)
	if err != nil {
		t.Fatal(err)
	}
	return p.paint(b)
}

// TestPaintWidth: no line is wider than the screen, whatever is written.
func TestPaintWidth(t *testing.T) {
	for _, kind := range []Kind{Answer, Question, Output, Notice, Problem} {
		for _, width := range []int{minWidth, 17, 40, 80, 133} {
			for _, line := range mustPaint(t, look{width: width, colours: true, dark: true}, block{kind, sampleMarkdown}) {
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
	for _, line := range mustPaint(t, look{width: minWidth}, block{Answer, ">_\n--"}) {
		if w := xansi.StringWidth(line); w > minWidth {
			t.Errorf("a table in a quote: a line has %d cells: %q", w, line)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(minWidth, 60).Draw(t, "width")
		text := rapid.StringMatching("[a-c你*_`#> \n|-]{0,120}").Draw(t, "text")
		p, err := newPainter(look{width: width})
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range p.paint(block{Answer, text}) {
			if w := xansi.StringWidth(line); w > width {
				t.Fatalf("width %d: a line has %d cells: %q", width, w, line)
			}
		}
	})
}

func TestPaintMarkdown(t *testing.T) {
	lines := mustPaint(t, look{width: 60}, block{Answer, "**bold** text\nsecond `word` line\n\n- item\n\n```\ncode\n```"})
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
	got := xansi.Strip(strings.Join(mustPaint(t, look{width: 20, colours: true}, block{Answer, said}), "\n"))
	if squeeze(got) != squeeze(said) {
		t.Errorf("painted %q, said %q", got, said)
	}
}

func squeeze(s string) string { return blank.ReplaceAllString(s, "") }

func TestNoColours(t *testing.T) {
	for _, kind := range []Kind{Answer, Question, Output, Notice, Problem} {
		text := strings.Join(mustPaint(t, look{width: 60}, block{kind, sampleMarkdown}), "\n")
		if found := colour.FindString(text); found != "" {
			t.Errorf("kind %d: the colour %q without colours", kind, found)
		}
	}
	if !colour.MatchString(strings.Join(mustPaint(t, look{width: 60, colours: true}, block{Answer, sampleMarkdown}), "\n")) {
		t.Error("no colour with colours: the test cannot fail")
	}
}

// TestNoCommands: what a model says cannot command the terminal.
func TestNoCommands(t *testing.T) {
	for _, kind := range []Kind{Answer, Question, Output, Notice, Problem} {
		text := strings.Join(mustPaint(t, look{width: 60}, block{kind, "a\x1b]0;title\x07b\x9b31mc\rd"}), "\n")
		if strings.ContainsAny(text, "\x07\u009b\r") || strings.Contains(text, "\x1b]") {
			t.Errorf("kind %d: %q", kind, text)
		}
	}
	if got := Printable("a\tb\nc\x7f"); got != "a\tb\nc" {
		t.Errorf("printable is %q", got)
	}
}

func TestStatusLine(t *testing.T) {
	p, err := newPainter(look{width: 80})
	if err != nil {
		t.Fatal(err)
	}
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
