package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestMemo: words that are remembered, and those that have taken their places, become what
// they become without memory, and texts that are cut where nothing joins what they become
// as a whole.
func TestMemo(t *testing.T) {
	tok := fromGGUFFixture(t, "llama-spm.vocab.gguf")
	r := rand.New(rand.NewPCG(1, 2))
	var words []string
	for range 3 * memoEntries {
		word := make([]rune, 1+r.IntN(12))
		for i := range word {
			if word[i] = 'a' + rune(r.IntN(26)); r.IntN(40) == 0 {
				word[i] = []rune("éß漢😀\x00\u2581.,-\n\t{")[r.IntN(12)]
			}
		}
		words = append(words, string(word))
	}
	words = append(words, "the", "\xff\xfe", "a\xff", strings.Repeat("x", memoBytes), strings.Repeat("漢", 9))
	for range 200 {
		var text []string
		for range 40 {
			text = append(text, words[r.IntN(len(words))])
			if r.IntN(2) == 0 {
				text = append(text, words[r.IntN(20)]) // often
			}
		}
		whole := strings.Join(text, " ")
		var want []int32
		unknown, rest := false, string(appendEscaped([]byte(underscore), whole, nil))
		for rest != "" { // as appendSPM, each word with memory that knows nothing
			end := tok.spm().wordEnd(rest, nil)
			want, unknown = tok.appendWord(want, rest[:end], unknown, tok.spm(), new(scratch))
			rest = rest[end:]
		}
		var uncut []int32
		unknown = false
		for _, sym := range tok.mergeWord(string(appendEscaped([]byte(underscore), whole, nil)), tok.spm(), new(scratch)) {
			uncut, unknown = tok.appendSPMSymbol(uncut, sym, unknown, tok.spm())
		}
		if !slices.Equal(want, uncut) {
			t.Fatalf("%q becomes %v, as a whole %v", whole, want, uncut)
		}
		for range 2 {
			if got := tok.AppendEncode(nil, whole, AddSpecial(false)); !slices.Equal(got, want) {
				t.Fatalf("%q becomes %v, without memory %v", whole, got, want)
			}
		}
	}
}
