package grammar

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestPatternsWithLengths compares patterns beside minLength and maxLength with package regexp: those whose characters
// can be counted, and those that need a state for every length.
func TestPatternsWithLengths(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, p := range []string{
		`^[a-c]+$`, `^[ab]*$`, `a`, `^a`, `^a[^b]*$`, `^(a|bb)c*$`, `^(abc)?$`, `^é*$`, `^"*$`, `^[a-c]{2,5}$`, `^a$|^b+$`,
		`a$`, `^(ab)*$`, `^a*b*$`, `^(a|b)*c$`, `b.*c`,
	} {
		want := regexp.MustCompile(p)
		for _, n := range []struct{ lo, hi int }{{0, 0}, {0, 1}, {1, 1}, {2, 4}, {3, -1}, {0, 3}, {5, 2}, {0, 70}, {67, 70}, {70, -1}} {
			limits := fmt.Sprintf(`"minLength":%d`, n.lo)
			if n.hi >= 0 {
				limits += fmt.Sprintf(`,"maxLength":%d`, n.hi)
			}
			schema := fmt.Sprintf(`{"anyOf":[{"type":"string","pattern":%s,%s},{"type":"null"}]}`, quote(p), limits)
			g := schemaGrammar(t, schema, SchemaOptions{Strict: true})
			for range 60 {
				length := max(0, n.lo+r.IntN(5)-2)
				if n.hi >= 0 && r.IntN(2) == 0 {
					length = max(0, n.hi+r.IntN(5)-2)
				}
				letters := []rune("abc\"é")[:1+r.IntN(5)]
				var b strings.Builder
				for range length {
					b.WriteRune(letters[r.IntN(len(letters))])
				}
				text := b.String()
				if r.IntN(3) == 0 && text != "" {
					text = strings.Repeat(string([]rune(text)[:1]), length)
				}
				count := utf8.RuneCountInString(text)
				valid := want.MatchString(text) && count >= n.lo && (n.hi < 0 || count <= n.hi)
				if accepts(t, g, quote(text)) != valid {
					t.Errorf("%s: %q: expected %v", schema, text, valid)
				}
			}
		}
	}
}

// TestLongPatterns: where characters can be counted, any number of them can.
func TestLongPatterns(t *testing.T) {
	for _, p := range []string{`^[a-z]+$`, `^https?://`, `^[^\\s][^\\n]*$`} {
		g := schemaGrammar(t, `{"type":"string","pattern":"`+p+`","minLength":3,"maxLength":1000000}`, SchemaOptions{Strict: true})
		if len(g.net.nodes) > 300 {
			t.Errorf("%s takes %d nodes", p, len(g.net.nodes))
		}
	}
}

// TestLargeAutomata: automata that share the bytes of characters mean what small ones do.
func TestLargeAutomata(t *testing.T) {
	g := schemaGrammar(t, `{"type":"string","pattern":"^(?:\\S+\\s+){0,199}\\S+$"}`, SchemaOptions{})
	words := func(n int) string { return `"` + strings.Repeat("a ", n-1) + `b"` }
	for text, want := range map[string]bool{
		words(1): true, words(200): true, words(201): false, `"a\nb"`: true, `"a\n"`: false,
		`"\"a"`: true, `"\\"`: true, `"\u0001é b"`: true,
		`"ab\u2003"`: false, `"ü漢 \t字"`: true, "\"a\nb\"": false, `""`: false, `" a"`: false, `"a\u001fb"`: true,
	} {
		if got := accepts(t, g, text); got != want {
			t.Errorf("%.40s: %v", text, got)
		}
	}
}
