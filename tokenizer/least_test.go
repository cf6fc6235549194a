package tokenizer

import (
	"strings"
	"testing"
)

// TestLeastTokens: the bound never exceeds the tokens that there are, and grows with the text.
func TestLeastTokens(t *testing.T) {
	for name, tok := range map[string]*Tokenizer{"demo": demo(t), "tiny SPM": tinySPM(t)} {
		for _, text := range []string{"", "a", "Hello, world!", strings.Repeat(" ", 5000), strings.Repeat("the ", 1000),
			strings.Repeat("\u1112\u1161\u11ab", 500), "日本語 🙂 \xff\xfe"} {
			if least, n := tok.LeastTokens(text), len(tok.Encode(text, AddSpecial(false))); least > n {
				t.Errorf("%s: %.20q has %d tokens, not at least %d", name, text, n, least)
			}
		}
		if most := tok.longestToken(); most > 0 && tok.LeastTokens(strings.Repeat("a", 100*most)) != 100 {
			t.Errorf("%s: the longest token has %d bytes", name, most)
		}
	}
}
