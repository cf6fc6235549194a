package tokenizer

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// streamed pushes ids one by one and checks that every part is complete.
func streamed(t rapid.TB, tok *Tokenizer, ids []int32, opts ...DecodeOption) string {
	s := tok.NewStream(opts...)
	var b strings.Builder
	for _, id := range ids {
		part := s.Push(id)
		if !utf8.ValidString(part) {
			t.Fatalf("ids %v: Push(%d) = %q is not UTF-8", ids, id, part)
		}
		b.WriteString(part)
	}
	pending := s.Pending()
	end := s.Flush()
	if pending != (end != "") {
		t.Fatalf("ids %v: Pending() = %v but Flush() = %q", ids, pending, end)
	}
	b.WriteString(end)
	return b.String()
}

// TestStream compares with Decode for every prefix of texts full of characters of
// several bytes, and for random ids, which are mostly no text at all.
func TestStream(t *testing.T) {
	for _, tok := range []*Tokenizer{demo(t), tinySPM(t)} {
		opts := []DecodeOption{CleanSpaces(false), Continuation(true)}
		check := func(t rapid.TB, ids []int32) {
			for n := range len(ids) + 1 {
				for _, special := range []bool{false, true} {
					opts := append(opts, RenderSpecial(special))
					if got, want := streamed(t, tok, ids[:n], opts...), tok.Decode(ids[:n], opts...); got != want {
						t.Fatalf("ids %v: streamed %q, decoded %q", ids[:n], got, want)
					}
				}
				if got, want := streamed(t, tok, ids[:n], Continuation(false)), tok.Decode(ids[:n], CleanSpaces(false)); got != want {
					t.Fatalf("ids %v: streamed %q, decoded %q", ids[:n], got, want)
				}
			}
		}
		rapid.Check(t, func(t *rapid.T) { check(t, tok.Encode(texts().Draw(t, "text"))) })
		rapid.Check(t, func(t *rapid.T) {
			id := rapid.Int32Range(-2, int32(tok.Len())+1)
			if tok.Model() == ModelBPE {
				id = rapid.OneOf(id, rapid.Int32Range(90, 260)) // the single bytes
			}
			check(t, rapid.SliceOfN(id, 0, 24).Draw(t, "ids"))
		})
	}
}

// TestStreamHoldsBack shows when the bytes of one character appear.
func TestStreamHoldsBack(t *testing.T) {
	tok := demo(t)
	s := tok.NewStream()
	var got []string
	for _, b := range []byte("a€\xe2\x82!\xf0\x9f") {
		id, ok := tok.ID(string(appendMapped(nil, []byte{b})))
		if !ok {
			t.Fatalf("no token for byte %#x", b)
		}
		got = append(got, s.Push(id))
	}
	got = append(got, s.Flush(), s.Flush())
	if want := []string{"a", "", "", "€", "", "", "\uFFFD!", "", "", "\uFFFD", ""}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestAppendCompleteAgainstRunes: every sequence of up to four interesting bytes
// decodes as the Unicode standard recommends, however it is cut.
func TestAppendComplete(t *testing.T) {
	bytesOf := []byte{'a', 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC1, 0xC2, 0xE0, 0xE1, 0xED, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF}
	all := func(b []byte) string {
		out, rest := appendComplete(nil, b)
		if len(rest) > 0 {
			out = utf8.AppendRune(out, utf8.RuneError)
		}
		return string(out)
	}
	for _, tc := range []struct{ in, want string }{ // the examples of the Unicode standard, table 3-8 to 3-11
		{"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA"},
		{"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA"},
		{"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA\uFFFD\uFFFDB"},
		{"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", "\uFFFD\uFFFD\uFFFD\uFFFDA"},
	} {
		if got := all([]byte(tc.in)); got != tc.want {
			t.Errorf("%x became %q, want %q", tc.in, got, tc.want)
		}
	}
	n := len(bytesOf)
	for i := range n * n * n * n {
		b := []byte{bytesOf[i%n], bytesOf[i/n%n], bytesOf[i/n/n%n], bytesOf[i/n/n/n]}
		want := all(b)
		if utf8.Valid(b) && want != string(b) {
			t.Fatalf("valid %x became %q", b, want)
		}
		var got, rest []byte
		for _, c := range b {
			var out []byte
			out, rest = appendComplete(nil, append(slices.Clone(rest), c))
			if !utf8.Valid(out) {
				t.Fatalf("%x: part %x is not UTF-8", b, out)
			}
			got = append(got, out...)
		}
		if len(rest) > 0 {
			got = utf8.AppendRune(got, utf8.RuneError)
		}
		if string(got) != want {
			t.Fatalf("%x: in parts %q, at once %q", b, got, want)
		}
	}
}
