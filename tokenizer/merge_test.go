package tokenizer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// modelBPE is byte-level BPE as it is defined: on strings, without tables.
func modelBPE(spec Spec, piece string) []int32 {
	find := func(text string) int32 {
		for i := len(spec.Tokens) - 1; i >= 0; i-- {
			if spec.Tokens[i].Text == text {
				return int32(i)
			}
		}
		return -1
	}
	mapped := string(appendMapped(nil, []byte(piece)))
	if id := find(mapped); id >= 0 && spec.IgnoreMerges {
		return []int32{id}
	}
	syms := strings.Split(mapped, "")
	for {
		best, at := len(spec.Merges), -1
		for i := 0; i+1 < len(syms); i++ {
			if rank := slices.Index(spec.Merges, syms[i]+" "+syms[i+1]); rank >= 0 && rank < best {
				best, at = rank, i
			}
		}
		if at < 0 {
			break
		}
		syms = slices.Replace(syms, at, at+2, syms[at]+syms[at+1])
	}
	var ids []int32
	for _, s := range syms {
		if id := find(s); id >= 0 {
			ids = append(ids, id)
			continue
		}
		for i := range len(s) {
			if id := find(s[i : i+1]); id >= 0 {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// modelSPM is SentencePiece BPE as it is defined.
func modelSPM(spec Spec, text string) []int32 {
	find := func(text string) int32 {
		for i := len(spec.Tokens) - 1; i >= 0; i-- {
			if spec.Tokens[i].Text == text {
				return int32(i)
			}
		}
		return -1
	}
	if text == "" {
		return nil
	}
	if spec.AddSpacePrefix {
		text = " " + text
	}
	syms := strings.Split(strings.ReplaceAll(text, " ", underscore), "")
	for {
		at, best := -1, float32(0)
		for i := 0; i+1 < len(syms); i++ {
			if id := find(syms[i] + syms[i+1]); id >= 0 && (at < 0 || spec.Tokens[id].Score > best) {
				at, best = i, spec.Tokens[id].Score
			}
		}
		if at < 0 {
			break
		}
		syms = slices.Replace(syms, at, at+2, syms[at]+syms[at+1])
	}
	var ids []int32
	unknown := false
	for _, s := range syms {
		if id := find(s); id >= 0 {
			ids, unknown = append(ids, id), false
			continue
		}
		var spelling []int32
		for i := range len(s) {
			if id := find(fmt.Sprintf("<0x%02X>", s[i])); id >= 0 {
				spelling = append(spelling, id)
			}
		}
		if len(spelling) == len(s) {
			ids, unknown = append(ids, spelling...), false
		} else if !unknown {
			ids, unknown = append(ids, spec.Special[RoleUNK]), true
		}
	}
	return ids
}

// TestBPEAgainstModel merges random text with random, partly absurd, merge lists.
func TestBPEAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec, err := NewSpec(ModelBPE, "gpt-2")
		if err != nil {
			t.Fatal(err)
		}
		word := rapid.StringOfN(rapid.RuneFrom([]rune("abcĠÃ©")), 1, 4, -1)
		spec.Tokens = []Token{{Text: "x", Type: Normal}}
		for _, w := range rapid.SliceOfN(word, 1, 30).Draw(t, "vocab") {
			spec.Tokens = append(spec.Tokens, Token{Text: w, Type: Normal})
		}
		for range rapid.IntRange(0, 25).Draw(t, "merges") {
			spec.Merges = append(spec.Merges, word.Draw(t, "left")+" "+word.Draw(t, "right"))
		}
		spec.IgnoreMerges = rapid.Bool().Draw(t, "ignore_merges")
		tok, err := New(spec)
		if err != nil {
			t.Fatal(err)
		}
		// Some pieces are longer than maxSmall, so that both ways of merging run.
		text := rapid.OneOf(rapid.StringOfN(rapid.RuneFrom([]rune("abcé")), 0, 30, -1), rapid.StringOfN(rapid.RuneFrom([]rune("abcé")), 60, 120, -1)).Draw(t, "text")
		for range 2 { // the second time from the cache
			if got, want := tok.Encode(text), modelBPE(spec, text); text != "" && !slices.Equal(got, want) {
				t.Fatalf("Encode(%q)\n got %v\nwant %v\ntokens %v merges %q", text, got, want, spec.Tokens, spec.Merges)
			}
		}
		back, err := New(tok.Spec())
		if err != nil {
			t.Fatal(err)
		}
		if got := back.Spec(); !slices.Equal(got.Merges, spec.Merges) {
			t.Fatalf("merges %q became %q", spec.Merges, got.Merges)
		}
	})
}

// TestSPMAgainstModel does the same for SentencePiece, with tokens that have
// spaces anywhere.
func TestSPMAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec, err := NewSpec(ModelSPM, "")
		if err != nil {
			t.Fatal(err)
		}
		spec.AddBOS = false
		spec.AddSpacePrefix = rapid.Bool().Draw(t, "prefix")
		spec.Tokens = []Token{{Text: "<unk>", Type: Normal}, {Text: "<s>", Type: Normal}, {Text: "</s>", Type: Normal}}
		for b := range 256 {
			if rapid.IntRange(0, 3).Draw(t, "byte") > 0 {
				spec.Tokens = append(spec.Tokens, Token{Text: fmt.Sprintf("<0x%02X>", b), Type: Byte})
			}
		}
		alphabet := rapid.SampledFrom([]string{"abé▁", "ab▁▁"}).Draw(t, "alphabet")
		for _, w := range rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune(alphabet)), 1, 4, -1), 1, 40).Draw(t, "vocab") {
			if rapid.Bool().Draw(t, "word") {
				w = "▁" + strings.ReplaceAll(w, "▁", "")
			}
			spec.Tokens = append(spec.Tokens, Token{w, float32(rapid.IntRange(-9, 0).Draw(t, "score")), Normal})
		}
		tok, err := New(spec)
		if err != nil {
			t.Fatal(err)
		}
		text := rapid.OneOf(rapid.StringOfN(rapid.RuneFrom([]rune("abé  ½\n▁")), 0, 30, -1), rapid.StringOfN(rapid.RuneFrom([]rune("abé  ½\n▁")), 60, 120, -1)).Draw(t, "text")
		for range 2 {
			if got, want := tok.Encode(text), modelSPM(spec, text); !slices.Equal(got, want) {
				t.Fatalf("Encode(%q)\n got %v\nwant %v\ntokens %v", text, got, want, spec.Tokens)
			}
		}
	})
}

