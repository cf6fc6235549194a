package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// DecodeOption changes how tokens become text.
type DecodeOption struct{ mask, value decodeFlags }

type decodeFlags uint8

const (
	flagRenderSpecial decodeFlags = 1 << iota
	flagRemoveSpecial
	flagCleanSpaces
	flagContinuation
)

// RenderSpecial says whether control and unknown tokens appear as their texts,
// such as <|eot_id|>, instead of adding nothing (default false).
func RenderSpecial(on bool) DecodeOption { return decodeOption(flagRenderSpecial, on) }

// RemoveSpecial says whether a leading BOS and a trailing EOS token are dropped
// if the model adds them (default false; it matters with RenderSpecial).
func RemoveSpecial(on bool) DecodeOption { return decodeOption(flagRemoveSpecial, on) }

// CleanSpaces says whether spaces before ? ! . , and before 's 'm 're 've are
// removed (default: as the model wants it). A [Stream] never does that.
func CleanSpaces(on bool) DecodeOption { return decodeOption(flagCleanSpaces, on) }

// Continuation says whether the tokens continue earlier text, so that the first
// one keeps the space it starts with. Otherwise a model that adds a space in
// front of the text takes it off again. The default is false for Decode and true
// for a [Stream].
func Continuation(on bool) DecodeOption { return decodeOption(flagContinuation, on) }

func decodeOption(f decodeFlags, on bool) DecodeOption {
	if on {
		return DecodeOption{f, f}
	}
	return DecodeOption{f, 0}
}

// TokenBytes returns the bytes that id adds to decoded text; a token may hold a
// part of a character. They are empty for control, unknown and unused tokens, and
// for ids outside the vocabulary. The caller must not change them.
func (t *Tokenizer) TokenBytes(id int32) []byte {
	if !t.valid(id) {
		return nil
	}
	switch t.types[id] {
	case Normal, Byte:
		return t.raw.bytes(id)
	case UserDefined:
		return t.text.bytes(id)
	}
	return nil
}

// Piece returns what [Tokenizer.TokenBytes] does, as a string that need not be
// valid UTF-8. If special is set, control and unknown tokens give their text.
func (t *Tokenizer) Piece(id int32, special bool) string {
	if special && t.valid(id) && (t.types[id] == Control || t.types[id] == Unknown) {
		return t.text.str(id)
	}
	return view(t.TokenBytes(id))
}

// Decode returns the text of a whole sequence. Bytes that do not form a character
// become U+FFFD.
func (t *Tokenizer) Decode(ids []int32, opts ...DecodeOption) string {
	flags := t.decodeFlags(0, opts)
	stripSpace := t.addSpacePrefix && flags&flagContinuation == 0
	if flags&flagRemoveSpecial != 0 {
		if n := len(ids); t.addBOS && n > 0 && ids[0] == t.special[RoleBOS] {
			ids = ids[1:]
			stripSpace = false
		}
		if n := len(ids); t.addEOS && n > 0 && ids[n-1] == t.special[RoleEOS] {
			ids = ids[:n-1]
		}
	}
	var b []byte
	for i, id := range ids {
		piece := t.Piece(id, flags&flagRenderSpecial != 0)
		if i == 0 && stripSpace {
			piece = strings.TrimPrefix(piece, " ")
		}
		b = append(b, piece...)
	}
	if flags&flagCleanSpaces != 0 {
		b = cleanSpaces(b)
	}
	if utf8.Valid(b) {
		return view(b)
	}
	out, rest := appendComplete(make([]byte, 0, len(b)+8), b)
	if len(rest) > 0 {
		out = utf8.AppendRune(out, utf8.RuneError)
	}
	return view(out)
}

func (t *Tokenizer) decodeFlags(flags decodeFlags, opts []DecodeOption) decodeFlags {
	if t.cleanSpaces {
		flags |= flagCleanSpaces
	}
	for _, o := range opts {
		flags = flags&^o.mask | o.value
	}
	return flags
}

// cleanSpaces removes spaces in place, in the three passes of llama.cpp's
// llama_detokenize.
func cleanSpaces(b []byte) []byte {
	// A space before ? ! . ,
	out := b[:0]
	for i, c := range b {
		if i > 0 && len(out) > 0 && b[i-1] == ' ' && (c == '?' || c == '!' || c == '.' || c == ',') {
			out = out[:len(out)-1]
		}
		out = append(out, c)
	}
	b = out
	// Both spaces around an apostrophe.
	out = b[:0]
	spaceBefore := false
	for i := 0; i < len(b); i++ {
		if b[i] == '\'' && spaceBefore && i+1 < len(b) && b[i+1] == ' ' {
			out = append(out[:len(out)-1], '\'')
			spaceBefore = false
			i++
			continue
		}
		out = append(out, b[i])
		spaceBefore = b[i] == ' '
	}
	b = out
	// The space before 's 'm 're 've.
	out = b[:0]
	for i := 0; i < len(b); i++ {
		if b[i] == ' ' && i+2 < len(b) && b[i+1] == '\'' {
			if c := b[i+2]; c == 's' || c == 'm' || i+3 < len(b) && (c == 'r' || c == 'v') && b[i+3] == 'e' {
				continue
			}
		}
		out = append(out, b[i])
	}
	return out
}

// appendComplete appends src with U+FFFD for what is not UTF-8 (one for each
// maximal part of a character, as Unicode recommends) and returns the start of a
// character that may still become complete.
func appendComplete(dst, src []byte) (out, rest []byte) {
	for len(src) > 0 {
		if src[0] < utf8.RuneSelf {
			dst = append(dst, src[0])
			src = src[1:]
			continue
		}
		if _, n := utf8.DecodeRune(src); n > 1 {
			dst = append(dst, src[:n]...)
			src = src[n:]
			continue
		}
		n := partial(src)
		if n == len(src) {
			return dst, src
		}
		dst = utf8.AppendRune(dst, utf8.RuneError)
		src = src[max(n, 1):]
	}
	return dst, nil
}

// partial returns how many bytes at the start of src could begin a character of
// which the rest is missing: 0 if src starts with a byte that begins none.
func partial(src []byte) int {
	var need int
	lo, hi := byte(0x80), byte(0xBF) // what may follow the first byte
	switch c := src[0]; {
	case c >= 0xC2 && c <= 0xDF:
		need = 2
	case c >= 0xE0 && c <= 0xEF:
		need = 3
		if c == 0xE0 {
			lo = 0xA0 // shorter forms exist
		} else if c == 0xED {
			hi = 0x9F // surrogates
		}
	case c >= 0xF0 && c <= 0xF4:
		need = 4
		if c == 0xF0 {
			lo = 0x90
		} else if c == 0xF4 {
			hi = 0x8F // above U+10FFFF
		}
	default:
		return 0
	}
	n := 1
	for n < need && n < len(src) && src[n] >= lo && src[n] <= hi {
		n++
		lo, hi = 0x80, 0xBF
	}
	return n
}
