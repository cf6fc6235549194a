package termtext

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestWriter(t *testing.T) {
	for text, want := range map[string]string{
		"plain\ttext\n":           "plain\ttext\n",
		"日本語 🙂 é\u00a0":           "日本語 🙂 é\u00a0",
		"\x1b]52;c;cm0=\x07":      "\ufffd]52;c;cm0=\ufffd",
		"a\rb\bc\x7f\x00":         "a\ufffdb\ufffdc\ufffd\ufffd",
		"\u009b31m\u0085":         "\ufffd31m\ufffd",
		"\x9b31m \xff\xc3(":       "\ufffd31m \ufffd\ufffd(",
		"\u202e is no control":    "\u202e is no control",
		strings.Repeat("é", 1000): strings.Repeat("é", 1000),
	} {
		var whole, pieces strings.Builder
		w, p := Writer{Terminal: &whole}, Writer{Terminal: &pieces}
		if n, err := w.Write([]byte(text)); n != len(text) || err != nil {
			t.Error(n, err)
		}
		for i := range len(text) {
			p.Write([]byte{text[i]})
		}
		if whole.String() != want || pieces.String() != want {
			t.Errorf("%q became %q and in pieces %q, want %q", text, whole.String(), pieces.String(), want)
		}
	}
}

func FuzzWriter(f *testing.F) {
	f.Add([]byte("\x1b[2J\u009bé\xc3"), 2)
	f.Fuzz(func(t *testing.T, text []byte, at int) {
		var out strings.Builder
		w := Writer{Terminal: &out}
		at = min(max(at, 0), len(text))
		w.Write(text[:at])
		w.Write(text[at:])
		if !utf8.ValidString(out.String()) || strings.ContainsFunc(out.String(), func(r rune) bool {
			return unicode.IsControl(r) && r != '\n' && r != '\t'
		}) {
			t.Errorf("%q became %q", text, out.String())
		}
	})
}
