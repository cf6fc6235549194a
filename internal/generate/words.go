package generate

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"trit/internal/order"
	"trit/internal/work"
	"trit/tokenizer"
)

// DefaultBreakers are llama.cpp's sequence breakers of DRY.
func DefaultBreakers() []string { return []string{"\n", ":", "\"", "*"} }

// maxBreakers bounds the tokens of what strings are found to stand for, in all.
const maxBreakers = 1 << 22

// Breakers returns the token sequences for sample.DRYOptions.Breakers that stand
// for strings: every token that contains the string, and for a string of
// several bytes also every token that ends with the beginning of it, followed
// by the tokens of the rest. It is what llama.cpp does with
// --dry-sequence-breaker. It ends with ctx.
func Breakers(ctx context.Context, t *tokenizer.Tokenizer, texts []string) (all [][]int32, err error) {
	defer work.Until(&err)
	m := work.NewMeter(ctx, work.Unbounded)
	alone := make([]bool, t.Len()) // tokens that are breakers by themselves
	size := 0                      // of all others
	for i, text := range texts {
		if text == "" {
			return nil, fmt.Errorf("%w: sequence breaker %d is empty", ErrOptions, i)
		}
		want := []byte(text)
		rests := make([][]int32, len(want))
		for n := 1; n < len(want); n++ {
			if rests[n], err = continuation(ctx, t, text[n:]); err != nil {
				return nil, err
			}
		}
		for id := range int32(t.Len()) {
			m.Spend(1)
			word := t.TokenBytes(id)
			if bytes.Contains(word, want) {
				if !alone[id] {
					all = append(all, []int32{id})
				}
				alone[id] = true
				continue
			}
			for n := min(len(want)-1, len(word)); n > 0; n-- {
				if m.Spend(1); bytes.HasSuffix(word, want[:n]) {
					if size += 1 + len(rests[n]); size > maxBreakers {
						return nil, fmt.Errorf("%w: the sequence breakers stand for more than %d tokens in all; give fewer, or "+
							"shorter ones", ErrOptions, maxBreakers)
					}
					all = append(all, append([]int32{id}, rests[n]...))
				}
			}
		}
	}
	return distinct(m, all), nil
}

// BadWords returns the token sequences for sample.Options.BadWords that stand for
// words: the tokens of each as the tokenizer writes it at the beginning of a
// text, behind a space, and behind something else. A model that spells a word
// in other pieces is not kept from it. It ends with ctx.
func BadWords(ctx context.Context, t *tokenizer.Tokenizer, words []string) (all [][]int32, err error) {
	defer work.Until(&err)
	for i, word := range words {
		if word == "" {
			return nil, fmt.Errorf("%w: bad word %d is empty", ErrOptions, i)
		}
		for _, text := range []string{word, " " + word} {
			first, err := t.EncodeContext(ctx, text, tokenizer.AddSpecial(false))
			if err != nil {
				return nil, err
			}
			later, err := continuation(ctx, t, text)
			if err != nil {
				return nil, err
			}
			all = append(all, first, later)
		}
	}
	return distinct(work.NewMeter(ctx, work.Unbounded), all), nil
}

// continuation returns the tokens of a text that does not begin a text, where
// some tokenizers add a space. What stands before it is a line end, which
// tokenizers keep apart from what follows; where one does not, it is the
// beginning after all.
func continuation(ctx context.Context, t *tokenizer.Tokenizer, text string) ([]int32, error) {
	const before = "\n"
	lead := t.Encode(before, tokenizer.AddSpecial(false))
	whole, err := t.EncodeContext(ctx, before+text, tokenizer.AddSpecial(false))
	if err == nil && len(whole) > len(lead) && slices.Equal(whole[:len(lead)], lead) {
		return whole[len(lead):], nil
	}
	if err != nil {
		return nil, err
	}
	return t.EncodeContext(ctx, text, tokenizer.AddSpecial(false))
}

// distinct sorts sequences and removes empty and repeated ones.
func distinct(m *work.Meter, all [][]int32) [][]int32 {
	all = slices.DeleteFunc(all, func(s []int32) bool { return len(s) == 0 })
	order.Stable(all, func(a, b []int32) int {
		m.Spend(1)
		return slices.Compare(a, b)
	})
	return slices.CompactFunc(all, slices.Equal)
}
