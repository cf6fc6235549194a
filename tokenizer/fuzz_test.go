package tokenizer

import (
	"encoding/json"
	"slices"
	"testing"
	"unicode/utf8"
)

// exercise uses a tokenizer that came from hostile input.
func exercise(t *testing.T, tok *Tokenizer) {
	for _, text := range []string{"a ab\n<s>▁<tool>é½\xff", "Hello, I'm 12345  ok"} {
		for _, parse := range []bool{false, true} {
			for _, id := range tok.Encode(text, ParseSpecial(parse)) {
				if !tok.valid(id) {
					t.Fatalf("Encode(%q) gives id %d of %d", text, id, tok.Len())
				}
			}
		}
	}
	ids := make([]int32, 0, 300)
	for id := range int32(min(tok.Len(), 300)) {
		ids = append(ids, id)
	}
	if s := tok.Decode(ids, RenderSpecial(true)); !utf8.ValidString(s) {
		t.Fatalf("Decode gives %q", s)
	}
	back, err := New(tok.Spec())
	if err != nil {
		t.Fatalf("New(Spec()): %v", err)
	}
	if text := "a ab<s>é"; !slices.Equal(back.Encode(text), tok.Encode(text)) {
		t.Fatalf("New(Spec()) encodes %q differently", text)
	}
}

func FuzzFromJSON(f *testing.F) {
	f.Add(byteLevelJSON(f), []byte(`{"bos_token": {"content": "<s>"}, "add_bos_token": true}`))
	f.Add(sentencePieceJSON(f), []byte(`{"added_tokens_decoder": {"12": {"content": "<x>"}}}`))
	f.Add(sentencePieceJSON(f, `"pre_tokenizer": null`, `"pre_tokenizer": {"type": "Metaspace"}`), []byte(nil))
	f.Fuzz(func(t *testing.T, tokenizer, config []byte) {
		if tok, err := FromJSON(tokenizer, config); err == nil {
			exercise(t, tok)
		}
	})
}

func FuzzSentencePiece(f *testing.F) {
	f.Add(spModel(spPieces, spTrainer, []byte{normalizerAddDummy << 3, 1}))
	f.Add(spModel(spPieces[:4], spTrainer, nil))
	f.Fuzz(func(t *testing.T, model []byte) {
		if tok, err := FromSentencePiece(model); err == nil {
			exercise(t, tok)
		}
	})
}

// FuzzEncode compares what all splits must agree on, for any text.
func FuzzEncode(f *testing.F) {
	bpe := demo(f)
	spm := tinySPM(f)
	var others []*Tokenizer
	for _, pre := range []string{"default", "gpt-2", "qwen2", "falcon", "starcoder"} {
		spec := bpe.Spec()
		spec.Pre = pre
		tok, err := New(spec)
		if err != nil {
			f.Fatal(err)
		}
		others = append(others, tok)
	}
	var vectors []vector
	if err := json.Unmarshal([]byte(`[{"text":"Hello, I'm 12345 <|eot_id|>\n\n x  \t"},{"text":"ab ab▁é 🙂<tool>"},{"text":"x=3.14 $5+6 你好，世界 café's"}]`), &vectors); err != nil {
		f.Fatal(err)
	}
	for _, v := range vectors {
		f.Add(v.Text)
	}
	f.Add("\xff\xe2\x82 '\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		want := validUTF8(text, nil)
		for _, tok := range append(others, bpe) {
			for _, parse := range []bool{false, true} {
				ids := tok.Encode(text, AddSpecial(false), ParseSpecial(parse))
				opts := []DecodeOption{CleanSpaces(false), RenderSpecial(true)}
				if got := tok.Decode(ids, opts...); got != want {
					t.Fatalf("%s: %q became %v, which is %q", tok.Pre(), text, ids, got)
				}
				if got := streamed(t, tok, ids, opts...); got != want {
					t.Fatalf("%s: %q streamed as %q", tok.Pre(), text, got)
				}
			}
		}
		ids := spm.Encode(text, AddSpecial(false))
		if got, whole := streamed(t, spm, ids), spm.Decode(ids, Continuation(true)); got != whole {
			t.Fatalf("SentencePiece: %q streamed as %q, decoded as %q", text, got, whole)
		}
	})
}
