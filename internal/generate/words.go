package generate

import (
	"bytes"
	"fmt"
	"slices"

	"trit/internal/order"
	"trit/tokenizer"
)

// DefaultBreakers are llama.cpp's sequence breakers of DRY.
func DefaultBreakers() []string { return []string{"\n", ":", "\"", "*"} }

// Breakers returns the token sequences for sample.DRYOptions.Breakers that stand
// for strings: every token that contains the string, and for a string of
// several bytes also every token that ends with the beginning of it, followed
// by the tokens of the rest. It is what llama.cpp does with
// --dry-sequence-breaker.
func Breakers(t *tokenizer.Tokenizer, texts []string) ([][]int32, error) {
	var all [][]int32
	for i, text := range texts {
		if text == "" {
			return nil, fmt.Errorf("%w: sequence breaker %d is empty", ErrOptions, i)
		}
		want := []byte(text)
		rests := make([][]int32, len(want))
		for n := 1; n < len(want); n++ {
			rests[n] = continuation(t, text[n:])
		}
		for id := range int32(t.Len()) {
			word := t.TokenBytes(id)
			if bytes.Contains(word, want) {
				all = append(all, []int32{id})
				continue
			}
			for n := min(len(want)-1, len(word)); n > 0; n-- {
				if bytes.HasSuffix(word, want[:n]) {
					all = append(all, append([]int32{id}, rests[n]...))
				}
			}
		}
	}
	return distinct(all), nil
}

// BadWords returns the token sequences for sample.Options.BadWords that stand for
// words: the tokens of each as the tokenizer writes it at the beginning of a
// text, behind a space, and behind something else. A model that spells a word
// in other pieces is not kept from it.
func BadWords(t *tokenizer.Tokenizer, words []string) ([][]int32, error) {
	var all [][]int32
	for i, word := range words {
		if word == "" {
			return nil, fmt.Errorf("%w: bad word %d is empty", ErrOptions, i)
		}
		all = append(all,
			t.Encode(word, tokenizer.AddSpecial(false)),
			t.Encode(" "+word, tokenizer.AddSpecial(false)),
			continuation(t, word),
			continuation(t, " "+word))
	}
	return distinct(all), nil
}

// continuation returns the tokens of a text that does not begin a text, where
// some tokenizers add a space. What stands before it is a line end, which
// tokenizers keep apart from what follows; where one does not, it is the
// beginning after all.
func continuation(t *tokenizer.Tokenizer, text string) []int32 {
	const before = "\n"
	lead := t.Encode(before, tokenizer.AddSpecial(false))
	whole := t.Encode(before+text, tokenizer.AddSpecial(false))
	if len(whole) > len(lead) && slices.Equal(whole[:len(lead)], lead) {
		return whole[len(lead):]
	}
	return t.Encode(text, tokenizer.AddSpecial(false))
}

// distinct sorts sequences and removes empty and repeated ones.
func distinct(all [][]int32) [][]int32 {
	all = slices.DeleteFunc(all, func(s []int32) bool { return len(s) == 0 })
	order.Stable(all, slices.Compare)
	return slices.CompactFunc(all, slices.Equal)
}