// TestMergeLong compares the two ways of merging directly, at every length.
func TestMergeLong(t *testing.T) {
	table := newMergeTable(0)
	next := int32(4)
	for left := range int32(4) {
		for right := range int32(4) {
			if (left+right)%3 != 0 {
				table.put(left, right, (left*7+right*3)%5, next) // some ranks are equal
				table.put(next, left, 10+left, next+100)
				next++
			}
		}
	}
	merged := 0
	for n := 1; n <= maxSmall; n++ {
		syms := make([]int32, n)
		for i := range syms {
			syms[i] = int32((i*i + n/3) % 4)
		}
		long := slices.Clone(syms)
		small := syms[:table.mergeSmall(syms)]
		if got := long[:table.mergeLong(long, new(longMerge))]; !slices.Equal(got, small) {
			t.Fatalf("length %d: heap %v, small %v", n, got, small)
		}
		merged += n - len(small)
	}
	if merged < 100 {
		t.Fatalf("only %d merges: the test shows nothing", merged)
	}
}

// TestOnePiece encodes a megabyte without a place to split.
func TestOnePiece(t *testing.T) {
	tok := demo(t)
	text := strings.Repeat("thequickbrownfox", 1<<16)
	ids := tok.Encode(text, AddSpecial(false))
	if got := tok.Decode(ids, CleanSpaces(false)); got != text {
		t.Fatal("decoding a long piece does not give it back")
	}
	if len(ids) >= len(text) || !utf8.ValidString(text) {
		t.Fatalf("%d tokens for %d bytes: nothing merged", len(ids), len(text))
	}
}
